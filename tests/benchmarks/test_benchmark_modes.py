"""No mode that promises speed is slower than the guide's loop, whatever is trained: ``make benchmarks``.

A sample of the combinations in which every two values of different factors meet once; ``--all-modes`` runs them all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, product
from statistics import median
from typing import Any

import pytest

import backends
from bench.environment import available_cores
from bench.worker.process import TrialFailed
from datasets import DatasetError
from making import turns

NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "small": ("blobs?rows=15000&scale=minmax", "vae", {"hidden": (128, 64), "latent": 8}),
    "autoencoder": ("blobs?rows=15000&scale=minmax", "autoencoder", {"hidden": (128, 64), "latent": 8}),
    "wide": ("blobs?rows=5000&features=784&scale=minmax", "vae", {"hidden": (512, 256), "latent": 32}),
    "8x8": ("digits:4", "conv_vae", {}),
    "28x28": ("mnist-one-class:1", "conv_vae", {}),
}
FACTORS: dict[str, tuple[Any, ...]] = {
    "backend": ("torch", "keras", "jax"),
    "network": tuple(NETWORKS),
    "likelihood": ("mse", "bce", "gaussian"),
    "optimizer": ("adam", "adamw", "rmsprop", "sgd"),
    "dropout": (0.0, 0.2),
    "activation": ("relu", "tanh", "gelu"),
    "batch_size": (32, 128, 1024),
    "threads": (1, 2),
}
MODES = {
    "torch": ("idiomatic", "fused", "tuned"),
    "keras": ("idiomatic", "xla", "tuned"),
    "jax": ("idiomatic", "tuned"),
}
BOUND = 0.95
"""Of the rate of ``idiomatic``; below it a mode is slower."""
ROUNDS, AGAIN = 5, 11

Case = dict[str, Any]


def every_pair(factors: dict[str, tuple[Any, ...]]) -> Iterator[Case]:
    """Cases in which every two values of different factors meet: each of the random ones that brings most new pairs."""
    rng = random.Random(0)
    left = {
        ((one, a), (other, b))
        for one, other in combinations(factors, 2)
        for a, b in product(factors[one], factors[other])
    }
    while left:
        drawn = [{name: rng.choice(values) for name, values in factors.items()} for _ in range(500)]
        best = max(drawn, key=lambda case: len(left & set(combinations(case.items(), 2))))
        left -= set(combinations(best.items(), 2))
        yield best


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.config.getoption("--all-modes"):
        cases = [dict(zip(FACTORS, values, strict=True)) for values in product(*FACTORS.values())]
    else:
        cases = list(every_pair(FACTORS))
    metafunc.parametrize("case", cases, ids=lambda case: "-".join(map(str, case.values())))


@pytest.mark.timeout(1800)
def test_benchmark_no_mode_is_slower_than_idiomatic(benchmark, case):
    if (reason := backends.unavailable(case["backend"])) is not None:
        pytest.skip(reason)
    if available_cores() < case["threads"]:
        pytest.skip(f"{case['threads']} threads need as many cores")
    ratios = benchmark.pedantic(slower_twice, (case,), rounds=1)
    benchmark.extra_info["times the rate of idiomatic"] = ratios
    print(f"\n{case}: {ratios}")
    assert all(ratio >= BOUND for ratio in ratios.values())


def slower_twice(case: Case) -> dict[str, float]:
    """Training and scoring rates of every mode to those of ``idiomatic``; what looks slower is measured once more, for
    longer, since of so many ratios some are low by chance."""
    ratios = measured(case, MODES[case["backend"]], ROUNDS)
    suspects = {name.split()[0] for name, ratio in ratios.items() if ratio < BOUND}
    if suspects:
        ratios |= measured(case, ("idiomatic", *sorted(suspects)), AGAIN)
    return ratios


def measured(case: Case, modes: tuple[str, ...], rounds: int) -> dict[str, float]:
    dataset, detector, network = NETWORKS[case["network"]]
    training = {key: case[key] for key in ("likelihood", "optimizer", "dropout", "activation", "batch_size")}
    training |= {"learning_rate": 1e-4, "epochs": 1000, "small_data": "one batch"}
    names = [f"{case['backend']}/{mode}" for mode in modes]
    try:
        found = turns.race(dataset, detector, names, training | network, case["threads"], rounds)
    except (DatasetError, TrialFailed) as failed:
        if "mnist" in dataset and "mnist" in str(failed):
            pytest.skip(f"no MNIST here: {failed}")
        raise
    plain, *others = found.runners
    return {
        f"{runner.mode} {work}": round(median(turns.ratios(getattr(plain, work), getattr(runner, work))), 3)
        for runner in others
        for work in ("train", "score")
    }
