"""Training rates: small multiples by data set; in each, one group of bars for each detector and setting."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reports import numbers
from reports.figures.canvas import canvas, tick, words
from reports.palette import INK, backend_colour, in_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Groups = list[tuple[str, list[dict[str, Any]]]]

_GAP = 0.7
"""Between groups of bars, in bars."""


def throughput(panels: Sequence[dict[str, Any]]) -> Canvas:
    """Of ``sections.charts.rates``."""
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    grouped = [_groups(panel["bars"]) for panel in panels]
    lengths = [sum(_height(*group) + _GAP for group in groups) - _GAP for groups in grouped]
    columns = min(2, len(panels))
    tallest = [max(lengths[start : start + columns]) for start in range(0, len(panels), columns)]
    heights = [0.21 * most + 0.75 for most in tallest]
    drawn = canvas(sum(heights) + 0.4)
    places = drawn.add_gridspec(len(heights), columns, height_ratios=heights)
    for place, (panel, groups) in enumerate(zip(panels, grouped, strict=True)):
        row, column = divmod(place, columns)
        single = place == len(panels) - 1 and column == 0  # the last one has the line for itself
        axes = drawn.add_subplot(places[row, :] if single else places[row, column])
        _panel(axes, groups)
        axes.set_ylim(tallest[row] - 0.4, -0.6)
        axes.set_title(words(panel["name"], 48))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(tick))
        axes.set_xlabel("training samples/s")
    backends: list[str] = []
    for panel in panels:
        backends += [bar["backend"] for bar in panel["bars"]]
    handles = [Patch(color=backend_colour(b), label=words(b)) for b in in_order(backends)]
    drawn.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    return drawn


def _groups(bars: Sequence[dict[str, Any]]) -> Groups:
    """The bars by what they measured, with a name of a line or more."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for bar in bars:
        lines = [words(bar["detector"], 24), *textwrap.wrap(words(bar["setting"], 60), 22)]
        groups.setdefault("\n".join(lines), []).append(bar)
    return list(groups.items())


def _height(name: str, bars: Sequence[dict[str, Any]]) -> float:
    """In bars; a line of a name is as high as two thirds of one."""
    return max(len(bars), 0.67 * (name.count("\n") + 1))


def _panel(axes: Axes, groups: Groups) -> None:
    every = [bar for _, bars in groups for bar in bars]
    # room for the figures behind the bars, and for intervals that are not much longer than they
    highest = [min(bar["train_high"], 1.4 * bar["train"]) for bar in every if bar["train_high"] is not None]
    limit = max([1.22 * max(bar["train"] for bar in every), *(1.17 * high for high in highest)])
    place, ticks = 0.0, []
    for name, bars in groups:
        height = _height(name, bars)
        places = place + (height - len(bars)) / 2 + np.arange(len(bars))
        axes.barh(places, [bar["train"] for bar in bars], height=0.82, color=[bar["colour"] for bar in bars])
        for at, bar in zip(places, bars, strict=True):
            end = bar["train"]
            if bar["train_low"] is not None and bar["train_high"] is not None:
                end = min(bar["train_high"], 0.86 * limit)
                axes.plot([bar["train_low"], end], [at, at], color=INK, linewidth=1.1)
                axes.plot(end, at, marker=">" if end < bar["train_high"] else "|", color=INK, markersize=3)
            axes.text(max(end, bar["train"]) + 0.02 * limit, at, numbers.si(bar["train"]), va="center", fontsize=8)
        ticks.append(float(places.mean()))
        place += height + _GAP
    axes.set_yticks(ticks, [name for name, _ in groups])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(False, axis="y")
    axes.set_xlim(0, limit)
