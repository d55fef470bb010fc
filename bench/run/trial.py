"""One trial from start to end: a worker is started, driven through its commands, and always ends in one record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

import backends
from bench.detect import registry
from bench.environment import environment_hash
from bench.records.record import SCHEMA, Record
from bench.suites.scenario import Trial
from bench.worker.process import TrialFailed, WorkerProcess

Progress = Callable[[str, int, int], None]
"""Called with what the trial is doing, epochs done and epochs in all."""


def run_trial(
    trial: Trial,
    environment: Mapping[str, Any],
    *,
    timeout: float,
    command: str = "",
    self_check: bool = True,
    progress: Progress = lambda doing, done, of: None,
    started: Callable[[WorkerProcess], object] = lambda worker: None,
) -> Record:
    """Runs one trial in a worker of its own and returns its record, whatever happens.

    Parameters
    ----------
    trial : Trial
    environment : mapping
        From ``bench.environment.environment``; the worker's own report is added to it.
    timeout : float
        Seconds the whole trial may take.
    command : str
        The command line to reproduce it by, for the record.
    self_check : bool
        Whether a timed trial follows the reference when all is timed; one that does not has failed.
    started : callable
        Given the worker when it has been started; whoever ends it ends the trial.
    progress : callable
        Told what the trial is doing; it is called between the worker's commands, never during one.
    """
    record = blank(trial, environment, command)
    scenario = trial.scenario
    backend = scenario.backend
    reason = backends.unavailable(backend) if backend else None
    if reason := reason or registry.unavailable(scenario.detector, scenario.parameters):
        return record | {"status": "skipped", "reason": reason}
    doing = "starting"
    began = time.perf_counter()
    try:
        with WorkerProcess(scenario.threads, scenario.device, timeout) as worker:
            started(worker)
            progress(doing, 0, 0)
            worker.request("hello")
            if trial.timed:
                record["start_seconds"] = time.perf_counter() - began
            check = self_check and trial.timed
            prepared = worker.request("prepare", trial=msgspec.to_builtins(trial), check=check)
            record["environment"] = {**environment, "backend": prepared["backend"]}
            epochs = prepared["epochs"]
            for epoch in range(epochs):
                doing = f"training, epoch {epoch + 1} of {epochs}"
                progress("training", epoch, epochs)
                reply = worker.request("epoch", epoch)
                stop = reply.pop("stop")
                for name, loss in reply.items():
                    record[name].append(loss)
                if stop:
                    break
            doing = "scoring"
            progress(doing, epoch + 1, epochs)
            record |= worker.request("score")
            if check:
                doing = "following the reference"
                progress(doing, epoch + 1, epochs)
                record |= worker.request("self_check")
                if record["self_check"]["followed"] is False:
                    record |= {"status": "failed", "reason": f"self-check: {record['self_check']['reason']}"}
            worker.stop()
    except TrialFailed as failed:
        reason = failed.reason + (f", {doing}" if failed.status == "timeout" else "")
        record |= {"status": failed.status, "reason": reason}
    record["wall_seconds"] = time.perf_counter() - began
    return record


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
        "environment": dict(environment),
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
