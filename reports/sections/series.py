"""Series: how well anomalies are found in time, which kinds of them, and the series with scores and flags over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from reports import numbers, palette
from reports.blocks import (
    Block,
    Cell,
    Column,
    Drawing,
    Figure,
    Heading,
    Prose,
    Section,
    clean,
    code,
    several,
    table,
    words,
)
from reports.sections.columns import all_named
from reports.sections.columns import figure as number_cell
from reports.sections.pictures import stems
from reports.surveys import mapping, number
from reports.tables.frames import Row
from reports.tables.material import MOST_DATASETS, Material, label
from reports.tables.series import Scored, channels, scores, series
from reports.tables.settings import networks, varying
from reports.tables.studies import Estimate

Plain = dict[str, Any]

MOST_DRAWN = 4
"""Detectors whose scores are drawn over one series."""
_PLACES = 3


def section(material: Material) -> list[Section]:
    found = series(material.competing, material.records)
    if not found:
        return []
    blocks: list[Block] = [Prose(_INTRO)]
    for place, ((environment, dataset), every) in enumerate(found):
        blocks += [Heading(3, code(dataset) + label(environment)), Prose(_sentence(every)), _table(every, dataset)]
        if any(one.kinds for one in every):
            blocks.append(_kinds(every, dataset))
        if place < MOST_DATASETS:
            blocks += _figure(every, material, environment, dataset)
    return [Section("series", "Series", blocks)]


_INTRO = (
    "Rows of these data sets are windows of a series. Everywhere else in this report a test row is a window, which is "
    "an anomaly where one of its steps is. Here scores are those of **time steps**, each the mean over the windows "
    "that hold it, and the threshold's rule read such scores. **VUS** is the area under the precision–recall or the "
    "ROC curve, averaged over buffers around the anomalies in which an alarm counts in part (Paparrizos et al. 2022); "
    "it needs no threshold. **Affiliation** precision and recall measure how near alarms and anomalies lie; a "
    "precision of 0.5 is what alarms at random reach (Huet et al. 2022). **Range** precision and recall count each "
    "alarm and each anomaly once, by the share of it that is covered, and less where it takes several pieces (Tatbul "
    "et al. 2018). **Found** is the share of the anomalies with a flagged step. *Point-adjusted F1 is inflated*: one "
    "flagged step makes a whole anomaly found, so that random scores reach high values (Kim et al. 2022). It is there "
    "to be held against published tables, and competes in nothing. Brackets are 95 % intervals over seeds (Student's "
    "t, from three seeds on), each with a series of its own where the data are generated."
)


def _sentence(every: Sequence[Scored]) -> str:
    first = mapping(every[0].first.get("series"))
    events, seeds = number(first.get("events")), max(one.metrics["vus_pr"].seeds for one in every)
    rule = clean(first.get("threshold_rule") or "")
    oracle = ", an oracle's: it read the test labels" if first.get("oracle") is True else ""
    anomalies = f"{events:.0f} anomal{'y' if events == 1 else 'ies'}"
    text = f"{several(every[0].steps, 'test step')} and {anomalies} of a seed; {several(seeds, 'seed')}."
    return text + (f" Threshold: {words(rule)}{oracle}." if rule else "")


# -------------------------------------------------------------------------------------------------------------- tables

_COLUMNS = (
    ("VUS-PR", "vus_pr"),
    ("VUS-ROC", "vus_roc"),
    ("affiliation F1", "affiliation_f1"),
    ("affiliation precision", "affiliation_precision"),
    ("affiliation recall", "affiliation_recall"),
    ("range F1", "range_f1"),
    ("range precision", "range_precision"),
    ("range recall", "range_recall"),
    ("found", "event_recall"),
    ("point-adjusted F1, inflated", "point_adjusted_f1"),
)


def _named(every: Sequence[Scored]) -> list[Column]:
    body = [one.row for one in every]
    keys = ["detector", "backend", *varying(networks(body))]
    return all_named(keys, _row)


def _row(one: Scored) -> Row:
    return one.row


def _table(every: Sequence[Scored], dataset: str) -> Block:
    columns = [*_named(every), *(Column(title, partial(_cell, key)) for title, key in _COLUMNS)]
    return table(f"Time steps of {clean(dataset)}", columns, every)


def _cell(key: str, one: Scored) -> Cell:
    found: Estimate = one.metrics[key]
    if not math.isfinite(found.mean):
        return Cell(numbers.MISSING)
    cell = number_cell(found.mean, numbers.fixed(found.mean, _PLACES))
    # few are read with their bounds; of the others the mean is enough, and the table stays narrow
    bounds = numbers.interval(found.low, found.high, _PLACES) if key in ("vus_pr", "vus_roc") else ""
    return Cell(cell.text, cell.value, bounds)


def _kinds(every: Sequence[Scored], dataset: str) -> Block:
    kinds = list(dict.fromkeys(kind for one in every for kind in one.kinds))

    def column(kind: str) -> Column:
        def write(one: Scored) -> Cell:
            hit, of = one.kinds.get(kind, (0, 0))
            return Cell(f"{hit} of {of}", hit / of) if of else Cell(numbers.MISSING)

        return Column(kind, write)

    title = f"Anomalies found on {clean(dataset)}, all seeds together"
    return table(title, [*_named(every), *map(column, kinds)], every)


# -------------------------------------------------------------------------------------------------------------- figure


def _figure(every: Sequence[Scored], material: Material, environment: str, dataset: str) -> list[Block]:
    """The series of the lowest seed with the scores of the best setting of each detector."""
    best: dict[str, Scored] = {}
    for one in every:
        best.setdefault(one.row["detector"], one)
    first = next(iter(best.values()))
    data = channels(first.first, material.shelf)
    if data is None:
        return []
    seed = first.first.get("seed")
    lines = []
    for one in best.values():
        own = scores(one, material.shelf)
        same = one.first.get("seed") == seed and one.steps == data["steps"]
        if own is not None and same and len(own["score"]) == len(data["at"]):
            backend = one.row["backend"]
            who = " · ".join(filter(None, [clean(one.row["detector"]), clean(backend)]))
            lines.append({"name": who, "colour": palette.colour(one.row["detector"], backend), **own})
    data |= {"name": clean(dataset), "lines": lines[:MOST_DRAWN]}
    more = f" The best {len(data['lines'])} of {len(lines)} detectors." if len(lines) > MOST_DRAWN else ""
    left = f" {data['left_out']} further channels are not drawn." if data["left_out"] else ""
    caption = (
        f"The test part of seed {numbers.ranges([number(seed)])}: channels, with anomalies shaded, and the score "
        f"of each step with its threshold; what is flagged is marked below it.{more}{left}"
    )
    stem = stems([(environment, dataset)])[0]
    alt = f"The series of {words(dataset)} with anomalies, scores and flags over time"
    drawing = Drawing(f"{stem}-series.svg", "series", alt, caption, data)
    return [Figure("series", [drawing], lambda: [_on_screen(data)], caption)]


def _on_screen(data: Plain) -> Plain:
    lines = [line | {"colour": palette.screen_colour(line["colour"])} for line in data["lines"]]
    return data | {"lines": lines}
