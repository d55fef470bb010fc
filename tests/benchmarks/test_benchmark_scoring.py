"""Scoring 1,000,000 rows of 20 features beside PyOD's VAE, which gets batches as large as ours: ``make benchmarks``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

import backends
from bench import detectors
from bench.environment import available_cores, worker_environment

sys.path.insert(0, str(Path(__file__).parent))  # the processes started below inherit it, and find the tasks by name

import scoring_tasks

PEER = "pyod_vae"
FRAMEWORKS = ("torch", "keras", "jax")
seconds: dict[str, float] = {}


@pytest.fixture
def scoring(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Scores in a process of its own, since a process never holds two frameworks."""
    if reason := detectors.unavailable(name) if name == PEER else backends.unavailable(name):
        pytest.skip(reason)
    threads = available_cores()
    for variable, value in worker_environment(threads, "cpu").items():
        monkeypatch.setenv(variable, value)
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        process.submit(scoring_tasks.train, name, threads).result()
        yield lambda: process.submit(scoring_tasks.score, name).result()


@pytest.mark.parametrize("name", [PEER, *FRAMEWORKS])
def test_benchmark_scoring_a_million_rows(benchmark, name, scoring):
    assert benchmark.pedantic(scoring, rounds=1 if name == PEER else 5) == scoring_tasks.ROWS
    seconds[name] = benchmark.stats.stats.median
    if name != PEER and PEER in seconds:
        ratio = seconds[PEER] / seconds[name]
        benchmark.extra_info["times_the_rate_of_pyod"] = round(ratio, 1)
        print(f"\n{name}: {ratio:.1f} times the rate of {PEER}")
        assert ratio > 1
