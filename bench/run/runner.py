"""A run: which trials are left, in what order they go, and one record on the disk after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import psutil
from filelock import FileLock, Timeout

from bench.environment import differences, environment, environment_hash
from bench.proof import known
from bench.records import store
from bench.records.index import Entry, Index
from bench.records.record import Record
from bench.run import limits
from bench.run.limits import Limits
from bench.run.trial import blank, run_trials
from bench.suites.checks import SuiteError
from bench.suites.fits import Shape
from bench.suites.scenario import Trial
from bench.suites.suite import SharedProcess, Suite


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
    """How many trials were asked for, how many of them were found finished, and the records of those that did not end
    well, found ones included."""

    trials: int
    kept: int
    bad: tuple[Record, ...]


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
        with FileLock(out / ".lock", timeout=0), TemporaryDirectory(prefix="vaebench-") as shared:
            several = len(suite.seeds) * suite.rounds > 1
            apart = suite.warm == "process" or not several

            def cache(trial: Trial) -> Path | None:
                """Timed trials compile cold, but for the later ones of a scenario where the suite says so; what is not
                timed finds what any other has compiled."""
                if not timed:
                    return Path(shared)
                return None if apart else Path(shared) / trial.scenario.hash

            here = environment()
            index = index_of(out, here)
            proofs = known.known(here)
            done = index.finished(timed=timed)
            left = [trial for trial in plan if trial.key not in done]
            display.begin(len(plan), len(plan) - len(left))
            found: dict[store.Key, Entry | Record] = dict(done)
            found_limits: dict[str, Limits | str] = {}

            def keep(trial: Trial, record: Record) -> None:
                index.append(record)
                # of a trial that ended well nothing more has to be known
                found.pop(trial.key, None)
                if record["status"] != "ok":
                    found[trial.key] = record
                display.ended(trial, record)

            def run_unit(unit: Sequence[Trial]) -> list[Record]:
                first = unit[0]
                if reason := unfit.get(first.scenario.hash):
                    return [blank(trial, here, command) | {"status": "skipped", "reason": reason} for trial in unit]
                found = run_trials(
                    unit,
                    here,
                    timeout=suite.timeout,
                    command=command,
                    self_check=self_check,
                    warm=apart and (first.seed, first.round) == (suite.seeds[0], 0),
                    cache=cache(first),
                    progress=lambda what, step, of: display.doing(first, what, step, of),
                )
                return [completed(trial, record) for trial, record in zip(unit, found, strict=True)]

            def completed(trial: Trial, record: Record) -> Record:
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
                _execute(units(batch, suite.shared_process), run_unit, keep, jobs)
            if left:
                index.save()
            bad = tuple(
                index.record(kept) if isinstance(kept, Entry) else kept
                for trial in plan
                if (kept := found.get(trial.key)) and (not isinstance(kept, Entry) or kept.status != "ok")
            )
    except Timeout:
        raise SuiteError(f"{out}: another run is writing here; wait for it or choose another --out") from None
    return Outcome(len(plan), len(plan) - len(left), bad)


def index_of(out: Path, here: dict[str, Any]) -> Index:
    """The records in a directory; SuiteError where they come from another environment than ``here``."""
    index = Index(out)
    now = environment_hash(here)
    for entry in index.entries:
        if entry.environment != now:
            found = _difference(index.record(entry), here)
            raise SuiteError(f"{out}: holds records of another environment ({found}); choose another --out")
    return index


def _difference(record: Record, here: dict[str, Any]) -> str:
    """The first thing that differs, in words."""
    found = differences(record.get("environment", {}), here)
    return found[0] if found else f"environment {record['environment_hash']}"


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
    units: Sequence[list[Trial]],
    run_unit: Callable[[Sequence[Trial]], list[Record]],
    keep: Callable[[Trial, Record], None],
    jobs: int,
) -> None:
    """Runs units in order, ``jobs`` at a time; records are kept in this thread, as each unit ends."""
    waiting = list(reversed(units))
    running: dict[Future[list[Record]], list[Trial]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    unit = waiting.pop()
                    running[pool.submit(run_unit, unit)] = unit
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    for trial, record in zip(running.pop(future), future.result(), strict=True):
                        keep(trial, record)
        except BaseException:
            # stopped by the user, or the disk is full: end the workers, so that the threads that wait for them end too
            for child in psutil.Process().children(recursive=True):
                child.kill()
            raise
