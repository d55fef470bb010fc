"""From windows to time steps: what a trial tells of a series, step by step and anomaly by anomaly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.detect.detector import Rows
from bench.quality import series as metrics
from bench.quality.metrics import ranked
from bench.quality.series import Flags, Scores
from bench.quality.thresholds import Threshold
from bench.records.arrays import Arrays

if TYPE_CHECKING:
    from datasets.dataset import Series, Stretch

DRAWN = 1_500
"""Stretches that a picture of a series shows, each by its lowest and its highest value."""


def step_scores(scores: Rows, stretch: Stretch, window: int) -> Scores:
    """The score of each step: the mean over the windows that hold it, and not a number where none does.

    Parameters
    ----------
    scores : float array of shape (windows,)
    stretch : Stretch
        Whose windows they are.
    window : int
        Steps of one.
    """
    total, count = np.zeros(stretch.steps), np.zeros(stretch.steps, dtype=np.int64)
    for step in range(window):
        places = stretch.starts + step  # of one window each, so none occurs twice
        total[places] += scores
        count[places] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def over_time(series: Series, windows: Mapping[str, Rows], threshold: Threshold) -> tuple[dict[str, Any], Arrays]:
    """What a record says of a series, and the arrays beside it: by the first score and the first threshold.

    The threshold's rule reads the scores of steps, not of windows: a mean over windows is spread less than they are.

    Parameters
    ----------
    windows : mapping of str to float array
        Scores of the windows of ``test`` and of the parts that the threshold reads, ``validation`` or ``train``.

    ===================================  ==================================================================
    ``series.labels``, (steps,)          1 where a step of the test part is anomalous
    ``series.scores``, (steps,)          the score of each
    ``series.edges``, (drawn + 1,)       the first step of each stretch of a picture, and the end
    ``series.low``, ``series.high``,     the channels in each of them
    (drawn, channels)
    ===================================  ==================================================================
    """
    stretches = {"test": series.test, "validation": series.val, "train": series.train}
    scores = {part: step_scores(own, stretches[part], series.window) for part, own in windows.items()}
    known = {part: own[np.isfinite(own)] for part, own in scores.items()}
    tested, labels = scores["test"], series.labels
    level = threshold(known.get("validation"), tested, train=known.get("train"), labels=labels.astype(np.int8))
    flags = tested > level
    roc, pr = metrics.vus(tested, labels, series.window)
    found = (
        ranked(tested, labels.astype(np.int8)) | {"vus_roc": roc, "vus_pr": pr} | metrics.at_threshold(flags, labels)
    )
    told: dict[str, Any] = {
        "steps": len(labels),
        "window": series.window,
        "channels": list(series.channels),
        "events": len(series.events),
        "threshold": float(level),
        "threshold_rule": str(threshold),
        "oracle": threshold.oracle,
        "metrics": found,
        "kinds": _kinds(series, flags),
    }
    limits = np.finfo(np.float32)
    edges = np.unique(np.linspace(0, len(labels), DRAWN + 1).astype(np.int64))
    arrays: Arrays = {
        "series.labels": labels.astype(np.uint8),
        "series.scores": tested.clip(limits.min, limits.max).astype(np.float32),
        "series.edges": edges,
        "series.low": np.minimum.reduceat(series.values, edges[:-1], axis=0),
        "series.high": np.maximum.reduceat(series.values, edges[:-1], axis=0),
    }
    return told, arrays


def _kinds(series: Series, flags: Flags) -> dict[str, list[int]]:
    """How many anomalies of each kind have a flagged step, and how many there are; none where no kind is known."""
    found: dict[str, list[int]] = {}
    for start, stop, kind in series.events:
        if kind:
            counts = found.setdefault(kind, [0, 0])
            counts[0] += bool(flags[start:stop].any())
            counts[1] += 1
    return dict(sorted(found.items()))
