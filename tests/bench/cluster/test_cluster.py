"""A suite on a cluster of processes on this machine: the same records as without it, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest

from bench.cluster import connection, task
from bench.cluster.address import ClusterError
from bench.cluster.executor import OnCluster
from bench.cluster.placement import Placement
from bench.records.store import key

pytest.importorskip("distributed")

TWO = """
    datasets = ["blobs-2d"]
    seeds = [0, 1]
    [[scenarios]]
    detectors = ["norm"]
"""
PROBE = """
import json, sys
from distributed import Client

def told(names, dask_worker):
    callbacks = dask_worker.periodic_callbacks
    return list(sys.modules), {name: callbacks[name].is_running() for name in names}

from bench.cluster.task import CLOCKED
print(json.dumps(list(Client(sys.argv[1]).run(told, CLOCKED).values())))
"""
FAULTY = '''
"""Detectors that end or outlast the worker of the cluster that they run beside."""
import os, signal, time
import numpy as np

class Poison:
    def __init__(self, *, seed=0, threads=1):
        self.notes = []
    def fit(self, X):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(30)

class Slow:
    def __init__(self, *, seed=0, threads=1):
        self.notes = []
    def fit(self, X):
        time.sleep(3600)
'''


class Cluster:
    """A scheduler and two workers of one thread, with their nannies."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.log = (folder / "log").open("ab")
        self.folder, self.environment = folder, environment
        module = [sys.executable, "-m", "distributed.cli.dask_"]
        self.scheduler = self.start(
            *module[:2], f"{module[2]}scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
        )
        self.workers = [
            self.start(
                *(*module[:2], f"{module[2]}worker", self.address, "--nthreads", "1", "--no-dashboard"),
                *("--name", f"w{i}", "--local-directory", str(folder / f"w{i}")),
            )
            for i in range(2)
        ]

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def trials(self) -> list[psutil.Process]:
        """The processes of trials that run now."""
        below = [child for worker in self.workers for child in psutil.Process(worker.pid).children(recursive=True)]
        found = []
        for child in below:
            try:
                if "bench.worker" in child.cmdline():
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a cluster whose machines have a plug-in with faults."""
    folder = tmp_path_factory.mktemp("ending")
    (folder / "ending.py").write_text(FAULTY)
    info = folder / "ending-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ending\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vaebench.detectors]\npoison = ending:Poison\nslow = ending:Slow\n")
    return {"PYTHONPATH": str(folder), "BENCH_DATA_DIR": str(folder / "no-data")}


@pytest.fixture(scope="module")
def cluster(process: None, home: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("cluster"), {**os.environ, **home})
    try:
        yield found
    finally:
        found.close()


def quality(records: list[dict]) -> dict:
    """What of a record must not depend on where it ran, by trial."""
    return {
        key(record): (
            record["status"],
            {name: value for name, value in record["metrics"].items() if name != "peak_memory_bytes"},
            record["roc_curve"],
            record["data"]["checksum"],
        )
        for record in records
    }


def one_line(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    return lines[0]


def test_workers_of_this_machine_give_the_records_of_a_local_run_and_it_goes_on(
    bench, suite_file, read_records, tmp_path
):
    suite = suite_file(TWO)
    done = bench("run", suite, "--cluster", "local:2", "--untimed", "--out", "out")
    assert done.returncode == 0, done.stderr
    alone = bench("run", suite, "--jobs", "2", "--threads", "1", "--out", "alone")
    assert alone.returncode == 0, alone.stderr
    records = read_records()
    assert quality(records) == quality(read_records("alone"))
    assert len(records) == 4
    assert len({record["process"] for record in records}) == 2, "a worker's trials share its process"
    assert sum(record["made"]["before"] == 0 for record in records) == 2
    assert {record["cluster"]["attempts"] for record in records} == {1}
    assert {record["environment_hash"] for record in records} == {read_records("alone")[0]["environment_hash"]}
    for record in records:
        theirs = (tmp_path / "alone" / record["arrays"]).read_bytes()
        assert (tmp_path / "out" / record["arrays"]).read_bytes() == theirs, "the arrays came along"
    assert "no Dask" not in done.stderr
    again = bench("run", suite, "--cluster", "local:1", "--untimed", "--out", "out", "--seeds", "0,1,2")
    assert "4 of 6 trials were finished before and kept" in again.stdout
    assert len(read_records()) == 6


def test_timed_trials_run_in_turn_beside_an_idle_worker_without_frameworks(bench, cluster, suite_file, read_records):
    done = bench("run", suite_file(TWO), "--cluster", cluster.address, "--out", "out")
    assert done.returncode == 0, done.stderr
    records = read_records()
    assert [record["timed"] for record in records] == [True] * 4
    assert all(record["metrics"]["train_samples_per_second"] > 0 for record in records)
    assert {record["threads"] for record in records} == {records[0]["environment"]["machine"]["cores"]}
    assert max(record["cluster"]["dask_cpu_share"] for record in records) < 0.1
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, cluster.address], capture_output=True, text=True, check=True, timeout=60
    )
    workers = json.loads(probe.stdout)
    assert len(workers) == 2
    for loaded, clocked in workers:
        assert not {"torch", "tensorflow", "keras", "jax"} & set(loaded)
        assert clocked == dict.fromkeys(task.CLOCKED, True), "what was stopped beside a timed trial goes on after it"


def test_a_file_of_the_user_is_sent_to_workers_that_do_not_have_it(bench, cluster, read_records, tmp_path):
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(200, 3)), rng.normal(size=(20, 3)) + 8])
    np.savez(tmp_path / "mine.npz", X=rows, y=np.repeat([0, 1], [200, 20]))
    done = bench(
        *("run", "smoke", "--datasets", "file:mine.npz", "--detectors", "norm", "--seeds", "0"),
        *("--untimed", "--cluster", cluster.address, "--out", "out"),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    (record,) = read_records()
    assert record["data"]["files"][0]["name"] == "mine.npz"


def test_a_trial_that_kills_every_worker_ends_as_a_record_and_the_others_run(
    bench, cluster, home, suite_file, read_records
):
    suite = suite_file(TWO.replace('["norm"]', '["poison", "norm"]').replace("[0, 1]", "[0]"))
    done = bench("run", suite, "--cluster", cluster.address, "--untimed", "--retries", "1", "--out", "out", **home)
    assert done.returncode == 1, done.stderr
    records = {record["detector"]: record for record in read_records()}
    assert len(read_records()) == 3
    assert records["poison"]["status"] == "failed"
    assert records["poison"]["reason"].startswith("worker lost 2 times")
    assert records["poison"]["cluster"]["attempts"] == 2
    assert records["norm"]["status"] == records["mahalanobis"]["status"] == "ok"


def test_what_a_stopped_client_has_started_ends_and_a_lost_scheduler_is_one_line(
    cluster, home, environ, suite_file, tmp_path
):
    suite = suite_file(TWO.replace('["norm"]', '["slow"]'))
    command = [environ["BENCH_COMMAND"], "run", suite, "--detectors", "slow", "--untimed"]

    def started(out: str) -> subprocess.Popen[str]:
        client = subprocess.Popen(
            [*command, "--cluster", cluster.address, "--out", out],
            cwd=tmp_path,
            env=environ | home,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait(lambda: cluster.trials(), f"{out}: no trial began")
        return client

    client = started("a")
    client.send_signal(signal.SIGINT)
    assert "the same command goes on" in client.communicate(timeout=60)[1]
    assert client.returncode == 130
    wait(lambda: not cluster.trials(), "trials of a client that was stopped go on")
    client = started("killed")
    client.kill()
    client.communicate(timeout=60)
    wait(lambda: not cluster.trials(), "trials of a client that was killed go on")
    client = started("b")
    cluster.scheduler.kill()
    stderr = client.communicate(timeout=90)[1]
    assert "bench: the scheduler is gone; every finished trial is kept" in stderr
    assert "Traceback" not in stderr
    assert "ERROR" not in stderr, "Dask says nothing of its own"
    assert client.returncode == 2


def test_ctrl_c_while_a_cluster_of_this_machine_starts_is_told_in_one_line(environ, suite_file, tmp_path):
    client = subprocess.Popen(
        [environ["BENCH_COMMAND"], "run", suite_file(TWO), "--untimed", "--cluster", "local:2"],
        cwd=tmp_path,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # the first is Python's own, which keeps count of what processes share
    wait(lambda: len(psutil.Process(client.pid).children()) > 1, "no worker was started")
    os.killpg(client.pid, signal.SIGINT)
    stderr = client.communicate(timeout=60)[1]
    assert client.returncode == 130, stderr
    assert stderr.strip().splitlines()[-1].startswith("stopped; ")
    assert "Traceback" not in stderr


def wait(condition, otherwise: str) -> None:
    deadline = time.monotonic() + 240  # whatever else the machine does
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


# ----------------------------------------------------------------------------------------- without a process


def test_what_quietens_workers_is_named_as_dask_names_it_and_told_to_those_who_start_their_own():
    import dask
    import distributed  # noqa: F401 (brings its settings)

    told = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
    for name in connection.QUIET:
        assert dask.config.get(name, None) is not None, name
    assert "distributed.worker.profile.enabled" in connection.QUIET
    assert "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=" in told


@pytest.mark.parametrize(
    ("installed", "said"), [(True, "Dask's dashboard: http://head:8787/status"), (False, "pip install bokeh")]
)
def test_a_dashboard_is_named_only_where_its_pages_can_be_drawn(installed, said, capsys):
    class Client:
        scheduler = SimpleNamespace(address="tcp://127.0.0.1:1")
        dashboard_link = "http://head:8787/status"

        def scheduler_info(self) -> dict[str, Any]:
            return {"services": {"dashboard": 8787}}

        def run_on_scheduler(self, function: Any, *asked: str) -> str:
            if not installed:
                raise PackageNotFoundError(asked[0])
            return "3.0"

    connection.greet(Client())
    assert said in one_line(capsys.readouterr().err)


def test_a_worker_that_comes_back_at_its_address_is_lost_first_and_asked_anew(tmp_path, monkeypatch):
    """With a port of its own a worker has the address of the one before, and not what that one was told."""

    class Client:
        def nthreads(self) -> dict[str, int]:
            return {"tcp://a:1": 1}

    class Pool:
        asked: ClassVar[list[list[str]]] = []

        def submit(self, ask: Any, addresses: list[str]) -> None:
            self.asked.append(addresses)

    cluster = OnCluster(Client(), tmp_path, sizes={}, retries=0, mixed=False)
    cluster.pool, cluster.asked = Pool(), {"tcp://a:1"}
    cluster.placement = Placement([], retries=0, memory=cluster.memory, mixed=False, homes={})
    left = []
    monkeypatch.setattr(cluster.placement, "leave", lambda address: left.append(address) or [])
    cluster._heard(("time", {"action": "remove-worker", "worker": "tcp://a:1"}))
    cluster._heard(("time", {"action": "add-worker", "worker": "tcp://a:1"}))
    while not cluster.news.empty():
        kind, *what = cluster.news.get()
        list(getattr(cluster, f"_on_{kind}")(*what))
    assert left == ["tcp://a:1"]
    assert Pool.asked == [["tcp://a:1"]]


@pytest.mark.parametrize(
    ("greeting", "said"),
    [(b"", "nothing was heard for 2 s"), (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" * 4, "something else")],
)
def test_what_is_no_scheduler_but_answers_there_is_one_line(process, in_process, monkeypatch, tmp_path, greeting, said):
    """Dask waits without an end for the greeting of a server that accepts and is silent."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 2)
    held = []

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                held.append(server.accept()[0])
                held[-1].sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        done = in_process("run", "smoke", "--untimed", "--out", "out", "--cluster", address)
    assert done.returncode == 2
    assert f"no Dask scheduler answers at {address}: " in one_line(done.stderr)
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_encryption_that_is_required_and_not_there_is_one_line(process, in_process):
    import dask

    with dask.config.set({"distributed.comm.require-encryption": True}):
        done = in_process("run", "smoke", "--untimed", "--out", "out", "--cluster", "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert "encryption required by Dask configuration" in one_line(done.stderr)


def test_without_the_extra_one_line_names_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install 'vaebench\[cluster\]'"):
        connection.require()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cluster", "nowhere"], "no clusters.toml here"),
        (["--cluster", "local:2", "--jobs", "2"], "--jobs is of this machine"),
        (["--cluster", "local:2", "--verify"], "--verify proves the backends of this machine"),
        (["--mixed"], "--mixed is of --cluster"),
        (["--retries", "1"], "--retries is of --cluster"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_written(in_process, options, said, tmp_path):
    done = in_process("run", "smoke", "--out", "out", *options)
    assert done.returncode == 2
    assert said in one_line(done.stderr)
    assert not (tmp_path / "out").exists()
