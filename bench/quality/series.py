"""Detection quality over time: metrics of time steps, for test rows that are windows of a series.

A long anomaly is one event, an alarm a step early is nearly right, and steps follow from each other; metrics that take
steps for independent rows see none of this. No library that has these metrics installs beside the versions pinned
here, so they are written from their papers and held against their authors' code in the tests:

- range-based precision and recall, Tatbul et al. 2018, *Precision and recall for time series* (NeurIPS);
- affiliation precision and recall, Huet, Navarro and Rossi 2022, *Local evaluation of time series anomaly detection
  algorithms* (KDD);
- VUS-ROC and VUS-PR, Paparrizos et al. 2022, *Volume under the surface* (VLDB 15).

The point-adjusted F1 (Xu et al. 2018) counts a whole event as found by a single flagged step. Random scores reach high
values of it (Kim et al. 2022, *Towards a rigorous evaluation of time-series anomaly detection*, AAAI), so it is there
to be held against published tables alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Spans = NDArray[np.intp]
"""Events or alarms, of shape (count, 2): the first step, and the one after the last."""

VUS_THRESHOLDS = 250
"""Evenly along the sorted scores, as in the authors' code."""
VUS_BUFFERS = 128
"""At most; of a longer window so many buffers are taken evenly from it."""
_QUARTERS = 4
"""Parts of a step on which every integrand of the affiliation metrics is linear."""


def spans(flags: Flags) -> Spans:
    """The stretches of flagged steps."""
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def at_threshold(flags: Flags, labels: Flags) -> dict[str, float]:
    """What the flagged steps are worth; a metric that nothing defines, as precision without an alarm, is left out.

    Parameters
    ----------
    flags, labels : bool arrays of shape (steps,)
        What was flagged and what is anomalous; both kinds of step occur in the labels.
    """
    found: dict[str, float] = {}
    pairs = {"range": range_based(flags, labels), "affiliation": affiliation(flags, labels)}
    for name, (precision, recall) in pairs.items():
        found |= {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": _f1(precision, recall)}
    found["event_recall"] = float(np.mean(detected(flags, spans(labels))))
    found["point_adjusted_f1"] = point_adjusted_f1(flags, labels)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _f1(precision: float, recall: float) -> float:
    if not math.isfinite(precision):
        return 0.0  # nothing was flagged
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def detected(flags: Flags, events: Spans | Sequence[tuple[int, int]]) -> Flags:
    """Of each event whether a step of it is flagged."""
    return np.array([bool(flags[start:stop].any()) for start, stop in events], dtype=bool)


# --------------------------------------------------------------------------------------------------------- range-based


def range_based(flags: Flags, labels: Flags) -> tuple[float, float]:
    """Precision and recall of ranges (Tatbul et al. 2018, section 4), with flat bias, without a reward for existence
    (α = 0), and with the cardinality factor 1/x.

    The recall of an event is the share of its steps that is flagged, divided by the number of alarms that it takes to
    flag them; recall is the mean over events. Precision is the same with alarms and events exchanged; without an alarm
    it is not a number.
    """
    return _overlap(spans(flags), labels), _overlap(spans(labels), flags)


def _overlap(ranges: Spans, others: Flags) -> float:
    if not len(ranges):
        return math.nan
    inside = np.concatenate([[0], np.cumsum(others)])
    begins = np.concatenate([[0], np.cumsum(np.diff(np.concatenate([[False], others]).astype(np.int8)) == 1)])
    starts, stops = ranges[:, 0], ranges[:, 1]
    share = (inside[stops] - inside[starts]) / (stops - starts)
    # one that began before the range and goes on in it counts as well
    pieces = begins[stops] - begins[starts + 1] + others[starts]
    return float(np.mean(share / np.maximum(pieces, 1)))


# --------------------------------------------------------------------------------------------------------- affiliation


def affiliation(flags: Flags, labels: Flags) -> tuple[float, float]:
    """Affiliation precision and recall (Huet et al. 2022, sections 3 and 4).

    Every point in time belongs to the nearest event. Within the zone of an event, precision is the mean over what is
    flagged of the probability that a point drawn uniformly from the zone lies farther from the event; recall is the
    mean over the event of the probability that such a point lies farther away than the nearest flagged one. Precision
    is a mean over the zones with an alarm, and not a number without one; recall is one over all zones, 0 in a zone
    without an alarm. A step is the interval [i, i + 1). Steps are cut into quarters: ends of zones lie on halves, and
    where distances change sides on quarters, so that the middle of each quarter gives its integral exactly.
    """
    events = spans(labels)
    steps = len(labels)
    middles = (events[1:, 0] + events[:-1, 1]) / 2
    low, high = np.concatenate([[0.0], middles]), np.concatenate([middles, [float(steps)]])
    precisions, recalls = [], []
    for (start, stop), left, right in zip(events.tolist(), low.tolist(), high.tolist(), strict=True):
        points = (np.arange(round(_QUARTERS * left), round(_QUARTERS * right)) + 0.5) / _QUARTERS
        alarmed = flags[points.astype(np.intp)]
        if not alarmed.any():
            recalls.append(0.0)
            continue
        size = right - left
        flagged = points[alarmed]
        away = np.maximum(np.maximum(start - flagged, flagged - stop), 0.0)
        nearer = (stop - start) + np.minimum(away, start - left) + np.minimum(away, right - stop)
        precisions.append(float(np.where(away > 0, 1 - nearer / size, 1.0).mean()))
        event = points[(points > start) & (points < stop)]
        away = _distance(event, spans(alarmed) / _QUARTERS + left)
        nearer = np.minimum(away, event - left) + np.minimum(away, right - event)
        recalls.append(float((1 - nearer / size).mean()))
    return float(np.mean(precisions)) if precisions else math.nan, float(np.mean(recalls))


def _distance(points: Scores, ranges: NDArray[np.floating]) -> Scores:
    """Of each point to the nearest of the ranges, which rise; 0 within one."""
    after = np.searchsorted(ranges[:, 0], points, side="right")
    before_it = np.append(ranges[:, 0], np.inf)[after] - points
    behind_it = points - np.append(-np.inf, ranges[:, 1])[after]
    away: Scores = np.maximum(np.minimum(before_it, behind_it), 0.0)
    return away


# ----------------------------------------------------------------------------------------------------------------- VUS


def vus(scores: Scores, labels: Flags, window: int, thresholds: int = VUS_THRESHOLDS) -> tuple[float, float]:
    """VUS-ROC and VUS-PR (Paparrizos et al. 2022, section 4): the areas under the ROC and the precision–recall curve,
    averaged over buffers of 0 to ``window`` steps around the events.

    In a buffer of ℓ steps a label falls from 1 by √(1 − d/ℓ) at d steps from the event, up to ℓ/2. Recall counts
    the labels above the threshold, times the share of the events that have any; curves are taken at ``thresholds``
    scores, as in the authors' code, with which the values agree.

    Parameters
    ----------
    scores : float array of shape (steps,), larger = more anomalous
    labels : bool array of shape (steps,)
        Both kinds of step occur.
    window : int
        The longest buffer.
    """
    events = spans(labels)
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    at = falling[np.linspace(0, len(scores) - 1, thresholds).astype(np.intp)]
    flagged = np.searchsorted(-falling, -at, side="right")
    true = np.concatenate([[0], np.cumsum(labels[order])])[flagged]
    count = int(labels.sum())
    roc, pr = [], []
    for buffer in np.unique(np.linspace(0, window, min(window + 1, VUS_BUFFERS)).round().astype(int)).tolist():
        ramp = np.where(labels, 0.0, _ramps(events, len(labels), buffer))
        near = np.concatenate([[0.0], np.cumsum(ramp[order])])[flagged]
        zones = _joined(events, buffer // 2, len(labels))
        highest = np.sort([float(scores[start:stop].max()) for start, stop in zones])
        existing = (len(zones) - np.searchsorted(highest, at, side="left")) / len(zones)
        hits, positives = true + near, count + near / 2
        recall = np.minimum(hits / positives, 1.0) * existing
        alarms = (flagged - hits) / (len(labels) - positives)
        x, y = np.concatenate([[0.0], alarms, [1.0]]), np.concatenate([[0.0], recall, [1.0]])
        roc.append(float(np.trapezoid(y, x)))
        pr.append(float((np.diff(y[:-1]) * hits / flagged).sum()))
    return float(np.mean(roc)), float(np.mean(pr))


def _ramps(events: Spans, steps: int, buffer: int) -> Scores:
    """The labels of a buffer around every event; where two meet they add up, to 1 at most."""
    ramp = np.zeros(steps)
    fall = np.sqrt(1 - np.arange(1, buffer // 2 + 1) / buffer) if buffer > 1 else np.zeros(0)
    for start, stop in events:
        after, before = min(len(fall), steps - stop), min(len(fall), start)
        ramp[stop : stop + after] += fall[:after]
        ramp[start - before : start] += fall[:before][::-1]
    return np.minimum(ramp, 1.0)


def _joined(events: Spans, reach: int, steps: int) -> list[tuple[int, int]]:
    """The events with so many steps on both sides, those that touch as one."""
    found: list[tuple[int, int]] = []
    for start, stop in events.tolist():
        low, high = max(start - reach, 0), min(stop + reach, steps)
        if found and low < found[-1][1]:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


# ------------------------------------------------------------------------------------------------------ point-adjusted


def point_adjusted_f1(flags: Flags, labels: Flags) -> float:
    """F1 of steps once every event with a flagged step counts as flagged throughout (Xu et al. 2018): inflated."""
    adjusted = flags.copy()
    for start, stop in spans(labels):
        adjusted[start:stop] = flags[start:stop].any()
    hits = int((adjusted & labels).sum())
    return 2 * hits / (int(adjusted.sum()) + int(labels.sum()))
