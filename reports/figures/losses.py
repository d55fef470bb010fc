"""Loss by epoch, a pair of panels for each detector and setting: on a linear and on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, tick, words
from reports.palette import INK, backend_colour, in_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def loss(panels: Sequence[dict[str, Any]]) -> Canvas:
    """Of ``tables.curves.loss_panels``."""
    from matplotlib.lines import Line2D

    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    drawn = canvas(2.5 * rows + 0.4)
    places = drawn.add_gridspec(rows, 2 * columns)
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        single = place == len(panels) - 1 and column == 0 and columns == 2  # the last one has the line for itself
        spans = ((0, 2), (2, 4)) if single else ((2 * column, 2 * column + 1), (2 * column + 1, 2 * column + 2))
        pair = [drawn.add_subplot(places[row, start:end]) for start, end in spans]
        pair[0].set_title(words(panel["name"], 34))
        pair[1].set_title("logarithmic", color="#666666", loc="right")  # a long name reaches above this panel
        pair[0].set_ylabel("loss")
        for axes, logarithmic in zip(pair, (False, True), strict=True):
            _panel(axes, panel["lines"], logarithmic)
            if place >= len(panels) - columns:  # the lowest of each column
                axes.set_xlabel("epoch")
    backends: list[str] = []
    for panel in panels:
        backends += [line["backend"] for line in panel["lines"]]
    handles = [Line2D([], [], color=backend_colour(b), linewidth=2.5, label=words(b)) for b in in_order(backends)]
    handles.append(Line2D([], [], color=INK, linewidth=1.5, label="training"))
    handles.append(Line2D([], [], color=INK, linewidth=1.5, linestyle="--", label="validation"))
    drawn.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    return drawn


def _panel(axes: Axes, lines: Sequence[dict[str, Any]], logarithmic: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    lowest = math.inf
    for place, line in enumerate(lines):
        width = 1.2 + 1.1 * (len(lines) - 1 - place)
        for style, curve in line["curves"].items():
            low, high = curve.get("low", curve["mean"]), curve.get("high", curve["mean"])
            axes.fill_between(curve["epoch"], low, high, color=line["colour"], alpha=0.12, linewidth=0)
            axes.plot(curve["epoch"], curve["mean"], color=line["colour"], linestyle=style, linewidth=width)
            lowest = min(lowest, *low)
    if logarithmic and lowest > 0:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        subs = (1, 2, 5) if high < 100 * low else (1,)
        axes.yaxis.set_major_locator(MaxNLocator(5) if high < 6 * low else LogLocator(10, subs=subs, numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
