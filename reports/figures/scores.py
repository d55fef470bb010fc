"""Histograms of the test scores, a panel for each detector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, columns_of, tick, words
from reports.palette import INK, NORMAL_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def scores(panels: Sequence[dict[str, Any]]) -> Canvas:
    """Of ``tables.curves.scores``."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    columns = columns_of(len(panels), 4)
    rows = math.ceil(len(panels) / columns)
    drawn = canvas((1.8 if any(panel["setting"] for panel in panels) else 1.65) * rows + 0.55)
    grid = drawn.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _panel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[: len(panels) : columns]:
        axes.set_ylabel("test rows")
    handles = [
        Patch(facecolor=NORMAL_COLOUR, label="normal rows"),
        Patch(facecolor="#33333333", edgecolor=INK, linewidth=1.2, label="anomalies"),
        Line2D([], [], color="black", linestyle="--", linewidth=1, label="threshold"),
    ]
    if len(grid) > len(panels):  # where a panel is missing there is room
        grid[len(panels)].legend(handles=handles, loc="center left")
    else:
        drawn.legend(handles=handles, loc="outside lower center", ncols=3)
    return drawn


def _panel(axes: Axes, panel: dict[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    edges, normal, anomaly, threshold = (panel[key] for key in ("edges", "normal", "anomaly", "threshold"))
    axes.stairs(normal, edges, fill=True, color=NORMAL_COLOUR)
    axes.stairs(anomaly, edges, fill=True, color=panel["colour"], alpha=0.25)
    axes.stairs(anomaly, edges, color=panel["colour"], linewidth=1.3)
    if edges[0] <= threshold <= edges[-1]:
        axes.axvline(threshold, color="black", linestyle="--", linewidth=1)
    names = [panel["name"], panel["setting"]]
    axes.set_title("\n".join(words(line, 28) for line in names if line), fontsize=8.5)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 2 * max(*normal, *anomaly, 5.0))
    axes.yaxis.set_major_locator(LogLocator(10, numticks=5))
    axes.yaxis.set_minor_locator(LogLocator(10, subs=()))
    if panel["axis"] == "log":
        axes.set_xscale("log")
        decades = math.log10(edges[-1] / edges[0])
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("logarithmic", fontsize=7.5, color="#666666", labelpad=1)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if panel["axis"] == "clipped":
            axes.set_xlabel("clipped", fontsize=7.5, color="#666666", labelpad=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(tick))
