"""One suite for every registered family: what a loader owes the harness. A new family is tested by being registered."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import datasets
from datasets import storage
from datasets.dataset import Dataset
from datasets.storage import data_directory

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
WITH_PUBLISHED_DUPLICATES = {"kdd99-swapped"}


@pytest.fixture(scope="session")
def user_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("file") / "rows.csv"
    rows = [
        f"{a:.3f},{b},{label}"
        for a, b, label in zip(
            rng.normal(size=300), rng.choice(list("uvw"), 300), (rng.random(300) < 0.1).astype(int), strict=True
        )
    ]
    path.write_text("\n".join(["amount,kind,label", *rows]))
    return path


@functools.lru_cache(maxsize=2)
def load(reference: str, seed: int) -> Dataset:
    return datasets.load(reference, seed=seed, data_dir=data_dir())


def data_dir() -> Path:
    return REAL_DATA if REAL_DATA.is_dir() else data_directory(None)


@pytest.fixture(scope="module", params=datasets.REGISTRY)  # of the module: so that tests go family by family
def reference(request: pytest.FixtureRequest, user_file: Path) -> str:
    name = f"file:{user_file}" if request.param == "file" else str(request.param)
    with pytest.MonkeyPatch.context() as patch:  # this fixture is set up before each test's own offline one
        patch.setattr(storage, "reachable", lambda url: False)
        if reason := datasets.missing(name, data_dir()):
            pytest.skip(reason)
    return name


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


def test_another_seed_draws_another_task(reference: str) -> None:
    assert load(reference, 0).checksum != load(reference, 1).checksum


def test_the_same_seed_gives_the_same_bytes(reference: str) -> None:
    again = datasets.load(reference, seed=0, data_dir=data_dir())
    assert again.checksum == load(reference, 0).checksum


def test_no_row_straddles_the_split(reference: str) -> None:
    if reference in WITH_PUBLISHED_DUPLICATES:
        pytest.skip("keeps its duplicates as published, and says so in its notes")
    data = load(reference, 0)
    train, val, test = keys(data.X_train), keys(data.X_val), keys(data.X_test)
    assert not train & test
    assert not val & test
    assert not train & val


def test_columns_are_scaled_by_the_training_rows(reference: str) -> None:
    data = load(reference, 0)
    indicator = np.isin(data.X_train, [0, 1]).all(axis=0)
    columns = data.X_train[:, ~indicator].astype(np.float64)
    if data.unit_interval or "stretched" in data.provenance.protocol:
        assert columns.min() >= 0
        assert columns.max() <= 1
        return
    cut = (np.abs(columns) >= 10).any(axis=0)
    tolerance = 0.01 if data.provenance.notes else 1e-4  # rows dropped after scaling move it a little
    np.testing.assert_allclose(columns[:, ~cut].mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose(columns[:, ~cut].std(axis=0), 1, atol=tolerance)
    assert (columns.std(axis=0) < 1 + tolerance).all()
