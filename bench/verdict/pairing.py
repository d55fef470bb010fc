"""What one pair of records says: for each metric, how much worse the candidate was than the baseline.

Two workers of a duet took their epochs and scorings in turn, so that neighbours in time are compared, and the median of
their ratios is the pair's; two trials of two runs are compared by the ratio of their medians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.metrics import Metric
from bench.records.record import Record
from bench.verdict.rules import METRICS
from reports.arrays import DECISION, Shelf

LEAST_COMPILE_SECONDS = 0.1
"""Where neither side compiles for so long, compile time is not compared."""
RESAMPLES = 200
"""Of the test rows, for the variance that they cause: enough for its root to be known within 5 %."""

Rows = NDArray[np.float64]


@dataclass
class Pair:
    """Two records side by side.

    ``logs`` has, by metric, the logarithms of ratios, above 0 where the candidate is worse: of a duet one for each two
    neighbours in time, otherwise a single one. ``differences`` has those of quality, ``row_variances`` how much of each
    is due to which test rows there are. ``shown`` has both sides' values of a metric. ``without`` has each metric that
    could not be compared, with the places of the sides that lack it, 0 the baseline and 1 the candidate; none lacks it
    where ``LEAST_COMPILE_SECONDS`` or a value of 0 is why.
    """

    logs: dict[str, Sequence[float]] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    row_variances: dict[str, float] = field(default_factory=dict)
    shown: dict[str, tuple[float, float]] = field(default_factory=dict)
    without: dict[str, tuple[int, ...]] = field(default_factory=dict)
    seconds: float = 0.0
    checksum: str | None = None
    seed: int | None = None

    def worse(self, metric: Metric) -> float | None:
        """This pair's value of a metric; None where it has none."""
        if metric.quality:
            return self.differences.get(metric.name)
        logs = self.logs.get(metric.name)
        if not logs:
            return None
        return logs[0] if len(logs) == 1 else float(np.median(logs))


def pair(baseline: Record, candidate: Record, folders: tuple[Path, Path], metrics: Sequence[str]) -> Pair:
    """Compares two records that ended well, on the metrics named."""
    found = Pair(
        seconds=max(baseline.get("wall_seconds", 0.0), candidate.get("wall_seconds", 0.0)),
        checksum=str(baseline.get("data", {}).get("checksum")),
        seed=baseline.get("seed"),
    )
    for name in metrics:
        metric = METRICS[name]
        values = tuple(record.get("metrics", {}).get(name) for record in (baseline, candidate))
        if lacking := tuple(place for place, value in enumerate(values) if value is None):
            found.without[name] = lacking
        elif not metric.quality:
            if logs := _logs(metric, baseline, candidate, values):
                found.logs[name] = logs
                found.shown[name] = values
            else:
                found.without[name] = ()
        else:
            found.shown[name] = values
    quality = [name for name in found.shown if METRICS[name].quality]
    if quality:
        _compare_quality(found, quality, baseline, candidate, folders)
    return found


def _logs(metric: Metric, baseline: Record, candidate: Record, values: tuple[Any, ...]) -> list[float]:
    steps = min(record.get("duet_scorings", 0) for record in (baseline, candidate))
    duet = "duet_scorings" in baseline and "duet_scorings" in candidate
    if duet and metric.name == "train_samples_per_second":
        first = max(len(record["samples"].get("warmup", [])) for record in (baseline, candidate))
        return _neighbours(baseline, candidate, ("warmup", "train"), first, None, rows="train_rows_per_sample")
    if steps and metric.name == "score_samples_per_second":
        return _neighbours(baseline, candidate, ("score_warmup", "score"), 1, steps, rows="score_rows_per_sample")
    if steps and metric.name == "score_latency_p50_seconds":
        return _neighbours(baseline, candidate, ("latency_warmup", "latency"), 1, steps * _latencies(baseline, steps))
    if metric.name == "compile_seconds" and max(values) < LEAST_COMPILE_SECONDS:
        return []
    if min(values) <= 0:
        return []
    ratio = math.log(values[1] / values[0])
    return [-ratio if metric.higher_is_better else ratio]


def _latencies(record: Record, steps: int) -> int:
    """Single rows that each scoring of a duet timed."""
    samples = record["samples"]
    return (len(samples.get("latency_warmup", [])) + len(samples["latency"])) // steps


def _neighbours(
    baseline: Record, candidate: Record, phases: Sequence[str], first: int, last: int | None, rows: str | None = None
) -> list[float]:
    """Log-ratios of the seconds a row of neighbours in time; those before ``first`` are warm-up of one of the two."""
    seconds = []
    for record in (baseline, candidate):
        taken = [sample for phase in phases for sample in record["samples"].get(phase, [])]
        seconds.append(np.asarray(taken) / (record[rows] if rows else 1))
    count = min(map(len, seconds)) if last is None else min(last, *map(len, seconds))
    first = min(first, count - 1)
    return [float(x) for x in np.log(seconds[1][first:count] / seconds[0][first:count])]


def _compare_quality(
    found: Pair, names: Sequence[str], baseline: Record, candidate: Record, folders: tuple[Path, Path]
) -> None:
    """Differences, and their variance over the test rows: paired where both sides have kept their scores, otherwise
    from the intervals of the records, as if the rows were not the same."""
    for name in names:
        before, after = found.shown[name]
        found.differences[name] = before - after
    sides = [_scores(record, folder) for record, folder in zip((baseline, candidate), folders, strict=True)]
    first, second = sides
    if first and second and np.array_equal(first[0], second[0]):
        from bench.quality.metrics import paired_variances

        labels = first[0]
        variances = paired_variances(
            labels,
            (first[1], baseline["metrics"]["threshold"]),
            (second[1], candidate["metrics"]["threshold"]),
            resamples=RESAMPLES,
        )
        found.row_variances = {name: variances[name] for name in names}
        return
    for name in names:
        widths = [np.diff(record["intervals"][name])[0] for record in (baseline, candidate)]
        found.row_variances[name] = float(sum((width / 3.92) ** 2 for width in widths))


def _scores(record: Record, folder: Path) -> tuple[NDArray[np.integer[Any]], Rows] | None:
    """Test labels and the first score of the test rows; None where the record has kept none."""
    name = f"score.{record.get('score') or DECISION}"
    kept = Shelf(folder).load(record, name, "y_test")
    return (kept["y_test"], kept[name].astype(np.float64)) if len(kept) == 2 else None
