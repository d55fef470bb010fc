"""Machines, devices or versions side by side: the same work in a column for each, never averaged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pandas as pd

from reports import numbers
from reports.blocks import Block, Cell, Column, Heading, Prose, Section, clean, code, table
from reports.sections.columns import all_named, figure, ratio_cell, spread_cell
from reports.tables.frames import Row, rows, split
from reports.tables.material import Material
from reports.tables.settings import networks, varying

_SAME = ("detector", "backend", "mode", "arithmetic", "batch", "variant")
"""What makes rows of two environments the same work; device and threads may differ."""

Line = dict[str, Row]
"""The rows of one work by their environment."""


def section(material: Material) -> list[Section]:
    """A table for each data set that at least two environments have; nothing where there is one environment."""
    quality, throughput = material.first_scores, material.throughput
    labels = list(dict.fromkeys([*material.quality["environment"], *throughput["environment"]]))
    if len(labels) < 2:
        return []
    blocks: list[Block] = []
    speeds = dict(split(throughput, ["dataset"]))
    for (dataset,), part in split(quality, ["dataset"]):
        lines = _lines(part, speeds.get((dataset,)))
        if len({environment for line in lines for environment in line}) > 1:
            title = f"{clean(dataset)} side by side"
            blocks += [
                Heading(3, f"{code(dataset)} side by side"),
                table(title, _columns(lines, labels), lines, whole=True),
            ]
    return [Section("runs", "Side by side", [Prose(_INTRO), *blocks])] if blocks else []


_INTRO = (
    "One column for each environment. **ROC AUC** is the mean over seeds ± standard deviation over seeds, **training** "
    "in samples a second. A ratio is to the first environment that was timed; its interval joins those of both rates, "
    "whose trials did not run in turn: whatever else differed between the runs is in it too."
)


def _lines(quality: pd.DataFrame, throughput: pd.DataFrame | None) -> list[Line]:
    """Rows by the work they did, then by environment, quality and rates joined."""
    rates = {} if throughput is None else {(row["environment"], row["scenario"]): row for row in rows(throughput)}
    lines: dict[tuple[object, ...], Line] = {}
    met: Counter[tuple[object, ...]] = Counter()
    for row in rows(quality):
        key = tuple(row[part] for part in _SAME)
        # rows of one environment that differ in device or threads stay lines of their own
        turn = met[(*key, row["environment"])]
        met[(*key, row["environment"])] += 1
        rate = rates.get((row["environment"], row["scenario"]), {})
        joined = row | {k: rate.get(k, math.nan) for k in ("train", "train_low", "train_high")}
        lines.setdefault((*key, turn), {})[row["environment"]] = joined
    return list(lines.values())


def _columns(lines: list[Line], labels: list[str]) -> list[Column]:
    firsts = [next(iter(line.values())) for line in lines]
    keys = ("detector", "backend", *varying(networks(firsts), _SAME[2:]))
    columns = all_named(keys, lambda line: next(iter(line.values())))
    columns += [Column(f"ROC AUC {label}", _auc(label)) for label in labels]
    timed = [label for label in labels if any(_rate(line.get(label)) for line in lines)]
    columns += [Column(f"training {label}", _training(label)) for label in timed]
    return columns + [Column(f"{label} ÷ {timed[0]}", _ratio(label, timed[0])) for label in timed[1:]]


def _auc(label: str) -> Callable[[Line], Cell]:
    return lambda line: spread_cell(line.get(label), "roc_auc")


def _training(label: str) -> Callable[[Line], Cell]:
    def write(line: Line) -> Cell:
        rate = _rate(line.get(label))
        return figure(rate or math.nan, numbers.si(rate))

    return write


def _rate(row: Row | None) -> float:
    """0 where it is unknown."""
    return float(row["train"]) if row is not None and row["train"] > 0 else 0.0


def _ratio(label: str, first: str) -> Callable[[Line], Cell]:
    def write(line: Line) -> Cell:
        row, base = line.get(label), line.get(first)
        if row is None or base is None or not (_rate(row) and _rate(base)):
            return Cell(numbers.MISSING)
        value = row["train"] / base["train"]
        # half-widths of logarithms of independent means add up as squares
        half = math.hypot(*(math.log(one["train_high"] / one["train"]) for one in (row, base)))
        return ratio_cell(value, value * math.exp(-half), value * math.exp(half))

    return write
