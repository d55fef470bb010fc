"""Figures over batch size and over rows: a line for each backend, mode and precision, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.palette import INK, backend_colour, in_order, tick, words
from reports.sections.columns import varying, written
from reports.tables.frames import Row
from reports.tables.speed import Curve, Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_LIMIT = "#8A8A8A"
_STYLES = ("-", "--", ":")
_MARKERS = ("o", "s", "^", "D")
_MOST_LINES = 16


def over_batch(canvas: Canvas, curves: Curves) -> str:
    """Draws training throughput over batch size, with the limit in grey, and returns the caption."""
    axes = canvas.subplots()
    shown, omitted = _lines(curves)
    handles = []
    for curve, look, label in shown:
        rates = [row["train"] for row in curve.points]
        handles += axes.plot(curve.values, rates, label=label, **look)
        for batch, row in zip(curve.values, curve.points, strict=True):
            if math.isfinite(row["train_low"]):
                axes.plot([batch] * 2, [row["train_low"], row["train_high"]], color=look["color"], linewidth=1)
    limits = _limits(curves)
    if limits:
        handles += axes.plot(*zip(*limits, strict=True), color=_LIMIT, linewidth=3.5, zorder=1, label="limit")
    _finish(axes, sorted({value for curve in curves.curves for value in curve.values}), "batch size")
    axes.set_ylabel("training samples/s")
    _legend(canvas, handles)
    caption = "Training throughput over batch size. Lines up and down: 95 % intervals, where several trials allow one."
    if limits:
        caption += " Grey: the rate of a step's matrix products alone, the highest of the precisions."
    return caption + omitted


def over_rows(canvas: Canvas, curves: Curves) -> str:
    """Draws time a row and memory over training rows, and returns the caption."""
    time, memory = canvas.subplots(1, 2)
    shown, omitted = _lines(curves)
    handles = []
    for curve, look, label in shown:
        handles += time.plot(curve.values, [1e6 / row["train"] for row in curve.points], label=label, **look)
        memory.plot(curve.values, [row["peak_memory_bytes"] / 2**20 for row in curve.points], **look)
    sizes = sorted({value for curve in curves.curves for value in curve.values})
    caption = "Time a row and peak memory over training rows; level on the left is linear in the rows."
    data = sorted({(value, row["data_bytes"] / 2**20) for curve in curves.curves for value, row in _points(curve)})
    if all(math.isfinite(size) for _, size in data):
        handles += memory.plot(*zip(*data, strict=True), color=_LIMIT, linewidth=3.5, zorder=1, label="the data")
        caption += " Grey: the size of the data."
    for axes, what in ((time, "µs a row and epoch"), (memory, "peak memory, MiB")):
        _finish(axes, sizes, "training rows")
        axes.set_ylabel(what)
    _legend(canvas, handles)
    return caption + omitted


def _points(curve: Curve) -> list[tuple[float, Row]]:
    return list(zip(curve.values, curve.points, strict=True))


def _lines(curves: Curves) -> tuple[list[tuple[Curve, dict[str, Any], str]], str]:
    """The curves to draw, how, and their labels: a colour a backend, a style a mode, a marker for all else."""
    rows = [curve.shared for curve in curves.curves]
    telling = varying(rows, ("detector", "mode", "arithmetic", "batch", "variant"))
    modes = list(dict.fromkeys(_key(row, _MODE) for row in rows if row["backend"]))
    others = list(dict.fromkeys(_key(row, _OTHER) for row in rows))
    order = in_order(row["backend"] for row in rows)
    found = []
    for curve in sorted(curves.curves, key=lambda c: order.index(c.shared["backend"]))[:_MOST_LINES]:
        row = curve.shared
        look = {
            "color": backend_colour(row["backend"]) if row["backend"] else INK,
            "linestyle": _STYLES[modes.index(_key(row, _MODE)) % len(_STYLES)] if row["backend"] else "-.",
            "marker": _MARKERS[others.index(_key(row, _OTHER)) % len(_MARKERS)],
            "markersize": 4,
            "linewidth": 1.5,
        }
        label = " · ".join(filter(None, [row["backend"], written(row, telling)])) or row["detector"]
        found.append((curve, look, words(label, 36)))
    hidden = len(rows) - len(found)
    return found, f" {hidden} more lines are not shown." if hidden else ""


_MODE, _OTHER = ("mode",), ("detector", "arithmetic", "batch", "variant")


def _key(row: Row, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[key] for key in keys)


def _limits(curves: Curves) -> list[tuple[float, float]]:
    """The highest limit at each batch size."""
    found: dict[float, float] = {}
    for curve in curves.curves:
        for batch, row in _points(curve):
            if math.isfinite(row["limit"]):
                found[batch] = max(row["limit"], found.get(batch, 0.0))
    return sorted(found.items())


def _finish(axes: Axes, values: Sequence[float], what: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.set(xscale="log", yscale="log", xlabel=what)
    apart = [value for place, value in enumerate(values) if place == 0 or value > 1.3 * values[place - 1]]
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


def _legend(canvas: Canvas, handles: Sequence[Any]) -> None:
    canvas.legend(handles=handles, loc="outside right center", alignment="left", handlelength=3, fontsize=8)
