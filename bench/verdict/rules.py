"""The five verdicts, and the metrics they are about: which way is better, and how much counts.

A comparison is one scenario and one metric. Its value a process pair says how much worse the candidate is: the
logarithm of a ratio for what is measured in time or bytes, a difference for what is a share.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench.verdict.statistics import Estimate, adjusted, estimate, more_pairs

Word = Literal["regressed", "improved", "unchanged", "inconclusive", "incomparable"]

LEAST_PAIRS = 4
"""Process pairs before there is any verdict but ``inconclusive``."""
FALSE_DISCOVERIES = 0.05
"""Share of false ones among the changes reported, over all comparisons of a report (Benjamini and Hochberg 1995)."""
THRESHOLD = 0.03
QUALITY_THRESHOLD = 0.01


@dataclass(frozen=True)
class Metric:
    """One metric of a record that is compared.

    ``least`` is the smallest threshold it is held to: what happens once a process cannot be told as finely as what
    happens an epoch.
    """

    name: str
    title: str
    higher_is_better: bool
    quality: bool = False
    least: float = 0.0

    def threshold(self, speed: float, quality: float) -> float:
        """In this metric's own terms: a share of the baseline, or a difference."""
        return quality if self.quality else max(speed, self.least)

    def limit(self, threshold: float) -> float:
        """The threshold as a value of a pair is."""
        return threshold if self.quality else math.log1p(threshold)

    def change(self, worse: float) -> float:
        """A pair's value, or a bound, as the change of the metric from baseline to candidate: relative, or a difference
        for quality."""
        signed = -worse if self.higher_is_better else worse
        return signed if self.quality else math.expm1(signed)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("train_samples_per_second", "training", True),
        Metric("score_samples_per_second", "scoring", True),
        Metric("score_latency_p50_seconds", "latency", False),
        Metric("compile_seconds", "compile time", False, least=0.10),
        Metric("peak_memory_bytes", "peak memory", False),
        Metric("roc_auc", "ROC AUC", True, quality=True),
        Metric("average_precision", "AP", True, quality=True),
        Metric("f1", "F1", True, quality=True),
    )
}


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
