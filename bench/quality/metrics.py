"""Detection quality from scores and labels, with intervals over the test rows.

Point values and resamples share one code path: every metric is computed from integer row weights, all ones for the
point, independent Poisson(1) counts for a resample (Hanley and MacGibbon 2006), which tells how much average precision
and differences of metrics vary. Scores are sorted once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality import intervals

RESAMPLES = 1000
LEAST_RESAMPLES = 200
RESAMPLED_ROWS = 200_000_000
"""Rows weighed in all: with more rows the resamples fall from ``RESAMPLES`` to no fewer than ``LEAST_RESAMPLES``."""
DRAWN = 1 << 15
"""Rows weighed at a time: so many that little is left of what a call costs, and few enough for a core's cache."""
CURVE_POINTS = 200
HISTOGRAM_BINS = 60

RANKING = ("roc_auc", "average_precision")
"""What judges the order of the scores alone."""
FLAGGING = ("precision", "recall", "f1", "accuracy")
"""What judges one threshold."""
METRICS = (*RANKING, *FLAGGING)


@dataclass(frozen=True)
class Flagged:
    """What one threshold makes of the scores: ``FLAGGING`` and the threshold itself, intervals, and the four counts."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    confusion: dict[str, int]


@dataclass(frozen=True)
class Quality:
    """What a record holds about detection: metrics, intervals and the pictures' data.

    ``metrics``, ``intervals``, ``confusion`` and ``histogram`` are those of the first threshold; ``thresholds`` has
    every one of them, the first included. ``resamples`` are those that the interval of average precision rests on.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    confusion: dict[str, int]
    roc_curve: dict[str, list[float]]
    histogram: dict[str, Any]
    resamples: int
    thresholds: tuple[Flagged, ...]


class _Ranking:
    """Test rows in falling order of score, ready for any row weights.

    Only the places where an anomaly stands are ever looked at, and of the others their cumulative weight.
    """

    def __init__(self, scores: NDArray[np.floating], labels: NDArray[np.integer], thresholds: Sequence[float]) -> None:
        order = np.argsort(-scores, kind="stable")
        scores = scores[order]
        self.labels = labels[order].astype(bool)
        self.places = np.flatnonzero(self.labels)
        new_group = np.append(True, np.diff(scores) != 0)
        group = np.cumsum(new_group) - 1
        self.starts = np.flatnonzero(new_group)
        self.ends = np.append(self.starts[1:], len(scores))
        # for each anomaly: rows above its tie group, rows to the group's end, anomalies to the group's end
        self.above = self.starts[group[self.places]]
        self.down_to = self.ends[group[self.places]]
        anomalies = np.append(0, np.cumsum(self.labels))
        self.anomalies_above = anomalies[self.above]
        self.anomalies_down_to = anomalies[self.down_to]
        # for each threshold: rows above it, anomalies above it
        self.flagged = np.searchsorted(-scores, -np.asarray(thresholds, dtype=np.float64), side="left")
        self.flagged_anomalies = anomalies[self.flagged]

    def metrics(self, weights: NDArray[np.int8]) -> NDArray[np.float64]:
        """The values of ``RANKING``, then those of ``FLAGGING`` for each threshold, in that order; precision and F1
        are 0 where nothing is flagged."""
        rows = _running_total(weights)
        own = weights[self.places].astype(np.int64)
        anomalies = _running_total(own)
        total, positives = int(rows[-1]), int(anomalies[-1])
        negatives = total - positives
        reached, true = rows[self.down_to], anomalies[self.anomalies_down_to]
        # the share of (anomaly, normal) pairs in the right order, a tie counts one half (Hanley and McNeil 1982)
        not_below = (rows[self.above] - anomalies[self.anomalies_above]) + (reached - true)
        auc = 1.0 - 0.5 * float((own * not_below).sum()) / (positives * negatives)
        ap = float(self._average_precision(own, anomalies, rows))
        flagged, tp = rows[self.flagged], anomalies[self.flagged_anomalies]
        fp = flagged - tp
        values = np.empty((len(flagged), len(FLAGGING)))
        values[:, 0] = tp / np.maximum(flagged, 1)
        values[:, 1] = tp / positives
        values[:, 2] = 2 * tp / (tp + fp + positives)
        values[:, 3] = (tp + negatives - fp) / total
        return np.concatenate([[auc, ap], values.ravel()])

    def average_precisions(self, weights: NDArray[np.int8]) -> NDArray[np.float64]:
        """That of each row of weights, of shape (resamples, rows), under which both classes weigh something."""
        rows, own = _running_total(weights), weights.take(self.places, axis=-1).astype(np.int64)
        anomalies = _running_total(own)
        both = (anomalies[:, -1] > 0) & (anomalies[:, -1] < rows[:, -1])
        return self._average_precision(own[both], anomalies[both], rows[both])

    def _average_precision(
        self, own: NDArray[np.int64], anomalies: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """AP = Σ (recall step) · precision, without interpolation; of weights of anomalies and running totals."""
        reached = np.maximum(rows.take(self.down_to, axis=-1), 1)
        precision = anomalies.take(self.anomalies_down_to, axis=-1) / reached
        found: NDArray[np.float64] = (own * precision).sum(axis=-1) / anomalies[..., -1]
        return found

    def auc_variance(self) -> float:
        """That of the AUC over the test rows (DeLong et al. 1988); not a number where a class has but one row."""
        anomalies = np.append(0, np.cumsum(self.labels))
        above, own = anomalies[self.starts], anomalies[self.ends] - anomalies[self.starts]
        others = self.ends - self.starts - own
        m, n = len(self.places), len(self.labels) - len(self.places)
        if min(m, n) < 2:
            return math.nan
        # of each anomaly the share of the normal rows below it, of each normal row that of the anomalies above it
        below = 1.0 - (self.starts - above + others / 2) / n
        over = (above + own / 2) / m
        variances = []
        for values, counts, rows in ((below, own, m), (over, others, n)):
            mean = float((counts * values).sum()) / rows
            variances.append(float((counts * (values - mean) ** 2).sum()) / (rows - 1) / rows)
        return sum(variances)

    def roc_curve(self) -> dict[str, list[float]]:
        """The curve from (0, 0) to (1, 1), thinned to points that are evenly spaced along it."""
        true = np.append(0, np.cumsum(self.labels))[np.append(0, self.ends)]
        false = np.append(0, self.ends) - true
        fpr, tpr = false / false[-1], true / true[-1]
        if len(fpr) > CURVE_POINTS:
            length = fpr + tpr  # rises from 0 to 2 along the curve
            kept = np.unique(np.searchsorted(length, np.linspace(0.0, 2.0, CURVE_POINTS)).clip(0, len(fpr) - 1))
            fpr, tpr = fpr[kept], tpr[kept]
        return {"fpr": [round(float(x), 5) for x in fpr], "tpr": [round(float(x), 5) for x in tpr]}


def _running_total(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """The sums of the first 0, 1, ... counts along the last axis."""
    total = np.empty((*counts.shape[:-1], counts.shape[-1] + 1), dtype=np.int64)
    total[..., 0] = 0
    np.cumsum(counts, axis=-1, dtype=np.int64, out=total[..., 1:])
    return total


def resamples_for(rows: int) -> int:
    """How often so many test rows are resampled."""
    return max(LEAST_RESAMPLES, min(RESAMPLES, RESAMPLED_ROWS // rows))


def _poisson_counts() -> NDArray[np.int8]:
    """Poisson(1) at 65,536 evenly spaced probabilities: a random 16-bit number picks a count, exact to 1 in 65,536."""
    levels = (np.arange(1 << 16) + 0.5) / (1 << 16)
    reached = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(12)])
    return np.searchsorted(reached, levels).astype(np.int8)


def ranked(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, float]:
    """``RANKING`` alone, without intervals; both classes occur."""
    ranking = _Ranking(np.asarray(scores, dtype=np.float64), np.asarray(labels), ())
    values = ranking.metrics(np.ones(len(labels), dtype=np.int8))
    return dict(zip(RANKING, map(float, values[: len(RANKING)]), strict=True))


def quality(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    thresholds: Sequence[float],
    *,
    seed: int = 0,
    resamples: int | None = None,
) -> Quality:
    """Metrics at one or more thresholds, with the intervals of ``bench.quality.intervals``.

    Parameters
    ----------
    scores : float array of shape (rows,), finite, larger = more anomalous
    labels : int array of shape (rows,), 1 = anomaly; both classes occur
    thresholds : sequence of float, at least one
        Rows that score above one are flagged by it.
    seed, resamples : int
        Of the bootstrap of average precision; without a number ``resamples_for`` chooses. A resample without one of the
        classes has none and is drawn again.
    """
    scores = np.asarray(scores, dtype=np.float64)
    ranking = _Ranking(scores, np.asarray(labels), thresholds)
    rows = len(scores)
    point = ranking.metrics(np.ones(rows, dtype=np.int8))

    resamples = resamples_for(rows) if resamples is None else resamples
    rng, counts = np.random.default_rng(seed), _poisson_counts()
    drawn = np.empty(0)
    while len(drawn) < resamples:
        several = min(resamples - len(drawn), max(1, DRAWN // rows))
        numbers = np.stack([rng.integers(0, len(counts), rows, dtype=np.uint16) for _ in range(several)])
        drawn = np.append(drawn, ranking.average_precisions(counts.take(numbers)))

    auc, ap = float(point[0]), float(point[1])
    positives = len(ranking.places)
    values_ranked = dict(zip(RANKING, (auc, ap), strict=True))
    ranked_intervals = {
        "roc_auc": intervals.auc(auc, ranking.auc_variance(), positives, rows - positives),
        "average_precision": intervals.average_precision(ap, float(drawn.var(ddof=1)), positives),
    }
    flagged = []
    for number, threshold in enumerate(thresholds):
        start = len(RANKING) + number * len(FLAGGING)
        values = dict(zip(FLAGGING, map(float, point[start : start + len(FLAGGING)]), strict=True))
        tp = int(ranking.flagged_anomalies[number])
        fp, fn = int(ranking.flagged[number]) - tp, positives - tp
        tn = rows - positives - fp
        bounds = {
            "precision": intervals.share(tp, tp + fp),
            "recall": intervals.share(tp, positives),
            "f1": intervals.f1(tp, fp, fn),
            "accuracy": intervals.share(tp + tn, rows),
        }
        confusion = {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
        flagged.append(Flagged(values | {"threshold": float(threshold)}, bounds, confusion))
    return Quality(
        metrics=values_ranked | flagged[0].metrics,
        intervals=ranked_intervals | flagged[0].intervals,
        confusion=flagged[0].confusion,
        roc_curve=ranking.roc_curve(),
        histogram=_histogram(scores, np.asarray(labels).astype(bool), thresholds[0]),
        resamples=resamples,
        thresholds=tuple(flagged),
    )


def paired_variances(
    labels: NDArray[np.integer],
    first: tuple[NDArray[np.floating], float],
    second: tuple[NDArray[np.floating], float],
    *,
    resamples: int,
    seed: int = 0,
) -> dict[str, float]:
    """How much the differences in ``METRICS`` of two detectors vary with the test rows: a paired bootstrap.

    Parameters
    ----------
    labels : int array of shape (rows,), 1 = anomaly; both classes occur
    first, second : (float array of shape (rows,), float)
        Each one's scores of the same rows, and its threshold.
    resamples, seed : int
        Of the bootstrap; each resample weighs the rows of both alike.
    """
    if first[1] == second[1] and np.array_equal(first[0], second[0]):
        return dict.fromkeys(METRICS, 0.0)
    rankings = [_Ranking(np.asarray(scores), labels, [threshold]) for scores, threshold in (first, second)]
    rng, counts, positives = np.random.default_rng(seed), _poisson_counts(), np.flatnonzero(labels)
    drawn: list[NDArray[np.float64]] = []
    while len(drawn) < resamples:
        weights = counts.take(rng.integers(0, len(counts), len(labels), dtype=np.uint16))
        if 0 < weights[positives].sum() < weights.sum():
            drawn.append(rankings[1].metrics(weights) - rankings[0].metrics(weights))
    return {name: float(value) for name, value in zip(METRICS, np.var(drawn, axis=0, ddof=1), strict=True)}


def _histogram(scores: NDArray[np.floating], anomalous: NDArray[np.bool_], threshold: float) -> dict[str, Any]:
    """Counts per class between the smallest score and the 99th percentile (or the threshold, if that lies higher);
    ``clipped`` rows above are counted in the last bin, so that one extreme score does not flatten the picture."""
    low = float(scores.min())
    high = max(float(np.percentile(scores, 99)), threshold, np.nextafter(low, np.inf))
    high += 1e-3 * (high - low)
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    inside = scores.clip(low, high)
    return {
        "edges": [float(f"{edge:.6g}") for edge in edges],
        "normal": np.histogram(inside[~anomalous], bins=edges)[0].tolist(),
        "anomaly": np.histogram(inside[anomalous], bins=edges)[0].tolist(),
        "clipped": int((scores > high).sum()),
    }
