"""What a cluster costs the client: a long plan before its first trial starts, and each trial that takes no time.

    python tests/benchmarks/cluster_costs.py --planned 10000 --trials 200

Two workers on this machine answer at once with a record and arrays that were measured before; scheduler and client
share this process, so its processor time is that of both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from bench.cluster import connection
from bench.cluster.address import Address
from bench.cluster.executor import OnCluster
from bench.run import runner
from bench.run.side_by_side import SideBySide
from bench.suites import fits, suite


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
