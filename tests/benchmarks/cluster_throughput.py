"""Quality trials on a cluster of this machine beside as many local processes: trials a second, and what each one costs.

    python tests/benchmarks/cluster_throughput.py --blocks 5 --trials 200

Blocks of both take turns, so that whatever else the machine does meets both. A block counts from a tenth of its records
to the last, without what starting takes; processor time is that of the command and of everything below it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

SUITE = 'name = "throughput"\ndatasets = ["{dataset}"]\n[[scenarios]]\ndetectors = ["{detector}"]\n'
WAYS = {"local": ["--jobs", "2", "--threads", "1"], "cluster": ["--untimed", "--cluster", "local:2"]}


def spent(process: psutil.Process) -> float:
    """Seconds of the processor that a process and all below it have taken."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            total += sum(one.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def block(command: list[str], trials: int) -> tuple[float, float]:
    """Seconds of a trial, by the wall and by the processor, once a tenth of a block's records are there."""
    first = max(1, trials // 10)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        process = psutil.Process(running.pid)
        marks: list[tuple[float, float]] = []
        count = 0
        assert running.stderr is not None
        for line in running.stderr:
            count += line.startswith("[")
            if line.startswith("[") and count in (first, trials):
                marks.append((time.perf_counter(), spent(process)))
    (began, before), (ended, after) = marks
    return (ended - began) / (trials - first), (after - before) / (trials - first)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--dataset", default="correlated?rows=3000")
    parser.add_argument("--detector", default="isolation_forest")
    asked = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as home:
        suite = Path(home) / "throughput.toml"
        suite.write_text(SUITE.format(dataset=asked.dataset, detector=asked.detector))
        for number in range(asked.blocks):
            seeds = ",".join(str(number * asked.trials + seed) for seed in range(asked.trials))
            for name, options in WAYS.items():
                out = Path(home) / f"{name}-{number}"
                run = [sys.executable, "-m", "bench", "run", str(suite), "--detectors", asked.detector]
                found[name].append(block([*run, "--seeds", seeds, "--out", str(out), *options], asked.trials))
                wall, processor = found[name][-1]
                print(f"{name}: {wall:.3f} s a trial, {processor:.3f} s of a core", flush=True)
    for index, name in enumerate(("wall time", "processor time")):
        local, cluster = (median(each[index] for each in found[way]) for way in WAYS)
        print(f"throughput by {name}, cluster / local: {local / cluster:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
