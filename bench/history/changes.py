"""Change points of a series: where it left one level for another, how far, and whether that is worse.

The search is kernel change-point detection (Arlot, Celisse and Harchaoui 2019) with the Gaussian kernel, by
``ruptures``: exact, fast, and, since a far point counts as no more than one, not thrown by outliers. Its settings come
from simulated series; docs/history.md has their false alarms and power, ``tests/benchmarks/change_point_rules.py``
repeats them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

import numpy as np
import ruptures
from numpy.typing import NDArray
from scipy import stats

from bench.history.series import Series

Array = NDArray[np.float64]

FEWEST = 8
"""Points below which a series is not judged."""
SHORTEST = 2
"""Points that make a stretch; at the end of a series the penalty asks for more."""
BANDWIDTH = 0.1
"""Of the kernel exp(−BANDWIDTH · d²), where d counts in standard deviations of the noise."""
PENALTY = 1.6
"""Times the logarithm of the number of points: what a change point has to explain."""
RELATIVE_FLOOR, ABSOLUTE_FLOOR = 0.0025, 0.001
"""The least noise that is believed in: a quarter of a per cent, or a thousandth of a metric of quality."""


@dataclass(frozen=True)
class Change:
    """A change point. ``place`` is the first point of the new level, ``until`` the end of that level.

    ``size`` with its 95 % interval is the new level to the old one, minus 1, or their difference for a metric of
    quality; ``worse`` says which way.
    """

    place: int
    until: int
    size: float
    low: float
    high: float
    worse: bool


def changes(series: Series) -> list[Change]:
    """All change points of a series, oldest first; none where it has fewer than ``FEWEST`` points."""
    values = np.asarray(series.medians)
    relative = series.kind.relative
    scaled = np.log(values) if relative else values
    places = change_points(scaled, RELATIVE_FLOOR if relative else ABSOLUTE_FLOOR)
    bounds = [0, *places, len(scaled)]
    found = []
    for start, place, until in zip(bounds, bounds[1:], bounds[2:], strict=False):
        step = _step(scaled[start:place], scaled[place:until])
        size, low, high = map(math.expm1, step) if relative else step
        worse = (size < 0) == (series.kind.better == "higher")
        found.append(Change(place, until, size, low, high, worse))
    return found


def change_points(values: Array, floor: float = RELATIVE_FLOOR) -> list[int]:
    """The first places of the new levels in a sequence on an additive scale (logarithms, for rates and times)."""
    if len(values) < FEWEST:
        return []
    scale = max(noise(values), floor)
    search = ruptures.KernelCPD(kernel="rbf", min_size=SHORTEST, params={"gamma": BANDWIDTH})
    found = search.fit((values / scale).reshape(-1, 1)).predict(pen=PENALTY * math.log(len(values)))
    return [int(place) for place in found[:-1]]


def noise(values: Array) -> float:
    """The standard deviation of the noise, from the median absolute deviation of neighbours' differences.

    A step is one difference among many and leaves it as it is.
    """
    differences = np.diff(values)
    spread = float(stats.median_abs_deviation(differences, scale="normal"))
    return spread / math.sqrt(2)


def _step(before: Array, after: Array) -> tuple[float, float, float]:
    """The difference of the medians, and Welch's 95 % interval about it; the place is taken as known."""
    size = float(median(after) - median(before))
    if before.std() + after.std() <= 1e-12:
        return size, size, size
    bounds = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    half = float(bounds.high - bounds.low) / 2
    return size, size - half, size + half
