"""A run: which trials are left, in what order they go, and one record on the disk after each."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.environment import differences, environment_hash
from bench.records import store
from bench.records.index import Entry, Index
from bench.records.record import Record
from bench.run.executor import Display, Executor, Plan
from bench.run.trial import blank
from bench.suites.checks import SuiteError
from bench.suites.fits import Shape
from bench.suites.scenario import Trial
from bench.suites.suite import Suite


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
    timed: bool,
    executor: Executor,
    data_dir: Path | None,
    shapes: Mapping[str, Shape],
    unfit: Mapping[str, str],
    command: str,
    display: Display,
    self_check: bool = True,
    retry_failed: bool = False,
) -> Outcome:
    """Has what is left of a suite run, and appends one record a trial to ``out``.

    Trials that have a record there are kept and not run again, but for those that failed where ``retry_failed``. Those
    that are not ``timed`` carry no timings and need no limits. ``fits.survey`` gives ``shapes``, and ``unfit``: why
    scenarios, told by their hashes, cannot run; their trials become records of that. ``self_check`` is as in
    ``run_trial``.

    Raises
    ------
    SuiteError
        Another run writes there now, or its records come from an environment that is not the executor's.
    """
    where = str(data_dir) if data_dir else None
    plan = suite.trials(threads, timed=timed, data_dir=where, results=str(out.resolve()))
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            index = index_of(out, executor.environment() if executor.one_environment else None)
            done = index.finished(timed=timed, failed=not retry_failed)
            left = [trial for trial in plan if trial.key not in done]
            display.begin(len(plan), len(plan) - len(left))
            found: dict[store.Key, Entry | Record] = dict(done)

            def keep(trial: Trial, record: Record) -> None:
                index.append(record)
                # of a trial that ended well nothing more has to be known
                found.pop(trial.key, None)
                if record["status"] != "ok":
                    found[trial.key] = record
                display.ended(trial, record)

            for trial in left:
                if reason := unfit.get(trial.scenario.hash):
                    record = blank(trial, executor.environment(), command)
                    keep(trial, record | {"status": "skipped", "reason": reason})
            todo = Plan(
                suite=suite,
                trials=[trial for trial in left if trial.scenario.hash not in unfit],
                kept=(index.record(entry) for entry in done.values()),
                timed=timed,
                shapes=shapes,
                command=command,
                self_check=self_check,
            )
            with closing(executor.records(todo, display)) as ended:
                for trial, record in ended:
                    if entries := suite.published_of(trial.scenario):
                        record["published"] = entries
                    keep(trial, record)
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


def index_of(out: Path, here: dict[str, Any] | None) -> Index:
    """The records in a directory; SuiteError where they come from another environment than ``here``, if it matters."""
    index = Index(out)
    if here is None:
        return index
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
