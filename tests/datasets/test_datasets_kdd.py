"""KDD files: duplicates, contradicting labels, the swapped protocol, broken files, and the real ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from numpy.typing import NDArray

import datasets
from datasets import Dataset, DatasetError, kdd, kdd_synthetic, storage

DUPLICATES = 40


def lines(rows: int, seed: int, *, tail: str = "") -> list[str]:
    """Rows in the published form, a quarter of them attacks."""
    traffic, family = kdd_synthetic.generate_traffic(seed, {"normal": rows - rows // 4, "dos": rows // 4})
    return [
        ",".join([*map(str, row), ("normal" if label == "normal" else "neptune") + tail])
        for row, label in zip(traffic.itertuples(index=False), family, strict=True)
    ]


def put(data_dir: Path, name: str, rows: list[str]) -> Path:
    path = data_dir / name
    path.parent.mkdir(exist_ok=True)
    content = ("\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kdd, "ROWS", dict.fromkeys(kdd.ROWS, range(100, 10_000)))


@pytest.fixture
def kdd99(tmp_path: Path) -> Path:
    rows = lines(400, 0, tail=".")
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", rows + rows[:DUPLICATES])
    return tmp_path


@pytest.fixture
def nsl_kdd(tmp_path: Path) -> Path:
    train, test = lines(400, 0, tail=",20"), lines(150, 1, tail=",20")
    put(tmp_path, "nsl-kdd/KDDTrain+.txt", train + train[:DUPLICATES])
    put(tmp_path, "nsl-kdd/KDDTest+.txt", test + train[:10])
    return tmp_path


def sizes(data: Dataset) -> tuple[int, int, int, int]:
    return len(data.X_train), len(data.X_val), len(data.X_test), int(data.y_test.sum())


def test_kdd99_drops_duplicates_before_it_splits(kdd99: Path) -> None:
    data = datasets.load("kdd99", data_dir=kdd99)
    assert sizes(data) == (180, 60, 160, 100)
    assert data.provenance.notes[0].startswith(f"{DUPLICATES} of 440 rows were exact duplicates")


def test_a_row_published_under_both_labels_never_trains(tmp_path: Path) -> None:
    rows = lines(400, 0, tail=".")
    contradicting = [row.replace("normal.", "smurf.") for row in rows[:300]]
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", contradicting[:200] + rows + contradicting[200:250])
    data = datasets.load("kdd99", data_dir=tmp_path)
    assert sizes(data) == (30, 10, 360, 350)


def test_nsl_kdd_takes_the_rows_of_the_official_test_file_out_of_training(nsl_kdd: Path) -> None:
    data = datasets.load("nsl-kdd", data_dir=nsl_kdd)
    assert sizes(data) == (261, 29, 160, 37)
    assert data.provenance.notes[0].startswith(f"{DUPLICATES + 10} normal training rows were dropped")
    assert [file.name for file in data.provenance.files] == ["nsl-kdd/KDDTrain+.txt", "nsl-kdd/KDDTest+.txt"]


def test_the_swapped_protocol_trains_on_attacks_and_keeps_a_fifth_of_anomalies(tmp_path: Path) -> None:
    rows = lines(400, 0, tail=".")
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", rows + rows[-50:])
    data = datasets.load("kdd99-swapped", data_dir=tmp_path)
    assert sizes(data) == (67, 8, 93, 18)
    assert "% of the attacks in the test part are exact copies" in data.provenance.notes[0]
    traffic, family = kdd_synthetic.generate_traffic(0, {"normal": 300, "dos": 100})
    flags = dict(zip(data.feature_names, data.X_train.T, strict=True))
    attacks = traffic[family == "dos"]
    assert ("service=domain_u" in flags) == attacks["service"].eq("domain_u").any()
    assert "service=ecr_i" in flags


def test_duplicates_that_are_kept_stay_together_and_are_counted(kdd99: Path) -> None:
    data = datasets.load("kdd99?duplicates=keep", data_dir=kdd99)
    assert sum(sizes(data)[:3]) == 440
    assert "40 of 440 rows are exact duplicates of others and were kept" in data.provenance.notes[0]
    train, val, test = ({row.tobytes() for row in part} for part in (data.X_train, data.X_val, data.X_test))
    assert not (train & val) | (train & test) | (val & test)


def test_the_swapped_protocol_without_duplicates_says_that_it_is_not_as_published(tmp_path: Path) -> None:
    rows = lines(400, 0, tail=".")
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", rows + rows[-50:])
    data = datasets.load("kdd99-swapped?duplicates=drop", data_dir=tmp_path)
    assert "50 of 450 rows were exact duplicates and dropped, which is not as published." in data.provenance.notes
    assert not {row.tobytes() for row in data.X_train} & {row.tobytes() for row in data.X_test}


def test_the_swapped_protocol_is_contaminated_with_the_normal_traffic_it_would_have_tested(tmp_path: Path) -> None:
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", lines(400, 0, tail="."))
    before = datasets.load("kdd99-swapped", data_dir=tmp_path)
    data = datasets.load("kdd99-swapped?train_contamination=0.1", data_dir=tmp_path)
    moved = len(data.X_train) - len(before.X_train)
    assert moved == round(0.1 * len(data.X_train))
    assert int(before.y_test.sum()) - int(data.y_test.sum()) == moved


def test_the_official_test_file_stays_whole_where_nsl_kdd_is_contaminated(nsl_kdd: Path) -> None:
    before = datasets.load("nsl-kdd", data_dir=nsl_kdd)
    for options in ("", "&duplicates=keep"):
        data = datasets.load(f"nsl-kdd?train_contamination=0.1{options}", data_dir=nsl_kdd)
        assert sizes(data)[2:] == sizes(before)[2:]
        (note,) = (note for note in data.provenance.notes if "Contaminated" in note)
        assert "from the training file" in note
        assert not {row.tobytes() for row in data.X_train} & {row.tobytes() for row in data.X_test}
    assert len(data.X_train) > len(before.X_train)


def test_the_share_of_copies_is_measured(tmp_path: Path) -> None:
    normal, attacks = lines(400, 0, tail=".")[:300], lines(400, 0, tail=".")[300:]
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", normal + attacks)
    assert datasets.load("kdd99-swapped", data_dir=tmp_path).provenance.notes[0].startswith("0.0%")
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", normal + attacks[:1] * 100)
    with pytest.raises(DatasetError, match="features"):
        datasets.load("kdd99-swapped", data_dir=tmp_path)
    put(tmp_path, "kddcup99/kddcup.data_10_percent.gz", normal + attacks[:2] * 100)
    assert datasets.load("kdd99-swapped", data_dir=tmp_path).provenance.notes[0].startswith("100.0%")


def test_unseen_services_are_all_zeros_and_the_encoder_never_saw_the_test_file(tmp_path: Path) -> None:
    train, test = lines(400, 0, tail=",20"), lines(150, 1, tail=",20")
    put(tmp_path, "nsl-kdd/KDDTrain+.txt", train)
    put(tmp_path, "nsl-kdd/KDDTest+.txt", [row.replace(",http,", ",gopher,") for row in test])
    data = datasets.load("nsl-kdd", data_dir=tmp_path)
    services = [place for place, name in enumerate(data.feature_names) if name.startswith("service=")]
    assert "service=gopher" not in data.feature_names
    unseen = data.X_test[:, services].sum(axis=1) == 0
    assert unseen.sum() >= sum(",http," in row for row in test) > 0


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda rows: [row.rsplit(",", 1)[0] for row in rows], "has 42 columns, not 43"),
        (lambda rows: [*rows[:3], rows[3] + ",1", *rows[4:]], "not comma-separated text"),
        (lambda rows: [*rows[:3], rows[3].rsplit(",", 5)[0], *rows[4:]], "line 4 is incomplete"),
        (lambda rows: [*rows[:3], "x" + rows[3], *rows[4:]], "column duration holds other things than numbers"),
        (lambda rows: [*rows[:3], "-1" + rows[3][1:], *rows[4:]], "column duration holds other things than numbers"),
        (lambda rows: rows[:90], "holds 90 of 100 rows"),
        (lambda rows: [row for row in rows if "normal" not in row] * 2, "both normal rows and attacks"),
        (lambda rows: ["\0\1\2"] * 200, "columns"),
    ],
)
def test_a_broken_file_gets_one_line(nsl_kdd: Path, damage: object, told: str) -> None:
    assert callable(damage)
    put(nsl_kdd, "nsl-kdd/KDDTrain+.txt", damage(lines(400, 0, tail=",20")))
    with pytest.raises(DatasetError) as failure:
        datasets.load("nsl-kdd", data_dir=nsl_kdd)
    assert told in str(failure.value)
    assert "KDDTrain+.txt: " in str(failure.value)
    assert "get it again from https://" in str(failure.value)


def test_binary_rubbish_in_the_place_of_a_text_file_gets_one_line(nsl_kdd: Path) -> None:
    (nsl_kdd / "nsl-kdd" / "KDDTest+.txt").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(DatasetError, match=r"KDDTest\+\.txt: .*get it again"):
        datasets.load("nsl-kdd", data_dir=nsl_kdd)


def test_what_scikit_learn_fetches_gives_the_same_task_and_is_kept(
    kdd99: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = gzip.decompress((kdd99 / "kddcup99" / "kddcup.data_10_percent.gz").read_bytes()).decode()

    def typed(word: str, column: str) -> object:
        return word.encode() if column in kdd.CATEGORICAL else float(word) if "rate" in column else int(word)

    def fetch(**options: object) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        table = [row.split(",") for row in published.splitlines()]
        features = np.empty((len(table), 41), dtype=object)
        for place, row in enumerate(table):
            features[place] = [typed(word, column) for word, column in zip(row, kdd.COLUMNS, strict=False)]
        return features, np.array([row[-1].encode() for row in table], dtype=object)

    expected = datasets.load("kdd99", data_dir=kdd99)
    monkeypatch.setattr(sklearn.datasets, "fetch_kddcup99", fetch)
    monkeypatch.setattr(storage, "reachable", lambda url: True)
    empty = tmp_path_factory.mktemp("empty")
    assert datasets.load("kdd99", data_dir=empty).checksum == expected.checksum
    monkeypatch.setattr(sklearn.datasets, "fetch_kddcup99", None)
    assert datasets.load("kdd99", data_dir=empty).checksum == expected.checksum
