"""Series: metrics over time steps and anomalies found by kind, a row a scenario; and what is drawn of one series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.arrays import Shelf
from reports.blocks import clean
from reports.surveys import mapping, number
from reports.tables.frames import BLOCK, ROW, Row, rows, split
from reports.tables.studies import Estimate, estimate
from reports.tables.trials import having

Records = Sequence[Mapping[str, Any]]
Plain = dict[str, Any]

METRICS = (
    *("vus_pr", "vus_roc", "affiliation_precision", "affiliation_recall", "affiliation_f1"),
    *("range_precision", "range_recall", "range_f1", "event_recall", "point_adjusted_f1"),
)
MOST_CHANNELS = 6
"""That are drawn."""


@dataclass(frozen=True)
class Scored:
    """One scenario on a series: a row of trials that stands for it, its metrics with intervals over seeds, how many
    anomalies of each kind were found and how many there were, and the record that is drawn."""

    row: Row
    metrics: dict[str, Estimate]
    kinds: dict[str, tuple[int, int]]
    first: Mapping[str, Any]

    @property
    def steps(self) -> int:
        found = number(mapping(self.first.get("series")).get("steps"))
        return int(found) if found == found else 0


def series(trials: pd.DataFrame, records: Records) -> list[tuple[tuple[str, ...], list[Scored]]]:
    """Environment and data set, and its scenarios by falling VUS-PR; none where no record tells of a series."""
    finished = trials[trials["status"] == "ok"]
    told = finished[having(records, "series", finished["position"])]
    found = []
    for key, block in split(told, BLOCK):
        own = [_scored(part, records) for _, part in split(block, ROW)]
        found.append((key, sorted(own, key=lambda one: -_order(one.metrics["vus_pr"].mean))))
    return found


def _order(value: float) -> float:
    return value if value == value else -1.0


def _scored(part: pd.DataFrame, records: Records) -> Scored:
    ordered = part.sort_values(["seed", "round"], kind="stable")
    every = [mapping(records[position].get("series")) for position in ordered.drop_duplicates("seed")["position"]]
    values = {name: [number(mapping(one.get("metrics")).get(name)) for one in every] for name in METRICS}
    kinds: dict[str, tuple[int, int]] = {}
    for one in every:
        for kind, counts in mapping(one.get("kinds")).items():
            if isinstance(counts, list) and len(counts) == 2 and all(type(count) is int for count in counts):
                hit, of = kinds.get(clean(kind), (0, 0))
                kinds[clean(kind)] = hit + counts[0], of + counts[1]
    metrics = {name: estimate(own, (0.0, 1.0)) for name, own in values.items()}
    return Scored(rows(ordered)[0], metrics, kinds, records[int(ordered["position"].iloc[0])])


# -------------------------------------------------------------------------------------------------------------- figure


def channels(record: Mapping[str, Any], shelf: Shelf) -> Plain | None:
    """The test part of the series of a record: its channels between their lowest and highest values, and its
    anomalies as (first step, step after the last); None where its arrays are not whole."""
    found = shelf.load(record, "series.labels", "series.edges", "series.low", "series.high")
    if len(found) < 4:
        return None
    edges, labels = found["series.edges"], found["series.labels"]
    low, high = found["series.low"].astype(np.float64), found["series.high"].astype(np.float64)
    told = mapping(record.get("series")).get("channels")
    names = [clean(name) for name in told] if isinstance(told, list) else []
    whole = low.ndim == 2 and low.shape == high.shape == (len(edges) - 1, len(names)) and np.isfinite(low + high).all()
    if not whole or not _rising(edges, len(labels)) or labels.ndim != 1:
        return None
    shown = range(min(len(names), MOST_CHANNELS))
    return {
        "at": ((edges[1:] + edges[:-1]) / 2).tolist(),
        "steps": len(labels),
        "channels": [
            {"name": names[k], "low": low[:, k].round(3).tolist(), "high": high[:, k].round(3).tolist()} for k in shown
        ],
        "left_out": len(names) - len(shown),
        "events": _events(labels == 1),
    }


def scores(one: Scored, shelf: Shelf) -> Plain | None:
    """The scores of one scenario over the same steps, the highest of each stretch, and which steps are flagged."""
    found = shelf.load(one.first, "series.scores", "series.edges")
    level = number(mapping(one.first.get("series")).get("threshold"))
    if len(found) < 2 or level != level:
        return None
    values, edges = found["series.scores"].astype(np.float64), found["series.edges"]
    if values.ndim != 1 or not np.isfinite(values).all() or not _rising(edges, len(values)):
        return None
    highest = np.maximum.reduceat(values, edges[:-1])
    return {
        "score": [float(f"{value:.4g}") for value in highest],
        "threshold": float(f"{level:.5g}"),
        "flags": _events(values > level),
    }


def _rising(edges: NDArray[Any], steps: int) -> bool:
    whole = edges.ndim == 1 and len(edges) > 1 and edges.dtype.kind in "iu"
    return whole and edges[0] == 0 and edges[-1] == steps and bool((np.diff(edges.astype(np.int64)) > 0).all())


def _events(flags: NDArray[np.bool_]) -> list[list[int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [list(map(int, pair)) for pair in edges.reshape(-1, 2)]
