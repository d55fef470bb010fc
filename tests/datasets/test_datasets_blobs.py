"""The generated sets separate detectors as they were made to."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import datasets
from datasets import Dataset, DatasetError, blobs, scaling


def norm_auc(data: Dataset) -> float:
    return float(roc_auc_score(data.y_test, np.linalg.norm(data.X_test - data.X_train.mean(axis=0), axis=1)))


def knn_auc(data: Dataset) -> float:
    distances, _ = NearestNeighbors(n_neighbors=5).fit(data.X_train).kneighbors(data.X_test)
    return float(roc_auc_score(data.y_test, distances[:, -1]))


def test_the_defaults_have_the_documented_sizes() -> None:
    blobs, plane = datasets.load("blobs"), datasets.load("blobs-2d")
    assert (blobs.features, int(blobs.y_test.sum())) == (20, 500)
    assert len(blobs.X_train) + len(blobs.X_val) + len(blobs.X_test) == 10_000
    assert (plane.features, int(plane.y_test.sum())) == (2, 50)
    assert len(plane.X_train) + len(plane.X_val) + len(plane.X_test) == 1_050


def test_options_change_what_they_name() -> None:
    data = datasets.load("blobs?rows=500&features=3&contamination=0.2&clusters=1")
    assert (data.features, int(data.y_test.sum())) == (3, 100)


@pytest.mark.parametrize("reference", ["blobs?rows=3000&contamination=0.3", "blobs-2d", "correlated?rows=3000"])
def test_rows_do_not_depend_on_the_size_of_the_blocks_they_come_in(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = datasets.load(reference)
    for module in (blobs, scaling):
        monkeypatch.setattr(module, "BLOCK", 257)
    assert datasets.load(reference).checksum == whole.checksum


def test_many_blobs_are_made_in_little_more_memory_than_they_fill() -> None:
    tracemalloc.start()
    try:
        data = datasets.load("blobs?rows=400000")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = data.X_train.nbytes + data.X_val.nbytes + data.X_test.nbytes
    assert size <= held < 1.2 * size
    assert peak < 2.0 * size


def test_in_the_plane_distance_from_the_mean_is_not_enough() -> None:
    data = datasets.load("blobs-2d")
    assert norm_auc(data) < 0.93
    assert knn_auc(data) > 0.97


def test_broken_correlation_separates_detectors() -> None:
    data = datasets.load("correlated")
    forest = -IsolationForest(random_state=0).fit(data.X_train).score_samples(data.X_test)
    assert 0.5 < norm_auc(data) < 0.65
    assert 0.6 < roc_auc_score(data.y_test, forest) < 0.8
    assert knn_auc(data) > 0.97


def test_broken_correlation_leaves_the_marginals_alone() -> None:
    data = datasets.load("correlated?rows=20000&contamination=0.5")
    normal, anomalous = data.X_train, data.X_test[data.y_test == 1]
    levels = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(normal, levels, axis=0), np.quantile(anomalous, levels, axis=0), atol=0.15)
    assert np.abs(np.corrcoef(anomalous.T) - np.eye(20)).max() < 0.06
    assert np.abs(np.corrcoef(normal.T) - np.eye(20)).max() > 0.5


@pytest.mark.parametrize(
    "reference",
    [
        "blobs?rows=0",
        "blobs?rows=-5",
        "blobs?rows=20&contamination=0.9",
        "blobs?contamination=0",
        "blobs?contamination=1.5",
        "blobs?features=0",
        "blobs?clusters=0",
        "blobs?features=1000000000",
        "blobs?clusters=1000000000",
        "shifted?features=1000000000",
        "correlated?features=1000000000",
        "blobs?spread=-1",
        "blobs-2d?anomalies=0",
        "blobs-2d?rows=3",
        "blobs-2d?spread=0",
        "correlated?rank=20",
        "correlated?rank=0",
        "correlated?noise=-1",
        "kdd-synthetic?rows=50",
        "kdd-synthetic?contamination=0",
        "digits:10",
    ],
)
def test_impossible_options_get_one_line(reference: str) -> None:
    with pytest.raises(DatasetError, match="data set '") as failure:
        datasets.load(reference)
    assert "want" in str(failure.value) or "at least" in str(failure.value)


@pytest.mark.parametrize("name", ["blobs", "blobs-2d", "correlated", "shifted", "kdd-synthetic"])
def test_rows_beyond_all_machines_are_refused_before_they_are_drawn(name: str) -> None:
    with pytest.raises(DatasetError, match="at most 1,099,511,627,776"):
        datasets.load(f"{name}?rows={10**30}")
