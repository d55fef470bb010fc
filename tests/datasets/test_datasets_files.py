"""The user's own files: what is made of each kind of column, and the one line that each unusable file gets."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from datasets import Dataset, DatasetError, tables
from datasets.splitting import row_keys, split_together

ROWS = 200


def table(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": rng.normal(size=rows),
            "kind": rng.choice(["a", "b", "c"], rows),
            "label": np.where(np.arange(rows) % 10 == 0, "attack", "normal"),
        }
    )


def load(folder: Path, frame: pd.DataFrame, options: str = "", *, suffix: str = "csv") -> Dataset:
    path = folder / f"rows.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return datasets.load(f"file:{path}{options}")


def refusal(path: Path, content: bytes, options: str = "") -> str:
    path.write_bytes(content)
    with pytest.raises(DatasetError) as failure:
        datasets.load(f"file:{path}{options}")
    assert "\n" not in str(failure.value)
    assert str(path) in str(failure.value)
    return str(failure.value)


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def npz(**arrays: object) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_and_categories_are_told_apart(tmp_path: Path, suffix: str) -> None:
    data = load(tmp_path, table(), suffix=suffix)
    assert data.feature_names == ("amount", "kind=a", "kind=b", "kind=c")
    assert (len(data.X_train), len(data.X_val), len(data.X_test)) == (108, 36, 36 + 20)
    assert int(data.y_test.sum()) == 20
    assert data.provenance.files[0].name.endswith(f"rows.{suffix}")
    assert "Normal: normal in column 'label'" in data.provenance.protocol


def test_csv_and_parquet_of_the_same_rows_are_the_same_task(tmp_path: Path) -> None:
    frame = table().round(3)
    assert load(tmp_path, frame).checksum == load(tmp_path, frame, suffix="parquet").checksum


def test_an_archive_of_arrays_is_read_and_scaled(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).normal(3, 2, (100, 4)), np.arange(100) % 5 == 0
    path = tmp_path / "rows.npz"
    path.write_bytes(npz(X=X, y=y))
    data = datasets.load(f"file:{path}")
    assert data.feature_names == ("x0", "x1", "x2", "x3")
    assert int(data.y_test.sum()) == 20
    np.testing.assert_allclose(data.X_train.mean(axis=0), 0, atol=1e-6)


def test_an_array_whose_label_is_one_of_its_columns_is_read(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).normal(3, 2, (100, 4)), np.arange(100) % 5 == 0
    np.save(tmp_path / "rows.npy", np.column_stack([X, y]))
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    data = datasets.load(f"file:{tmp_path / 'rows.npy'}?label=x4")
    assert data.checksum == datasets.load(f"file:{tmp_path / 'rows.npz'}").checksum
    assert "no column is plainly the label" in refusal(tmp_path / "rows.npy", (tmp_path / "rows.npy").read_bytes())


def test_duplicates_are_dropped_where_it_is_asked_for_and_the_anomalous_copy_stays(tmp_path: Path) -> None:
    frame = pd.concat([table(), table().iloc[:40].assign(label="normal")])
    assert len(load(tmp_path, frame).X_test) > len(load(tmp_path, frame, "?duplicates=drop").X_test)
    data = load(tmp_path, frame, "?duplicates=drop")
    assert int(data.y_test.sum()) == 20
    assert "40 of 240 rows were exact duplicates and dropped." in data.provenance.notes


def test_labels_of_an_npz_may_be_a_column(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).normal(size=(ROWS, 2)), np.arange(ROWS) % 10 == 0
    (tmp_path / "flat.npz").write_bytes(npz(X=X, y=y))
    (tmp_path / "column.npz").write_bytes(npz(X=X, y=y[:, None]))
    flat, column = (datasets.load(f"file:{tmp_path / name}.npz") for name in ("flat", "column"))
    assert column.checksum == flat.checksum


def test_missing_and_infinite_values_are_imputed_from_training_rows_and_noted(tmp_path: Path) -> None:
    frame = table()
    frame.loc[3, "amount"], frame.loc[4, "amount"], frame.loc[5, "amount"] = np.inf, np.nan, 1.7e308
    frame.loc[6, "kind"] = None
    data = load(tmp_path, frame)
    assert "kind=missing" in data.feature_names
    assert "Infinite values were taken as missing: amount." in data.provenance.notes
    assert "Missing values were replaced by the training median: amount." in data.provenance.notes


def test_columns_that_teach_nothing_are_dropped_and_named(tmp_path: Path) -> None:
    frame = table().assign(
        constant=1, empty=None, key=[f"k{row}" for row in range(ROWS)], when=pd.date_range("2020", periods=ROWS)
    )
    data = load(tmp_path, frame, suffix="parquet")
    assert data.feature_names == ("amount", "kind=a", "kind=b", "kind=c")
    notes = " ".join(data.provenance.notes)
    for sentence in ("constant in the training rows: constant", "empty: empty", "too many values", "nor text: when"):
        assert sentence in notes


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_truth_values_are_numbers_even_with_gaps(tmp_path: Path, suffix: str) -> None:
    flags = pd.Series(np.arange(ROWS) % 3 == 0, dtype="boolean")
    flags[7] = pd.NA
    data = load(tmp_path, table().assign(flag=flags), suffix=suffix)
    assert data.feature_names[:2] == ("amount", "flag")


def test_parquet_categories_are_categories(tmp_path: Path) -> None:
    data = load(tmp_path, table().astype({"kind": "category"}), suffix="parquet")
    assert data.feature_names == ("amount", "kind=a", "kind=b", "kind=c")


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (["0", "1"], ""),
        (["0.0", "1.0"], ""),
        (["False", "True"], ""),
        (["BENIGN", "DDoS"], ""),
        (["normal.", "smurf."], ""),
        (["-1", "1"], "?normal=-1"),
        (["7", "007"], "?normal=7"),
        (["00", "01"], ""),
        (["good", "bad", "normal"], "?normal=good,normal"),
    ],
)
def test_the_usual_words_for_normal_are_understood(tmp_path: Path, labels: list[str], options: str) -> None:
    frame = table().assign(label=[labels[1] if row % 10 == 0 else labels[0] for row in range(ROWS)])
    if len(labels) == 3:
        frame.loc[1, "label"] = labels[2]
    assert int(load(tmp_path, frame, options).y_test.sum()) == 20


@pytest.mark.parametrize("name", ["y", "Class", "TARGET", "anomaly", "Outlier"])
def test_the_label_column_is_found_by_its_usual_names(tmp_path: Path, name: str) -> None:
    data = load(tmp_path, table().rename(columns={"label": name}))
    assert not any(feature.startswith(name) for feature in data.feature_names)


def test_rows_without_a_label_are_dropped_and_counted(tmp_path: Path) -> None:
    frame = table()
    frame.loc[:4, "label"] = None
    assert load(tmp_path, frame).provenance.notes[0] == "5 rows without a label were dropped."


@given(copies=st.lists(st.integers(0, 30), min_size=120, max_size=200), seed=st.integers(0, 50))
@settings(deadline=None, max_examples=25)
def test_identical_rows_never_straddle_the_split(copies: list[int], seed: int) -> None:
    features = pd.DataFrame({"amount": [*range(31), *copies]})
    anomalous = np.array([value % 7 == 0 and place % 2 == 0 for place, value in enumerate(features["amount"])])
    parts = split_together(row_keys(features), anomalous, seed)
    values = [set(features["amount"].iloc[rows]) for rows in parts]
    assert sorted(np.concatenate(parts)) == list(range(len(features)))
    assert not values[0] & values[1]
    assert not values[0] & values[2]
    assert not values[1] & values[2]
    assert not anomalous[np.concatenate(parts[:2])].any()


def test_semicolons_and_byte_order_marks_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbf" + table().to_csv(index=False, sep=";").encode())
    assert datasets.load(f"file:{path}").feature_names[0] == "amount"


def csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (b"", "", "the file is empty"),
        (b"\n\n", "", "not a table"),
        (csv(table()).replace(b"\n", b",1\n", 5).replace(b",1\n", b"\n", 4), "", "line 5 has 4 fields, the header 3"),
        (csv(table())[:-9], "", "line 201 has 2 fields, the header 3"),
        (bytes(range(256)) * 8, "", "line 2 is not UTF-8 text"),
        ("größe,label\n".encode("latin-1") * 9, "", "line 1 is not UTF-8 text; save the file as UTF-8"),
        (b"a,b\n1,2\n", "", "no column is plainly the label; name one with ?label=COLUMN: a, b"),
        (b"y,label\n1,2\n", "", "several columns could be the label; name one with ?label=COLUMN: y, label"),
        (csv(table()), "?label=kin", "no column 'kin'; there are: amount, kind, label"),
        (csv(table()), "?normal=fine", "no row is labelled fine; the labels are: attack, normal"),
        (csv(table()), "?label=kind", "no row has a label that plainly means normal"),
        (csv(table().assign(label=0)), "", "every row is normal (0)"),
        (csv(table().assign(label=1)), "", "no row has a label that plainly means normal"),
        (csv(table().replace("attack", "0")), "", "several labels mean normal"),
        (csv(table().assign(label=None)), "", "column 'label' holds no labels"),
        (csv(table()[["label"]]), "", "no feature column is left besides the label"),
        (csv(table().assign(kind=[f"k{row}" for row in range(ROWS)])[["kind", "label"]]), "", "of too many values"),
        (csv(table().assign(amount=1, kind="a")), "", "distinct normal rows"),
        (csv(table(10)), "", "9 distinct normal rows unlike every anomaly; it takes 10"),
        (csv(table().assign(amount=1.5, kind=np.nan)), "", "distinct normal rows"),
        (csv(table()).replace(b"kind", b"amount"), "", "two columns have the same name"),
        (b'a,"la\nbel"\n1,2\n', "", "?label=COLUMN: a, la bel"),
    ],
)
def test_an_unusable_csv_file_gets_one_line(tmp_path: Path, content: bytes, options: str, told: str) -> None:
    assert told in refusal(tmp_path / "rows.csv", content, options)


def test_a_file_without_normal_rows_gets_one_line_that_names_the_labels(tmp_path: Path) -> None:
    line = refusal(tmp_path / "rows.csv", csv(table().assign(label="attack")))
    assert "no row has a label that plainly means normal; name those that do with ?normal=VALUE,VALUE" in line
    assert line.endswith("the labels are: attack")


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1 no parquet at all PAR1", bytes(100)])
def test_a_broken_parquet_file_gets_one_line(tmp_path: Path, content: bytes) -> None:
    assert "not an intact parquet file" in refusal(tmp_path / "rows.parquet", content)


def test_a_truncated_parquet_file_gets_one_line(tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert "not an intact parquet file" in refusal(tmp_path / "rows.parquet", content[: len(content) // 2])


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame({"a": np.zeros(1 << 20), "label": 0}).to_parquet(tmp_path / "bomb.parquet")
    content = (tmp_path / "bomb.parquet").read_bytes()
    monkeypatch.setattr(tables, "LIMIT", 1 << 20)
    assert "unpacks to 16 MiB, more than the 1 MiB" in refusal(tmp_path / "rows.parquet", content)


X, Y = np.zeros((20, 2)), np.arange(20) % 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (npz(X=X), "there is no array y"),
        (npz(X=X, y=Y[:5]), "X has shape (20, 2) of float64, y (5,)"),
        (npz(X=X.ravel(), y=Y), "X has shape (40,)"),
        (npz(X=X.astype(complex), y=Y), "complex128"),
        (npz(X=X.astype(object), y=Y), "Object arrays cannot be loaded"),
        (npz(X=X, y=Y.astype(object)), "Object arrays cannot be loaded"),
        (npz(X=X, y=Y)[:-40], "not an intact .npz"),
        (b"PK\x03\x04" + bytes(50), "not an intact .npz"),
    ],
)
def test_an_unusable_archive_gets_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    assert told in refusal(tmp_path / "rows.npz", content)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LIMIT", 1 << 20)
    content = npz(X=np.zeros((1 << 18, 1)), y=np.zeros(1 << 18))
    assert len(content) < 1 << 16
    assert "unpacks to 2 MiB, more than the 1 MiB" in refusal(tmp_path / "rows.npz", content)


def test_an_array_header_that_lies_about_its_size_gets_one_line(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, archive.open("X.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50, 1 << 10)}
        )
    assert "not an intact .npz" in refusal(tmp_path / "rows.npz", packed.getvalue())


def test_an_array_of_another_size_than_its_header_tells_gets_one_line(tmp_path: Path) -> None:
    """A second array behind the first, fewer rows or narrower numbers would be read as if nothing were wrong."""
    content, path = npy(np.column_stack([X, Y])), tmp_path / "rows.npy"
    for changed in (content * 2, content.replace(b"(20, 3)", b"(10, 3)"), content.replace(b"<f8", b"<f4")):
        assert "bytes, and" in refusal(path, changed)
        with pytest.raises(DatasetError, match="its header promises"):
            list(tables.chunks(path, "rows.npy"))


def test_an_archive_whose_array_is_there_twice_or_of_another_size_gets_one_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("y.npy", npy(Y))
        archive.writestr("X.npy", npy(X).replace(b"(20, 2)", b"(20, 1)"))
    assert "its header promises 160 bytes, and 320 follow" in refusal(path, path.read_bytes())
    with pytest.raises(DatasetError, match="160 bytes, and 320 follow"):
        list(tables.chunks(path, "rows.npz"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in (("y", Y), ("X", X)):
            archive.writestr(f"{name}.npy", npy(values))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("X.npy", npy(X + 1))
    assert "holds the array X more than once" in refusal(path, path.read_bytes())
    with pytest.raises(DatasetError, match="more than once"):
        list(tables.chunks(path, "rows.npz"))


def test_other_endings_are_told_what_is_read(tmp_path: Path) -> None:
    assert "wants a name that ends in .csv, .parquet, .npz, .npy" in refusal(tmp_path / "rows.xlsx", b"PK")
    assert ".csv" in refusal(tmp_path / "rows.pkl", b"\x80\x04")


def test_a_file_that_is_not_there_is_missing_and_not_loadable(tmp_path: Path) -> None:
    reference = f"file:{tmp_path / 'rows.csv'}"
    assert f"there is no file {tmp_path / 'rows.csv'}" in str(datasets.missing(reference))
    with pytest.raises(DatasetError, match="there is no file"):
        datasets.load(reference)


def _npy(header: str) -> bytes:
    text = header.encode() + b" " * ((-len(header) - 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text + bytes(80)


def _version(archive: bytes) -> bytes:
    """An archive that says it takes a program of version 25.5 to read it."""
    place = archive.find(b"PK\x01\x02") + 6
    return archive[:place] + b"\xff" + archive[place + 1 :]


def _no_text() -> bytes:
    buffer = io.BytesIO()
    kinds = pa.Array.from_buffers(
        pa.utf8(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xee\x80")]
    )
    pq.write_table(pa.table({"label": kinds, "x": [1.0, 2.0]}), buffer)
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, X=np.zeros((3, 2)), y=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.npy", _npy("{'descr': '<f8', 'shape': ((")),  # what NumPy's own parser cannot take apart
        ("rows.npz", _version(_zip())),
        ("rows.parquet", _no_text()),
        ("rows.csv", b"x,label\n1,normal\n2," + b"a" * (20 << 20)),
    ],
)
def test_what_a_library_cannot_take_apart_is_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError) as failure:
        datasets.load(f"file:{tmp_path / name}?label=label&normal=normal")
    assert "\n" not in str(failure.value)


def test_numpy_s_advice_for_old_files_does_not_reach_the_terminal(tmp_path, recwarn):
    (tmp_path / "rows.npy").write_bytes(_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (5L, 2L), }"))
    with pytest.raises(DatasetError, match="label"):
        datasets.load(f"file:{tmp_path / 'rows.npy'}?label=x0&normal=7")
    assert not recwarn.list
