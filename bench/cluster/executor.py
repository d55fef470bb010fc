"""Runs a plan on a cluster: asks who is there, sends what placement says, and gives each record once."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from bench import __version__
from bench.cluster import task
from bench.cluster.address import ClusterError
from bench.cluster.asking import described, question, send_files
from bench.cluster.placement import Assignment, Group, Placement, sent
from bench.cluster.workers import Memory, Worker
from bench.records import arrays
from bench.records.record import Record
from bench.run import limits
from bench.run.executor import Display, Plan
from bench.run.limits import Limits
from bench.run.trial import blank
from bench.suites.scenario import Scenario, Trial

if TYPE_CHECKING:
    from distributed import Client

LOOK = 5.0
"""Seconds after which it is asked who is there, whatever was heard: no message that was lost may be waited for."""
PATIENCE = 600.0
"""Seconds without any worker after which a run stops with what it has."""
IDLE_SHARE = 0.01
"""Of a core, what the Dask process may take beside a timed trial before the record says so."""


class OnCluster:
    """The machines of a Dask cluster; an ``Executor``.

    Parameters
    ----------
    client : distributed.Client
        Synchronous, of a cluster that has at least one worker.
    out : Path
        The results directory, where the arrays go to.
    sizes : mapping
        Bytes of each data set's rows, for the first estimate of a trial's memory.
    retries : int
        How often a trial is run again whose worker was lost.
    mixed : bool
        Whether workers with other versions than most machines may run timed trials.
    """

    one_environment = False

    def __init__(self, client: Client, out: Path, *, sizes: Mapping[str, int], retries: int, mixed: bool) -> None:
        self.client, self.out = client, out
        self.memory = Memory(sizes)
        self.retries, self.mixed = retries, mixed
        self.news: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.limits: dict[tuple[int, str], dict[str, Limits | str]] = {}
        self.futures: dict[int, Any] = {}
        self.asked: set[str] = set()
        self.refused: dict[str, str] = {}
        self.known: dict[str, Any] | None = None
        self.run = uuid4().hex

    def environment(self) -> dict[str, Any]:
        """Of any worker: trials that were never started have none of their own."""
        if self.known is None:
            found = described(self.client, question([], None), list(self.client.nthreads()))
            usable = [worker for worker in found.values() if isinstance(worker, Worker)]
            if not usable:
                raise ClusterError("; ".join(dict.fromkeys(map(str, found.values()))) or "the cluster has no worker")
            self.known = dict(usable[0].environment)
        return self.known

    def records(self, plan: Plan, display: Display) -> Generator[tuple[Trial, Record]]:
        if not plan.trials:
            return
        self.plan, self.display = plan, display
        homes = _homes(plan.kept)
        self.placement = Placement(plan.trials, retries=self.retries, memory=self.memory, mixed=self.mixed, homes=homes)
        self.question = question([trial.scenario for trial in plan.trials], plan.trials[0].data_dir)
        self.attempt = count()
        self.pool = ThreadPoolExecutor(1)
        silent = 0.0
        self.looked = 0.0
        try:
            self.client.subscribe_topic("all", self._heard)
            self._look()
            while self.placement.left:
                yield from self._settle()
                if not self.placement.left:
                    break
                if time.monotonic() - self.looked > LOOK:
                    self._require_scheduler()
                    self._look()
                try:
                    kind, *what = self.news.get(timeout=LOOK)
                except queue.Empty:
                    silent = 0.0 if self.placement.workers else silent + LOOK
                    if silent > PATIENCE:
                        raise ClusterError(f"no worker for {PATIENCE:.0f} s; {KEPT}") from None
                    continue
                yield from getattr(self, f"_on_{kind}")(*what)
        finally:
            futures = list(self.futures.values())
            self.futures.clear()
            if futures and self.client.status == "running":
                self.client.cancel(futures, force=True)
            self.pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------------------------------- who is there

    def _heard(self, event: tuple[Any, Any]) -> None:
        """News of the scheduler, in another thread."""
        _, message = event
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            self.news.put(("removed", message["worker"]))
        elif isinstance(message, dict) and message.get("action") == "add-worker":
            self.news.put(("workers",))

    def _on_workers(self) -> Iterable[tuple[Trial, Record]]:
        return self._look()

    def _on_removed(self, address: str) -> Iterable[tuple[Trial, Record]]:
        """Whoever is at this address now is another worker, that knows nothing of what the last one was told."""
        self.asked.discard(address)
        yield from self._on_left(address)
        self._look()

    def _look(self) -> list[tuple[Trial, Record]]:
        """Compares who is there with who is known; newcomers are asked what they are, off this thread."""
        self.looked = time.monotonic()
        try:
            there = set(self.client.nthreads())
        except (OSError, TimeoutError, ValueError):
            self._require_scheduler()
            return []
        new = there - self.asked
        if new:
            self.asked |= new
            self.pool.submit(self._ask, sorted(new))
        for address in self.asked - there:
            self.news.put(("left", address))
        self.asked &= there
        return []

    def _ask(self, addresses: list[str]) -> None:
        found = described(self.client, self.question, addresses)
        for address, worker in found.items():
            if isinstance(worker, Worker) and worker.environment["vaebench"] != __version__:
                found[address] = f"vaebench {worker.environment['vaebench']} there, {__version__} here"
            elif isinstance(worker, Worker):
                found[address] = send_files(self.client, worker, self.question)
        self.news.put(("joined", found))

    def _on_joined(self, found: Mapping[str, Worker | str]) -> Iterable[tuple[Trial, Record]]:
        there = {address: worker for address, worker in found.items() if address in self.asked}
        usable = [worker for worker in there.values() if isinstance(worker, Worker)]
        if usable:
            self.known = self.known or dict(usable[0].environment)
            self.placement.join(*usable)
        for address, worker in there.items():
            if isinstance(worker, str):
                self.refused[address] = worker
                self.display.working(address, worker)
        return ()

    def _on_left(self, address: str) -> Iterable[tuple[Trial, Record]]:
        worker = self.placement.workers.get(address)
        if worker:
            self.display.working(worker.name, "")
        self.refused.pop(address, None)
        for assignment, again in self.placement.leave(address):
            future = self.futures.pop(assignment.number, None)
            if future is not None:
                future.release()
            if not again:
                yield self._lost(assignment)

    def _require_scheduler(self) -> None:
        if self.client.status not in ("running", "connecting"):
            raise ClusterError(f"the scheduler is gone; {KEPT}")

    # ------------------------------------------------------------------------------------------- what runs

    def _settle(self) -> Iterable[tuple[Trial, Record]]:
        """Starts what can be started; trials that no worker can run become records of why."""
        if self.client.status != "running":
            return
        while (assignment := self.placement.next()) is not None:
            self._send(assignment)
        if self.asked <= self.placement.workers.keys() | self.refused.keys():
            for trial, reason in self.placement.hopeless():
                record = blank(trial, self.environment(), self.plan.command)
                yield trial, record | {"status": "skipped", "reason": f"no worker can run it: {reason}"}
            if self.asked and not self.placement.workers:
                raise ClusterError(f"no worker can be used: {next(iter(self.refused.values()))}; {KEPT}")

    def _send(self, assignment: Assignment) -> None:
        trial, worker = assignment.trial, assignment.worker
        if trial.timed and (wanting := self._without_limits(assignment)):
            self.display.measuring()
            shapes = {scenario.dataset: self.plan.shapes[scenario.dataset] for scenario in wanting}
            request = msgspec.json.encode({"scenarios": wanting, "shapes": shapes})
            self._submit(assignment, "limits", task.measured, request)
            return
        request = msgspec.json.encode(
            {
                "run": self.run,
                "trial": sent(assignment),
                "timeout": self.plan.suite.timeout,
                "warm": self.plan.warm(trial),
                "command": self.plan.command,
                "self_check": self.plan.self_check,
            }
        )
        self.display.working(worker.name, f"{trial.scenario.label} seed {trial.seed}")
        self._submit(assignment, "trial", task.run, request)

    def _submit(self, assignment: Assignment, what: str, function: Any, request: bytes) -> None:
        trial = assignment.trial
        future = self.client.submit(
            function,
            request,
            key=f"vaebench-{what}-{trial.scenario.hash}-{trial.seed}-{trial.round}-{id(self):x}-{next(self.attempt)}",
            workers=[assignment.worker.address],
            resources=_resources(assignment),
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        self.futures[assignment.number] = future
        future.add_done_callback(lambda done: self.news.put(("done", what, assignment, done)))

    def _without_limits(self, assignment: Assignment) -> list[Scenario]:
        """What is compared with this trial and has no limits of this machine and round yet."""
        trial, worker = assignment.trial, assignment.worker
        found = self.limits.get((trial.round, worker.machine), {})
        if trial.scenario.backend is None or trial.scenario.hash in found:
            return []
        same = {
            other.scenario.hash: other.scenario
            for other in self.plan.trials
            if other.round == trial.round
            and other.scenario.dataset == trial.scenario.dataset
            and other.scenario.backend is not None
            and other.scenario.hash not in found
            and worker.cannot(other) is None
        }
        return list(same.values())

    def _on_done(self, what: str, assignment: Assignment, future: Any) -> Iterable[tuple[Trial, Record]]:
        if self.futures.pop(assignment.number, None) is None:
            return  # its worker was counted as lost before
        trial, worker = assignment.trial, assignment.worker
        try:
            result = future.result(timeout=60)
        except Exception as error:
            if type(error).__name__ in ("FutureCancelledError", "CancelledError", "TimeoutError"):
                # the connection, or all of the scheduler's memory, was lost: the worker may be well
                self._require_scheduler()
                self.placement.lost(assignment, counted=False)
            elif type(error).__name__ in ("KilledWorker", "CommClosedError"):
                if not self.placement.lost(assignment):
                    yield self._lost(assignment)
            elif self.placement.ended(assignment):
                record = blank(trial, worker.environment, self.plan.command)
                reason = f"worker {worker.name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
                yield trial, record | {"status": "failed", "reason": reason}
            return
        if what == "limits":
            measured: dict[str, Limits | str] = msgspec.json.decode(result)
            found = self.limits.setdefault((trial.round, worker.machine), {})
            # a scenario whose framework is missing there has no limits, and is not asked for again
            found |= {scenario.hash: NO_LIMITS for scenario in self._without_limits(assignment)} | measured
            self._send(assignment)
        elif self.placement.ended(assignment):
            yield trial, self._received(assignment, *result)

    def _received(self, assignment: Assignment, encoded: bytes, content: bytes | None) -> Record:
        trial, worker = assignment.trial, assignment.worker
        record: Record = msgspec.json.decode(encoded)
        record["cluster"]["attempts"] = assignment.attempt
        if content is not None:
            arrays.keep(self.out / record["arrays"], content)
        if peak := record.get("metrics", {}).get("peak_memory_bytes"):
            self.placement.learn(trial.scenario, peak)
        found = self.limits.get((trial.round, worker.machine), {}).get(trial.scenario.hash, NO_LIMITS)
        if trial.timed and found != NO_LIMITS:
            limits.attach(record, trial.scenario, self.plan.shapes[trial.scenario.dataset], found)
        if record["cluster"].get("dask_cpu_share", 0) > IDLE_SHARE:
            taken = f"{record['cluster']['dask_cpu_share']:.1%} of a core"
            record.setdefault("notes", []).append(f"The cluster's own process took {taken} beside this trial.")
        self.display.working(worker.name, "idle")
        return record

    def _lost(self, assignment: Assignment) -> tuple[Trial, Record]:
        worker = assignment.worker
        record = blank(assignment.trial, worker.environment, self.plan.command)
        record["cluster"] = {
            "worker": worker.name,
            "host": worker.host,
            "machine": worker.machine,
            "attempts": assignment.attempt,
        }
        times = "once" if assignment.attempt == 1 else f"{assignment.attempt} times"
        return assignment.trial, record | {"status": "failed", "reason": f"worker lost {times}, last {worker.name}"}


def _resources(assignment: Assignment) -> dict[str, float]:
    """What the worker itself holds for a trial, whichever client sent it: all threads for one that is timed."""
    trial, worker = assignment.trial, assignment.worker
    threads = worker.threads if trial.timed else trial.scenario.threads
    return {task.THREADS: threads, task.MEMORY: assignment.memory}


KEPT = "every finished trial is kept, and the same command goes on from there"
NO_LIMITS = "no limits"


def _homes(kept: Iterable[Record]) -> dict[Group, str]:
    """The machines that ran part of what is compared before the run was stopped."""
    found = {}
    for record in kept:
        if machine := (record.get("cluster") or {}).get("machine"):
            found[record["dataset"], record["seed"], record["round"]] = str(machine)
    return found
