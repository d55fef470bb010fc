"""How sure a comparison can be: one interval over process pairs, how many more of them it would take, and what many
comparisons at once do to both.

The unit is the process pair. A fresh process is faster or slower than the next by an offset of its own, so that its
samples, however many, are one observation of what is compared. A bootstrap that resamples pairs, and samples within
them, draws its spread from the few pairs there are, and its intervals are too narrow by just that: Student's t over the
pairs holds its level, as the tests of this module show for the noise that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

CONFIDENCE = 0.95
MOST_PAIRS = 10_000
"""Where it would take more pairs than this no number is given."""


@dataclass(frozen=True)
class Estimate:
    """The mean over pairs, its interval, its standard error, and the two-sided p-value against no change.

    ``spread`` is the standard deviation of the pairs, ``shared`` the standard error that no further pair makes smaller.
    """

    mean: float
    low: float
    high: float
    error: float
    p: float
    pairs: int
    spread: float = math.inf
    shared: float = 0.0


def estimate(values: Sequence[float], shared_variance: float = 0.0) -> Estimate:
    """Mean of one value a pair with Student's t interval.

    Parameters
    ----------
    values : sequence of float
        Log-ratios or differences, one a pair; without at least two there is no interval, and the bounds are infinite.
    shared_variance : float
        Variance of the mean that pairs do not show, since they share its cause: the test rows.
    """
    count, mean = len(values), fmean(values)
    if count < 2:
        return Estimate(mean, -math.inf, math.inf, math.inf, 1.0, count)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    error = math.sqrt(variance / count + shared_variance)
    half = quantile(count - 1) * error
    return Estimate(
        mean,
        mean - half,
        mean + half,
        error,
        _p_value(mean, error, count - 1),
        count,
        math.sqrt(variance),
        math.sqrt(shared_variance),
    )


def more_pairs(found: Estimate, threshold: float) -> int | None:
    """How many pairs beyond those there are it would take to decide, if mean and spread stay as they are.

    Decided is what lies wholly within the threshold or wholly beyond it. None where more than ``MOST_PAIRS`` would not
    do, or nothing is known of the spread.
    """
    if not math.isfinite(found.error):
        return None
    distance = abs(threshold - abs(found.mean))

    def decided(pairs: int) -> bool:
        return quantile(pairs - 1) * math.hypot(found.spread / math.sqrt(pairs), found.shared) <= distance

    if not decided(MOST_PAIRS):
        return None
    few, enough = 1, MOST_PAIRS
    while enough - few > 1:
        middle = (few + enough) // 2
        if decided(middle):
            enough = middle
        else:
            few = middle
    return max(enough - found.pairs, 1)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values for many comparisons at once: the smallest share of false discoveries at which each counts as one
    (Benjamini and Hochberg 1995).

    What ``scipy.stats.false_discovery_control`` returns, in a hundredth of its time: a calibration asks a hundred
    thousand times.
    """
    found, least = list(p_values), 1.0
    falling = sorted(range(len(found)), key=found.__getitem__, reverse=True)
    for place, number in enumerate(falling):
        least = min(least, found[number] * len(found) / (len(found) - place))
        found[number] = least
    return found


def rate_interval(hits: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a rate (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    found = binomtest(hits, of).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


@cache
def quantile(freedom: int) -> float:
    """Student's t at the two-sided confidence."""
    from scipy.special import stdtrit

    return float(stdtrit(max(freedom, 1), 0.5 + CONFIDENCE / 2))


def _p_value(mean: float, error: float, freedom: int) -> float:
    from scipy.special import stdtr

    if mean == 0:
        return 1.0
    return float(2.0 * stdtr(freedom, -abs(mean) / error)) if error else 0.0
