"""Generated rows of known structure: clusters with uniform outliers, two clusters in the plane, a factor model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Provenance, Request, require
from datasets.preprocessing import standardise
from datasets.splitting import generator, split


def load_blobs(
    request: Request,
    *,
    rows: int = 10_000,
    features: int = 20,
    clusters: int = 5,
    contamination: float = 0.05,
    spread: float = 1.0,
) -> Dataset:
    """Gaussian clusters, with outliers drawn uniformly over the box that holds them."""
    outliers = _outliers(request, rows, contamination)
    require(features >= 1 and clusters >= 1, f"data set '{request.name}': features and clusters are at least 1")
    require(spread > 0, f"data set '{request.name}': spread is {spread}; it wants a number above 0")
    rng = generator(request.seed, "clusters")
    centres = rng.uniform(-10, 10, (clusters, features))
    normal = centres[rng.integers(clusters, size=rows - outliers)]
    normal += spread * rng.standard_normal(normal.shape)
    anomalous = generator(request.seed, "outliers").uniform(normal.min(0), normal.max(0), (outliers, features))
    return _assemble(
        request,
        normal,
        anomalous,
        f"{rows - outliers:,} rows of {clusters} Gaussian clusters (deviation {spread:g}, centres uniform in ±10) in "
        f"{features} features, and {outliers:,} outliers uniform over their bounding box.",
    )


def load_blobs_2d(
    request: Request, *, rows: int = 1_000, anomalies: int = 50, shift: float = 3.0, spread: float = 1.0
) -> Dataset:
    """Two Gaussian clusters in the plane, with anomalies shifted off the line through their centres."""
    require(rows >= 10 and anomalies >= 1, f"data set '{request.name}': wants at least 10 rows and 1 anomaly")
    require(spread > 0, f"data set '{request.name}': spread is {spread}; it wants a number above 0")
    rng = generator(request.seed, "clusters")
    drawn = np.array([-3.0, 3.0])[rng.integers(2, size=(rows + anomalies, 1))] + spread * rng.standard_normal(
        (rows + anomalies, 2)
    )
    sides = generator(request.seed, "sides").choice([-1.0, 1.0], (anomalies, 1))
    return _assemble(
        request,
        drawn[:rows],
        drawn[rows:] + sides * shift * np.array([1.0, -1.0]),
        f"{rows:,} rows of two Gaussian clusters (deviation {spread:g}, centres (-3, -3) and (3, 3)) and {anomalies:,} "
        f"anomalies, which are such rows shifted by ±({shift:g}, {-shift:g}).",
    )


def load_correlated(
    request: Request,
    *,
    rows: int = 10_000,
    features: int = 20,
    rank: int = 4,
    noise: float = 0.1,
    contamination: float = 0.05,
) -> Dataset:
    """A low-rank factor model; anomalies have the same marginals, but each feature independent of the others."""
    anomalies = _outliers(request, rows, contamination)
    require(
        1 <= rank < features, f"data set '{request.name}': rank is {rank}; it wants 1 to features - 1 = {features - 1}"
    )
    require(noise >= 0, f"data set '{request.name}': noise is {noise}; it wants 0 or more")
    rng = generator(request.seed, "factors")
    loadings = rng.standard_normal((rank, features))
    loadings /= np.linalg.norm(loadings, axis=0)
    drawn = rng.standard_normal((rows, rank)) @ loadings + noise * rng.standard_normal((rows, features))
    return _assemble(
        request,
        drawn[anomalies:],
        generator(request.seed, "break").permuted(drawn[:anomalies], axis=0),
        f"{rows - anomalies:,} rows of a Gaussian factor model of rank {rank} in {features} features of variance 1 "
        f"plus noise of deviation {noise:g}, and {anomalies:,} such rows whose columns were permuted independently.",
    )


def _outliers(request: Request, rows: int, contamination: float) -> int:
    """How many of the rows are anomalous: at least one, and so that at least ten normal ones are left."""
    outliers = round(rows * contamination)
    require(
        0 < outliers <= rows - 10,
        f"data set '{request.name}': {contamination:g} of {rows} rows makes {outliers} anomalies; "
        "it wants at least 1, and 10 normal rows besides",
    )
    return outliers


def _assemble(request: Request, normal: NDArray[Any], anomalous: NDArray[Any], source: str) -> Dataset:
    train, val, test = split(len(normal), request.seed)
    X_train, X_val, X_test = standardise(normal[train], normal[val], np.vstack([normal[test], anomalous]))
    return Dataset(
        name=request.name,
        X_train=X_train,
        X_val=X_val,
        X_test=X_test,
        y_test=np.repeat(np.array([0, 1], dtype=np.int8), [len(test), len(anomalous)]),
        feature_names=tuple(f"x{column}" for column in range(normal.shape[1])),
        provenance=Provenance(
            source=f"Generated: {source}",
            protocol="Normal rows are drawn 60 % train, 20 % validation, 20 % test; all anomalies are in the test "
            "part; standardised by the training rows.",
        ),
    )
