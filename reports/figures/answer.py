"""The answer in two small figures: quality by detector, training rate by backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports import numbers
from reports.figures.canvas import canvas, tick, words
from reports.palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def answer(data: dict[str, Any]) -> Canvas:
    """Of ``sections.answer``; one of the two may be empty, and the other has the room."""
    shown = [kind for kind in ("quality", "rates") if data[kind]]
    most = max(len(data[kind]) for kind in shown)
    drawn = canvas(0.85 + 0.24 * max(most, 3))
    grid = drawn.subplots(1, len(shown), squeeze=False).ravel()
    for axes, kind in zip(grid, shown, strict=True):
        (_quality if kind == "quality" else _rates)(axes, data[kind])
        _finish(axes, data[kind])
    return drawn


def _quality(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    for place, line in enumerate(lines):
        axes.plot(line["dots"], [place] * len(line["dots"]), "o", color=line["colour"], alpha=0.3, markersize=3)
        if line["low"] is not None and line["high"] is not None:
            axes.plot([line["low"], line["high"]], [place, place], color=line["colour"], linewidth=1.6)
        axes.plot(line["value"], place, "o", color=line["colour"], markersize=6)
        axes.annotate(
            f"{line['value']:.3f}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=INK,
            annotation_clip=False,
        )
    axes.set_title("ROC AUC by detector")
    axes.set_xlabel("ROC AUC")


def _rates(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    limit = max(max(line["value"], min(line["high"] or 0.0, 1.4 * line["value"])) for line in lines) * 1.18
    for place, line in enumerate(lines):
        axes.barh(place, line["value"], height=0.7, color=line["colour"])
        end = line["value"]
        if line["low"] is not None and line["high"] is not None:
            end = min(line["high"], 0.86 * limit)
            axes.plot([line["low"], end], [place, place], color=INK, linewidth=1.2)
        axes.text(max(end, line["value"]) + 0.02 * limit, place, numbers.si(line["value"]), va="center", fontsize=8)
    axes.set_xlim(0, limit)
    axes.set_title("Training rate by backend")
    axes.set_xlabel("training samples/s")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(tick))


def _finish(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    axes.set_yticks(range(len(lines)), [words(line["label"], 30) for line in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.grid(False, axis="y")
