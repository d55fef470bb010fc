"""A series over time: its channels with the anomalies shaded, and under them scores, thresholds and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, tick, words
from reports.palette import ANOMALY_COLOUR, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_CHANNEL, _SCORE = 0.62, 0.85
"""Inches of a channel and of the scores of a detector."""
_LEAST = 0.0015
"""Of the series, how wide an anomaly is drawn at least: one step of thousands would not be seen."""


def series(data: dict[str, Any]) -> Canvas:
    """Of ``sections.series``."""
    channels, lines = data["channels"], data["lines"]
    heights = [_CHANNEL] * len(channels) + [_SCORE] * len(lines)
    drawn = canvas(sum(heights) + 0.6)
    every = drawn.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights).ravel()
    for axes in every:
        _shade(axes, data["events"], data["steps"])
        axes.grid(False)
        axes.tick_params(axis="x", length=0 if axes is not every[-1] else 3)
    for axes, channel in zip(every, channels, strict=False):
        axes.fill_between(data["at"], channel["low"], channel["high"], color=INK, linewidth=0.5, rasterized=True)
        axes.set_ylabel(words(channel["name"], 14), rotation=0, ha="right", va="center", fontsize=8)
        axes.set_yticks([])
    for axes, line in zip(every[len(channels) :], lines, strict=True):
        _score(axes, line, data)
    every[-1].set_xlim(0, data["steps"])
    every[-1].set_xlabel("step of the test part")
    return drawn


def _shade(axes: Axes, events: list[list[int]], steps: int) -> None:
    for start, stop in events:
        wider = max(0.0, _LEAST * steps - (stop - start)) / 2
        axes.axvspan(start - wider, stop + wider, color=ANOMALY_COLOUR, alpha=0.25, linewidth=0)


def _score(axes: Axes, line: dict[str, Any], data: dict[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.plot(data["at"], line["score"], color=line["colour"], linewidth=0.8)
    axes.axhline(line["threshold"], color=INK, linewidth=0.8, linestyle="--")
    low, high = min(line["score"]), max(line["score"])
    floor = low - 0.18 * (high - low or 1.0)
    axes.set_ylim(floor, high + 0.05 * (high - low or 1.0))
    spans = [(start, stop - start) for start, stop in line["flags"]]
    axes.broken_barh(spans, (floor, 0.1 * (high - low or 1.0)), color=line["colour"], linewidth=0)
    axes.set_ylabel(words(line["name"], 22), rotation=0, ha="right", va="center", fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.yaxis.tick_right()
