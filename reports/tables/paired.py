"""Detectors compared on the same test rows: a paired bootstrap of the difference of their ROC AUCs, Holm-corrected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from reports.arrays import Shelf
from reports.tables.frames import Row, rows
from reports.tables.resampling import Labels, Scores, Weights, aucs, weights
from reports.tables.trials import having

Records = Sequence[Mapping[str, Any]]

RESAMPLED_SEEDS = 3
"""Seeds whose test rows are resampled for the standard error; the difference itself is over all seeds."""
_RESAMPLED = 1_500_000
"""Rows weighed for each comparison and seed; from 200 to 1,000 resamples."""


def differences(
    block: pd.DataFrame, finished: pd.DataFrame, records: Records, shelf: Shelf
) -> tuple[Row, list[Row]] | None:
    """The leader by ROC AUC, and every other row of a data set with ``difference``, ``low``, ``high`` and ``p``.

    None where no two trials left their scores.
    """
    body = [row for row in rows(block) if row["primary"] and math.isfinite(row["roc_auc"])]
    if len(body) < 2 or not having(records, "arrays", finished["position"]).any():
        return None
    leader = body[0]
    best = Leader(_scored(leader, finished, records, shelf))
    found = []
    for row in body[1:]:
        # one row's scores at a time: those of many seeds of large test sets are large together
        difference = best.compared(_scored(row, finished, records, shelf))
        if difference is not None:
            found.append(row | dict(zip(("difference", "low", "high", "p"), difference, strict=True)))
    if not found:
        return None
    return leader, [row | {"p": p} for row, p in zip(found, holm([row["p"] for row in found]), strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """P-values after Holm's correction (1979): the smallest times their number, the next times one less, and so on,
    none below the one before it. As ``statsmodels`` has it, which is slow to load."""
    order = np.argsort(p)
    times = np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(times * np.asarray(p)[order]), 1.0)
    return [float(value) for value in corrected]


Scored = dict[tuple[float, str], tuple[Scores, Labels]]
"""Scores and labels by the seed and the checksum of the data."""


def _scored(row: Row, finished: pd.DataFrame, records: Records, shelf: Shelf) -> Scored:
    own = finished[finished["scenario"] == row["scenario"]].sort_values(["seed", "round"]).drop_duplicates("seed")
    found: Scored = {}
    for seed, checksum, position in zip(own["seed"], own["checksum"], own["position"], strict=True):
        if (scored := shelf.scores(records[position])) is not None:
            found[seed, checksum] = scored
    return found


class Leader:
    """The row that all others of a data set are compared with; what is of its own scores is worked out once."""

    def __init__(self, scored: Scored) -> None:
        self.scored = scored
        self.aucs = {key: _auc(*found) for key, found in scored.items()}
        self._resampled = lru_cache(RESAMPLED_SEEDS)(self._resample)

    def compared(self, other: Scored) -> tuple[float, float, float, float] | None:
        """The mean difference other − leader, its 95 % interval and its two-sided p; None without rows in common."""
        values: list[float] = []
        errors: list[float] = []
        for key, (_, labels) in self.scored.items():
            theirs = other.get(key)
            if theirs is None or not np.array_equal(labels, theirs[1]):
                continue
            values.append(_auc(*theirs) - self.aucs[key])
            if len(errors) < RESAMPLED_SEEDS:
                drawn, ours = self._resampled(key)
                errors.append(float((aucs(theirs[0], labels, drawn) - ours).std(ddof=1)))
        if not values:
            return None
        value, error = float(np.mean(values)), float(np.mean(errors))
        p = 2 * float(ndtr(-abs(value) / error)) if error > 0 else float(value == 0)
        return value, value - 1.959964 * error, value + 1.959964 * error, p

    def _resample(self, key: tuple[float, str]) -> tuple[Weights, Scores]:
        """The weights of the resamples, and the AUCs with them."""
        scores, labels = self.scored[key]
        drawn = weights(labels, min(1_000, max(200, _RESAMPLED // len(labels))))
        return drawn, aucs(scores, labels, drawn)


def _auc(scores: Scores, labels: Labels) -> float:
    return float(aucs(scores, labels, np.ones((1, len(labels)), dtype=np.float32))[0])
