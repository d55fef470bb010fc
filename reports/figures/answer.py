"""The answer in small figures: quality by detector on each data set, training rate by backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports import numbers
from reports.figures.canvas import canvas, tick, words
from reports.palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_BESIDE = 2
"""Panels that share a line with the rates; more of quality have a line of their own."""


def answer(data: dict[str, Any]) -> Canvas:
    """Of ``sections.glance``; where there is nothing of one kind, the other has the room."""
    quality, rates = data["quality"], data["rates"]
    tall = [_height(panel) for panel in quality[:1]]
    if rates["lines"] and len(quality) < _BESIDE:
        drawn = canvas(max([*tall, _height(rates)]))
        grid = list(drawn.subplots(1, len(quality) + 1, squeeze=False).ravel())
        quality_axes, rate_axes = grid[:-1], grid[-1]
    elif rates["lines"]:
        drawn = canvas(tall[0] + _height(rates))
        parts: Any = drawn.subfigures(2, 1, height_ratios=[tall[0], _height(rates)])
        quality_axes = list(parts[0].subplots(1, len(quality), squeeze=False, sharey=True).ravel())
        rate_axes = parts[1].subplots()
    else:
        drawn = canvas(tall[0])
        quality_axes = list(drawn.subplots(1, len(quality), squeeze=False, sharey=True).ravel())
        rate_axes = None
    for axes, panel in zip(quality_axes, quality, strict=True):
        _quality(axes, panel)
    if quality_axes:
        _names(quality_axes[0], quality[0]["lines"])
    if rate_axes is not None:
        _rates(rate_axes, rates)
        _names(rate_axes, rates["lines"])
    return drawn


def _height(panel: dict[str, Any]) -> float:
    return 0.85 + 0.24 * max(len(panel["lines"]), 3)


def _quality(axes: Axes, panel: dict[str, Any]) -> None:
    for place, line in enumerate(panel["lines"]):
        if line["value"] is None:
            _beside(axes, "—", place)
            continue
        axes.plot(line["dots"], [place] * len(line["dots"]), "o", color=line["colour"], alpha=0.3, markersize=3)
        if line["low"] is not None and line["high"] is not None:
            axes.plot([line["low"], line["high"]], [place, place], color=line["colour"], linewidth=1.6)
        axes.plot(line["value"], place, "o", color=line["colour"], markersize=6)
        _beside(axes, f"{line['value']:.3f}", place)
    axes.set_title(words(panel["title"], 36))
    axes.set_xlabel("ROC AUC")
    _finish(axes, panel["lines"])


def _beside(axes: Axes, text: str, place: int) -> None:
    where = ("axes fraction", "data")
    axes.annotate(text, (1.01, place), xycoords=where, va="center", fontsize=8, color=INK, annotation_clip=False)


def _rates(axes: Axes, panel: dict[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    lines = panel["lines"]
    limit = max(max(line["value"], min(line["high"] or 0.0, 1.4 * line["value"])) for line in lines) * 1.18
    for place, line in enumerate(lines):
        axes.barh(place, line["value"], height=0.7, color=line["colour"])
        end = line["value"]
        if line["low"] is not None and line["high"] is not None:
            end = min(line["high"], 0.86 * limit)
            axes.plot([line["low"], end], [place, place], color=INK, linewidth=1.2)
        axes.text(max(end, line["value"]) + 0.02 * limit, place, numbers.si(line["value"]), va="center", fontsize=8)
    axes.set_xlim(0, limit)
    axes.set_title(f"training rate, {words(panel['title'], 60)}")
    axes.set_xlabel("training samples/s")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    _finish(axes, lines)


def _names(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    axes.set_yticks(range(len(lines)), [words(line["label"], 30) for line in lines])


def _finish(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.grid(False, axis="y")
