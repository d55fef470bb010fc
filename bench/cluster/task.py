"""The part that runs on a worker of the cluster: what it is, and one trial in a fresh process beside it.

The Dask process imports no framework, and while a trial is timed it only waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import psutil
from distributed import WorkerPlugin, get_worker

import backends
import datasets
from bench.cluster.shared import Shared
from bench.cluster.workers import Worker
from bench.detect import registry
from bench.environment import available_cores, environment
from bench.proof import known
from bench.run import limits
from bench.run.lines import company
from bench.run.trial import Series
from bench.suites.scenario import Scenario, Trial
from bench.worker.process import TrialFailed, WorkerProcess
from datasets.files import SENT
from datasets.storage import replace as replace_file

PLUGIN = "vaebench"
THREADS, MEMORY = "vaebench-threads", "vaebench-memory"
"""Dask resources of a worker."""
FACTS_TIMEOUT = 600.0
CLOCKED = ("tick", "ticks", "monitor", "profile", "profile-cycle")
"""What a Dask process does up to a hundred times a second to tell of itself, by Dask's names."""

PROGRAMS = "vaebench-programs"
"""The folder in which the compilers of a worker's quality trials keep what they compiled."""

running: dict[str, WorkerProcess] = {}
"""The processes of this worker's trials, by the task's key."""
unwanted: set[str] = set()
"""Tasks that nobody waits for any more, and that have not ended yet."""
lock = Lock()
"""Of both: a process that has gone on to another trial is not ended for the one before."""
shared = Shared()
"""The processes that lie idle between two quality trials."""


class Trials(WorkerPlugin):  # type: ignore[misc]
    """Ends the process of a trial whose task was given up, with its client for example: a thread cannot be stopped."""

    name = PLUGIN

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        if start == "executing" and finish == "released":  # what Dask then calls cancelled runs on in its thread
            with lock:
                unwanted.add(str(key))
                if process := running.get(str(key)):
                    process.process.kill()


async def describe(question: bytes, dask_worker: Any) -> bytes:
    """What this worker is, and why what the plan wants does not work here: a ``Worker`` as JSON."""
    if PLUGIN not in dask_worker.plugins:
        await dask_worker.plugin_add(plugin=Trials(), name=PLUGIN)
    told = await asyncio.to_thread(_described, msgspec.json.decode(question), dask_worker)
    await dask_worker.set_resources(**{THREADS: told.threads, MEMORY: told.memory})
    return msgspec.json.encode(asdict(told))


def _described(question: Mapping[str, Any], worker: Any) -> Worker:
    wanted = {name: backends.unavailable(name) for name in question["backends"] if name in backends.names()}
    found = {label: registry.unavailable(name, parameters) for label, name, parameters in question["detectors"]}
    data_dir = question["data_dir"]
    data = {name: _missing(name, data_dir, digest) for name, digest in question["data"].items()}
    return Worker(
        address=worker.address,
        name=str(worker.name),
        host=socket.gethostname(),
        machine=machine(),
        threads=worker.state.nthreads,
        cores=available_cores(),
        memory=int(worker.memory_manager.memory_limit or psutil.virtual_memory().total),
        environment=environment(),
        backends={name: reason for name, reason in wanted.items() if reason},
        detectors={name: reason for name, reason in found.items() if reason},
        data={name: reason for name, reason in data.items() if reason},
    )


def _missing(reference: str, data_dir: str | None, digest: str | None) -> str | None:
    """Why a data set cannot be read here; a file of the client's, told by its SHA-256, has to be the same one."""
    if reason := datasets.missing(reference, Path(data_dir) if data_dir else None):
        return reason
    if digest is not None:
        path = Path(str(datasets.parse(reference).arguments["path"])).expanduser()
        if path.is_file() and sha256(path) != digest:
            return f"{path} is another file here than where the run was started"
    return None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def machine() -> str:
    """What workers on one machine have in common, whatever their containers are called: the kernel's boot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = platform.node()
    return boot[:13]


def receive(name: str, content: bytes, dask_worker: Any) -> str:
    """Keeps a file that was sent, and returns its folder."""
    folder = Path(dask_worker.local_directory) / SENT / hashlib.sha256(content).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / name, content)
    return str(folder)


def run(request: bytes) -> tuple[bytes, bytes | None]:
    """One trial: its record as JSON, and its file of arrays, if it left one."""
    asked = msgspec.json.decode(request)
    trial = msgspec.convert(asked["trial"], Trial)
    worker = get_worker()
    key = str(worker.get_current_task())
    results = Path(tempfile.mkdtemp(prefix="vaebench-", dir=worker.local_directory))
    here = environment()
    try:
        with _alone(exclusive=trial.timed), _series(trial, asked, here) as series:
            with _quiet() if trial.timed else nullcontext():
                idle, began = time.process_time(), time.perf_counter()
                record = series.record(replace(trial, results=str(results)))
                share = (time.process_time() - idle) / (time.perf_counter() - began)
            _forget(key)
        if trial.scenario.backend:
            record["equality"] = known.of_scenario(trial.scenario, known.known(here))
        record["cluster"] = {"worker": str(worker.name), "host": socket.gethostname(), "machine": machine()}
        if trial.timed:
            record["cluster"]["dask_cpu_share"] = share
        arrays = (results / record["arrays"]).read_bytes() if record.get("arrays") else None
        return msgspec.json.encode(record), arrays
    finally:
        _forget(key)
        shutil.rmtree(results, ignore_errors=True)


@contextmanager
def _series(trial: Trial, asked: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[Series]:
    """What runs a trial: a timed one in a process of its own, others of one run in those that they share."""

    def series(cache: Path | None) -> Series:
        return Series(
            here,
            timeout=asked["timeout"],
            command=asked["command"],
            self_check=asked["self_check"],
            warm=asked["warm"],
            cache=cache,
            launched=_launched,
        )

    if trial.timed:
        shared.end()
        with series(None) as own:
            yield own
        return
    programs = Path(get_worker().local_directory) / PROGRAMS
    programs.mkdir(exist_ok=True)
    with shared.lent((asked["run"], company(trial.scenario)), lambda: series(programs)) as lent:
        if lent.worker is not None:
            _launched(lent.worker)
        yield lent


@contextmanager
def _quiet() -> Iterator[None]:
    """Stops what the Dask process does by the clock beside its heartbeat, for as long as a trial is timed."""
    worker = get_worker()
    clocked = [worker.periodic_callbacks[name] for name in CLOCKED if name in worker.periodic_callbacks]
    for callback in clocked:
        worker.loop.add_callback(callback.stop)
    try:
        yield
    finally:
        for callback in clocked:
            worker.loop.add_callback(callback.start)


def _launched(process: WorkerProcess) -> None:
    """Notes which process runs the trial of this thread, and ends it where nobody waits for that any more."""
    key = str(get_worker().get_current_task())
    with lock:
        running[key] = process
        if key in unwanted:
            process.process.kill()


def _forget(key: str) -> None:
    with lock:
        running.pop(key, None)
        unwanted.discard(key)


def measured(request: bytes) -> bytes:
    """The limits of this machine for some scenarios, as ``limits.measure`` gives them."""
    asked = msgspec.json.decode(request)
    scenarios = msgspec.convert(asked["scenarios"], list[Scenario])
    shapes = {name: (features, tuple(image) if image else None) for name, (features, image) in asked["shapes"].items()}
    with _alone(exclusive=True):
        shared.end()
        return msgspec.json.encode(limits.measure(scenarios, shapes))


def facts(reference: str, seed: int, data_dir: str | None) -> bytes:
    """What ``fits.examine`` finds of a data set that lies here, found in a process of its own."""
    try:
        with WorkerProcess(1, "cpu", FACTS_TIMEOUT) as process:
            return msgspec.json.encode(process.request("facts", reference, seed, data_dir))
    except TrialFailed as failed:
        return msgspec.json.encode({"unusable": f"data set '{reference}': {failed.reason}"})


@contextmanager
def _alone(*, exclusive: bool) -> Iterator[None]:
    """Holds this machine's token: many quality trials at a time, or one timed trial, whoever started them.

    A lock of the kernel's ends with the process that holds it, so that no fault leaves one behind.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows, where the client's own order has to do
        yield
        return
    with (Path(tempfile.gettempdir()) / f"vaebench-{os.getuid()}-machine.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
