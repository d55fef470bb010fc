"""Ways of doing it set side by side: what a flaw of a published protocol is worth.

A suite's blocks may name the protocol they follow, such as ``as published`` and ``done right``. What they ask is told
by the data set's name alone, since protocols differ in its options: how it is split, what it is scaled by.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from reports import numbers
from reports.excerpt import HEADS
from reports.sections.columns import cell, heading, sides, varying
from reports.sections.details import count
from reports.tables.frames import Row, rows, split
from reports.writers.escape import code, escape, listing, name, table

METRICS = ("roc_auc", "f1", "precision", "recall")
_COMPARED = ("roc_auc", "f1")
"""Metrics whose difference a table of two protocols tells."""
_SETTINGS = ("mode", "device", "threads", "arithmetic", "batch", "score")


def section(quality: pd.DataFrame) -> list[str]:
    """A table for each question that at least two protocols were put to; nothing where there is none."""
    known = quality[quality["protocol"] != ""]
    parts: list[str] = []
    for (environment, suite), part in split(known, ["environment", "suite"]):
        for question, group in _questions(rows(part)):
            protocols = sorted({row["protocol"] for row in group})
            if len(protocols) > 1:
                label = f" · environment {environment}" if environment else ""
                parts += [f"### {code(question or suite)} by protocol{label}", _sources(group, protocols)]
                parts += [_table(group, protocols)]
    if not parts:
        return []
    title = listing([escape(protocol) for protocol in sorted(set(known["protocol"]))])
    return [f"## {title[:1].upper()}{title[1:]}", _INTRO, *parts]


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


def _sources(group: Sequence[Row], protocols: Sequence[str]) -> str:
    """Which data and which threshold each protocol has."""
    lines = []
    for protocol in protocols:
        own = [row for row in group if row["protocol"] == protocol]
        datasets = list(dict.fromkeys(code(row["dataset"]) for row in own))
        rules = list(dict.fromkeys(row["threshold_rule"] for row in own if row["threshold_rule"]))
        line = f"- **{escape(protocol)}**: {listing(datasets, 4)}"
        lines.append(line + (f"; threshold: {escape('; '.join(rules))}" if rules else ""))
    return "\n".join(lines)


def _table(group: Sequence[Row], protocols: Sequence[str]) -> str:
    shown = varying((row for row in group if row["backend"]), _SETTINGS)
    lines: dict[tuple[object, ...], dict[str, Row]] = {}
    met: Counter[tuple[object, ...]] = Counter()
    for row in group:
        key = (row["detector"], row["backend"], *(row[k] for k in shown if row["backend"]))
        # two rows of one protocol that differ in what has no column stay two lines
        turn = met[(*key, row["protocol"])]
        met[(*key, row["protocol"])] += 1
        lines.setdefault((*key, turn), {})[row["protocol"]] = row
    body = []
    for found in lines.values():
        one = next(iter(found.values()))
        cells = [code(one["detector"]), name(one["backend"]), *(cell(one, key) for key in shown)]
        for metric in METRICS:
            cells += [_value(found.get(protocol), metric) for protocol in protocols]
            if len(protocols) == 2 and metric in _COMPARED:
                cells.append(_difference(found.get(protocols[0]), found.get(protocols[1]), metric))
        body.append(cells + [_flagged(found.get(protocol)) for protocol in protocols])
    header = ["detector", "backend", *map(heading, shown)]
    for metric in METRICS:
        header += [f"{HEADS[metric]} {escape(protocol)}" for protocol in protocols]
        if len(protocols) == 2 and metric in _COMPARED:
            header.append("change")
    header += [f"flagged {escape(protocol)}" for protocol in protocols]
    return table(header, body, "ll" + sides(shown) + "r" * (len(header) - 2 - len(shown)))


def _value(row: Row | None, metric: str) -> str:
    if row is None or not math.isfinite(row[metric]):
        return numbers.MISSING
    told = " (oracle)" if row["oracle"] and metric != "roc_auc" else ""
    return numbers.spread(row[metric], row[f"{metric}_sd"]) + told


def _difference(one: Row | None, other: Row | None, metric: str) -> str:
    if one is None or other is None or not math.isfinite(gap := other[metric] - one[metric]):
        return numbers.MISSING
    return numbers.signed(gap, 3)


def _flagged(row: Row | None) -> str:
    if row is None:
        return numbers.MISSING
    flagged, passed = row["tp"] + row["fp"], row["tn"] + row["fn"]
    return f"{count(flagged)} of {count(flagged + passed)}" if math.isfinite(flagged) else numbers.MISSING
