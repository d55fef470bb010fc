"""A run: which trials are left, in what order they go, and one record on the disk after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import psutil
from filelock import FileLock, Timeout

from bench.environment import differences, environment, environment_hash
from bench.proof import known
from bench.records import store
from bench.records.record import Record
from bench.run import limits
from bench.run.limits import Limits
from bench.run.trial import blank, run_trial
from bench.suites.checks import SuiteError
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

    def ended(self, trial: Trial, record: Record) -> None:
        """A trial's record is on the disk."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


@dataclass(frozen=True)
class Outcome:
    """The records of all trials that were asked for, kept ones included, and how many were kept."""

    records: tuple[Record, ...]
    kept: int


def run(
    suite: Suite,
    out: Path,
    *,
    threads: int,
    jobs: int,
    data_dir: Path | None,
    shapes: Mapping[str, Shape],
    unfit: Mapping[str, str],
    command: str,
    display: Display,
    self_check: bool = True,
) -> Outcome:
    """Runs what is left of a suite and appends one record a trial to ``out``.

    Trials that have a record there are kept and not run again. Every round begins with the limits of the hardware.
    With ``jobs`` above 1 trials run side by side, carry no timings and need no limits. ``fits.survey`` gives
    ``shapes``, and ``unfit``: why scenarios, told by their hashes, cannot run; their trials become records of that.
    ``self_check`` is as in ``run_trial``.

    Raises
    ------
    SuiteError
        Another run writes there now, or its records come from another environment.
    """
    timed = jobs == 1
    where = str(data_dir) if data_dir else None
    plan = suite.trials(threads, timed=timed, data_dir=where, results=str(out.resolve()))
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            here = environment()
            found_before = earlier(out, here)
            proofs = known.known(here)
            done = store.finished(found_before, timed=timed)
            left = [trial for trial in plan if trial.key not in done]
            display.begin(len(plan), len(plan) - len(left))
            found = dict(done)
            found_limits: dict[str, Limits | str] = {}

            def keep(trial: Trial, record: Record) -> None:
                store.append(out, record)
                found[trial.key] = record
                display.ended(trial, record)

            def one(trial: Trial) -> Record:
                if reason := unfit.get(trial.scenario.hash):
                    return blank(trial, here, command) | {"status": "skipped", "reason": reason}
                record = run_trial(
                    trial,
                    here,
                    timeout=suite.timeout,
                    command=command,
                    self_check=self_check,
                    progress=lambda what, step, of: display.doing(trial, what, step, of),
                )
                if entries := suite.published_of(trial.scenario):
                    record["published"] = entries
                if trial.scenario.backend:
                    record["equality"] = known.of_scenario(trial.scenario, proofs)
                if trial.scenario.hash in found_limits:
                    shape = shapes[trial.scenario.dataset]
                    limits.attach(record, trial.scenario, shape, found_limits[trial.scenario.hash])
                return record

            for batch in _rounds(left) if timed else [left]:
                usable = [trial.scenario for trial in batch if trial.scenario.hash not in unfit]
                if timed and any(scenario.backend for scenario in usable):
                    display.measuring()
                    found_limits = limits.measure(usable, shapes)
                _execute(batch, one, keep, jobs)
    except Timeout:
        raise SuiteError(f"{out}: another run is writing here; wait for it or choose another --out") from None
    return Outcome(tuple(found[trial.key] for trial in plan), len(plan) - len(left))


def earlier(out: Path, here: dict[str, Any]) -> list[Record]:
    """The records in a directory; SuiteError where they come from another environment than ``here``."""
    if not (out / store.FILE).is_file():
        return []
    found, _ = store.read(out)
    now = environment_hash(here)
    for record in found:
        if record["environment_hash"] != now:
            raise SuiteError(
                f"{out}: holds records of another environment ({_difference(record, here)}); choose another --out"
            )
    return found


def _difference(record: Record, here: dict[str, Any]) -> str:
    """The first thing that differs, in words."""
    found = differences(record.get("environment", {}), here)
    return found[0] if found else f"environment {record['environment_hash']}"


def _rounds(trials: Iterable[Trial]) -> Iterable[list[Trial]]:
    return (list(batch) for _, batch in groupby(trials, key=lambda trial: trial.round))


def _execute(
    trials: Sequence[Trial], one: Callable[[Trial], Record], keep: Callable[[Trial, Record], None], jobs: int
) -> None:
    """Runs trials in order, ``jobs`` at a time; records are kept in this thread, as each ends."""
    waiting = list(reversed(trials))
    running: dict[Future[Record], Trial] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    trial = waiting.pop()
                    running[pool.submit(one, trial)] = trial
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    keep(running.pop(future), future.result())
        except BaseException:
            # stopped by the user, or the disk is full: end the workers, so that the threads that wait for them end too
            for child in psutil.Process().children(recursive=True):
                child.kill()
            raise
