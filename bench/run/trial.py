"""Trials from start to end: a worker is started, driven through its commands, and each trial ends in one record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
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
Heard = Callable[[int, Mapping[str, Any]], None]
"""Called with each epoch, counted from 0, and its losses."""
MEMORY = ("peak_memory_bytes", "peak_device_memory_bytes")
"""The metrics that are of a process, and not of one of several trainings in it."""
MOST = 500
"""Trainings of one process: frameworks do not give all back that they have taken."""
SOUND = ("diverged", "skipped")
"""The failures that a process tells of itself, and goes on after."""


def run_trial(trial: Trial, environment: Mapping[str, Any], **options: Any) -> Record:
    """The record of one trial, in a worker of its own; ``progress`` and ``heard`` as in ``Series.record``."""
    asked = {name: options.pop(name) for name in ("progress", "heard") if name in options}
    with Series(environment, **options) as series:
        return series.record(trial, **asked)


class Series:
    """Trials one after the other in one worker, whatever happens: after one that fails the next gets a fresh one.

    What a trial finds in a worker, imported and compiled, the next one finds there too, so that trials of one process
    are no independent timings. Use it as a context manager: leaving ends the worker.

    Parameters
    ----------
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
    launched : callable
        Given each worker when it has been started; whoever ends it ends the trial.
    """

    def __init__(
        self,
        environment: Mapping[str, Any],
        *,
        timeout: float,
        command: str = "",
        self_check: bool = True,
        warm: bool = False,
        cache: Path | None = None,
        launched: Callable[[WorkerProcess], object] = lambda worker: None,
    ) -> None:
        self.environment, self.command, self.timeout = environment, command, timeout
        self.self_check, self.warm, self.cache, self.launched = self_check, warm, cache, launched
        self.worker: WorkerProcess | None = None
        self.process, self.done = "", 0

    def __enter__(self) -> Self:
        self.whole = ExitStack()
        self.kept = self.cache or self._own_folder()
        self.stack = self.whole.enter_context(ExitStack())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.worker is not None and kind is None:
            self.worker.stop()
        self.whole.close()

    def _own_folder(self) -> Path:
        folder = TemporaryDirectory(prefix="vaebench-", ignore_cleanup_errors=True)
        return Path(self.whole.enter_context(folder))

    def record(
        self,
        trial: Trial,
        progress: Progress = lambda doing, done, of: None,
        heard: Heard = lambda epoch, losses: None,
    ) -> Record:
        """Runs a trial.

        ``progress`` is told which of the trial's steps comes next, between the worker's commands, never during one.
        What ``heard`` raises ends the trial and passes on; the worker stays.
        """
        scenario, record = trial.scenario, blank(trial, self.environment, self.command)
        reason = backends.unavailable(scenario.backend) if scenario.backend else None
        if reason := reason or registry.unavailable(scenario.detector, scenario.parameters):
            return record | {"status": "skipped", "reason": reason}
        started = time.perf_counter()
        steps = Steps(progress)
        found = caches.programs(self.kept) if trial.timed and scenario.backend else frozenset()
        fresh = False
        try:
            worker = self.worker_for(trial)
            fresh = self.done == 0
            record["process"] = self.process
            if not trial.timed:
                record["made"] = {"before": self.done}
            self.done += 1
            check = self.self_check and trial.timed
            _drive(worker, trial, record, first=fresh, check=check, steps=steps, heard=heard)
        except TrialFailed as failed:
            reason = failed.reason + (f", {steps.doing}" if failed.status == "timeout" else "")
            record |= {"status": failed.status, "reason": reason}
            if failed.status not in SOUND:
                self.drop()
        record["wall_seconds"] = time.perf_counter() - started
        if found and record["status"] == "ok":
            _set_apart(record, found, self.kept)
        elif self.warm and fresh and trial.timed and scenario.backend and record["status"] == "ok":
            progress("compiling warm", 0, 0)
            _compile_warm(trial, record, self.kept, self.timeout)
        return record

    def worker_for(self, trial: Trial) -> WorkerProcess:
        """The worker at hand, or a fresh one, with all the time that a trial may take."""
        if self.worker is not None and self.done >= MOST:
            self.worker.stop()
            self.drop()
        if self.worker is None:
            variables = caches.variables(self.kept)
            scenario = trial.scenario
            self.process, self.done = uuid4().hex[:16], 0
            self.worker = self.stack.enter_context(
                WorkerProcess(scenario.threads, scenario.device, self.timeout, variables=variables)
            )
            self.launched(self.worker)
        self.worker.extend(self.timeout)
        return self.worker

    def drop(self) -> None:
        """Ends the worker, if there is one."""
        self.stack.pop_all().close()
        self.worker = None


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
        for name in MEMORY:
            record["metrics"].pop(name, None)
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
