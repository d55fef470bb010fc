"""Timed trials on a cluster's worker and by a local run of the same machine, and what ``bench compare`` says of them.

    python tests/benchmarks/cluster_timed.py --rounds 5

Rounds of both take turns, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

WAYS: dict[str, list[str]] = {"local": [], "cluster": ["--cluster", "local:1"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--detectors", default="vae")
    parser.add_argument("--backends", default="torch,keras,jax")
    asked = parser.parse_args()
    bench = [sys.executable, "-m", "bench"]
    narrow = ["--detectors", asked.detectors, "--backends", asked.backends]
    with tempfile.TemporaryDirectory() as home:
        for number in range(1, asked.rounds + 1):
            for way in sorted(WAYS, reverse=number % 2 == 0):
                run = [*bench, "run", asked.suite, *narrow, "--rounds", str(number), "--out", f"{home}/{way}"]
                subprocess.run([*run, *WAYS[way]], check=True, capture_output=True)
                print(f"round {number} {way}", flush=True)
        lines = (Path(home) / "cluster" / "records.jsonl").read_bytes().splitlines()
        shares = [json.loads(line)["cluster"]["dask_cpu_share"] for line in lines]
        print(f"Dask's process beside a trial: {min(shares):.2%} to {max(shares):.2%} of a core")
        return subprocess.run([*bench, "compare", f"{home}/local", f"{home}/cluster"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
