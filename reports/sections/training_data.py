"""Training data: quality over how many rows trained, how many were anomalies, and other options of data sets."""

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
    name,
    several,
    table,
)
from reports.sections.columns import figure as number_cell
from reports.sections.pictures import stems
from reports.tables.curves import rounded
from reports.tables.material import Material, label
from reports.tables.studies import Estimate, is_number, sorting, told
from reports.tables.training_data import CONTAMINATION, ROWS, Curve

Plain = dict[str, Any]

MOST_PANELS = 9
"""Data sets of one figure."""
_PLACES = 3
_AXES = {ROWS: "training rows", CONTAMINATION: "share of anomalies among the training rows"}
_TITLES = {ROWS: "How many rows train", CONTAMINATION: "How many of the training rows are anomalies"}
_STYLES = ("-", "--", ":", "-.")


def section(material: Material) -> list[Section]:
    if not material.data_curves:
        return []
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in material.data_curves:
        groups.setdefault((curve.environment, curve.option), []).append(curve)
    blocks: list[Block] = [Prose(_INTRO)]
    for (environment, option), curves in groups.items():
        title = _TITLES.get(option) or f"Quality over {code(option)}"
        blocks += [Heading(3, title + label(environment)), Prose(_sentence(curves))]
        blocks += [_figure(curves, environment, option), _table(curves)]
    return [Section("training-data", "Training data", blocks)]


_INTRO = (
    "The same detectors, settings and validation rows, trained on other rows: what a swept option of the data sets "
    "changes. Nothing is chosen here. Scalers and encoders saw the rows that trained and no others; the test rows are "
    "the same but for anomalies that train, which are taken out of them. In the rest of this report the data set "
    "without the option stands for all of its values. Brackets, and lines up and down, are 95 % intervals over seeds "
    "(Student's t, from three seeds on)."
)


def _sentence(curves: Sequence[Curve]) -> str:
    seeds = max(curve.auc.shape[1] for curve in curves)
    sets = len({curve.dataset for curve in curves})
    text = f"{several(sets, 'data set')}, {several(seeds, 'seed')} each."
    ordered = [c for c in curves if all(map(is_number, c.values)) and math.isfinite(c.gain.mean)]
    ordered = [c for c in ordered if c.detector not in palette.SANITY]
    if len(ordered) < 2:
        return text
    falls = sorted(ordered, key=lambda curve: curve.gain.mean)
    parts = [
        f"{what} with {code(curve.detector)}{f' ({code(curve.backend)})' if curve.backend else ''} on "
        f"{code(curve.dataset)}, {numbers.signed(curve.gain.mean, _PLACES)}"
        for what, curve in (("lowest", falls[0]), ("highest", falls[-1]))
    ]
    return f"{text} From the first value to the last the change of ROC AUC is {parts[0]}, and {parts[1]}."


# -------------------------------------------------------------------------------------------------------------- figure


def _figure(curves: Sequence[Curve], environment: str, option: str) -> Figure:
    sets = list(dict.fromkeys(curve.dataset for curve in curves))
    keys = list(dict.fromkeys(map(_key, curves)))
    backends = {curve.backend for curve in curves if curve.backend}
    looks = [_look(key, number, several_backends=len(backends) > 1) for number, key in enumerate(keys)]
    data = {
        "axis": _AXES.get(option, clean(option)),
        "logarithmic": option == ROWS,
        "lines": looks,
        "panels": [
            {"name": clean(dataset), **_panel([c for c in curves if c.dataset == dataset], keys, option)}
            for dataset in sets[:MOST_PANELS]
        ],
    }
    hidden = f" The first {MOST_PANELS} of {len(sets)} data sets." if len(sets) > MOST_PANELS else ""
    caption = f"ROC AUC over {data['axis']}, with 95 % intervals over seeds where there are three.{hidden}"
    stem = stems([(environment, option)])[0]
    drawing = Drawing(f"{stem}-training.svg", "training", f"ROC AUC over {data['axis']}", caption, data)
    return Figure("training", [drawing], partial(_on_screen, data), caption)


def _key(curve: Curve) -> tuple[Any, ...]:
    return curve.detector, *curve.runner


def _look(key: tuple[Any, ...], number: int, *, several_backends: bool) -> Plain:
    detector, backend, *_ = key
    shown = f"{detector} · {backend}" if backend and several_backends else detector
    style = palette.LINE_STYLES.get(detector) or _STYLES[number % len(_STYLES)]
    return {
        "label": clean(shown),
        "colour": palette.colour(detector, backend),
        "style": style,
        "marker": number % 6,
    }


def _panel(curves: Sequence[Curve], keys: Sequence[tuple[Any, ...]], option: str) -> Plain:
    values = sorted({told(v): v for curve in curves for v in curve.values}.values(), key=partial(_order, option))
    if option == ROWS:
        longest = max(curves, key=lambda curve: len(curve.values))
        places = {told(value): rows for value, rows in zip(longest.values, longest.rows, strict=True)}
    elif all(map(is_number, values)):
        places = {told(value): float(value) for value in values}
    else:
        places = {told(value): float(place) for place, value in enumerate(values)}
    lines = []
    for curve in curves:
        shown = [place for place, value in enumerate(curve.values) if told(value) in places]
        found = [curve.quality(place) for place in shown]
        lines.append(
            {
                "look": keys.index(_key(curve)),
                "x": [rounded(places[told(curve.values[place])]) for place in shown],
                "y": [rounded(one.mean) for one in found],
                "_low": [rounded(one.low) for one in found],
                "_high": [rounded(one.high) for one in found],
            }
        )
    return {"lines": lines, "ticks": [[rounded(place), clean(_said(text, option))] for text, place in places.items()]}


def _order(option: str, value: Any) -> Any:
    return option == ROWS and value == 0, sorting(value)


def _said(value: str, option: str) -> str:
    return "all" if option == ROWS and value == "0" else value


def _on_screen(data: Plain) -> list[Plain]:
    lines = [
        look | {"colour": palette.screen_colour(look["colour"]), "dash": palette.DASHES[look["style"]]}
        for look in data["lines"]
    ]
    return [data | {"lines": lines}]


# --------------------------------------------------------------------------------------------------------------- table


def _table(curves: Sequence[Curve]) -> Block:
    option = curves[0].option
    values = sorted({told(v): v for curve in curves for v in curve.values}.values(), key=partial(_order, option))

    def at(value: Any) -> Column:
        def write(curve: Curve) -> Cell:
            places = [place for place, own in enumerate(curve.values) if told(own) == told(value)]
            return _estimate(curve.quality(places[0])) if places else Cell(numbers.MISSING)

        return Column(_said(told(value), option), write)

    columns = [
        Column("data set", lambda curve: code(curve.dataset), "name"),
        Column("detector", lambda curve: code(curve.detector), "name"),
        Column("backend", lambda curve: name(curve.backend), "name"),
        *map(at, values),
    ]
    if all(map(is_number, values)):
        columns.append(Column("first to last", lambda curve: _gain(curve.gain)))
    return table(f"ROC AUC over {_AXES.get(option, clean(option))}", columns, curves)


def _estimate(found: Estimate) -> Cell:
    cell = number_cell(found.mean, numbers.fixed(found.mean, _PLACES))
    return Cell(cell.text, cell.value, numbers.interval(found.low, found.high, _PLACES))


def _gain(found: Estimate) -> Cell:
    if not math.isfinite(found.mean):
        return Cell(numbers.MISSING)
    return Cell(numbers.signed(found.mean, _PLACES), found.mean, numbers.interval(found.low, found.high, _PLACES))
