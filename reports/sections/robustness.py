"""Robustness: how far ROC AUC falls when anomalies are moved by at most ε to look normal."""

from __future__ import annotations

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
    table,
    words,
)
from reports.sections.pictures import stems
from reports.tables.curves import rounded
from reports.tables.material import MOST_DATASETS, Material, label
from reports.tables.robustness import Curve, curves

_PLACES = 3
_INTRO = (
    "Every anomaly is moved, by at most ε in each scaled column, to where the detector finds it most normal: ten steps "
    "along the gradient of the detector's own score, kept within the values that training rows have; normal rows stay "
    "where they are. **ε = 0** is the quality that nobody works against. A detector is robust where the others fall "
    "and it does not; near 0.5 and below, whoever knows it can hide from it. The attacks are ours: a stronger one may "
    "bring a curve lower. Values are means over seeds, with 95 % intervals from three seeds on (Student's t). "
    "Detectors whose scores have no gradient are not here."
)


def section(material: Material) -> list[Section]:
    found = curves(material)
    if not found:
        return []
    blocks: list[Block] = [Prose(_INTRO)]
    drawn = list(found)[:MOST_DATASETS]
    for place, ((environment, dataset), lines) in enumerate(found.items()):
        blocks += [Heading(3, code(dataset) + label(environment)), _table(dataset, lines)]
        if place < len(drawn):
            blocks.append(_figure(stems(drawn)[place], environment, dataset, lines))
    return [Section("robustness", "Robustness", blocks)]


def _table(dataset: str, lines: Sequence[Curve]) -> Block:
    epsilons = sorted({epsilon for line in lines for epsilon in line.areas})
    settings = any(line.setting for line in lines)
    columns = [
        Column("detector", lambda line: code(line.row["detector"]), "name"),
        Column("backend", lambda line: name(line.row["backend"]), "name"),
        *([Column("settings", lambda line: clean(line.setting), "name")] if settings else []),
        *(Column(f"ε = {epsilon:g}", partial(_area, epsilon)) for epsilon in epsilons),
    ]
    return table(f"ROC AUC of {clean(dataset)} with anomalies moved by at most ε", columns, lines)


def _area(epsilon: float, line: Curve) -> Cell:
    found = line.areas.get(epsilon)
    if found is None:
        return Cell(numbers.MISSING)
    return Cell(numbers.fixed(found.mean, _PLACES), found.mean, numbers.interval(found.low, found.high, _PLACES))


def _figure(stem: str, environment: str, dataset: str, lines: Sequence[Curve]) -> Figure:
    epsilons = sorted({epsilon for line in lines for epsilon in line.areas})
    data = {
        "name": " · ".join([clean(dataset), *([f"environment {clean(environment)}"] if environment else [])]),
        "panels": [
            {
                "key": "ε",
                "labels": [f"{epsilon:g}" for epsilon in epsilons],
                "lines": [_line(line, epsilons) for line in lines],
            }
        ],
        "lines": _looks(lines),
    }
    caption = "ROC AUC over ε, by which anomalies are moved to look normal; the values of ε stand evenly apart."
    drawing = Drawing(f"{stem}-robustness.svg", "robustness", f"ROC AUC over ε on {words(dataset)}", caption, data)
    return Figure("sweep", [drawing], partial(_on_screen, data), caption)


def _looks(lines: Sequence[Curve]) -> list[dict[str, Any]]:
    """A line is named by what tells it from others; of equal colours each has a style of its own, as far as they go."""
    named = [[line.row["detector"], line.row["backend"], line.setting] for line in lines]
    telling = [place for place in range(3) if len({parts[place] for parts in named}) > 1] or [0]
    taken: dict[str, list[str]] = {}
    found = []
    for parts in named:
        colour, own = palette.colour(parts[0], parts[1]), palette.LINE_STYLES.get(parts[0], "-")
        styles = taken.setdefault(colour, [])
        styles.append(next((style for style in (own, *palette.DASHES) if style not in styles), own))
        label = " · ".join(parts[place] for place in telling if parts[place])
        found.append({"label": clean(label), "colour": colour, "style": styles[-1]})
    return found


def _line(line: Curve, epsilons: Sequence[float]) -> dict[str, Any]:
    own = [(place, line.areas[epsilon]) for place, epsilon in enumerate(epsilons) if epsilon in line.areas]
    return {
        "x": [place for place, _ in own],
        "y": [rounded(area.mean) for _, area in own],
        "_low": [rounded(area.low) for _, area in own],
        "_high": [rounded(area.high) for _, area in own],
        "chosen": [],
    }


def _on_screen(data: dict[str, Any]) -> list[dict[str, Any]]:
    lines = [
        line | {"colour": palette.screen_colour(line["colour"]), "dash": palette.DASHES[line["style"]]}
        for line in data["lines"]
    ]
    return [data | {"lines": lines}]
