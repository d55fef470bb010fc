"""Seeded draws: the random generators of every loader, and the split of normal rows into train, validation and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Rows = NDArray[np.intp]


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A Philox generator keyed by (seed, purpose), so that one draw never shifts another."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *purpose.encode()])))


def split(count: int, seed: int, *, validation: float = 0.2, test: float = 0.2) -> tuple[Rows, Rows, Rows]:
    """Draw which of `count` rows train, validate and test; each part holds sorted row numbers, and all share none."""
    order = generator(seed, "split").permutation(count)
    in_validation, in_test = round(count * validation), round(count * test)
    parts = np.split(order, [count - in_validation - in_test, count - in_test])
    train, val, tested = (np.sort(part) for part in parts)
    return train, val, tested


def row_keys(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """A 64-bit key per row, equal for identical rows (missing values count as equal)."""
    import pandas as pd

    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)
