"""From columns to float32 matrices: everything fitted here is fitted on the training rows alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Provenance, Request
from datasets.splitting import row_keys

if TYPE_CHECKING:
    import pandas as pd

Matrix = NDArray[np.float32]

CLIP = 10.0
"""Standard deviations at which standardised values are cut. A counter that is nearly always 0 in training has a tiny
deviation, and a single 1 then lies 200 of them away: a few such cells would make up a whole squared-error loss."""


BLOCK = 1 << 14
"""Rows that are worked on at a time, so that no whole part is ever held in float64 beside its result."""

Blocks = Iterable[NDArray[np.float64]]
"""Rows in blocks of shape (rows, features), which may be written over."""


def standardise(train: NDArray[Any], *others: NDArray[Any]) -> list[Matrix]:
    """Shift and scale columns to mean 0 and deviation 1 over the training rows, then cut at ±`CLIP`.

    Takes and returns arrays of shape (rows, features); a column that is constant in training is only shifted.
    """
    columns = Columns.of(lambda: blocks(train))
    return [_matrix(part, columns.standardised) for part in (train, *others)]


def stretch(train: NDArray[Any], *others: NDArray[Any]) -> list[Matrix]:
    """Map columns so that the training rows span [0, 1]; other rows may lie outside. Shapes as in `standardise`."""
    columns = Columns.of(lambda: blocks(train))
    return [_matrix(part, columns.stretched) for part in (train, *others)]


def blocks(rows: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Copies of at most `BLOCK` rows each, in float64."""
    for start in range(0, len(rows), BLOCK):
        yield np.array(rows[start : start + BLOCK], dtype=np.float64)


def _matrix(rows: NDArray[Any], scaled: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Matrix:
    matrix = np.empty(rows.shape, dtype=np.float32)
    for start, block in zip(range(0, len(rows), BLOCK), blocks(rows), strict=True):
        matrix[start : start + BLOCK] = scaled(block)
    return matrix


@dataclass(frozen=True)
class Columns:
    """What is fitted on the training rows, each of shape (features,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Callable[[], Blocks]) -> Columns:
        """Goes through the rows twice: `rows` yields the same blocks at every call.

        Blocks are summed row after row, so their size does not show in the digits.
        """
        low, high, total, squares = (np.asarray(start) for start in (np.inf, -np.inf, 0.0, 0.0))
        count = 0
        for block in rows():
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
            total, count = _added(total, block), count + len(block)
        mean = total / count
        for block in rows():
            block -= mean
            squares = _added(squares, np.square(block, out=block))
        return cls(low, high, mean, np.sqrt(squares / count))

    def standardised(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rows, written over, with mean 0 and deviation 1 and cut at ±`CLIP`."""
        return self._rescaled(rows, self.mean, self.deviation, CLIP)

    def stretched(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rows, written over, with [low, high] mapped to [0, 1]."""
        return self._rescaled(rows, self.low, self.high - self.low, float(np.finfo(np.float32).max))

    def _rescaled(
        self, rows: NDArray[np.float64], shift: NDArray[np.float64], scale: NDArray[np.float64], clip: float
    ) -> NDArray[np.float64]:
        # equal values can have a deviation of one rounding error, and different ones a deviation that underflows
        scale = np.where((self.high > self.low) & (scale > np.finfo(np.float32).tiny), scale, 1.0)
        rows -= shift
        rows /= scale
        return np.clip(rows, -clip, clip, out=rows)


def _added(total: NDArray[np.float64], block: NDArray[np.float64]) -> NDArray[np.float64]:
    """The total with all rows of a block added one after another; the block's first row is written over."""
    block[0] += total
    summed: NDArray[np.float64] = block.sum(axis=0)
    return summed


@dataclass(frozen=True)
class Encoded:
    """Matrices of shape (rows, features), one per frame; the features' names; and what was done, a sentence each."""

    parts: list[Matrix]
    feature_names: tuple[str, ...]
    notes: tuple[str, ...]

    def dataset(self, request: Request, anomalous: NDArray[np.bool_], provenance: Provenance) -> Dataset:
        """Training, validation and test parts as the data set asked for; `anomalous` marks the test rows."""
        X_train, X_val, X_test = self.parts
        return Dataset(
            name=request.name,
            X_train=X_train,
            X_val=X_val,
            X_test=X_test,
            y_test=anomalous.astype(np.int8),
            feature_names=self.feature_names,
            provenance=replace(provenance, notes=provenance.notes + self.notes),
        )

    def apart(self) -> Encoded:
        """Without the rows of a part that are identical, as encoded, to a row of a later part."""
        import pandas as pd

        keys = [row_keys(pd.DataFrame(part)) for part in self.parts]
        fresh = [~np.isin(key, np.concatenate(keys[place + 1 :])) for place, key in enumerate(keys[:-1])]
        twins = sum(int((~rows).sum()) for rows in fresh)
        note = f"{twins:,} training or validation rows were dropped: once encoded, identical to one of a later part."
        return Encoded(
            [*(part[rows] for part, rows in zip(self.parts, fresh, strict=False)), self.parts[-1]],
            self.feature_names,
            (*self.notes, note) if twins else self.notes,
        )


def encode(
    train: pd.DataFrame,
    *others: pd.DataFrame,
    categorical: Collection[str] = (),
    flags: Collection[str] = (),
    heavy_tailed: Collection[str] = (),
    scale: Callable[..., list[Matrix]] = standardise,
) -> Encoded:
    """Turn frames with the same columns into matrices, fitted on the first.

    Numeric columns come first: a missing value becomes the training median, `heavy_tailed` ones become log(1 + x), then
    all are scaled. Flags (0 or 1) follow as they are. Categorical columns are one-hot over the values seen in training,
    a missing value counting as one of its own; an unseen value is all zeros. A column that is constant in training is
    dropped.
    """
    import pandas as pd

    frames = (train, *others)
    columns = pd.Index([column for column in train.columns if column not in categorical])
    tables = [frame[columns].to_numpy(dtype=np.float64) for frame in frames]
    gaps = np.any([np.isnan(table).any(axis=0) for table in tables], axis=0)
    medians = train[columns].median().fillna(0.0).to_numpy(dtype=np.float64)
    tables = [np.where(np.isnan(table), medians, table) for table in tables]
    logged = columns.isin(heavy_tailed)
    for table in tables:
        table[:, logged] = np.log1p(table[:, logged])

    varying, flag = np.ptp(tables[0], axis=0) > 0, columns.isin(flags)
    numeric, kept = varying & ~flag, varying & flag
    scaled = scale(*(table[:, numeric] for table in tables))
    blocks = [[part, table[:, kept].astype(np.float32)] for part, table in zip(scaled, tables, strict=True)]
    names = [*columns[numeric], *columns[kept]]
    dropped = list(columns[~varying])
    for column in (column for column in train.columns if column in categorical):
        words = [frame[column].astype(object).fillna("missing").to_numpy(dtype=object) for frame in frames]
        values = np.unique(words[0])
        if len(values) == 1:
            dropped.append(column)
            continue
        names += [f"{column}={value}" for value in values]
        for block, word in zip(blocks, words, strict=True):
            block.append((word[:, None] == values).astype(np.float32))

    notes = []
    if gaps.any():
        notes.append(f"Missing values were replaced by the training median: {listed(columns[gaps])}.")
    if dropped:
        notes.append(f"Dropped as constant in the training rows: {listed(dropped)}.")
    return Encoded([np.hstack(block) for block in blocks], tuple(names), tuple(notes))


def listed(values: Iterable[object], most: int = 12) -> str:
    """The values with commas between them, cut where they are many."""
    words = [str(value) for value in values]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
