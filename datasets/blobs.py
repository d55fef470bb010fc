"""Generated rows of known structure: clusters with uniform outliers, two clusters in the plane, a factor model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Provenance, Request, require
from datasets.preprocessing import BLOCK, Blocks, Columns, blocks
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
    low, high = np.full(features, np.inf), np.full(features, -np.inf)

    def normal() -> Blocks:
        rng = generator(request.seed, "clusters")
        centres = rng.uniform(-10, 10, (clusters, features))
        cluster = rng.integers(clusters, size=rows - outliers)
        for start in range(0, len(cluster), BLOCK):
            block = centres[cluster[start : start + BLOCK]]
            block += spread * rng.standard_normal(block.shape)
            np.minimum(low, block.min(axis=0), out=low)
            np.maximum(high, block.max(axis=0), out=high)
            yield block

    def anomalous() -> Blocks:  # called last, when the box is known
        rng = generator(request.seed, "outliers")
        for start in range(0, outliers, BLOCK):
            yield rng.uniform(low, high, (min(BLOCK, outliers - start), features))

    return _assemble(
        request,
        (rows - outliers, outliers, features),
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
    shifted = drawn[rows:] + sides * shift * np.array([1.0, -1.0])
    return _assemble(
        request,
        (rows, anomalies, 2),
        lambda: blocks(drawn[:rows]),
        lambda: blocks(shifted),
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
    broken = generator(request.seed, "break").permuted(drawn[:anomalies], axis=0)
    return _assemble(
        request,
        (rows - anomalies, anomalies, features),
        lambda: blocks(drawn[anomalies:]),
        lambda: blocks(broken),
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


def _assemble(
    request: Request,
    shape: tuple[int, int, int],
    normal: Callable[[], Blocks],
    anomalous: Callable[[], Blocks],
    source: str,
) -> Dataset:
    """Splits and standardises rows that come in blocks, the normal ones anew, and the same, at each of three calls.

    No more is held than the result and one block: at 10⁷ rows even one copy in float64 would be twice the data.
    ``shape`` is (normal rows, anomalous rows, features).
    """
    normal_rows, anomalous_rows, features = shape
    parts = split(normal_rows, request.seed)
    part_of = np.empty(normal_rows, dtype=np.int8)
    for number, part in enumerate(parts):
        part_of[part] = number
    sizes = [len(part) for part in parts]
    del parts, part

    def training() -> Blocks:
        for start, block in zip(range(0, normal_rows, BLOCK), normal(), strict=True):
            if len(chosen := block[part_of[start : start + BLOCK] == 0]):
                yield chosen

    columns = Columns.of(training)
    matrices = [np.empty((size, features), dtype=np.float32) for size in (*sizes[:2], sizes[2] + anomalous_rows)]
    filled = [0, 0, 0]

    def put(number: int, rows: NDArray[np.float64]) -> None:
        matrices[number][filled[number] : filled[number] + len(rows)] = rows
        filled[number] += len(rows)

    for start, block in zip(range(0, normal_rows, BLOCK), normal(), strict=True):
        scaled = columns.standardised(block)
        for number in range(3):
            put(number, scaled[part_of[start : start + BLOCK] == number])
    for block in anomalous():
        put(2, columns.standardised(block))
    X_train, X_val, X_test = matrices
    return Dataset(
        name=request.name,
        X_train=X_train,
        X_val=X_val,
        X_test=X_test,
        y_test=np.repeat(np.array([0, 1], dtype=np.int8), [sizes[2], anomalous_rows]),
        feature_names=tuple(f"x{column}" for column in range(features)),
        provenance=Provenance(
            source=f"Generated: {source}",
            protocol="Normal rows are drawn 60 % train, 20 % validation, 20 % test; all anomalies are in the test "
            "part; standardised by the training rows.",
        ),
    )
