"""Trials on this machine, so many at a time, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby
from typing import Any

import psutil

from bench.environment import environment
from bench.proof import known
from bench.records.record import Record
from bench.run import limits
from bench.run.executor import Display, Plan
from bench.run.limits import Limits
from bench.run.trial import run_trial
from bench.suites.scenario import Trial


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

    def environment(self) -> dict[str, Any]:
        return environment()

    def records(self, plan: Plan, display: Display) -> Generator[tuple[Trial, Record]]:
        here = environment()
        proofs = known.known(here)
        found: dict[str, Limits | str] = {}

        def one(trial: Trial) -> Record:
            record = run_trial(
                trial,
                here,
                timeout=plan.timeout,
                command=plan.command,
                self_check=plan.self_check,
                progress=lambda what, step, of: display.doing(trial, what, step, of),
            )
            if trial.scenario.backend:
                record["equality"] = known.of_scenario(trial.scenario, proofs)
            if trial.scenario.hash in found:
                limits.attach(record, trial.scenario, plan.shapes[trial.scenario.dataset], found[trial.scenario.hash])
            return record

        for batch in _rounds(plan.trials) if plan.timed else [list(plan.trials)]:
            scenarios = [trial.scenario for trial in batch]
            if plan.timed and any(scenario.backend for scenario in scenarios):
                display.measuring()
                found = limits.measure(scenarios, plan.shapes)
            yield from _execute(batch, one, self.jobs)


def _rounds(trials: Iterable[Trial]) -> Iterable[list[Trial]]:
    return (list(batch) for _, batch in groupby(trials, key=lambda trial: trial.round))


def _execute(trials: Sequence[Trial], one: Callable[[Trial], Record], jobs: int) -> Generator[tuple[Trial, Record]]:
    """Runs trials in order, ``jobs`` at a time; the next ones start before the record of one that ended is given."""
    waiting = list(reversed(trials))
    running: dict[Future[Record], Trial] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    trial = waiting.pop()
                    running[pool.submit(one, trial)] = trial
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException:
            # stopped by the user, or the disk is full: end the workers, so that the threads that wait for them end too
            for child in psutil.Process().children(recursive=True):
                child.kill()
            raise
