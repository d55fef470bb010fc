"""A history as people read it: its series and their change points, and a line of text with a sparkline for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reports import numbers
from reports.blocks import clean

_TICKS = "▁▂▃▄▅▆▇█"
_MOST_TICKS = 40
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


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
