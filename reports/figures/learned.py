"""What a network has learned: rows and their reconstructions, rows from the prior, a walk through the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, words
from reports.palette import ANOMALY_COLOUR, INK, NORMAL_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_SHADES = "gray_r"
_DRAWN, _WALK = "#009E73", "#0072B2"
_TALLEST = 3.4
"""Inches of one sheet of images."""


def learned(data: dict[str, Any]) -> Canvas:
    """Of ``tables.learned.learned``."""
    found = data["learned"]
    if found.plane is not None:
        return _plane(found.plane)
    look = {"cmap": _SHADES, "vmin": found.low, "vmax": found.high, "interpolation": "nearest"}
    if found.image:
        *upper, walk = found.sheets
        drawn = canvas(_TALLEST + 0.4)
        parts: Any = drawn.subfigures(1, 2, width_ratios=[1.35, 1.0])
        grid = list(parts[0].subplots(len(upper), 1, squeeze=False).ravel())
        for axes, sheet in zip([*grid, parts[1].subplots()], [*upper, walk], strict=True):
            _sheet(axes, sheet, look | {"aspect": "equal"})
        return drawn
    drawn = canvas(0.35 + 0.85 * len(found.sheets))
    heights = [len(sheet.values) for sheet in found.sheets]
    for axes, sheet in zip(drawn.subplots(len(heights), 1, height_ratios=heights), found.sheets, strict=True):
        _sheet(axes, sheet, look | {"aspect": "auto"})
    return drawn


def _sheet(axes: Axes, sheet: Any, look: dict[str, Any]) -> None:
    axes.imshow(sheet.values, **look)
    axes.set_title(words(sheet.title, 70), fontsize=8.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_anchor("NW")
    if sheet.down:
        axes.set_ylabel(words(sheet.down), fontsize=8)
    if sheet.across and sheet.across != "feature":
        axes.set_xlabel(words(sheet.across), fontsize=8)


def _plane(plane: dict[str, Any]) -> Canvas:
    """Rows of two features: where reconstructions pull them, what the prior gives, and the walk as a net of lines."""
    drawn = canvas(3.0)
    shown = 3 if plane["drawn"] is not None else 2
    grid = drawn.subplots(1, shown, squeeze=False, sharex=True, sharey=True).ravel()
    inputs, outputs, anomalous = plane["inputs"], plane["outputs"], plane["anomalous"]
    for axes in grid:
        axes.scatter(*inputs[~anomalous].T, s=12, color=NORMAL_COLOUR, label="normal")
        axes.scatter(*inputs[anomalous].T, s=14, marker="^", color=ANOMALY_COLOUR, label="anomaly")
        axes.set(xlabel="feature 1")
    grid[0].set_ylabel("feature 2")
    for start, end in zip(inputs, outputs, strict=True):
        grid[0].annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.8})
    grid[0].set_title("test rows and their reconstructions")
    grid[0].legend(loc="best", fontsize=7.5)
    walk = plane["walk"]
    for lines in (walk, walk.transpose(1, 0, 2)):
        for line in lines:
            grid[1].plot(*line.T, color=_WALK, linewidth=0.9, marker=".", markersize=3)
    grid[1].set_title("a walk through the latent space")
    if shown > 2:
        grid[2].scatter(*plane["drawn"].T, s=18, marker="x", color=_DRAWN)
        grid[2].set_title("drawn from the prior (×)")
    return drawn
