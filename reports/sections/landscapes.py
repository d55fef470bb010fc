"""The figures of a sweep, prepared for paper and screen: quality over each key, over two keys, and over all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

from reports import palette
from reports.blocks import Drawing, Figure, clean, words
from reports.sections.pictures import stems
from reports.tables.curves import rounded
from reports.tables.studies import MOST_LEVELS, Study, is_number, sorting, told

Plain = dict[str, Any]

MOST_MAPS = 3
"""Pairs of keys that are drawn, those with the largest effects."""
MOST_LINES = 400
"""Settings of a parallel view."""
_WIDE = 20.0
"""A range whose ends have this ratio is drawn in logarithms."""


def stems_of(firsts: Sequence[Study]) -> list[str]:
    """The first part of the file names of each group's figures."""
    return stems([(s.environment, " ".join((s.dataset, s.detector, s.likelihood, *s.keys))) for s in firsts])


def over_keys(group: Sequence[Study], stem: str) -> Figure:
    """ROC AUC over the values of each key: the mean over the other keys, and with these chosen without labels."""
    first = group[0]
    lines = _lines(group)
    data = {
        "name": _title(first),
        "panels": [{"key": clean(key), **_panel(group, key)} for key in first.keys],
        "lines": lines,
    }
    caption = "ROC AUC over each swept key, with 95 % intervals over seeds where there are three."
    if len(first.keys) > 1:
        caption += " Solid: the mean over the other keys. Dotted: the other keys chosen by validation loss."
    alt = f"ROC AUC of {words(first.detector)} on {words(first.dataset)} over each swept key"
    drawing = Drawing(f"{stem}-sweep.svg", "sweep", alt, caption, data)
    return Figure("sweep", [drawing], partial(_on_screen, data), caption)


def _title(study: Study) -> str:
    parts = [study.dataset, study.detector, study.likelihood, study.environment and f"environment {study.environment}"]
    return " · ".join(clean(part) for part in parts if part)


def _lines(group: Sequence[Study]) -> list[Plain]:
    told_apart = [place for place in range(4) if len({study.runner[place] for study in group}) > 1]
    styles = ("-", "--", "-.")
    seen: dict[str, int] = {}
    found = []
    for study in group:
        number = seen[study.backend] = seen.get(study.backend, -1) + 1
        parts = [str(study.runner[place]) for place in told_apart] or [study.backend or study.detector]
        found.append(
            {
                "label": clean(" · ".join(parts)),
                "colour": palette.colour(study.detector, study.backend),
                "style": styles[number % len(styles)],
            }
        )
    return found


def _panel(group: Sequence[Study], key: str) -> Plain:
    labels = [level.label for level in group[0].levels(key)]
    many = len(group[0].keys) > 1
    lines = []
    for study in group:
        levels = {level.label: level for level in study.levels(key)}
        places = [place for place, label in enumerate(labels) if label in levels]
        means = [study.over_others(levels[labels[place]].settings) for place in places]
        chosen = [study.chosen_of(levels[labels[place]].settings) for place in places] if many else []
        lines.append(
            {
                "x": places,
                "y": [rounded(one.mean) for one in means],
                "_low": [rounded(one.low) for one in means],
                "_high": [rounded(one.high) for one in means],
                "chosen": [rounded(one.mean) if one else None for one in chosen],
            }
        )
    return {"labels": list(map(clean, labels)), "lines": lines}


def _on_screen(data: Plain) -> list[Plain]:
    lines = [
        line | {"colour": palette.screen_colour(line["colour"]), "dash": palette.DASHES[line["style"]]}
        for line in data["lines"]
    ]
    return [data | {"lines": lines}]


def heat(study: Study, stem: str) -> Figure:
    """Mean ROC AUC over the values of two keys, for the pairs of keys that matter most."""
    order = sorted(study.keys, key=study.effect, reverse=True)
    pairs = sorted(combinations(order, 2), key=lambda pair: -study.effect(pair[0]) - study.effect(pair[1]))
    data = {"name": _title(study), "panels": [_map(study, *pair) for pair in pairs[:MOST_MAPS]]}
    where = f", on {words(study.backend)}" if study.backend else ""
    others = "; a mean over the other keys" if len(study.keys) > 2 else ""
    caption = f"Mean ROC AUC over two keys{where}{others}. ○: chosen without the test labels; ★: oracle."
    if not study.choices:
        caption = caption.replace("○: chosen without the test labels; ", "")
    left_out = len(pairs) - MOST_MAPS
    if left_out > 0:
        caption += f" The {left_out} pairs of keys with smaller effects are not shown."
    alt = f"ROC AUC of {words(study.detector)} on {words(study.dataset)} over two keys"
    drawing = Drawing(f"{stem}-heat.svg", "heat", alt, caption, data)
    return Figure("heat", [drawing], lambda: [data], caption)


def _map(study: Study, down: str, across: str) -> Plain:
    """The key with the larger effect goes down."""
    rows, columns = study.levels(down), study.levels(across)
    cells: list[list[float | None]] = []
    marks: list[tuple[int, int, str]] = []
    signs = {choice.setting: "○" for choice in study.choices[:1]}
    signs[study.oracle] = "★" + signs.get(study.oracle, "")
    for y, row in enumerate(rows):
        line: list[float | None] = []
        for x, column in enumerate(columns):
            both = [place for place in row.settings if place in column.settings]
            line.append(rounded(study.over_others(both).mean, 4) if both else None)
            marks += [(x, y, sign) for place, sign in signs.items() if place in both]
        cells.append(line)
    return {
        "down": clean(down),
        "across": clean(across),
        "rows": [clean(level.label) for level in rows],
        "columns": [clean(level.label) for level in columns],
        "cells": cells,
        "marks": marks,
    }


def parallel(study: Study) -> Figure:
    """Every setting as a line through its values, its validation loss and its ROC AUC; a screen shows it alone."""
    note = (
        "Each line is a setting; its colour is its mean ROC AUC. Pointing at a line tells it; clicking on values keeps "
        "the lines that go through them."
    )
    return Figure("parallel", [], lambda: [_parallel(study)], note)


def _parallel(study: Study) -> Plain:
    shown = range(len(study.values))
    if len(shown) > MOST_LINES:
        shown = range(0, len(study.values), -(-len(study.values) // MOST_LINES))
    axes = [_axis(clean(key), [values[key] for values in study.values]) for key in study.keys]
    if all(map(math.isfinite, study.criterion)):
        axes.append(_axis("validation loss", [float(v) for v in study.criterion], falling=True))
    axes.append(_axis("ROC AUC", [float(v) for v in study.means], logarithmic=False))
    chosen = {choice.setting for choice in study.choices[:1]}
    return {
        "name": _title(study) + (f" · {clean(study.backend)}" if study.backend else ""),
        "axes": [{"name": axis["name"], "ticks": axis["ticks"], "levels": axis["levels"]} for axis in axes],
        "lines": [
            {
                "at": [round(axis["places"][place], 4) for axis in axes],
                "auc": rounded(float(study.means[place]), 4),
                "text": ", ".join(f"{clean(key)}={clean(told(v))}" for key, v in study.values[place].items()),
                "sign": ("○" if place in chosen else "") + ("★" if place == study.oracle else ""),
            }
            for place in shown
        ],
        "left_out": len(study.values) - len(shown),
    }


def _axis(name: str, values: Sequence[Any], *, falling: bool = False, logarithmic: bool = True) -> Plain:
    """Where each value lies on an axis from 0 to 1, and the axis' labels; few different ones are evenly apart."""
    labels = list(dict.fromkeys(told(value) for value in sorted(values, key=sorting)))
    if not falling and logarithmic and (len(labels) <= MOST_LEVELS or not all(map(is_number, values))):
        places = {label: place / max(1, len(labels) - 1) for place, label in enumerate(labels)}
        ticks = [[place, clean(label)] for label, place in places.items()]
        return {"name": name, "ticks": ticks, "levels": True, "places": [places[told(value)] for value in values]}
    low, high = float(min(values)), float(max(values))
    scale = math.log if logarithmic and low > 0 and high > _WIDE * low else float
    first, last = scale(low), scale(high)
    shares = [(scale(value) - first) / (last - first) if last > first else 0.5 for value in values]
    ticks = [[0.0, f"{low:.4g}"], [1.0, f"{high:.4g}"]]
    if falling:  # what is better is above
        shares = [1.0 - share for share in shares]
        ticks = [[1.0, f"{low:.4g}"], [0.0, f"{high:.4g}"]]
    return {"name": name, "ticks": ticks, "levels": False, "places": shares}
