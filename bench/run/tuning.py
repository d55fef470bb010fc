"""Tuning: Optuna looks for the best point of a sweep, by what can be known without the test labels.

Each point is trained once with each seed of the suite, as trials like any others whose records stay. It is judged by
the mean over seeds of the validation loss, the KL divergence counted once, or, where the suite takes labelled rows out
of the test rows, by ROC AUC over these. A training whose validation loss falls behind the median of the others at the
same epoch is pruned and leaves no record; where β itself is searched, an epoch's losses do not compare, and a point is
pruned between two seeds alone.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from bench.environment import environment
from bench.messages import UsageError
from bench.records import store
from bench.records.index import Entry, Index
from bench.records.record import Record
from bench.run.runner import index_of
from bench.run.trial import Heard, Series
from bench.suites.scenario import Scenario, Trial
from bench.suites.spaces import Space
from bench.suites.suite import Suite
from bench.suites.sweeps import Range, is_data, rounded
from reports.surveys import columns

JOURNAL = "tune.journal"
"""Optuna's own storage, beside the records."""
STARTUP = 5
"""Points that are trained to their end before any is pruned."""
_REASON, _SHOWN = "reason", "point"


@dataclass(frozen=True)
class Found:
    """What a search came to: the best point and its value, and how its points ended."""

    space: Space
    best: Mapping[str, Any] | None
    value: float
    complete: int
    pruned: int
    failed: int


def objective(space: Space) -> str | None:
    """What the points of a space are judged by, or None where nothing tells them apart without test labels."""
    if space.base.labelled:
        return "labelled_auc"
    return "validation" if space.base.training is not None else None


def refusal(space: Space) -> str | None:
    """Why a space cannot be searched, in one line; None where it can."""
    if of_data := [key for key in space.keys if is_data(key)]:
        return f"{of_data[0]}: rows are nothing to be tuned; 'bench run' measures quality over them"
    what = objective(space)
    if what is None:
        return (
            f"{space.base.detector} has no validation loss to be tuned by; --labelled-validation 20% would take "
            "labelled rows for it out of the test rows"
        )
    if what == "validation" and "likelihood" in space.keys:
        return "likelihood: losses of different likelihoods do not compare; tune each by itself, or by labelled rows"
    return None


def prunes_epochs(space: Space) -> bool:
    """Whether the losses of an epoch can be held against those of other points."""
    return objective(space) == "validation" and "beta" not in space.keys


def tune(
    suite: Suite,
    spaces: list[Space],
    out: Path,
    *,
    trials: int,
    data_dir: Path | None,
    command: str,
    tell: Callable[[str], None],
) -> list[Found]:
    """Searches every space until so many of its points ended, those of earlier calls counted, and returns the best.

    Raises
    ------
    SuiteError
        The records in ``out`` come from another environment.
    UsageError
        Another run writes there now.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            here = environment()
            index = index_of(out, here)
            storage = JournalStorage(JournalFileBackend(str(out / JOURNAL)))
            done, found = index.finished(timed=False), []
            for space in spaces:
                with Series(here, timeout=suite.timeout, command=command) as series:
                    run = _Run(suite, out, index, done, data_dir, series)
                    found.append(_search(space, storage, trials, run, tell))
            return found
    except Timeout:
        raise UsageError(f"{out}: another run is writing here; wait for it or choose another --out") from None


@dataclass(frozen=True)
class _Run:
    suite: Suite
    out: Path
    index: Index
    done: dict[store.Key, Entry]
    data_dir: Path | None
    series: Series

    def record(self, scenario: Scenario, seed: int, heard: Heard) -> Record:
        """The record of a trial, from the disk where it ended before."""
        where = str(self.data_dir) if self.data_dir else None
        trial = Trial(self.suite.name, scenario, seed, 0, False, where, str(self.out.resolve()))
        if trial.key in self.done:
            return self.index.record(self.done[trial.key])
        record = self.series.record(trial, heard=heard)
        self.index.append(record)
        self.done[trial.key] = self.index.entries[-1]
        return record


def _search(space: Space, storage: Any, trials: int, run: _Run, tell: Callable[[str], None]) -> Found:
    import optuna
    from optuna.trial import TrialState

    what = objective(space)
    assert what is not None
    direction = "minimize" if what == "validation" else "maximize"
    study = optuna.create_study(storage=storage, study_name=space.name, direction=direction, load_if_exists=True)
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # a run that was killed left it; its finished seeds have records, so that it goes on where it stopped
        study.tell(left.number, state=TrialState.FAIL)
        study.enqueue_trial(left.params)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    while (ended := _ended(study)) < trials:
        # another seed for each point, since a search that goes on would draw its first points again
        study.sampler = optuna.samplers.TPESampler(seed=zlib.crc32(f"{space.name} {len(study.trials)}".encode()))
        point = study.ask()
        values = {key: _suggested(point, key, given) for key, given in space.keys.items()}
        scenario = space.scenario(values)
        point.set_user_attr(_SHOWN, json.dumps(values))
        head = f"[{ended + 1}/{trials}] {scenario.label}"
        try:
            value = _value(point, space, scenario, what, run)
        except optuna.TrialPruned:
            study.tell(point, state=TrialState.PRUNED)
            tell(f"{head}: pruned")
        except _Failed as failed:
            point.set_user_attr(_REASON, str(failed))
            study.tell(point, state=TrialState.FAIL)
            tell(f"{head}: {failed}")
        else:
            study.tell(point, value)
            tell(f"{head}: {'ROC AUC of labelled rows' if what != 'validation' else 'validation loss'} {value:.5g}")
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    complete, pruned = states.count(TrialState.COMPLETE), states.count(TrialState.PRUNED)
    best = study.best_trial if complete else None
    return Found(
        space,
        json.loads(best.user_attrs[_SHOWN]) if best else None,
        float(best.value) if best else math.nan,
        complete,
        pruned,
        _ended(study) - complete - pruned,
    )


def _ended(study: Any) -> int:
    """Points that need not be trained again: one that failed for a reason of its own has ended."""
    from optuna.trial import TrialState

    over = (TrialState.COMPLETE, TrialState.PRUNED)
    return sum(t.state in over or _REASON in t.user_attrs for t in study.get_trials(deepcopy=False))


class _Failed(Exception):
    """A trial that did not end well; its status and reason in one line."""


def _value(point: Any, space: Space, scenario: Scenario, what: str, run: _Run) -> float:
    """The mean over seeds of what the point is judged by. Raises TrialPruned or _Failed."""
    import optuna

    found: list[float] = []

    def heard(epoch: int, losses: Mapping[str, Any]) -> None:
        # of the first seed alone: the next ones would be held against the end of other points' first
        if prunes_epochs(space) and not found:
            point.report(losses["validation_loss"], epoch)
            if point.should_prune():
                raise optuna.TrialPruned

    for number, seed in enumerate(run.suite.seeds):
        record = run.record(scenario, seed, heard)
        value = float(columns([record])[what][0])
        if record["status"] != "ok" or not math.isfinite(value):
            raise _Failed(f"{record['status']}: {record['reason'] or 'nothing to judge it by'}")
        found.append(value)
        if number + 1 < len(run.suite.seeds):
            point.report(float(np.mean(found)), _END + number)
            if point.should_prune():
                raise optuna.TrialPruned
    return float(np.mean(found))


_END = 10**7
"""Steps from here on count seeds, those before it epochs."""


def _suggested(point: Any, key: str, given: Any) -> Any:
    if isinstance(given, Range):
        if given.whole:
            return point.suggest_int(key, int(given.low), int(given.high), log=given.log)
        return rounded(point.suggest_float(key, given.low, given.high, log=given.log), given)
    # a value may be a list, which Optuna cannot store
    names = [json.dumps(value) for value in given]
    return given[names.index(point.suggest_categorical(key, names))]
