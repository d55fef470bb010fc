"""Trials from start to end: a worker is started, driven through its commands, and each trial ends in one record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import msgspec

import backends
from bench.detect import registry
from bench.environment import environment_hash
from bench.records.record import SCHEMA, Record
from bench.suites.scenario import Trial
from bench.worker import caches
from bench.worker.process import TrialFailed, WorkerProcess

Progress = Callable[[str, int, int], None]
"""Called with what the trial is doing, epochs done and epochs in all."""


def run_trial(trial: Trial, environment: Mapping[str, Any], **options: Any) -> Record:
    """``run_trials`` of one."""
    (record,) = run_trials([trial], environment, **options)
    return record


def run_trials(
    trials: Sequence[Trial],
    environment: Mapping[str, Any],
    *,
    timeout: float,
    command: str = "",
    self_check: bool = True,
    warm: bool = False,
    cache: Path | None = None,
    progress: Progress = lambda doing, done, of: None,
    heard: Callable[[int, Mapping[str, Any]], None] = lambda epoch, losses: None,
    launched: Callable[[WorkerProcess], object] = lambda worker: None,
) -> Iterator[Record]:
    """Runs trials of one scenario in one worker and gives the record of each as it ends, whatever happens.

    After one that fails the next gets a worker of its own.

    Parameters
    ----------
    trials : sequence of Trial
        Mostly one: what shares a process is no independent timing, and its records have one ``process``.
    environment : mapping
        From ``bench.environment.environment``; the worker's own report is added to it.
    timeout : float
        Seconds each trial may take.
    command : str
        The command line to reproduce it by, for the record.
    self_check : bool
        Whether a timed trial follows the reference when all is timed; one that does not has failed.
    warm : bool
        Whether a second process then compiles the first trial's programs with what its own kept on the disk.
    cache : Path
        The folder in which compilers look for programs and keep them; where nothing is said, one that is empty and goes
        when all has ended, so that compilation is cold. A timed trial that finds some there has no cold times.
    progress : callable
        Told which of a trial's steps comes next; it is called between the worker's commands, never during one.
    heard : callable
        Told each epoch, counted from 0, and its losses; what it raises ends the worker and passes on.
    launched : callable
        Given each worker when it has been started; whoever ends it ends the trial.
    """
    with ExitStack() as whole:
        kept = cache or Path(whole.enter_context(TemporaryDirectory(prefix="vaebench-", ignore_cleanup_errors=True)))
        stack = whole.enter_context(ExitStack())
        worker: WorkerProcess | None = None
        process, first = "", True
        for trial in trials:
            scenario, record = trial.scenario, blank(trial, environment, command)
            reason = backends.unavailable(scenario.backend) if scenario.backend else None
            if reason := reason or registry.unavailable(scenario.detector, scenario.parameters):
                yield record | {"status": "skipped", "reason": reason}
                continue
            started = time.perf_counter()
            steps = Steps(progress)
            found = caches.programs(kept) if trial.timed and scenario.backend else frozenset()
            try:
                if first := worker is None:
                    process = uuid4().hex[:16]
                    worker = stack.enter_context(
                        WorkerProcess(scenario.threads, scenario.device, timeout, variables=caches.variables(kept))
                    )
                    launched(worker)
                assert worker is not None
                worker.extend(timeout)
                record["process"] = process
                _drive(worker, trial, record, first=first, check=self_check and trial.timed, steps=steps, heard=heard)
            except TrialFailed as failed:
                reason = failed.reason + (f", {steps.doing}" if failed.status == "timeout" else "")
                record |= {"status": failed.status, "reason": reason}
                stack.pop_all().close()
                worker = None
            record["wall_seconds"] = time.perf_counter() - started
            if found and record["status"] == "ok":
                _set_apart(record, found, kept)
            elif warm and first and trial.timed and scenario.backend and record["status"] == "ok":
                progress("compiling warm", 0, 0)
                _compile_warm(trial, record, kept, timeout)
            yield record
        if worker is not None:
            worker.stop()


class Steps:
    """What a trial is doing, told on and remembered."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.doing = progress, "starting"

    def __call__(self, doing: str, done: int, of: int, more: str = "") -> None:
        self.doing = doing + more
        self.progress(doing, done, of)


def _drive(
    worker: WorkerProcess,
    trial: Trial,
    record: Record,
    *,
    first: bool,
    check: bool,
    steps: Steps,
    heard: Callable[[int, Mapping[str, Any]], None],
) -> None:
    """Takes one trial through a worker's commands, and what is replied into its record."""
    began = time.perf_counter()
    steps("starting", 0, 0)
    worker.request("hello")
    if trial.timed and first:
        record["start_seconds"] = time.perf_counter() - began
    prepared = worker.request("prepare", trial=msgspec.to_builtins(trial), check=check)
    record["environment"] = {**record["environment"], "backend": prepared["backend"]}
    epochs = prepared["epochs"]
    for epoch in range(epochs):
        steps("training", epoch, epochs, f", epoch {epoch + 1} of {epochs}")
        reply = worker.request("epoch", epoch)
        stop = reply.pop("stop")
        for name, loss in reply.items():
            record[name].append(loss)
        heard(epoch, reply)
        if stop:
            break
    steps("scoring", epoch + 1, epochs)
    record |= worker.request("score")
    if not first:
        # the most that the process held may have been an earlier trial's
        record["metrics"].pop("peak_memory_bytes", None)
        record.pop("import_memory_bytes", None)
    if check:
        steps("following the reference", epoch + 1, epochs)
        record |= worker.request("self_check")
        if record["self_check"]["followed"] is False:
            record |= {"status": "failed", "reason": f"self-check: {record['self_check']['reason']}"}


def _set_apart(record: Record, found: frozenset[str], kept: Path) -> None:
    """Makes the compile time of a trial that found programs the warm one, and takes out what a cold one is part of."""
    metrics = record["metrics"]
    seconds = metrics.pop("compile_seconds")
    for name in ("first_step_seconds", "result_seconds"):
        metrics.pop(name)
    _note_warm(record, seconds, len(found), len(caches.programs(kept) - found))


def _note_warm(record: Record, seconds: float, programs: int, added: int) -> None:
    """No warm time where anything was compiled anew: then the framework did not find its own programs again."""
    record["compile_cache"] = {"programs": programs, "added": added}
    if added:
        told = f"{added} programs were compiled anew beside {programs} that were kept"
        record["notes"] = [*record["notes"], f"The warm compilation was not timed: {told}."]
        return
    record["metrics"]["compile_warm_seconds"] = seconds
    record["samples"]["compile_warm"] = [seconds]


def _compile_warm(trial: Trial, record: Record, kept: Path, timeout: float) -> None:
    """Has a process of its own compile the trial's programs with what is kept of them, and notes how long it took."""
    before = caches.programs(kept)
    if not before:
        record["compile_cache"] = {"programs": 0, "added": 0}
        return
    scenario = trial.scenario
    try:
        with WorkerProcess(scenario.threads, scenario.device, timeout, variables=caches.variables(kept)) as worker:
            reply = worker.request("prepare", trial=msgspec.to_builtins(replace(trial, results=None)))
            worker.stop()
    except TrialFailed as failed:
        record["notes"] = [*record["notes"], f"The warm compilation was not timed: {failed.reason}."]
        return
    _note_warm(record, reply["phases"]["compile"], len(before), len(caches.programs(kept) - before))


def blank(trial: Trial, environment: Mapping[str, Any], command: str) -> Record:
    """The record of a trial that ended well and has nothing to show yet."""
    scenario = trial.scenario
    return {
        "schema": SCHEMA,
        "suite": trial.suite,
        "dataset": scenario.dataset,
        "detector": scenario.detector,
        "backend": scenario.backend,
        "mode": scenario.mode,
        "device": scenario.device,
        "precision": scenario.precision,
        "threads": scenario.threads,
        "protocol": scenario.protocol,
        "seed": trial.seed,
        "round": trial.round,
        "timed": trial.timed,
        "scenario_hash": scenario.hash,
        "environment_hash": environment_hash(environment),
        "status": "ok",
        "reason": None,
        "loss": [],
        "validation_loss": [],
        "settings": (scenario.training.table if scenario.training else {}) | scenario.parameters,
        **({"swept": scenario.swept} if scenario.swept else {}),
        **({"varied": scenario.varied} if scenario.varied else {}),
        "environment": dict(environment),
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
