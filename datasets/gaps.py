"""Numbers that mean missing: those that were named, and those that look as if they did."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_NINES = re.compile(r"-?9{2,15}(\.0|\.9{1,6})")


def without(numbers: NDArray[np.float64], missing: Iterable[str]) -> NDArray[np.float64]:
    """The numbers, NaN where one is a word for missing: -999 is, however a file stores it."""
    marks = [float(word) for word in missing if _NUMBER.fullmatch(word.strip())]
    return np.where(np.isin(numbers, marks), np.nan, numbers) if marks else numbers


def filler(values: NDArray[np.float64]) -> float | None:
    """A number of nines, such as -999, that a column has twice or more, further from all others than they lie apart."""
    for extreme in (np.nanmin(values), np.nanmax(values)):
        if _NINES.fullmatch(str(float(extreme))):
            others = values[(values != extreme) & ~np.isnan(values)]
            far = len(others) > 0 and np.abs(others - extreme).min() > np.ptp(others) > 0
            if far and np.count_nonzero(values == extreme) > 1:
                return float(extreme)
    return None
