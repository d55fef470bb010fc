"""Scoring 1,000,000 rows of 20 features beside PyOD's VAE and beside the matrix products alone: ``make benchmarks``.

PyOD is timed with batches as large as ours, and with those that it takes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import backends
from bench.detect import registry
from bench.environment import available_cores, worker_environment
from making import scoring as tasks

PEERS = (tasks.PEER, tasks.OWN_BATCHES)
FRAMEWORKS = ("torch", "keras", "jax")
seconds: dict[str, float] = {}


@pytest.fixture
def scoring(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Scores in a process of its own, since a process never holds two frameworks."""
    asked = "torch" if name in tasks.LIMITS else name
    if reason := registry.unavailable(tasks.PEER) if name in PEERS else backends.unavailable(asked):
        pytest.skip(reason)
    threads = available_cores()
    for variable, value in worker_environment(threads, "cpu").items():
        monkeypatch.setenv(variable, value)
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        process.submit(tasks.prepare, name, threads).result()
        yield lambda: process.submit(tasks.score, name).result()


@pytest.mark.parametrize("name", [*PEERS, *tasks.LIMITS, *FRAMEWORKS])
def test_benchmark_scoring_a_million_rows(benchmark, name, scoring):
    assert benchmark.pedantic(scoring, rounds=1 if name in PEERS else 5) == tasks.ROWS
    seconds[name] = benchmark.stats.stats.median
    if name not in PEERS:
        ratios = {peer: seconds[peer] / seconds[name] for peer in PEERS if peer in seconds}
        benchmark.extra_info["times_the_rate_of"] = {peer: round(ratio, 1) for peer, ratio in ratios.items()}
        for peer, ratio in ratios.items():
            print(f"\n{name}: {ratio:.1f} times the rate of {peer}")
            assert ratio > 1
