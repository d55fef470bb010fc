"""95 % intervals over the test rows that are right for few rows and at the edge: a perfect score of four rows is no
proof of perfection.

All are score intervals: they hold those true values under which what was seen is no surprise, so that they never leave
[0, 1], and have a width where everything was right. ``tests/benchmarks/interval_coverage.py`` measures how often they
hold the true value.

References
----------
Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference.
Hanley, J. A., McNeil, B. J. (1982). The meaning and use of the area under a ROC curve.
DeLong, E. R., DeLong, D. M., Clarke-Pearson, D. L. (1988). Comparing the areas under two or more correlated ROC curves.
Newcombe, R. G. (2006). Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2.
Boyd, K., Eng, K. H., Page, C. D. (2013). Area under the precision-recall curve: point estimates and confidence
intervals.
Hand, D. J., Christen, P., Kirielle, N. (2021). F*: an interpretable transformation of the F-measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Z = 1.959963984540054
"""The normal distribution's quantile at 97.5 %."""
WIDENING, NARROWING = 5.0, 50.0
"""Rows of the smaller class that the assumed variance counts as beside the estimated one, where that is larger and
where it is smaller: few rows rather lack the tail that would show than show one that is not there."""
BISECTIONS = 60

Interval = tuple[float, float]


def share(hits: float, rows: float) -> Interval:
    """Of ``hits`` among ``rows``, after Wilson (1927); [0, 1] where there are none."""
    if rows <= 0:
        return 0.0, 1.0
    value, shrunk = hits / rows, Z * Z / rows
    centre = (value + shrunk / 2) / (1 + shrunk)
    half = math.sqrt(value * (1 - value) * shrunk + shrunk * shrunk / 4) / (1 + shrunk)
    # rounding must not part the interval from the value itself
    return max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half))


def f1(tp: int, fp: int, fn: int) -> Interval:
    """Of F1 = 2J / (1 + J), where J = tp / (tp + fp + fn) is the share of the rows that are anomalous or flagged which
    are both (F* of Hand et al. 2021): of so many such rows the hits are binomial."""
    low, high = share(tp, tp + fp + fn)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def auc(value: float, variance: float, anomalies: int, normals: int) -> Interval:
    """Of a ROC AUC: Newcombe's method 5, its variance drawn towards that of DeLong et al. as the rows allow.

    The variance that Newcombe assumes at θ, with N = (m + n) / 2 − 1, is
    θ (1 − θ) (1 + N (1 − θ) / (2 − θ) + N θ / (1 + θ)) / (m n). It holds at the edge, where DeLong's estimate is 0, and
    fits distributions of like shape. DeLong's fits any, given rows enough: its ratio to the other at ``value`` is
    weighed by the rows of the smaller class against ``WIDENING`` or ``NARROWING`` rows at a ratio of 1.

    Parameters
    ----------
    value : float
    variance : float
        DeLong's; not a number where a class has but one row.
    anomalies, normals : int
        Test rows of each class, m and n.
    """
    rows = (anomalies + normals) / 2 - 1

    def assumed(theta: float) -> float:
        ratio = 1 + rows * (1 - theta) / (2 - theta) + rows * theta / (1 + theta)
        return theta * (1 - theta) * ratio / (anomalies * normals)

    factor, here, least = 1.0, assumed(value), min(anomalies, normals)
    if here > 0 and math.isfinite(variance):
        prior = WIDENING if variance > here else NARROWING
        factor = (least * variance / here + prior) / (least + prior)

    def likely(theta: float) -> bool:
        return abs(value - theta) <= Z * math.sqrt(factor * assumed(theta))

    return _bound(value, 0.0, likely), _bound(value, 1.0, likely)


def average_precision(value: float, variance: float, anomalies: int) -> Interval:
    """Of an average precision: Wilson's, with as many rows as its variance tells.

    Boyd et al. (2013) take it for a share of the anomalies. Here the variance comes from a bootstrap, weighed by the
    anomalies against ``WIDENING`` or ``NARROWING`` of them that vary as a share does.
    """
    binomial = value * (1 - value) / anomalies
    if binomial <= 0:
        return share(value * anomalies, anomalies)
    prior = WIDENING if variance > binomial else NARROWING
    mixed = (anomalies * variance + prior * binomial) / (anomalies + prior)
    rows = value * (1 - value) / mixed
    return share(value * rows, rows)


def _bound(value: float, edge: float, likely: Callable[[float], bool]) -> float:
    """The last likely value on the way from the one that was seen to an edge."""
    inside, outside = value, edge
    if likely(edge):
        return edge
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if likely(middle):
            inside = middle
        else:
            outside = middle
    return inside
