"""Which trials share a process, and who runs which: lines of trials, and the order in which they are taken.

A timed trial has a process of its own. Trials that are not timed form one line for each backend, mode, device,
precision and number of threads, so that a process imports its framework once; within a line those with one compiled
program follow each other. Trials of what another distribution has brought share one with their own kind alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from threading import Lock

from backends.lanes import alike
from backends.reusing import program
from bench.detect import registry
from bench.suites.scenario import Scenario, Trial
from bench.suites.suite import SharedProcess

COMMON = {"scipy", "sklearn"}
"""Packages that go with any other, unlike frameworks, of which a process holds one."""
WORTH = 3
"""Trials that have to be left in a line for another process to be started beside its own."""


def lines(trials: Sequence[Trial], shared: SharedProcess) -> list[list[Trial]]:
    """The trials by the process they run in. Of timed ones each has its own, or, as far as a suite says so, all seeds
    of a scenario and round have one."""
    found: dict[object, list[Trial]] = {}
    for trial in trials:
        if not trial.timed:
            key: object = company(trial.scenario)
        elif shared == "classical" and trial.scenario.backend is None:
            key = trial.scenario.hash, trial.round
        else:
            key = trial.key
        found.setdefault(key, []).append(trial)
    return [line if line[0].timed else _by_program(line) for line in found.values()]


def company(scenario: Scenario) -> object:
    """What scenarios have to have in common to share a process: what is imported into it, and how it is set up."""
    where = scenario.backend, scenario.mode, scenario.device, scenario.precision, scenario.threads
    guests = registry.required(scenario.detector, scenario.parameters) - COMMON
    return (*where, *sorted(guests), None if scenario.detector in registry.REGISTRY else scenario.detector)


def shape(scenario: Scenario) -> object:
    """What scenarios have to have in common to be trained in lanes of one program; None of one without a network."""
    if scenario.training is None:
        return None
    common = replace(alike(scenario.training), epochs=1, patience=0, scores=())
    return scenario.dataset, scenario.detector, scenario.threads, common


def _by_program(line: list[Trial]) -> list[Trial]:
    """A line in which trials of one shape follow each other, within it those of one compiled program, seed by seed."""
    shapes: dict[object, int] = {}
    programs: dict[object, int] = {}

    def place(trial: Trial) -> tuple[int, int, int, int]:
        scenario = trial.scenario
        own = scenario.training and replace(program(scenario.training), epochs=1, patience=0, scores=())
        return (
            shapes.setdefault((scenario.dataset, scenario.detector, shape(scenario)), len(shapes)),
            programs.setdefault(own, len(programs)),
            trial.round,
            trial.seed,
        )

    return sorted(line, key=place)


class Line:
    """What is left of a line, for all who take from it."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self.lock = Lock()
        self.trials = deque((shape(trial.scenario), trial) for trial in trials)

    def __len__(self) -> int:
        return len(self.trials)

    def first(self) -> Trial | None:
        """The trial that is next."""
        with self.lock:
            return self.trials[0][1] if self.trials else None

    def alike(self) -> int:
        """How many trials of one shape come next; of those without a network each is alone."""
        with self.lock:
            if not self.trials or self.trials[0][0] is None:
                return min(1, len(self.trials))
            return sum(1 for _ in takewhile(lambda one: one[0] == self.trials[0][0], self.trials))

    def take(self, most: int = 1) -> list[Trial]:
        """The next trials, so many at most, and those alone that are of one shape; none where nothing is left."""
        with self.lock:
            if not self.trials:
                return []
            first, trial = self.trials.popleft()
            taken = [trial]
            while first is not None and self.trials and len(taken) < most and self.trials[0][0] == first:
                taken.append(self.trials.popleft()[1])
            return taken

    def give_back(self, trials: Sequence[Trial]) -> None:
        """Trials that were taken come next again, in their order."""
        with self.lock:
            self.trials.extendleft((shape(trial.scenario), trial) for trial in reversed(trials))

    def clear(self) -> None:
        with self.lock:
            self.trials.clear()


class Board:
    """The lines that are left, for several who take from them at once."""

    def __init__(self, found: Sequence[Sequence[Trial]]) -> None:
        self.lock = Lock()
        self.waiting = deque(map(Line, found))
        self.begun: list[Line] = []

    def __iter__(self) -> Iterator[Line]:
        """Lines that nobody has begun, then the longest that others have."""
        while (line := self._next()) is not None:
            yield line

    def _next(self) -> Line | None:
        with self.lock:
            if self.waiting:
                self.begun.append(self.waiting.popleft())
                return self.begun[-1]
            longest = max(self.begun, key=len, default=None)
            return longest if longest is not None and len(longest) >= WORTH else None

    def clear(self) -> None:
        """Nothing is left to take."""
        with self.lock:
            self.waiting.clear()
            for line in self.begun:
                line.clear()
