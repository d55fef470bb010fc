"""Generated rows of known structure: clusters with uniform outliers, two clusters in the plane, a factor model, and
standard normal rows with shifted ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Provenance, Request, require
from datasets.matrices import empty, release
from datasets.preprocessing import Preprocessing
from datasets.scaling import BLOCK, Blocks, Scale, Scaler, blocks, done
from datasets.splitting import FITTED_ON, SPLITS, Protocol, TrainingPart, generator, parts

TRAIN, VALIDATION, TEST, FITTED = 1, 2, 4, 8
"""Bits that say which parts a row is in, and whether the scaler is fitted on it."""
MOST_FEATURES = 1 << 16
MOST_VALUES = 1 << 24
"""Of the centres of clusters."""
MOST_ROWS = 1 << 40


def load_blobs(
    request: Request,
    *,
    rows: int = 10_000,
    features: int = 20,
    clusters: int = 5,
    contamination: float = 0.05,
    spread: float = 1.0,
    scale: Scale = "standard",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    protocol: Protocol = "held-out",
) -> Dataset:
    """Gaussian clusters, with outliers drawn uniformly over the box that holds them."""
    outliers = _outliers(request, rows, contamination)
    _check_columns(request, features)
    require(
        clusters >= 1 and clusters * features <= MOST_VALUES,
        f"data set '{request.name}': {clusters:,} clusters of {features:,} features; it wants at least 1, and at most "
        f"{MOST_VALUES:,} values of their centres",
    )
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
        (scale, TrainingPart(train_contamination, train_rows), protocol),
        (rows - outliers, outliers, features),
        normal,
        anomalous,
        f"{rows - outliers:,} rows of {clusters} Gaussian clusters (deviation {spread:g}, centres uniform in ±10) in "
        f"{features} features, and {outliers:,} outliers uniform over their bounding box.",
    )


def load_blobs_2d(
    request: Request,
    *,
    rows: int = 1_000,
    anomalies: int = 50,
    shift: float = 3.0,
    spread: float = 1.0,
    scale: Scale = "standard",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    protocol: Protocol = "held-out",
) -> Dataset:
    """Two Gaussian clusters in the plane, with anomalies shifted off the line through their centres."""
    _check_rows(request, rows, anomalies)
    require(spread > 0, f"data set '{request.name}': spread is {spread}; it wants a number above 0")
    rng = generator(request.seed, "clusters")
    drawn = np.array([-3.0, 3.0])[rng.integers(2, size=(rows + anomalies, 1))] + spread * rng.standard_normal(
        (rows + anomalies, 2)
    )
    sides = generator(request.seed, "sides").choice([-1.0, 1.0], (anomalies, 1))
    shifted = drawn[rows:] + sides * shift * np.array([1.0, -1.0])
    return _assemble(
        request,
        (scale, TrainingPart(train_contamination, train_rows), protocol),
        (rows, anomalies, 2),
        lambda: blocks(drawn[:rows]),
        lambda: blocks(shifted),
        f"{rows:,} rows of two Gaussian clusters (deviation {spread:g}, centres (-3, -3) and (3, 3)) and {anomalies:,} "
        f"anomalies, which are such rows shifted by ±({shift:g}, {-shift:g}).",
    )


def load_shifted(
    request: Request,
    *,
    rows: int = 1_000,
    anomalies: int = 100,
    features: int = 20,
    shift: float = 3.0,
    spread: float = 1.0,
    scale: Scale = "standard",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    protocol: Protocol = "held-out",
) -> Dataset:
    """Standard normal rows; anomalies are normal too, shifted in every feature and of another deviation."""
    _check_columns(request, features)
    _check_rows(request, rows, anomalies)
    require(spread > 0, f"data set '{request.name}': spread is {spread}; it wants a number above 0")
    normal = generator(request.seed, "normal").standard_normal((rows, features))
    shifted = shift + spread * generator(request.seed, "shifted").standard_normal((anomalies, features))
    return _assemble(
        request,
        (scale, TrainingPart(train_contamination, train_rows), protocol),
        (rows, anomalies, features),
        lambda: blocks(normal),
        lambda: blocks(shifted),
        f"{rows:,} standard normal rows in {features} features and {anomalies:,} anomalies with mean {shift:g} and "
        f"deviation {spread:g} in each.",
    )


def load_correlated(
    request: Request,
    *,
    rows: int = 10_000,
    features: int = 20,
    rank: int = 4,
    noise: float = 0.1,
    contamination: float = 0.05,
    scale: Scale = "standard",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    protocol: Protocol = "held-out",
) -> Dataset:
    """A low-rank factor model; anomalies have the same marginals, but each feature independent of the others."""
    anomalies = _outliers(request, rows, contamination)
    _check_columns(request, features)
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
        (scale, TrainingPart(train_contamination, train_rows), protocol),
        (rows - anomalies, anomalies, features),
        lambda: blocks(drawn[anomalies:]),
        lambda: blocks(broken),
        f"{rows - anomalies:,} rows of a Gaussian factor model of rank {rank} in {features} features of variance 1 "
        f"plus noise of deviation {noise:g}, and {anomalies:,} such rows whose columns were permuted independently.",
    )


def _check_rows(request: Request, rows: int, anomalies: int) -> None:
    require(
        10 <= rows <= MOST_ROWS and 1 <= anomalies <= MOST_ROWS,
        f"data set '{request.name}': wants at least 10 rows and 1 anomaly, and at most {MOST_ROWS:,} of each",
    )


def _check_columns(request: Request, features: int) -> None:
    require(
        1 <= features <= MOST_FEATURES,
        f"data set '{request.name}': features is {features:,}; it wants 1 to {MOST_FEATURES:,}",
    )


def _outliers(request: Request, rows: int, contamination: float) -> int:
    """How many of the rows are anomalous: at least one, and so that at least ten normal ones are left."""
    require(rows <= MOST_ROWS, f"data set '{request.name}': wants at most {MOST_ROWS:,} rows")
    outliers = round(rows * contamination)
    require(
        0 < outliers <= rows - 10,
        f"data set '{request.name}': {contamination:g} of {rows} rows makes {outliers} anomalies; "
        "it wants at least 1, and 10 normal rows besides",
    )
    return outliers


def _assemble(
    request: Request,
    options: tuple[Scale, TrainingPart, Protocol],
    shape: tuple[int, int, int],
    normal: Callable[[], Blocks],
    anomalous: Callable[[], Blocks],
    source: str,
) -> Dataset:
    """Splits and scales rows that come in blocks, the normal ones anew, and the same, at each of some calls.

    No more is held than the result, which lies in a file where it is large, and one block: at 10⁷ rows even one copy
    in float64 would be twice the data.
    ``options`` are (scale, what is asked of the training rows, protocol), ``shape`` is (normal rows, anomalous rows,
    features). The anomalies are asked for after all normal rows were.
    """
    scale, asked, protocol = options
    normal_rows, anomalous_rows, features = shape
    chosen = parts(request, normal_rows, anomalous_rows, protocol, asked)
    member = np.zeros(normal_rows + anomalous_rows, dtype=np.uint8)
    sizes = []
    for bit, part in ((TRAIN, chosen.train), (VALIDATION, chosen.val), (TEST, chosen.test), (FITTED, chosen.fitted)):
        member[part] |= bit
        sizes.append(len(part))
    y_test, notes = (chosen.test >= normal_rows).astype(np.int8), chosen.notes
    del chosen, part

    def numbered() -> Iterator[tuple[int, NDArray[np.float64]]]:
        start = 0
        for each in (normal, anomalous):
            for block in each():
                yield start, block
                start += len(block)

    def fitted() -> Blocks:
        for start, block in numbered():
            if len(kept := block[member[start : start + len(block)] & FITTED > 0]):
                yield kept

    scaler = Scaler.fit(scale, fitted, features, seed=request.seed)
    matrices = [empty(size, features) for size in sizes[:3]]
    filled = [0, 0, 0]
    for start, block in numbered():
        scaled, its = scaler(block), member[start : start + len(block)]
        for number, bit in enumerate((TRAIN, VALIDATION, TEST)):
            rows = scaled[its & bit > 0]
            matrices[number][filled[number] : filled[number] + len(rows)] = rows
            release(matrices[number])
            filled[number] += len(rows)
    X_train, X_val, X_test = matrices
    names = tuple(f"x{column}" for column in range(features))
    return Dataset(
        name=request.name,
        X_train=X_train,
        X_val=X_val,
        X_test=X_test,
        y_test=y_test,
        feature_names=names,
        provenance=Provenance(
            source=f"Generated: {source}",
            protocol=SPLITS[protocol].format(f"; {done(scale, FITTED_ON[protocol])}."),
            notes=(*notes, *scaler.notes),
        ),
        preprocessing=Preprocessing(numeric=names, scaler=scaler),
    )
