"""A history as people read it: a line of text with a sparkline for each series, and a figure with its change points."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from reports import numbers
from reports.blocks import clean
from reports.figures.canvas import LOOK, tick, words
from reports.palette import INK, SANITY_COLOUR, backend_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = "▁▂▃▄▅▆▇█"
_MOST_TICKS = 40
_WIDTH, _HEIGHT = 9.0, 3.2
_MOST_DATES = 8
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
BETTER, WORSE = "#009E73", "#D55E00"


@dataclass(frozen=True)
class Change:
    """A change point: its first point, the end of its level, and its size with a 95 % interval."""

    place: int
    until: int
    size: float
    low: float
    high: float
    worse: bool
    notes: tuple[str, ...] = ()
    """What else changed there, versions for example."""


@dataclass(frozen=True)
class Line:
    """One series: its points, oldest first, with intervals where they have one, and its change points."""

    machine: str
    label: str
    backend: str
    metric: str
    unit: str
    relative: bool
    """Whether a change is a share (a rate, a time) or a difference (quality)."""
    dates: Sequence[datetime]
    revisions: Sequence[str]
    medians: Sequence[float]
    lows: Sequence[float | None]
    highs: Sequence[float | None]
    marked: Sequence[bool]
    changes: Sequence[Change]

    @property
    def newest(self) -> str:
        low, high = self.lows[-1], self.highs[-1]
        bounds = "" if low is None or high is None else f" [{self.number(low)}, {self.number(high)}]"
        return f"{self.number(self.medians[-1])}{bounds}"

    def number(self, value: float) -> str:
        if not self.relative:
            return numbers.fixed(value, 4)
        if self.unit == "s":
            scale, unit = next(((s, u) for s, u in _SECONDS if value >= s), _SECONDS[-1])
            return f"{numbers.significant(value / scale)} {unit}"
        return numbers.si(value) if value >= 1000 else numbers.significant(value)

    def size(self, change: Change) -> str:
        """``−9.8 % [−11.2, −8.4]``, or a difference of quality with four decimals."""
        if self.relative:
            return (
                f"{_signed(100 * change.size, 1)} % [{_signed(100 * change.low, 1)}, {_signed(100 * change.high, 1)}]"
            )
        return f"{_signed(change.size, 4)} [{_signed(change.low, 4)}, {_signed(change.high, 4)}]"

    def told(self, change: Change) -> str:
        """One change point in one line: date, revision, size, interval, and what else changed there."""
        word = "regressed" if change.worse else "improved"
        parts = [
            f"{self.dates[change.place]:%Y-%m-%d}",
            clean(self.revisions[change.place] or "—"),
            f"{clean(self.label)}: {self.metric} {word} by {self.size(change)}",
        ]
        notes = f" ({', '.join(map(clean, change.notes))})" if change.notes else ""
        return "  ".join(parts) + notes


def _signed(value: float, places: int) -> str:
    return f"{value:+.{places}f}".replace("-", "−")


def text(lines: Sequence[Line]) -> str:
    """The series as lines of text below the scenario they are of, and the change points below them all."""
    parts = []
    machines = dict.fromkeys(line.machine for line in lines)
    width = max((len(line.metric) for line in lines), default=0)
    bars = max((min(len(line.medians), _MOST_TICKS) for line in lines), default=0)
    for machine in machines:
        own = [line for line in lines if line.machine == machine]
        if len(machines) > 1:
            parts.append(f"machine {machine}")
        for label in dict.fromkeys(line.label for line in own):
            parts.append(clean(label))
            parts += [
                f"  {line.metric:<{width}}  {len(line.medians):>4}  {sparkline(line.medians):<{bars}}  {line.newest}"
                for line in own
                if line.label == label
            ]
    changed = [line.told(change) for line in lines for change in line.changes]
    parts += ["", "change points" if changed else "no change points", *(f"  {told}" for told in sorted(changed))]
    return "\n".join(parts)


def sparkline(values: Sequence[float]) -> str:
    """The newest values as one character each; all alike are the middle one."""
    shown = values[-_MOST_TICKS:]
    low, high = min(shown), max(shown)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return _TICKS[len(_TICKS) // 2] * len(shown)
    return "".join(_TICKS[round((value - low) / (high - low) * (len(_TICKS) - 1))] for value in shown)


def write_figures(lines: Sequence[Line], folder: Path) -> list[Path]:
    """One SVG a series into a folder, which is made where it does not exist; returns their paths."""
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        for line in lines:
            path = folder / f"{_stem(line)}.svg"
            path.write_bytes(_drawn(line))
            paths.append(path)
    return paths


def _stem(line: Line) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", f"{line.label} {line.metric}".lower()).strip("-")[:80]
    digest = hashlib.sha256(repr((line.machine, line.label, line.metric)).encode()).hexdigest()[:6]
    return f"{slug}-{digest}"


def _drawn(line: Line) -> bytes:
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = canvas.add_subplot()
    _points(axes, line)
    _levels(axes, line)
    axes.set_title(words(line.label, 90), fontsize=8.5)
    unit = f" ({line.unit})" if line.unit and line.unit not in line.metric else ""
    axes.set_ylabel(f"{line.metric.replace('_', ' ')}{unit}", fontsize=8)
    axes.yaxis.set_major_formatter(lambda value, _: tick(value))
    axes.margins(x=0.02, y=0.18)
    _dates(axes, line)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _points(axes: Axes, line: Line) -> None:
    colour = backend_colour(line.backend) if line.backend else INK
    places = range(len(line.medians))
    for place, low, high in zip(places, line.lows, line.highs, strict=True):
        if low is not None and high is not None:
            axes.plot([place, place], [low, high], color=colour, alpha=0.35, linewidth=1.2)
    for wanted, fill, label in (
        (False, colour, "median of a run"),
        (True, "white", "most of its trials disturbed, noisy or short"),
    ):
        shown = [(place, line.medians[place]) for place in places if line.marked[place] == wanted]
        if shown:
            axes.plot(*zip(*shown, strict=True), "o", color=colour, markersize=3.5, markerfacecolor=fill, label=label)


def _levels(axes: Axes, line: Line) -> None:
    """The level of each stretch, and at each change point a rule with its size."""
    bounds = [0, *(change.place for change in line.changes), len(line.medians)]
    for start, end in pairwise(bounds):
        level = median(line.medians[start:end])
        axes.plot([start - 0.4, end - 0.6], [level, level], color=INK, linewidth=1.1)
    for change in line.changes:
        colour = WORSE if change.worse else BETTER
        axes.axvline(change.place - 0.5, color=colour, linestyle="--", linewidth=1)
        near_end = change.place > 0.75 * len(line.medians)
        size = line.size(change).split(" [")[0]
        axes.annotate(
            f"{size} {'worse' if change.worse else 'better'}\n{words(line.revisions[change.place], 14)}",
            (change.place - 0.5, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if near_end else 4, -2),
            textcoords="offset points",
            ha="right" if near_end else "left",
            va="top",
            fontsize=8,
            color=colour,
        )
    if any(line.marked) or line.changes:
        axes.legend(loc="lower left", fontsize=7.5, labelcolor=SANITY_COLOUR)


def _dates(axes: Axes, line: Line) -> None:
    count = len(line.dates)
    step = max(1, -(-count // _MOST_DATES))
    places = list(range(0, count, step))
    axes.set_xticks(places, [f"{line.dates[place]:%Y-%m-%d}" for place in places], fontsize=7.5)
