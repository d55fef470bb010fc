"""A campaign of random kills: workers, nannies, scheduler and client, while a suite runs on a cluster here.

    python tests/benchmarks/cluster_kills.py --kills 30 --trials 200 --seed 0

One of the workers has a port of its own, so that it comes back at the address that it had. What was killed is started
again, and the client with the same command, until it ends by itself. Then there has to be exactly one finished record a
trial, with the metrics of an undisturbed run on this machine, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Processes:
    """Scheduler, two workers with their nannies, and the client; each can be killed and started again."""

    def __init__(self, folder: Path, port: int, client: list[str]) -> None:
        address = f"tcp://127.0.0.1:{port}"
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
        self.commands = {
            "scheduler": [
                *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"),
                *("--port", str(port), "--no-dashboard"),
            ],
            "worker-0": [
                *(*worker, "--local-directory", str(folder / "w0"), "--name", "w0"),
                *("--worker-port", str(free_port())),
            ],
            "worker-1": [*worker, "--local-directory", str(folder / "w1"), "--name", "w1"],
            "client": [*client, "--cluster", address],
        }
        self.folder = folder
        self.alive: dict[str, subprocess.Popen[bytes]] = {}

    def ensure(self) -> int | None:
        """Starts what does not run; the client's status where it ended by itself with all trials well."""
        for name, command in self.commands.items():
            process = self.alive.get(name)
            if process is not None and process.poll() is None:
                continue
            if name == "client" and process is not None and process.returncode == 0:
                return 0
            log = (self.folder / f"{name}.log").open("ab")
            self.alive[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            log.close()
        return None

    def kill(self, name: str) -> bool:
        """Kills one process; of a worker's nanny (``nanny-0``) the nanny, of a worker the process below it.

        Whether it was there to be killed.
        """
        process = self.alive[name.replace("nanny", "worker")]
        if process.poll() is not None:
            return False
        if name.startswith("worker"):
            below = [
                child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
            ]
            for child in below:
                child.kill()
            return bool(below)
        os.kill(process.pid, signal.SIGKILL)
        return True

    def close(self) -> None:
        for process in self.alive.values():
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
            process.wait()


def records(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]


def quality(found: list[dict]) -> dict[tuple, dict]:
    """The metrics that do not depend on the machine's state, by trial."""
    return {
        (r["scenario_hash"], r["seed"], r["round"]): {
            name: value for name, value in r["metrics"].items() if name != "peak_memory_bytes"
        }
        for r in found
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between kills, on average")
    parser.add_argument("--dataset", default="correlated?rows=3000")
    parser.add_argument("--detector", default="isolation_forest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=600.0, help="seconds after which the campaign has failed")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        suite = folder / "kills.toml"
        suite.write_text(
            f'name = "kills"\ndatasets = ["{asked.dataset}"]\n[[scenarios]]\ndetectors = ["{asked.detector}"]\n'
        )
        seeds = ",".join(map(str, range(asked.trials)))
        run = [sys.executable, "-m", "bench", "run", str(suite), "--detectors", asked.detector, "--seeds", seeds]
        port = free_port()
        client = [*run, "--untimed", "--retries", "1000", "--out", str(folder / "cluster")]
        processes = Processes(folder, port, client)
        killed: Counter[str] = Counter()
        began, due = time.monotonic(), time.monotonic() + 8
        try:
            while processes.ensure() is None:
                if time.monotonic() - began > asked.patience:
                    print(f"not done after {asked.patience:.0f} s, {sum(killed.values())} kills")
                    print((folder / "client.log").read_text()[-2000:])
                    return 1
                if sum(killed.values()) < asked.kills and time.monotonic() > due:
                    name = chance.choice(["worker-0", "worker-1", "nanny-0", "nanny-1", "scheduler", "client"])
                    killed[name.partition("-")[0]] += processes.kill(name)
                    due = time.monotonic() + chance.uniform(0.5, 1.5) * asked.pause
                time.sleep(0.2)
        finally:
            processes.close()
        took = time.monotonic() - began
        found = records(folder / "cluster" / "records.jsonl")
        local = [*run, "--threads", "1", "--jobs", "2", "--out", str(folder / "local")]
        subprocess.run(local, check=True, capture_output=True)
        keys = Counter((r["scenario_hash"], r["seed"], r["round"]) for r in found)
        twice = [key for key, times in keys.items() if times > 1]
        same = quality(found) == quality(records(folder / "local" / "records.jsonl"))
        print(f"{sum(killed.values())} kills in {took:.0f} s: {dict(killed)}")
        print(
            f"{len(found)} records of {asked.trials} trials, {len(twice)} twice, "
            f"metrics {'equal' if same else 'DIFFER'}"
        )
        return 0 if len(found) == asked.trials and not twice and same else 1


if __name__ == "__main__":
    sys.exit(main())
