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
from bench.records.record import Record
from bench.run.executor import Display, Executor, Plan
from bench.run.trial import blank
from bench.suites.checks import SuiteError
from bench.suites.fits import Shape
from bench.suites.scenario import Trial
from bench.suites.suite import Suite


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
    timed: bool,
    executor: Executor,
    data_dir: Path | None,
    shapes: Mapping[str, Shape],
    unfit: Mapping[str, str],
    command: str,
    display: Display,
    self_check: bool = True,
) -> Outcome:
    """Has what is left of a suite run, and appends one record a trial to ``out``.

    Trials that have a record there are kept and not run again. Those that are not ``timed`` carry no timings and need
    no limits. ``fits.survey`` gives ``shapes``, and ``unfit``: why scenarios, told by their hashes, cannot run; their
    trials become records of that. ``self_check`` is as in ``run_trial``.

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
            earlier = store.read(out)[0] if (out / store.FILE).is_file() else []
            if executor.one_environment and earlier:
                _require_same(out, earlier, executor.environment())
            done = store.finished(earlier, timed=timed)
            left = [trial for trial in plan if trial.key not in done]
            display.begin(len(plan), len(plan) - len(left))
            found = dict(done)

            def keep(trial: Trial, record: Record) -> None:
                store.append(out, record)
                found[trial.key] = record
                display.ended(trial, record)

            for trial in left:
                if reason := unfit.get(trial.scenario.hash):
                    record = blank(trial, executor.environment(), command)
                    keep(trial, record | {"status": "skipped", "reason": reason})
            fit = [trial for trial in left if trial.scenario.hash not in unfit]
            todo = Plan(fit, list(done.values()), timed, shapes, suite.timeout, command, self_check)
            with closing(executor.records(todo, display)) as ended:
                for trial, record in ended:
                    if entries := suite.published_of(trial.scenario):
                        record["published"] = entries
                    keep(trial, record)
    except Timeout:
        raise SuiteError(f"{out}: another run is writing here; wait for it or choose another --out") from None
    return Outcome(tuple(found[trial.key] for trial in plan), len(plan) - len(left))


def _require_same(out: Path, earlier: list[Record], here: dict[str, Any]) -> None:
    now = environment_hash(here)
    for record in earlier:
        if record["environment_hash"] != now:
            raise SuiteError(
                f"{out}: holds records of another environment ({_difference(record, here)}); choose another --out"
            )


def _difference(record: Record, here: dict[str, Any]) -> str:
    """The first thing that differs, in words."""
    found = differences(record.get("environment", {}), here)
    return found[0] if found else f"environment {record['environment_hash']}"
