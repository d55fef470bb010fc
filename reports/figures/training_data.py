"""Quality over what detectors were trained on: a panel for each data set, a line for each detector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, columns_of, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_MARKERS = ("o", "s", "^", "D", "v", "P")
_MOST_ACROSS = 3
_ROOM = 0.1
"""Of an axis, that the label of a tick takes."""
_SHIFT = 0.008
"""Of an axis, between the lines of a panel, so that their intervals can be told apart."""


def training(data: dict[str, Any]) -> Canvas:
    """Of ``sections.training_data``; all panels share one scale of quality."""
    panels = data["panels"]
    columns = columns_of(len(panels), _MOST_ACROSS)
    rows = math.ceil(len(panels) / columns)
    legend = math.ceil(len(data["lines"]) / 5)
    drawn = canvas(2.9 * rows + 0.22 * legend)
    grid = drawn.subplots(rows, columns, squeeze=False, sharey=True)
    every = list(grid.ravel())
    handles: dict[int, Any] = {}
    for axes, panel in zip(every, panels, strict=False):
        _panel(axes, panel, data, handles)
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("ROC AUC")
    order = sorted(handles)
    labels = [words(data["lines"][number]["label"], 28) for number in order]
    shown = [handles[number] for number in order]
    drawn.legend(shown, labels, loc="outside lower center", ncols=min(5, len(order)), handlelength=3, fontsize=8.5)
    return drawn


def _apart(ticks: Sequence[tuple[float, str]], *, logarithmic: bool) -> list[str]:
    """The labels of the ticks, in rising order, but none where it would lie on another; the last one has its own."""
    places = [math.log(place) if logarithmic else place for place, _ in ticks]
    nearest = _ROOM * (places[-1] - places[0])
    shown = [places[-1]]
    for place in places[:-1]:
        if all(abs(place - other) >= nearest for other in shown):
            shown.append(place)
    return [words(text, 10) if place in shown else "" for place, (_, text) in zip(places, ticks, strict=True)]


def _panel(axes: Axes, panel: dict[str, Any], data: dict[str, Any], handles: dict[int, Any]) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    ticks = sorted((place, text) for place, text in panel["ticks"] if place is not None)
    places = [place for place, _ in ticks]
    low, high = min(places), max(places)
    logarithmic = data["logarithmic"] and low > 0
    middle = (len(panel["lines"]) - 1) / 2
    for number, line in enumerate(panel["lines"]):
        look = data["lines"][line["look"]]
        share = _SHIFT * (number - middle)
        away = (high / low) ** share if logarithmic else share * (high - low)
        x = [place * away if logarithmic else place + away for place in line["x"]]
        known = all(bound is not None for bound in line["_low"])
        below = [y - bound for y, bound in zip(line["y"], line["_low"], strict=True)] if known else None
        above = [bound - y for y, bound in zip(line["y"], line["_high"], strict=True)] if known else None
        style = {"color": look["colour"], "linestyle": look["style"], "marker": _MARKERS[look["marker"]]}
        spread = [below, above] if below and above else None
        handle = axes.errorbar(
            x, line["y"], yerr=spread, markersize=4, linewidth=1.5, capsize=2, elinewidth=0.9, **style
        )
        handles.setdefault(line["look"], handle)
    if logarithmic:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter(_apart(ticks, logarithmic=logarithmic)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(words(panel["name"], 40))
    axes.set_xlabel(words(data["axis"], 60), fontsize=8.5)
