"""What a cluster costs the client: a long plan before its first trial starts, and each trial that takes no time.

    python tests/benchmarks/cluster_costs.py --planned 10000 --trials 200

Two workers on this machine answer at once with a record and arrays that were measured before; scheduler and client
share this process, so its processor time is that of both. What placing a trial costs is measured apart, without
processes, for up to ten thousand workers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.cluster import connection
from bench.cluster.address import Address
from bench.cluster.executor import OnCluster
from bench.cluster.placement import Placement
from bench.cluster.workers import Memory, Worker
from bench.run import runner
from bench.run.side_by_side import SideBySide
from bench.suites import fits, suite
from bench.suites.scenario import Scenario, Trial


class Silent:
    """A display that shows nothing."""

    def nothing(self, *_: object) -> None:
        pass

    begin = doing = measuring = working = ended = close = nothing


class Answered(OnCluster):
    """Sends what answers at once in place of each trial, and notes when the first one goes."""

    answer: tuple[bytes, bytes | None]
    first = 0.0

    def _submit(self, assignment, what, function, request):
        self.first = self.first or time.perf_counter()
        record, arrays = self.answer

        def reply(request: bytes) -> tuple[bytes, bytes | None]:
            return record, arrays

        super()._submit(assignment, what, reply, request)


def place(scenarios: Sequence[Scenario], environment: Mapping[str, Any], workers: int) -> None:
    """Prints what the client takes to place quality trials on so many workers of one thread."""
    many = max(5000, 3 * workers)
    trials = [Trial("costs", scenarios[seed % len(scenarios)], seed, 0, False) for seed in range(many)]
    found = Placement(trials, retries=0, memory=Memory({}), mixed=False, homes={})
    began = time.process_time()
    found.join(*(Worker(f"w{i}", f"w{i}", "h", f"m{i}", 1, 1, 8 << 30, environment) for i in range(workers)))
    running = deque(iter(found.next, None))
    sent = time.process_time() - began
    began = time.process_time()
    for _ in range(1000):
        found.ended(running.popleft())
        running.extend(iter(found.next, None))
    each = (time.process_time() - began) / 1000
    print(f"{workers:,} workers: {sent:.2f} s of a core before all have work, then {each * 1e3:.2f} ms a trial")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--planned", type=int, default=10_000)
    parser.add_argument("--trials", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "costs.toml"
        path.write_text('name = "costs"\ndatasets = ["blobs-2d"]\n[[scenarios]]\ndetectors = ["norm"]\n')
        chosen = suite.load(str(path)).vary(detectors=["norm"], seeds=[0])
        fitting = fits.survey(chosen, None, 1)
        rest = {"threads": 1, "timed": False, "data_dir": None, "shapes": fitting.shapes, "unfit": {}, "command": ""}
        rest |= {"display": Silent()}
        runner.run(chosen, Path(home) / "one", executor=SideBySide(1), **rest)
        record = msgspec.json.decode((Path(home) / "one" / "records.jsonl").read_bytes())
        content = (Path(home) / "one" / record["arrays"]).read_bytes()
        encoded = msgspec.json.encode(record | {"cluster": {"worker": "0", "host": "h", "machine": "m"}})
        print(f"a record has {len(encoded):,} bytes, its arrays {len(content):,}")
        for workers in (2, 100, 1000, 10_000):
            place(chosen.scenarios(1), record["environment"], workers)
        with connection.opened(Address(local=2)) as client:
            for many, name in ((asked.trials, "trials"), (asked.planned, "planned")):
                before = psutil.Process().memory_info().rss
                executor = Answered(client, Path(home) / name, sizes={}, retries=0, mixed=False)
                executor.answer = encoded, content
                began, spent = time.perf_counter(), time.process_time()
                plan = chosen.vary(seeds=list(range(many)))
                if name == "trials":
                    runner.run(plan, Path(home) / name, executor=executor, **rest)
                    each = (time.perf_counter() - began) / many, (time.process_time() - spent) / many
                    print(f"a trial that takes no time: {each[0] * 1e3:.2f} ms, {each[1] * 1e3:.2f} ms of a core")
                    continue

                class Enough(Silent):
                    def ended(self, *_: object) -> None:
                        raise InterruptedError

                try:
                    runner.run(plan, Path(home) / name, executor=executor, **rest | {"display": Enough()})
                except InterruptedError:
                    took, grown = executor.first - began, psutil.Process().memory_info().rss - before
                    print(f"{many:,} planned: {took:.2f} s before the first starts, {grown / 2**20:.0f} MiB more")
                    print(f"the client holds {psutil.Process().memory_info().rss / 2**20:.0f} MiB in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
