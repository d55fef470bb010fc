"""Ways of doing it set side by side: what a flaw of a published protocol is worth.

A suite's blocks may name the protocol they follow, such as ``as published`` and ``done right``. What they ask is told
by the data set's name alone, since protocols differ in its options: how it is split, what it is scaled by.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from reports import numbers
from reports.blocks import Block, Cell, Column, Heading, List, Prose, Section, clean, code, listing, table, words
from reports.sections.columns import HEADS, all_named, spread_cell
from reports.tables.frames import Row, rows, split
from reports.tables.material import Material, label
from reports.tables.settings import networks, varying

METRICS = ("roc_auc", "f1", "precision", "recall")
_COMPARED = ("roc_auc", "f1")
"""Metrics whose difference a table of two protocols tells."""
_SETTINGS = ("mode", "device", "threads", "arithmetic", "batch", "score")

Line = dict[str, Row]
"""The rows of one detector and its settings by their protocol."""


def section(material: Material) -> list[Section]:
    """A table for each question that at least two protocols were put to; nothing where there is none."""
    known = material.quality[material.quality["protocol"] != ""]
    blocks: list[Block] = []
    for (environment, suite), part in split(known, ["environment", "suite"]):
        for question, group in _questions(rows(part)):
            protocols = sorted({row["protocol"] for row in group})
            if len(protocols) > 1:
                title = f"{code(question or suite)} by protocol{label(environment)}"
                lines = _lines(group)
                name = f"{clean(question or suite)} by protocol"
                blocks += [Heading(3, title), _sources(group, protocols)]
                blocks.append(table(name, _columns(group, protocols), lines, whole=True))
    if not blocks:
        return []
    names = [clean(protocol) for protocol in sorted(set(known["protocol"]))]
    names[0] = names[0][:1].upper() + names[0][1:]
    return [Section("protocols", listing(list(map(words, names))), [Prose(_INTRO), *blocks], "Protocols")]


_INTRO = (
    "The same detectors under more than one protocol, one row each: the mean over seeds ± standard deviation over "
    "seeds. **Flagged** is how many test rows the first threshold calls anomalous. A change has no interval here, as "
    "the protocols may not share their test rows; each one's own intervals stand in the tables above."
)


def _questions(body: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows by the name of their data set; by its argument alone (``4`` of ``digits:4``) where no name has two
    protocols, and all together where even these do not meet."""
    for asked in (_name, _argument):
        groups: dict[str, list[Row]] = {}
        for row in body:
            groups.setdefault(asked(row["dataset"]), []).append(row)
        if any(len({row["protocol"] for row in group}) > 1 for group in groups.values()):
            return list(groups.items())
    return [("", list(body))]


def _name(dataset: str) -> str:
    return dataset.partition("?")[0]


def _argument(dataset: str) -> str:
    return _name(dataset).partition(":")[2]


def _sources(group: Sequence[Row], protocols: Sequence[str]) -> List:
    """Which data and which threshold each protocol has."""
    lines = []
    for protocol in protocols:
        own = [row for row in group if row["protocol"] == protocol]
        datasets = list(dict.fromkeys(code(row["dataset"]) for row in own))
        rules = list(dict.fromkeys(row["threshold_rule"] for row in own if row["threshold_rule"]))
        line = f"**{words(protocol)}**: {listing(datasets, 4)}"
        lines.append(line + (f"; threshold: {words('; '.join(rules))}" if rules else ""))
    return List(lines)


def _lines(group: Sequence[Row]) -> list[Line]:
    telling = varying(networks(group), _SETTINGS)
    lines: dict[tuple[object, ...], Line] = {}
    met: Counter[tuple[object, ...]] = Counter()
    for row in group:
        key = (row["detector"], row["backend"], *(row[k] for k in telling if row["backend"]))
        # two rows of one protocol that differ in what has no column stay two lines
        turn = met[(*key, row["protocol"])]
        met[(*key, row["protocol"])] += 1
        lines.setdefault((*key, turn), {})[row["protocol"]] = row
    return list(lines.values())


def _columns(group: Sequence[Row], protocols: Sequence[str]) -> list[Column]:
    keys = ("detector", "backend", *varying(networks(group), _SETTINGS))
    columns = all_named(keys, lambda line: next(iter(line.values())))
    for metric in METRICS:
        columns += [Column(f"{HEADS[metric]} {words(p)}", _value(p, metric)) for p in protocols]
        if len(protocols) == 2 and metric in _COMPARED:
            columns.append(Column("change", _change(protocols[0], protocols[1], metric)))
    return columns + [Column(f"flagged {words(p)}", _flagged(p)) for p in protocols]


def _value(protocol: str, metric: str) -> Callable[[Line], Cell]:
    def write(line: Line) -> Cell:
        row = line.get(protocol)
        cell = spread_cell(row, metric)
        oracle = row is not None and row["oracle"] and metric != "roc_auc" and cell.known
        return Cell(cell.text, cell.value, "(oracle)") if oracle else cell

    return write


def _change(one: str, other: str, metric: str) -> Callable[[Line], Cell]:
    def write(line: Line) -> Cell:
        if one not in line or other not in line:
            return Cell(numbers.MISSING)
        gap = line[other][metric] - line[one][metric]
        return Cell(numbers.signed(gap, 3), gap)

    return write


def _flagged(protocol: str) -> Callable[[Line], Cell]:
    def write(line: Line) -> Cell:
        row = line.get(protocol)
        if row is None or not math.isfinite(flagged := row["tp"] + row["fp"]):
            return Cell(numbers.MISSING)
        return Cell(f"{numbers.rows(flagged)} of {numbers.rows(flagged + row['tn'] + row['fn'])}", flagged)

    return write
