"""Detectors compared on the same test rows: a paired bootstrap of the difference of their ROC AUCs, Holm-corrected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from reports import numbers
from reports.arrays import Shelf
from reports.sections.columns import cell, heading, sides, varying
from reports.tables import having
from reports.tables.frames import Row, rows
from reports.tables.resampling import Labels, Scores, aucs, weights
from reports.writers.escape import code, folded, name, table

Records = Sequence[Mapping[str, Any]]

_MOST_TRIALS = 3
"""Seeds of a row that are compared."""
_RESAMPLED = 1_500_000
"""Rows weighed for each comparison and seed; from 200 to 1,000 resamples."""


def fold(block: pd.DataFrame, finished: pd.DataFrame, records: Records, shelf: Shelf) -> list[str]:
    """Every row of a data set against the leader by ROC AUC; nothing where no two trials left their scores."""
    body = [row for row in rows(block) if row["primary"] and math.isfinite(row["roc_auc"])]
    if len(body) < 2 or not having(records, "arrays", finished["position"]).any():
        return []
    scored = {row["scenario"]: _scored(row, finished, records, shelf) for row in body}
    found = [
        (row, *difference)
        for row in body[1:]
        if (difference := compared(scored[body[0]["scenario"]], scored[row["scenario"]])) is not None
    ]
    if not found:
        return []
    from statsmodels.stats.multitest import multipletests

    holm = multipletests([p for *_, p in found], method="holm")[1]
    shown = varying([row for row, *_ in found if row["backend"]])
    lines = [
        [
            code(row["detector"]),
            name(row["backend"]),
            *(cell(row, key) for key in shown),
            numbers.signed(value, 4),
            f"[{numbers.signed(low, 4)},{numbers.GLUE}{numbers.signed(high, 4)}]",
            numbers.probability(p),
        ]
        for (row, value, low, high, _), p in zip(found, holm, strict=True)
    ]
    leader = " on ".join([code(body[0]["detector"]), *([code(body[0]["backend"])] if body[0]["backend"] else [])])
    said = (
        f"ROC AUC of each row minus that of {leader}, on the same resamples of the same test rows (seed by seed, the "
        "mean over seeds, with a standard error as if the seeds shared all rows); p after Holm over the "
        f"{len(found)} comparisons. What other weights would change is in none of it."
    )
    header = ["detector", "backend", *map(heading, shown), "difference", "95 % interval", "p (Holm)"]
    return [
        folded(
            "Paired with the leader, on the same test rows", [said, table(header, lines, "ll" + sides(shown) + "rrr")]
        )
    ]


Scored = dict[tuple[float, str], tuple[Scores, Labels]]
"""Scores and labels by the seed and the checksum of the data."""


def _scored(row: Row, finished: pd.DataFrame, records: Records, shelf: Shelf) -> Scored:
    own = finished[finished["scenario"] == row["scenario"]].sort_values(["seed", "round"]).drop_duplicates("seed")
    found: Scored = {}
    for seed, checksum, position in zip(own["seed"], own["checksum"], own["position"], strict=True):
        if len(found) < _MOST_TRIALS and (scored := shelf.scores(records[position])) is not None:
            found[seed, checksum] = scored
    return found


def compared(leader: Scored, other: Scored) -> tuple[float, float, float, float] | None:
    """The mean difference other − leader, its 95 % interval and its two-sided p; None without rows in common."""
    values, errors = [], []
    for key, (ours, labels) in leader.items():
        theirs = other.get(key)
        if theirs is None or not np.array_equal(labels, theirs[1]):
            continue
        drawn = weights(labels, min(1_000, max(200, _RESAMPLED // len(labels))))
        gaps = aucs(theirs[0], labels, drawn) - aucs(ours, labels, drawn)
        whole = np.ones((1, len(labels)), dtype=np.float32)
        values.append(float(aucs(theirs[0], labels, whole)[0] - aucs(ours, labels, whole)[0]))
        errors.append(float(gaps.std(ddof=1)))
    if not values:
        return None
    value, error = float(np.mean(values)), float(np.mean(errors))
    p = 2 * float(ndtr(-abs(value) / error)) if error > 0 else float(value == 0)
    return value, value - 1.959964 * error, value + 1.959964 * error, p
