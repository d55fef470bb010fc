"""Every metric of a record, declared once: its name, title, unit, which way is better, and of what kind it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["quality", "speed", "memory", "energy", "setting"]


@dataclass(frozen=True)
class Metric:
    """One metric, by its ``name`` under a record's ``metrics``.

    A change of ``quality`` is a difference, of everything else a ratio; ``better`` is None where neither way is.
    Comparisons and histories follow those that are ``compared``. ``least`` is the smallest threshold one is held to:
    what happens once per process cannot be told as finely as what happens each epoch.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"] | None
    kind: Kind
    compared: bool = False
    least: float = 0.0

    @property
    def quality(self) -> bool:
        return self.kind == "quality"

    @property
    def relative(self) -> bool:
        return not self.quality

    @property
    def higher_is_better(self) -> bool:
        return self.better == "higher"

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
        if self.quality:
            return signed
        try:
            return math.expm1(signed)
        except OverflowError:  # of bounds far apart, or of rates that somebody else wrote
            return math.inf


METRICS = {
    metric.name: metric
    for metric in (
        Metric("train_samples_per_second", "training", "samples/s", "higher", "speed", compared=True),
        Metric("score_samples_per_second", "scoring", "samples/s", "higher", "speed", compared=True),
        Metric("score_latency_p50_seconds", "latency", "s", "lower", "speed", compared=True),
        Metric("score_latency_p99_seconds", "latency, 99th percentile", "s", "lower", "speed"),
        Metric("compile_seconds", "compile time", "s", "lower", "speed", compared=True, least=0.10),
        Metric("compile_warm_seconds", "compile time, warm", "s", "lower", "speed"),
        Metric("first_step_seconds", "import, build and compile", "s", "lower", "speed"),
        Metric("result_seconds", "compile and train", "s", "lower", "speed"),
        Metric("peak_memory_bytes", "peak memory", "bytes", "lower", "memory", compared=True),
        Metric("peak_device_memory_bytes", "peak memory of the device", "bytes", "lower", "memory"),
        Metric("train_energy_joules", "energy of training", "J", "lower", "energy"),
        Metric("limit_samples_per_second", "limit of training", "samples/s", None, "speed"),
        Metric("fraction_of_limit", "training over its limit", "", "higher", "speed"),
        Metric("roc_auc", "ROC AUC", "", "higher", "quality", compared=True),
        Metric("average_precision", "AP", "", "higher", "quality", compared=True),
        Metric("f1", "F1", "", "higher", "quality", compared=True),
        Metric("precision", "precision", "", "higher", "quality"),
        Metric("recall", "recall", "", "higher", "quality"),
        Metric("accuracy", "accuracy", "", "higher", "quality"),
        Metric("threshold", "first threshold", "", None, "setting"),
    )
}
COMPARED = {name: metric for name, metric in METRICS.items() if metric.compared}
"""Those that comparisons and histories follow."""
SHARES = tuple(name for name, metric in METRICS.items() if metric.quality)
"""Those that are shares by definition, as their intervals are."""
ROUNDING = 1e-6
"""How far beyond 0 and 1 rounding may have moved a share."""


def is_share(value: object) -> bool:
    """Whether a share can be this. What is no number, and an infinity, stands for none at all."""
    return type(value) not in (float, int) or -ROUNDING <= value <= 1 + ROUNDING or abs(value) == math.inf  # type: ignore[operator, arg-type]
