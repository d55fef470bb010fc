"""Machines, devices or versions side by side: the same work in a column for each, never averaged."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd

from reports import numbers
from reports.sections.columns import cell, heading, sides, varying
from reports.tables.frames import Row, rows, split
from reports.writers.escape import code, name, table

_SAME = ("detector", "backend", "mode", "arithmetic", "batch", "variant")
"""What makes rows of two environments the same work; device and threads may differ."""


def section(quality: pd.DataFrame, throughput: pd.DataFrame) -> list[str]:
    """A table for each data set that at least two environments have; nothing where there is one environment."""
    labels = list(dict.fromkeys([*quality["environment"], *throughput["environment"]]))
    if len(labels) < 2:
        return []
    parts = []
    speeds = dict(split(throughput, ["dataset"]))
    for (dataset,), part in split(quality[quality["primary"].astype(bool)], ["dataset"]):
        found = _lines(part, speeds.get((dataset,)))
        if len({label for line in found.values() for label in line}) > 1:
            parts += [f"### {code(dataset)} side by side", _table(found, labels)]
    return ["## Side by side", _INTRO, *parts] if parts else []


_INTRO = (
    "One column for each environment. **ROC AUC** is the mean over seeds ± standard deviation over seeds, **training** "
    "in samples a second. A ratio is to the first environment that was timed; its interval joins those of both rates, "
    "whose trials did not run in turn: whatever else differed between the runs is in it too."
)

Key = tuple[object, ...]


def _lines(quality: pd.DataFrame, throughput: pd.DataFrame | None) -> dict[Key, dict[str, Row]]:
    """Rows by the work they did, then by environment, quality and rates joined."""
    rates = {} if throughput is None else {(row["environment"], row["scenario"]): row for row in rows(throughput)}
    found: dict[Key, dict[str, Row]] = {}
    met: Counter[Key] = Counter()
    for row in rows(quality):
        key = tuple(row[part] for part in _SAME)
        # rows of one environment that differ in device or threads stay lines of their own
        turn = met[(*key, row["environment"])]
        met[(*key, row["environment"])] += 1
        rate = rates.get((row["environment"], row["scenario"]), {})
        joined = row | {k: rate.get(k, math.nan) for k in ("train", "train_low", "train_high")}
        found.setdefault((*key, turn), {})[row["environment"]] = joined
    return found


def _table(found: dict[Key, dict[str, Row]], labels: list[str]) -> str:
    firsts = [next(iter(line.values())) for line in found.values()]
    shown = varying([row for row in firsts if row["backend"]], _SAME[2:])
    timed = [label for label in labels if any(_rate(line.get(label)) for line in found.values())]
    header = ["detector", "backend", *map(heading, shown), *(f"ROC AUC {label}" for label in labels)]
    header += [f"training {label}" for label in timed]
    header += [f"{label} ÷ {timed[0]}" for label in timed[1:]]
    body = []
    for line, first in zip(found.values(), firsts, strict=True):
        cells = [code(first["detector"]), name(first["backend"]), *(cell(first, key) for key in shown)]
        cells += [_auc(line.get(label)) for label in labels]
        cells += [numbers.si(_rate(line.get(label)) or math.nan) for label in timed]
        base = line.get(timed[0]) if timed else None
        cells += [_ratio(line.get(label), base) for label in timed[1:]]
        body.append(cells)
    return table(header, body, "ll" + sides(shown) + "r" * (len(header) - 2 - len(shown)))


def _auc(row: Row | None) -> str:
    return numbers.MISSING if row is None else numbers.spread(row["roc_auc"], row["roc_auc_sd"])


def _rate(row: Row | None) -> float:
    """0 where it is unknown."""
    return float(row["train"]) if row is not None and row["train"] > 0 else 0.0


def _ratio(row: Row | None, base: Row | None) -> str:
    if row is None or base is None or not (_rate(row) and _rate(base)):
        return numbers.MISSING
    value = row["train"] / base["train"]
    # half-widths of logarithms of independent means add up as squares
    half = math.hypot(*(math.log(one["train_high"] / one["train"]) for one in (row, base)))
    return numbers.ratio(value, value * math.exp(-half), value * math.exp(half))
