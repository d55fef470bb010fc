"""The five verdicts, and how much counts.

A comparison is one scenario and one metric. Its value a process pair says how much worse the candidate is: the
logarithm of a ratio for what is measured in time or bytes, a difference for what is a share.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench.records.metrics import COMPARED, Metric
from bench.verdict.statistics import Estimate, adjusted, estimate, more_pairs

Word = Literal["regressed", "improved", "unchanged", "inconclusive", "incomparable"]

LEAST_PAIRS = 4
"""Process pairs before there is any verdict but ``inconclusive``."""
FALSE_DISCOVERIES = 0.05
"""Share of false ones among the changes reported, over all comparisons of a report (Benjamini and Hochberg 1995)."""
THRESHOLD = 0.03
QUALITY_THRESHOLD = 0.01


METRICS = COMPARED
"""What is compared."""


@dataclass(frozen=True)
class Values:
    """What the pairs of one comparison say: a value each, above 0 where the candidate is worse, and the variance of
    their mean that they share."""

    metric: Metric
    threshold: float
    worse: Sequence[float]
    shared_variance: float = 0.0


@dataclass(frozen=True)
class Judged:
    """A verdict with what it rests on; ``q`` is the p-value against no change, adjusted for all comparisons."""

    verdict: Word
    estimate: Estimate
    q: float
    more_pairs: int | None = None


Key = TypeVar("Key", bound=Hashable)


def judge(comparisons: Mapping[Key, Values]) -> dict[Key, Judged]:
    """Verdicts on all comparisons of a report together.

    ``regressed`` and ``improved``: the whole interval lies beyond the threshold, and of the changes that are reported
    no more than ``FALSE_DISCOVERIES`` are expected to be none. ``unchanged``: the whole interval lies within the
    threshold. ``inconclusive``: neither, or fewer than ``LEAST_PAIRS``, unless all of several are equal to the last
    digit.
    """
    found = {key: estimate(values.worse, values.shared_variance) for key, values in comparisons.items()}
    adjusted_p = dict(zip(found, adjusted([one.p for one in found.values()]), strict=True))
    return {
        key: _judged(found[key], values.metric.limit(values.threshold), adjusted_p[key])
        for key, values in comparisons.items()
    }


def _judged(found: Estimate, limit: float, q: float) -> Judged:
    if found.pairs >= LEAST_PAIRS or (found.mean == 0 and found.error == 0):
        if found.low > limit and q <= FALSE_DISCOVERIES:
            return Judged("regressed", found, q)
        if found.high < -limit and q <= FALSE_DISCOVERIES:
            return Judged("improved", found, q)
        if found.low >= -limit and found.high <= limit:
            return Judged("unchanged", found, q)
    more = more_pairs(found, limit)
    least = LEAST_PAIRS - found.pairs
    return Judged("inconclusive", found, q, max(more or 1, least) if more is not None or least > 0 else None)
