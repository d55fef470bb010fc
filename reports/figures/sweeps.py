"""Figures over batch size and over rows: a line for each backend, mode and precision, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, tick, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_GREY = "#8A8A8A"
_MARKERS = ("o", "s", "^", "D")


def batch(data: dict[str, Any]) -> Canvas:
    """Training throughput over batch size, with the limit in grey: of ``sections.charts.sweep``."""
    drawn = canvas(3.4)
    axes = drawn.subplots()
    handles = []
    for line in data["lines"]:
        handles += axes.plot(line["x"], line["y"], label=words(line["label"], 36), **_look(line))
        for place, low, high in zip(line["x"], line["_low"], line["_high"], strict=True):
            if low is not None and high is not None:
                axes.plot([place] * 2, [low, high], color=line["colour"], linewidth=1)
    if data["limit"]:
        handles += _grey(axes, data["limit"], "limit")
    _finish(axes, data["lines"], "batch size")
    axes.set_ylabel("training samples/s")
    _legend(drawn, handles)
    return drawn


def rows(data: dict[str, Any]) -> Canvas:
    """Time per row and memory over training rows, with the data's size in grey."""
    drawn = canvas(3.4)
    time, memory = drawn.subplots(1, 2)
    handles = []
    for line in data["lines"]:
        handles += time.plot(line["x"], [1e6 / y for y in line["y"]], label=words(line["label"], 36), **_look(line))
        known = [(x, y) for x, y in zip(line["x"], line["memory"], strict=True) if y is not None]
        if known:
            memory.plot(*zip(*known, strict=True), **_look(line))
    if data["size"]:
        handles += _grey(memory, data["size"], "the data")
    for axes, what in ((time, "µs per row and epoch"), (memory, "peak memory, MiB")):
        _finish(axes, data["lines"], "training rows")
        axes.set_ylabel(what)
    _legend(drawn, handles)
    return drawn


def _look(line: dict[str, Any]) -> dict[str, Any]:
    look = {"color": line["colour"], "linestyle": line["style"], "marker": _MARKERS[line["marker"]]}
    return look | {"markersize": 4, "linewidth": 1.5}


def _grey(axes: Axes, points: Sequence[tuple[float, float]], label: str) -> list[Any]:
    found: list[Any] = axes.plot(*zip(*points, strict=True), color=_GREY, linewidth=3.5, zorder=1, label=label)
    return found


def _finish(axes: Axes, lines: Sequence[dict[str, Any]], what: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    values: set[float] = set()
    for line in lines:
        values.update(line["x"])
    axes.set(xscale="log", yscale="log", xlabel=what)
    apart: list[float] = []
    for value in sorted(values):
        if not apart or value > 1.3 * apart[-1]:
            apart.append(value)
    axes.xaxis.set_major_locator(FixedLocator(apart))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=12))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if high < 4 * low:
        middle = math.sqrt(low * high)
        axes.set_ylim(middle / 2.5, middle * 2.5)
    axes.xaxis.set_major_formatter(FuncFormatter(_size))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))


def _size(value: float, _: int = 0) -> str:
    """``8,192``, ``16,384``, but ``10k``."""
    return tick(value) if value % 1000 == 0 else f"{value:,.0f}"


def _legend(drawn: Canvas, handles: Sequence[Any]) -> None:
    drawn.legend(handles=handles, loc="outside right center", alignment="left", handlelength=3, fontsize=8)
