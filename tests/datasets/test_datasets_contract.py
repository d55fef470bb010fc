"""One suite for every registered family: what a loader owes the harness. A new family is tested by being registered."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.metrics import f1_score, roc_auc_score

import datasets
from datasets import kdd, storage
from datasets.dataset import Dataset
from datasets.storage import data_directory

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
WITH_PUBLISHED_DUPLICATES = {"kdd99-swapped"}
OPTIONS = (
    "blobs?rows=2000&scale=robust&train_contamination=0.05",
    "blobs-2d?protocol=same-rows",
    "correlated?rows=1000&protocol=mixed-split",
    "shifted?protocol=all-rows&scale=minmax",
    "shifted?scale=none&train_contamination=0.01",
    "digits:4?scale=minmax-symmetric",
    "digits:3?protocol=mixed-split",
    "digits:7?scale=standard&train_contamination=0.1",
    "kdd-synthetic?rows=2000&duplicates=keep&train_contamination=0.2",
    "kdd-synthetic?rows=2000&scale=quantile",
    "file?scale=minmax&impute=mean&indicate=true&train_contamination=0.02",
    "file?scale=robust&duplicates=drop",
    "file?train_rows=60&train_contamination=0.1",
    "digits:4?train_rows=200&scale=standard",
    "kdd-synthetic?rows=2000&train_rows=300",
)
PUBLISHED = {"mnist", "mnist-one-class", "kdd99", "kdd99-swapped", "nsl-kdd"}
"""Families whose files are large, and take long to read."""
SCALED = {"digits": "none", "mnist": "none", "mnist-one-class": "none", "kdd99-swapped": "minmax"}
"""Families whose scale is another than standard where none is asked for."""


@pytest.fixture(scope="session")
def user_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("file") / "rows.csv"
    rows = [
        f"{a if label or abs(a) < 2 else ''},{b},{label}"
        for a, b, label in zip(
            rng.normal(size=300).round(3),
            rng.choice(list("uvw"), 300),
            (rng.random(300) < 0.1).astype(int),
            strict=True,
        )
    ]
    path.write_text("\n".join(["amount,kind,label", *rows]))
    return path


@functools.lru_cache(maxsize=2)
def load(reference: str, seed: int) -> Dataset:
    return datasets.load(reference, seed=seed, data_dir=data_dir())


def data_dir() -> Path:
    return REAL_DATA if REAL_DATA.is_dir() else data_directory(None)


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """The large published tables are read once for all seeds: what a loader makes of one is left to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kdd, "_read", functools.lru_cache(maxsize=2)(kdd._read))
        yield


FAMILIES = [pytest.param(name, marks=[pytest.mark.published] * (name in PUBLISHED)) for name in datasets.REGISTRY]


@pytest.fixture(scope="module", params=[*FAMILIES, *OPTIONS])  # of the module: tests go reference by reference
def reference(request: pytest.FixtureRequest, user_file: Path) -> str:
    family, asked, options = str(request.param).partition("?")
    name = (f"file:{user_file}" if family == "file" else family) + asked + options
    with pytest.MonkeyPatch.context() as patch:  # this fixture is set up before each test's own offline one
        patch.setattr(storage, "reachable", lambda url: False)
        if reason := datasets.missing(name, data_dir()):
            pytest.skip(reason)
    return name


def forest(data: Dataset) -> NDArray[np.float64]:
    normality: NDArray[np.float64] = IsolationForest(random_state=0).fit(data.X_train).score_samples(data.X_test)
    return -normality


def known_of_nsl_kdd(data: Dataset) -> None:
    assert (len(data.X_test), int(data.y_test.sum())) == (22_544, 12_833)
    assert 0.93 < roc_auc_score(data.y_test, forest(data)) < 0.97


def known_of_kdd99(data: Dataset) -> None:
    assert int(data.y_test.sum()) == 145_584 - 87_831
    assert data.provenance.notes[0].startswith("348,437 of 494,021 rows were exact duplicates")


def known_of_kdd99_swapped(data: Dataset) -> None:
    """That it scores as in the papers' reimplementations."""
    assert data.y_test.mean() == pytest.approx(0.2, abs=1e-4)
    assert "87" in data.provenance.notes[0][:5] or "86." in data.provenance.notes[0][:5]
    scores = forest(data)
    assert f1_score(data.y_test, scores >= np.quantile(scores, 0.8)) == pytest.approx(0.913, abs=0.02)


KNOWN = {"nsl-kdd": known_of_nsl_kdd, "kdd99": known_of_kdd99, "kdd99-swapped": known_of_kdd99_swapped}


def keys(X: NDArray[np.float32]) -> set[bytes]:
    return {row.tobytes() for row in X}


def test_every_family_has_a_one_line_description() -> None:
    described = datasets.families()
    assert list(described)[: len(datasets.REGISTRY)] == list(datasets.REGISTRY)
    assert all(20 < len(line) < 120 and "cannot import" not in line for line in described.values())


def test_parts_have_the_promised_types_shapes_and_values(reference: str) -> None:
    data = load(reference, 0)
    for part in (data.X_train, data.X_val, data.X_test):
        assert part.dtype == np.float32
        assert part.flags.c_contiguous
        assert part.shape == (len(part), data.features)
        assert len(part) > 0
        assert np.isfinite(part).all()
    assert data.y_test.dtype == np.int8
    assert data.y_test.shape == (len(data.X_test),)
    assert set(data.y_test.tolist()) == {0, 1}


def test_every_column_has_a_name_of_its_own(reference: str) -> None:
    data = load(reference, 0)
    assert len(set(data.feature_names)) == data.features
    assert all(data.feature_names)


def test_an_image_shape_covers_all_columns(reference: str) -> None:
    data = load(reference, 0)
    assert data.image_shape is None or np.prod(data.image_shape) == data.features


def test_the_reference_and_the_provenance_are_recorded(reference: str) -> None:
    data = load(reference, 0)
    assert data.name == reference
    for sentence in (data.provenance.source, data.provenance.protocol, *data.provenance.notes):
        assert sentence.endswith(".")
        assert "\n" not in sentence
    assert all(len(file.sha256) == 64 for file in data.provenance.files)


def test_the_published_files_give_what_is_known_of_them(reference: str) -> None:
    if known := KNOWN.get(reference):
        known(load(reference, 0))


def test_another_seed_draws_another_task(reference: str) -> None:
    assert load(reference, 0).checksum != load(reference, 1).checksum


def test_the_same_seed_gives_the_same_bytes(reference: str) -> None:
    again = datasets.load(reference, seed=0, data_dir=data_dir())
    assert again.checksum == load(reference, 0).checksum


def test_no_row_straddles_the_split(reference: str) -> None:
    if reference in WITH_PUBLISHED_DUPLICATES:
        pytest.skip("keeps its duplicates as published, and says so in its notes")
    data = load(reference, 0)
    if option(reference, "protocol") in ("same-rows", "all-rows"):
        assert data.provenance.protocol.startswith("Flawed on purpose")
        return
    train, val, test = keys(data.X_train), keys(data.X_val), keys(data.X_test)
    assert not train & test
    assert not val & test
    assert not train & val


def test_columns_are_scaled_by_the_training_rows(reference: str) -> None:
    data = load(reference, 0)
    if option(reference, "protocol") in ("mixed-split", "all-rows"):
        assert "Flawed on purpose" in data.provenance.protocol
        return
    scale = option(reference, "scale") or SCALED.get(datasets.parse(reference).family, "standard")
    indicator = np.isin(data.X_train, [0, 1]).all(axis=0)
    columns = data.X_train[:, ~indicator].astype(np.float64)
    tolerance = 0.02 if data.provenance.notes else 1e-4  # rows dropped after scaling move it a little
    if scale == "standard":
        cut = (np.abs(columns) >= 10).any(axis=0)
        np.testing.assert_allclose(columns[:, ~cut].mean(axis=0), 0, atol=tolerance)
        np.testing.assert_allclose(columns[:, ~cut].std(axis=0), 1, atol=tolerance)
        assert (columns.std(axis=0) < 1 + tolerance).all()
    elif scale == "robust":
        np.testing.assert_allclose(np.median(columns, axis=0), 0, atol=tolerance)
        np.testing.assert_allclose(np.ptp(np.quantile(columns, [0.25, 0.75], axis=0), axis=0), 1, atol=tolerance)
    elif scale == "minmax-symmetric":
        assert columns.min() >= -1
        assert columns.max() <= 1
        assert columns.min() < -0.99
    elif scale in ("minmax", "quantile"):
        assert columns.min() >= 0
        assert columns.max() <= 1
    else:
        assert not data.provenance.notes or "Contaminated" in data.provenance.notes[0]


def test_training_rows_are_contaminated_by_the_share_that_was_asked_for_and_no_more(reference: str) -> None:
    share = option(reference, "train_contamination")
    if not isinstance(share, float):
        assert not any("Contaminated" in note for note in load(reference, 0).provenance.notes)
        return
    data = load(reference, 0)
    (note,) = (note for note in data.provenance.notes if note.startswith("Contaminated"))
    count, rows = (int(word.replace(",", "")) for word in re.findall(r"[\d,]*\d", note)[:2])
    assert rows == len(data.X_train)
    assert abs(count - share * rows) <= 1
    without = datasets.load(without_contamination(reference), seed=0, data_dir=data_dir())
    assert int(without.y_test.sum()) - int(data.y_test.sum()) >= count


def test_what_made_the_rows_is_kept_with_them(reference: str) -> None:
    data = load(reference, 0)
    assert data.preprocessing is not None
    assert data.preprocessing.feature_names == data.feature_names


def option(reference: str, name: str) -> object:
    return datasets.parse(reference).arguments.get(name)


def without_contamination(reference: str) -> str:
    return re.sub(r"train_contamination=[\d.]+", "train_contamination=0", reference)


# ------------------------------------------------------------------------------------------- the contract can fail


def scaled_by_all_rows(data: Dataset) -> Dataset:
    """Standardised once more, by the mean and deviation of training and test rows together."""
    every = np.concatenate([data.X_train, data.X_test]).astype(np.float64)
    mean, deviation = every.mean(axis=0), every.std(axis=0)
    parts = {part: getattr(data, part) for part in ("X_train", "X_val", "X_test")}
    return replace(data, **{part: ((X - mean) / deviation).astype(np.float32) for part, X in parts.items()})


def with_a_test_row_in_training(data: Dataset) -> Dataset:
    train = data.X_train.copy()
    train[0] = data.X_test[0]
    return replace(data, X_train=train)


@pytest.mark.parametrize(
    ("plant", "caught"),
    [
        (scaled_by_all_rows, test_columns_are_scaled_by_the_training_rows),
        (with_a_test_row_in_training, test_no_row_straddles_the_split),
    ],
    ids=["standardisation that sees test rows", "a test row that trains"],
)
def test_a_data_set_with_a_fault_is_caught(plant, caught, monkeypatch) -> None:
    wrong = plant(load("blobs", 0))
    caught("blobs")
    monkeypatch.setitem(globals(), "load", lambda reference, seed: wrong)
    with pytest.raises(AssertionError):
        caught("blobs")
