"""A series of a history with the level of each stretch and its change points."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from reports.figures.canvas import LOOK, canvas, svg, tick, words
from reports.history import Line
from reports.palette import INK, SANITY_COLOUR, backend_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 3.2
_MOST_DATES = 8
BETTER, WORSE = "#009E73", "#D55E00"


def write_figures(lines: Sequence[Line], folder: Path) -> list[Path]:
    """One SVG per series into a folder, which is made where it does not exist; returns their paths."""
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        for line in lines:
            path = folder / f"{_stem(line)}.svg"
            path.write_bytes(_drawn(line))
            paths.append(path)
    return paths


def _stem(line: Line) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", f"{line.label} {line.metric}".lower()).strip("-")[:80]
    digest = hashlib.sha256(repr((line.machine, line.label, line.metric)).encode()).hexdigest()[:6]
    return f"{slug}-{digest}"


def _drawn(line: Line) -> bytes:
    drawn = canvas(_HEIGHT)
    axes = drawn.add_subplot()
    _points(axes, line)
    _levels(axes, line)
    axes.set_title(words(line.label, 90), fontsize=8.5)
    unit = f" ({line.unit})" if line.unit and line.unit not in line.metric else ""
    axes.set_ylabel(f"{line.metric.replace('_', ' ')}{unit}", fontsize=8)
    axes.yaxis.set_major_formatter(lambda value, _: tick(value))
    axes.margins(x=0.02, y=0.18)
    _dates(axes, line)
    return svg(drawn)


def _points(axes: Axes, line: Line) -> None:
    colour = backend_colour(line.backend) if line.backend else INK
    places = range(len(line.medians))
    for place, low, high in zip(places, line.lows, line.highs, strict=True):
        if low is not None and high is not None:
            axes.plot([place, place], [low, high], color=colour, alpha=0.35, linewidth=1.2)
    for wanted, fill, label in (
        (False, colour, "median of a run"),
        (True, "white", "most of its trials disturbed, noisy or short"),
    ):
        shown = [(place, line.medians[place]) for place in places if line.marked[place] == wanted]
        if shown:
            axes.plot(*zip(*shown, strict=True), "o", color=colour, markersize=3.5, markerfacecolor=fill, label=label)


def _levels(axes: Axes, line: Line) -> None:
    """The level of each stretch, and at each change point a rule with its size."""
    bounds = [0, *(change.place for change in line.changes), len(line.medians)]
    for start, end in pairwise(bounds):
        level = median(line.medians[start:end])
        axes.plot([start - 0.4, end - 0.6], [level, level], color=INK, linewidth=1.1)
    for change in line.changes:
        colour = WORSE if change.worse else BETTER
        axes.axvline(change.place - 0.5, color=colour, linestyle="--", linewidth=1)
        near_end = change.place > 0.75 * len(line.medians)
        size = line.size(change).split(" [")[0]
        axes.annotate(
            f"{size} {'worse' if change.worse else 'better'}\n{words(line.revisions[change.place], 14)}",
            (change.place - 0.5, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if near_end else 4, -2),
            textcoords="offset points",
            ha="right" if near_end else "left",
            va="top",
            fontsize=8,
            color=colour,
        )
    if any(line.marked) or line.changes:
        axes.legend(loc="lower left", fontsize=7.5, labelcolor=SANITY_COLOUR)


def _dates(axes: Axes, line: Line) -> None:
    count = len(line.dates)
    step = max(1, -(-count // _MOST_DATES))
    places = list(range(0, count, step))
    axes.set_xticks(places, [f"{line.dates[place]:%Y-%m-%d}" for place in places], fontsize=7.5)
