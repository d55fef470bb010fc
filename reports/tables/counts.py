"""Scores of a trial's test rows made small for a page: thresholds, and how many rows and anomalies lie above each.

Where a row counts as flagged (its score is greater than the threshold) only changes at a score that occurs. With few
distinct scores all of them are kept; of many, some are, and the counts at these are exact all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_THRESHOLDS = 600
"""Of one trial: a curve through so many points is smooth at the width of a screen."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Counts:
    """What each threshold flags, by rising threshold.

    Attributes
    ----------
    thresholds : float32 array of shape (k,)
        Scores that occur, the lowest and the highest among them.
    flagged, caught : integer arrays of shape (k,)
        Test rows, and anomalies among them, whose score is greater.
    rows, anomalies : int
        All of them.
    whole : bool
        Whether these are all distinct scores.
    """

    thresholds: NDArray[np.float32]
    flagged: NDArray[np.int64]
    caught: NDArray[np.int64]
    rows: int
    anomalies: int
    whole: bool

    def place(self, threshold: float) -> int:
        """The kept threshold that flags what this one does, or the nearest below it; -1 where all rows are flagged."""
        return int(np.searchsorted(self.thresholds, np.float32(threshold), side="right")) - 1


def labelled(arrays: Arrays, key: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    """Scores and labels where both are there, of one length, finite, and of both classes."""
    scores, labels = arrays.get(key), arrays.get("y_test")
    if scores is None or labels is None or scores.ndim != 1 or scores.shape != labels.shape:
        return None
    anomalies = labels.astype(bool)
    if not anomalies.any() or anomalies.all() or not np.isfinite(scores).all():
        return None
    return scores.astype(np.float32), anomalies


def count(scores: NDArray[np.float32], labels: NDArray[np.bool_], marked: Sequence[float] = ()) -> Counts:
    """What thresholds flag of these rows.

    Parameters
    ----------
    scores : float32 array of shape (rows,)
    labels : bool array of shape (rows,)
        Whether a row is an anomaly.
    marked : sequence of float
        Thresholds whose place is kept in any case.
    """
    order = np.argsort(scores, kind="stable")
    ordered, anomalous = scores[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # of each distinct score
    flagged = len(ordered) - 1 - last
    caught = int(anomalous.sum()) - np.cumsum(anomalous)[last]
    distinct = ordered[last]
    kept = _kept(distinct, flagged, caught, marked)
    whole = len(kept) == len(distinct)
    return Counts(distinct[kept], flagged[kept], caught[kept], len(ordered), int(anomalous.sum()), whole)


def _kept(
    distinct: NDArray[np.float32], flagged: NDArray[np.int64], caught: NDArray[np.int64], marked: Sequence[float]
) -> NDArray[np.intp]:
    """Places evenly spaced along the ROC curve and over the ranks of the rows, those of the marked, and both ends."""
    if len(distinct) <= MOST_THRESHOLDS:
        return np.arange(len(distinct))
    normal = flagged - caught
    along = normal / max(int(normal[0]), 1) + caught / max(int(caught[0]), 1)  # falls from 2 to 0
    half = MOST_THRESHOLDS // 2
    places = [
        np.searchsorted(-along, -np.linspace(2.0, 0.0, half)),
        np.searchsorted(-flagged, -np.geomspace(max(int(flagged[0]), 1), 1, half)),
        np.searchsorted(distinct, np.asarray(marked, dtype=np.float32), side="right") - 1,
        np.array([0, len(distinct) - 1]),
    ]
    return np.unique(np.concatenate(places).clip(0, len(distinct) - 1)).astype(np.intp)


def shortest(values: NDArray[np.float32]) -> list[float]:
    """Floats that are written with no more digits than tell two float32 numbers apart."""
    return [float(str(value)) for value in values]


def as_json(counts: Counts, marks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts as differences, which are short; ``marks`` name thresholds of the record."""
    return {
        "t": shortest(counts.thresholds),
        "flagged": _differences(counts.flagged, counts.rows),
        "caught": _differences(counts.caught, counts.anomalies),
        "rows": counts.rows,
        "anomalies": counts.anomalies,
        "whole": counts.whole,
        "marks": [{**mark, "place": counts.place(mark["threshold"])} for mark in marks],
    }


def _differences(values: NDArray[np.int64], start: int) -> list[int]:
    """How much less each is than the one before it, the first than ``start``."""
    return [int(step) for step in -np.diff(values, prepend=start)]
