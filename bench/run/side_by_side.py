"""Trials on this machine, so many at a time, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from bench.environment import environment
from bench.proof import known
from bench.records.record import Record
from bench.run import limits
from bench.run.executor import Display, Plan
from bench.run.limits import Limits
from bench.run.trial import run_trials
from bench.suites.scenario import Trial
from bench.suites.suite import SharedProcess


class SideBySide:
    """This machine. Timed trials go one at a time, and every round begins with the limits of the hardware.

    Parameters
    ----------
    jobs : int
        Trials at a time; they must not be timed where it is above 1.
    """

    one_environment = True

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.here: dict[str, Any] | None = None

    def environment(self) -> dict[str, Any]:
        self.here = self.here or environment()
        return self.here

    def records(self, plan: Plan, display: Display) -> Generator[tuple[Trial, Record]]:
        here = self.environment()
        proofs = known.known(here)
        found: dict[str, Limits | str] = {}

        def run_unit(unit: Sequence[Trial]) -> list[Record]:
            first = unit[0]
            ended = run_trials(
                unit,
                here,
                timeout=plan.suite.timeout,
                command=plan.command,
                self_check=plan.self_check,
                warm=plan.warm(first),
                cache=_cache(plan, first, Path(shared)),
                progress=lambda what, step, of: display.doing(first, what, step, of),
            )
            return [completed(trial, record) for trial, record in zip(unit, ended, strict=True)]

        def completed(trial: Trial, record: Record) -> Record:
            if trial.scenario.backend:
                record["equality"] = known.of_scenario(trial.scenario, proofs)
            if trial.scenario.hash in found:
                limits.attach(record, trial.scenario, plan.shapes[trial.scenario.dataset], found[trial.scenario.hash])
            return record

        with TemporaryDirectory(prefix="vaebench-") as shared:
            for batch in _rounds(plan.trials) if plan.timed else [list(plan.trials)]:
                scenarios = [trial.scenario for trial in batch]
                if plan.timed and any(scenario.backend for scenario in scenarios):
                    display.measuring()
                    found = limits.measure(scenarios, plan.shapes)
                yield from _execute(units(batch, plan.suite.shared_process), run_unit, self.jobs)


def _cache(plan: Plan, trial: Trial, shared: Path) -> Path | None:
    """Timed trials compile cold, but for the later ones of a scenario where the suite says so; what is not timed finds
    what any other has compiled."""
    if not plan.timed:
        return shared
    return None if plan.apart else shared / trial.scenario.hash


def units(trials: Sequence[Trial], shared: SharedProcess) -> list[list[Trial]]:
    """The trials by the process they run in, in order: each has its own, or, as far as a suite says so, all seeds of a
    scenario and round have one."""
    found: dict[object, list[Trial]] = {}
    for trial in trials:
        sharing = shared == "classical" and trial.scenario.backend is None
        found.setdefault((trial.scenario.hash, trial.round) if sharing else trial.key, []).append(trial)
    return list(found.values())


def _rounds(trials: Iterable[Trial]) -> Iterable[list[Trial]]:
    return (list(batch) for _, batch in groupby(trials, key=lambda trial: trial.round))


def _execute(
    units: Sequence[list[Trial]], run_unit: Callable[[Sequence[Trial]], list[Record]], jobs: int
) -> Generator[tuple[Trial, Record]]:
    """Runs units in order, ``jobs`` at a time, and gives the records of each as it ends."""
    waiting = list(reversed(units))
    running: dict[Future[list[Record]], list[Trial]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    unit = waiting.pop()
                    running[pool.submit(run_unit, unit)] = unit
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield from zip(running.pop(future), future.result(), strict=True)
        except BaseException:
            # stopped by the user, or the disk is full: end the workers, so that the threads that wait for them end too
            for child in psutil.Process().children(recursive=True):
                child.kill()
            raise
