"""The seam between a suite's plan and whoever runs it: trials go in, records come out as they end."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.records.record import Record
from bench.suites.fits import Shape
from bench.suites.scenario import Trial
from bench.suites.suite import Suite


class Display(Protocol):
    """What a run tells of itself while it goes."""

    def begin(self, trials: int, kept: int) -> None:
        """So many trials in all, of which so many were found finished."""

    def doing(self, trial: Trial, what: str, done: int, of: int) -> None:
        """A trial entered a phase; called only while its worker is idle, so drawing disturbs no timing."""

    def measuring(self) -> None:
        """No trial runs: the limits of the hardware are measured."""

    def working(self, worker: str, what: str) -> None:
        """What a worker of a cluster does now; nothing more to do, or gone, where ``what`` is empty."""

    def ended(self, trial: Trial, record: Record) -> None:
        """A trial's record is on the disk."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


@dataclass(frozen=True)
class Plan:
    """What is left to run of a suite, in order, and how.

    ``kept`` are the records of the trials that were finished before. ``shapes`` are those of ``fits.survey``;
    ``command`` and ``self_check`` are as in ``run_trials``.
    """

    suite: Suite
    trials: Sequence[Trial]
    kept: Iterable[Record]
    timed: bool
    shapes: Mapping[str, Shape]
    command: str
    self_check: bool

    @property
    def apart(self) -> bool:
        """Whether a process of its own compiles with what was kept, and not the later trials of a scenario."""
        return self.suite.warm == "process" or len(self.suite.seeds) * self.suite.rounds == 1

    def warm(self, trial: Trial) -> bool:
        """Whether this is the trial of its scenario whose programs are compiled once more."""
        return self.apart and (trial.seed, trial.round) == (self.suite.seeds[0], 0)


class Executor(Protocol):
    """Runs trials: side by side on this machine, or on those of a cluster."""

    one_environment: bool
    """Whether all its records come from the environment below; others must then not lie in the same directory."""

    def environment(self) -> dict[str, Any]:
        """What the records of trials say that were never started."""

    def records(self, plan: Plan, display: Display) -> Generator[tuple[Trial, Record]]:
        """Each trial with its one record, as they end. Closing the iterator early ends what still runs."""
