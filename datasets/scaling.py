"""Scaling numeric columns: fitted on the training rows alone, by blocks, and applied to any later rows digit for digit.

``standard`` is scikit-learn's StandardScaler, ``minmax`` and ``minmax-symmetric`` its MinMaxScaler to [0, 1] and
[−1, 1]; scikit-learn itself would hold all rows in float64. ``robust`` and ``quantile`` are fitted by it, on a seeded
sample where there are very many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from datasets.splitting import generator

Matrix = NDArray[np.float32]
Scale = Literal["standard", "minmax", "minmax-symmetric", "robust", "quantile", "none"]
SCALES: tuple[Scale, ...] = get_args(Scale)

CLIP = 10.0
"""Standard deviations at which standardised values are cut. A counter that is nearly always 0 in training has a tiny
deviation, and a single 1 then lies 200 of them away: a few such cells would make up a whole squared-error loss."""
LARGEST = float(np.finfo(np.float32).max)

BLOCK = 1 << 14
"""Rows that are worked on at a time, so that no whole part is ever held in float64 beside its result."""
SAMPLED_CELLS = 1 << 24
"""Values that quantiles are taken from at most: 128 MiB in float64."""
QUANTILES = 1_000

Blocks = Iterable[NDArray[np.float64]]
"""Rows in blocks of shape (rows, features), which may be written over."""

DONE: dict[Scale, str] = {
    "standard": f"standardised by the {{}} and cut at ±{CLIP:g} deviations",
    "minmax": "stretched to [0, 1] by the {}",
    "minmax-symmetric": "stretched to [−1, 1] by the {}",
    "robust": f"scaled by the median and the quartiles of the {{}} and cut at ±{CLIP:g}",
    "quantile": "mapped to [0, 1] by the quantiles of the {}",
    "none": "values as they are",
}


def done(scale: Scale, by: str = "training rows") -> str:
    """What a scale does, for the protocol of a data set."""
    return DONE[scale].format(by)


def blocks(rows: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Copies of at most `BLOCK` rows each, in float64."""
    for start in range(0, len(rows), BLOCK):
        yield np.array(rows[start : start + BLOCK], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Scaler:
    """What was fitted; calling it scales rows, and saved and made anew from its arrays it gives the same digits.

    Attributes
    ----------
    kind : one of `SCALES`
    shift, divisor : float64 arrays of shape (features,)
        Values become (value − shift) / divisor; of ``quantile`` unused.
    quantiles : float64 array of shape (levels, features)
        Of ``quantile``, for levels evenly from 0 to 1; otherwise without rows.
    sampled : (rows that the quantiles were taken from, training rows), where these were too many
    """

    kind: Scale
    shift: NDArray[np.float64]
    divisor: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    sampled: tuple[int, int] | None = None

    @classmethod
    def fit(cls, kind: Scale, rows: Callable[[], Blocks], features: int, *, unit: float = 1.0, seed: int = 0) -> Scaler:
        """Go through the training rows, several times: `rows` yields the same blocks at every call.

        `unit` is what ``none`` divides by, so that pixels need not be left as bytes; `seed` draws the sample.
        """
        shift, divisor, quantiles = np.zeros(features), np.full(features, float(unit)), np.zeros((0, features))
        sampled = None
        if kind in ("standard", "minmax", "minmax-symmetric"):
            columns = _Columns.of(rows)
            if kind == "standard":
                shift, divisor = columns.mean, columns.divisor(columns.deviation)
            elif kind == "minmax-symmetric":
                shift = columns.low / 2 + columns.high / 2
                divisor = columns.divisor(columns.high / 2 - columns.low / 2)
            else:
                shift, divisor = columns.low, columns.divisor(columns.high - columns.low)
        elif kind != "none" and features:
            from sklearn.preprocessing import QuantileTransformer, RobustScaler

            sample, count = _sample(rows, features, seed)
            sampled = (len(sample), count) if len(sample) < count else None
            if kind == "robust":
                fitted = RobustScaler().fit(sample)
                shift, divisor = fitted.center_, np.where(fitted.scale_ > np.finfo(np.float32).tiny, fitted.scale_, 1.0)
            else:
                levels = min(QUANTILES, len(sample))
                quantiles = QuantileTransformer(n_quantiles=levels, subsample=len(sample)).fit(sample).quantiles_
        return cls(kind, shift, divisor, quantiles, sampled)

    @property
    def features(self) -> int:
        return len(self.shift)

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rows, of shape (rows, features), scaled; they may be written over."""
        if self.kind == "quantile" and len(rows):
            mapped: NDArray[np.float64] = self._transformer.transform(rows)
            return mapped
        rows -= self.shift
        rows /= self.divisor
        limit = CLIP if self.kind in ("standard", "robust") else LARGEST
        return np.clip(rows, -limit, limit, out=rows)

    def matrix(self, rows: NDArray[Any]) -> Matrix:
        """Any rows scaled, by blocks, into float32."""
        matrix = np.empty(rows.shape, dtype=np.float32)
        for start, block in zip(range(0, len(rows), BLOCK), blocks(rows), strict=True):
            matrix[start : start + BLOCK] = self(block)
        return matrix

    @property
    def notes(self) -> tuple[str, ...]:
        if self.sampled is None:
            return ()
        return (f"The scaler was fitted on a seeded sample of {self.sampled[0]:,} of its {self.sampled[1]:,} rows.",)

    @cached_property
    def _transformer(self) -> Any:
        from sklearn.preprocessing import QuantileTransformer

        transformer = QuantileTransformer(n_quantiles=len(self.quantiles))
        transformer.quantiles_ = self.quantiles
        transformer.references_ = np.linspace(0, 1, len(self.quantiles))
        transformer.n_quantiles_, transformer.n_features_in_ = self.quantiles.shape
        return transformer


@dataclass(frozen=True)
class _Columns:
    """Moments and bounds of the training rows, each of shape (features,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Callable[[], Blocks]) -> _Columns:
        """Blocks are summed row after row, so their size does not show in the digits."""
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

    def divisor(self, scale: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scale, or 1 where there is none: a column that is constant in training is only shifted."""
        # equal values can have a deviation of one rounding error, and different ones a deviation that underflows
        return np.where((self.high > self.low) & (scale > np.finfo(np.float32).tiny), scale, 1.0)


def _added(total: NDArray[np.float64], block: NDArray[np.float64]) -> NDArray[np.float64]:
    """The total with all rows of a block added one after another; the block's first row is written over."""
    block[0] += total
    summed: NDArray[np.float64] = block.sum(axis=0)
    return summed


def _sample(rows: Callable[[], Blocks], features: int, seed: int) -> tuple[NDArray[np.float64], int]:
    """All rows where they are few enough, else a sample in their order; and how many there are."""
    count = sum(len(block) for block in rows())
    wanted = max(QUANTILES, SAMPLED_CELLS // features)
    chosen = np.ones(count, dtype=np.bool_)
    if wanted < count:
        chosen[:] = False
        chosen[generator(seed, "quantiles").choice(count, wanted, replace=False, shuffle=False)] = True
    parts, start = [], 0
    for block in rows():
        parts.append(block[chosen[start : start + len(block)]])
        start += len(block)
    return np.concatenate(parts), count
