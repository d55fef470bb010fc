"""Series: the points of one machine, scenario and metric, in the order of their runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.history.entry import METRICS, Entry, Point, Run
from bench.records.metrics import Metric


@dataclass(frozen=True)
class Series:
    """``runs[i]`` is the run that ``points[i]`` is of. Another machine, other rows or another scenario is another
    series; other versions are not."""

    machine: str
    runs: tuple[Run, ...]
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        return self.points[-1].label

    @property
    def metric(self) -> str:
        return self.points[-1].metric

    @property
    def kind(self) -> Metric:
        return METRICS[self.metric]

    @property
    def medians(self) -> list[float]:
        return [point.median for point in self.points]

    def versions_changed(self, place: int) -> list[str]:
        """``torch 2.12.1 → 2.13.0``: what was another version at a point than at the one before it."""
        before, after = self.runs[place - 1].versions, self.runs[place].versions
        return [
            f"{name} {before.get(name, 'absent')} → {after.get(name, 'absent')}"
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]


def series(entries: Iterable[Entry]) -> list[Series]:
    """All series of a history, in the order of their last run's points; entries come oldest first."""
    found: dict[tuple[str, ...], list[tuple[Run, Point]]] = {}
    for entry in entries:
        machine = entry.run.machine_hash
        for point in entry.points:
            found.setdefault((machine, point.scenario, point.data, point.metric), []).append((entry.run, point))
    return [
        Series(machine, tuple(run for run, _ in members), tuple(point for _, point in members))
        for (machine, *_), members in found.items()
    ]


def living(entries: Sequence[Entry]) -> list[Series]:
    """The series that the newest runs go on with: of each source the newest run's machine, there the newest run of each
    suite."""
    machines = {entry.run.source: entry.run.machine_hash for entry in entries}
    newest = {
        (entry.run.source, entry.run.suite): entry.run
        for entry in entries
        if entry.run.machine_hash == machines[entry.run.source]
    }
    return [found for found in series(entries) if found.runs[-1] in newest.values()]
