"""The client's end of a cluster: opened in one line or refused in one, and quiet otherwise."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.cluster.address import Address, ClusterError, unencrypted
from bench.cluster.workers import Worker
from bench.environment import available_cores
from bench.messages import nearest
from bench.records import store
from bench.suites.suite import Suite

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10
FIRST_WORKER_SECONDS = 60
EXTRA = "--cluster needs Dask's distributed, which is not installed: pip install 'vaebench[cluster]'"

QUIET = {
    # samples every thread of a worker a hundred times a second otherwise, also while a trial is timed
    "distributed.worker.profile.enabled": False,
    # 50 times a second otherwise: four fifths of what an idle worker takes
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    # how often a task may lose its worker is counted here, by trial
    "distributed.scheduler.allowed-failures": 10**6,
}
"""Dask's settings for workers on this machine; docs/cluster.md names those that others want."""
_FREE = ("environ", "resources")
"""How groups of Dask's settings end in which every name is good."""


def require() -> None:
    """Raises ClusterError, one line, without the extra."""
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise ClusterError(EXTRA)


@contextmanager
def opened(address: Address) -> Iterator[Client]:
    """A client of the cluster, once it has a worker. Workers on this machine end with it.

    Raises
    ------
    ClusterError
        No scheduler answers there, or it has no worker.
    """
    require()
    import dask
    from distributed import Client, LocalCluster

    # Dask gives loggers below its own a level each
    below = [name for name in logging.root.manager.loggerDict if name.startswith("distributed.")]
    for name in ("distributed", "tornado", "asyncio", *below):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what it means for the run is said in one line
    warnings.filterwarnings("ignore", "Creating scratch directories")  # of a slow disk, or of a machine that is busy
    _check(address.dask)
    with dask.config.set(QUIET), dask.config.set(dict(address.dask)):
        if address.local:
            with ExitStack() as started:
                with _undisturbed():
                    cluster = LocalCluster(
                        n_workers=address.local,
                        threads_per_worker=max(1, available_cores() // address.local),
                        host="127.0.0.1",
                        dashboard_address="127.0.0.1:0",
                        silence_logs=logging.CRITICAL + 1,
                    )
                    client = Client(started.enter_context(cluster), timeout=CONNECT_SECONDS)
                    started.enter_context(client)
                yield client
            return
        where = address.url or str(address.file)
        try:
            target: dict[str, Any] = {"address": address.url} if address.url else {"scheduler_file": str(address.file)}
            asyncio.run(_answered(address))
            client = Client(**target, timeout=CONNECT_SECONDS)
        except Exception as error:  # what answers there may be anything, and so may what a library makes of it
            raise ClusterError(f"no Dask scheduler answers at {where}: {_short(error)}") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
            except TimeoutError:
                raise ClusterError(
                    f"the scheduler at {where} has had no worker for {FIRST_WORKER_SECONDS} s; start one with: "
                    f"dask worker {client.scheduler.address}"
                ) from None
            yield client


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until Dask has started what it then knows how to end, and does not reach the processes it starts.

    They inherit the signals that are blocked. Nor do they complain of what is left where the run itself is killed.
    """
    told = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (told, "ignore:resource_tracker:UserWarning")))
    before = None
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # its start would let the signal through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if told is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = told
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check(settings: Iterable[str]) -> None:
    """Raises ClusterError for settings that Dask would pass over in silence, or fail of much later. Those of other
    packages, and of groups whose names are the user's, stay as they are."""
    from dask import config

    for name in settings:
        place: Any = config.config
        done: list[str] = []
        for part in name.split("."):
            key = config.canonical_name(part, place) if isinstance(place, dict) else part
            if not isinstance(place, dict) or key not in place:
                if done and not done[-1].endswith(_FREE):
                    names = place if isinstance(place, dict) else ()
                    raise ClusterError(
                        f"Dask has no setting {name}{nearest(part, names, prefix='.'.join((*done, '')))}"
                    )
                break
            place = place[key]
            done.append(part)
        else:
            if isinstance(place, dict) and place and not done[-1].endswith(_FREE):
                raise ClusterError(f"Dask's {name} is a group of settings, and no setting")


async def _answered(address: Address) -> None:
    """Waits for a scheduler's greeting; Dask's own limit of time does not reach as far as that."""
    from distributed.comm import connect
    from distributed.security import Security

    url = address.url or msgspec.json.decode(Path(str(address.file)).read_bytes())["address"]
    given = Security().get_connection_args("client")
    if url.startswith("tls:") and given["ssl_context"] is None:
        raise ValueError("tls:// wants Dask's settings distributed.comm.tls.ca-file and .client.cert")
    try:
        comm = await asyncio.wait_for(connect(url, timeout=CONNECT_SECONDS, **given), CONNECT_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"nothing was heard for {CONNECT_SECONDS} s") from None
    except MemoryError:  # other words than a greeting, taken for its length
        raise ValueError("what answers there is something else") from None
    comm.abort()


def greet(client: Client) -> None:
    """Says where the dashboard is, or why there is none, and warns of a scheduler that anybody may use."""
    scheduler = client.scheduler.address
    if warning := unencrypted(scheduler):
        print(f"warning: {warning}", file=sys.stderr)
    if not client.scheduler_info().get("services", {}).get("dashboard"):
        return
    try:
        client.run_on_scheduler(version, "bokeh")
    except PackageNotFoundError:
        told = "Dask's dashboard needs bokeh, which is not installed where the scheduler runs: pip install bokeh"
    else:
        told = f"Dask's dashboard: {client.dashboard_link}"
    print(told, file=sys.stderr, flush=True)


def threads(client: Client, suite: Suite, out: Path) -> int:
    """What a timed trial takes where the suite names no number: the cores of the smallest machine.

    A run that goes on keeps the number that it began with, whoever is there now: another number is another scenario.
    """
    if (out / store.FILE).is_file():
        records, _ = store.read(out)
        begun = {record["scenario_hash"] for record in records}
        for number in dict.fromkeys(record["threads"] for record in records):
            if any(scenario.hash in begun for scenario in suite.scenarios(number)):
                return int(number)
    from bench.cluster.asking import described, question

    found = described(client, question([], None), list(client.nthreads()))
    usable = [worker for worker in found.values() if isinstance(worker, Worker)]
    if not usable:
        raise ClusterError(f"no worker can be used: {next(iter(found.values()), 'there is none')}")
    return min(worker.cores for worker in usable)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"
