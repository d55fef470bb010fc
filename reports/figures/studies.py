"""Sweeps: quality over each swept key, and over two keys at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, columns_of, words
from reports.palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_OFFSET = 0.06
"""Between the lines of several backends at one value, so that their intervals can be told apart."""
_MOST_ACROSS = 3
_TURNED = 40
"""Letters of all labels of an axis above which they are turned."""


def sweep(data: dict[str, Any]) -> Canvas:
    """ROC AUC over each key, of ``sections.landscapes.over_keys``; all panels share one scale."""
    panels = data["panels"]
    columns = columns_of(len(panels), _MOST_ACROSS)
    lines = math.ceil(len(panels) / columns)
    drawn = canvas(2.7 * lines + (0.35 if len(data["lines"]) > 1 else 0.0))
    grid = drawn.subplots(lines, columns, squeeze=False, sharey=True)
    every = list(grid.ravel())
    for axes, panel in zip(every, panels, strict=False):
        _over_key(axes, panel, data["lines"])
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("ROC AUC")
    if len(data["lines"]) > 1:
        handles = every[0].containers[: len(data["lines"])]
        labels = [words(line["label"]) for line in data["lines"]]
        drawn.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5))
    return drawn


robustness = sweep
"""ROC AUC over ε, of ``sections.robustness``: a sweep of one key."""


def _over_key(axes: Axes, panel: dict[str, Any], looks: list[dict[str, Any]]) -> None:
    middle = (len(looks) - 1) / 2
    for number, (line, look) in enumerate(zip(panel["lines"], looks, strict=True)):
        places = [place + _OFFSET * (number - middle) for place in line["x"]]
        known = all(low is not None for low in line["_low"])
        below = [y - low for y, low in zip(line["y"], line["_low"], strict=True)] if known else None
        above = [high - y for y, high in zip(line["y"], line["_high"], strict=True)] if known else None
        spread = [below, above] if below and above else None
        style = {"color": look["colour"], "linestyle": look["style"], "linewidth": 1.5}
        axes.errorbar(places, line["y"], yerr=spread, marker="o", markersize=4, capsize=2.5, elinewidth=1, **style)
        chosen = [(x, y) for x, y in zip(places, line["chosen"], strict=False) if y is not None]
        if chosen:
            look_of = {"color": look["colour"], "linestyle": ":", "linewidth": 1.2, "markersize": 4, "alpha": 0.8}
            axes.plot(*zip(*chosen, strict=True), marker="D", markerfacecolor="white", **look_of)
    labels = [words(label, 14) for label in panel["labels"]]
    axes.set_xticks(range(len(labels)), labels, rotation=30 if sum(map(len, labels)) > _TURNED else 0)
    axes.set_xlim(-0.4, len(labels) - 0.6)
    axes.set_xlabel(words(panel["key"]))


def heat(data: dict[str, Any]) -> Canvas:
    """Mean ROC AUC over two keys at once, of ``sections.landscapes.heat``; all maps share one scale of colours."""
    panels = data["panels"]
    tallest = max(len(panel["rows"]) for panel in panels)
    drawn = canvas(1.0 + 0.34 * max(tallest, 3))
    widths = [len(panel["columns"]) + 1.5 for panel in panels]
    grid = drawn.subplots(1, len(panels), squeeze=False, width_ratios=widths)
    known = [cell for panel in panels for line in panel["cells"] for cell in line if cell is not None]
    low, high = min(known), max(known)
    small = max(len(panel["columns"]) for panel in panels) * len(panels) > 12
    for axes, panel in zip(grid.ravel(), panels, strict=True):
        _map(axes, panel, low, high, 6.5 if small else 8.0)
    return drawn


def _map(axes: Axes, panel: dict[str, Any], low: float, high: float, size: float) -> None:
    values = [[math.nan if cell is None else cell for cell in line] for line in panel["cells"]]
    # a map of one value has no scale
    axes.imshow(values, cmap="viridis", vmin=low, vmax=high if high > low else low + 1e-9, aspect="auto")
    signs: dict[tuple[int, int], str] = {}
    for x, y, sign in panel["marks"]:
        signs[x, y] = f"{signs.get((x, y), '')}{sign}"
    for y, line in enumerate(panel["cells"]):
        for x, cell in enumerate(line):
            if cell is not None:
                dark = (cell - low) < 0.6 * (high - low)
                text = f"{cell:.3f}" + (f" {signs[x, y]}" if (x, y) in signs else "")
                axes.text(x, y, text, ha="center", va="center", fontsize=size, color="white" if dark else INK)
    axes.set_xticks(range(len(panel["columns"])), [words(label, 12) for label in panel["columns"]])
    axes.set_yticks(range(len(panel["rows"])), [words(label, 12) for label in panel["rows"]])
    axes.set(xlabel=words(panel["across"]), ylabel=words(panel["down"]))
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
