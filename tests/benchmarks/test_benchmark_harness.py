"""What the harness itself costs. Run with ``make benchmarks``; the test run skips these."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

from bench.records import store
from bench.suites import suite

COMMAND = Path(sysconfig.get_path("scripts")) / "bench"


def test_benchmark_help_of_the_command(benchmark):
    benchmark(subprocess.run, [COMMAND, "--help"], capture_output=True, check=True)


def test_benchmark_expanding_the_standard_suite(benchmark):
    trials = benchmark(lambda: suite.load("standard").trials(2))
    assert len(trials) > 100


def test_benchmark_appending_a_record(benchmark, tmp_path):
    record = {"schema": 1, "samples": {"train": [0.1] * 50}, "roc_curve": {"fpr": [0.5] * 200, "tpr": [0.5] * 200}}
    benchmark(store.append, tmp_path, record)
