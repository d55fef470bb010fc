"""Made-up records: a small generator, so that each test writes down only what it is about."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

Record = dict[str, Any]
BACKENDS = ("torch", "keras", "jax")
SPEED = {"torch": 60_000.0, "keras": 40_000.0, "jax": 120_000.0, "": 5_000.0}
AUC = {
    "vae": 0.93,
    "autoencoder": 0.92,
    "isolation_forest": 0.70,
    "one_class_svm": 0.74,
    "knn": 0.80,
    "norm": 0.57,
    "mahalanobis": 0.60,
}


def make_record(
    dataset: str = "digits:4",
    detector: str = "vae",
    backend: str | None = None,
    seed: int = 0,
    auc: float | None = None,
    half_width: float = 0.01,
    speed: float | None = None,
    batch: int = 128,
    rows: int = 1000,
    limit: float | None = 400_000.0,
    compile_seconds: float = 0.8,
    compile_warm_seconds: float | None = None,
    **changes: Any,
) -> Record:
    """One finished trial as the harness writes it; ``changes`` replaces keys of the record."""
    if backend is None and detector in ("vae", "autoencoder"):
        backend = "torch"
    rng = np.random.default_rng(zlib.crc32(f"{dataset} {detector} {backend} {seed}".encode(errors="replace")))
    auc = AUC[detector] + rng.normal(0, 0.002) if auc is None else auc
    speed = SPEED.get(backend or "", 30_000.0) * np.exp(rng.normal(0, 0.01)) if speed is None else speed
    quality = {"roc_auc": auc, "average_precision": auc - 0.1, "f1": auc - 0.2, "precision": auc - 0.25, "recall": 0.7}
    epochs = 8 if backend else 1
    fpr = np.linspace(0, 1, 60)
    edges = np.linspace(0, 40, 41)
    middle = (edges[1:] + edges[:-1]) / 2
    decay = np.exp(-np.arange(epochs) / 3)
    record = {
        "schema": 1,
        "suite": "quick",
        "dataset": dataset,
        "detector": detector,
        "backend": backend,
        "mode": "idiomatic" if backend else None,
        "device": "cpu",
        "precision": "float32",
        "threads": 2,
        "seed": seed,
        "round": 0,
        "scenario_hash": f"{dataset}/{detector}/{backend}/{batch}",
        "environment_hash": "e1",
        "status": "ok",
        "reason": None,
        "metrics": {
            **quality,
            "accuracy": 0.9,
            "threshold": 18.0,
            "train_samples_per_second": speed,
            "score_samples_per_second": speed * 10,
            "compile_seconds": compile_seconds if backend else None,
            "compile_warm_seconds": compile_warm_seconds,
            "first_step_seconds": compile_seconds + 2.0 if backend else None,
            "result_seconds": compile_seconds + epochs * rows / speed if backend else None,
            "score_latency_p50_seconds": 0.00031,
            "score_latency_p99_seconds": 0.0012,
            "peak_memory_bytes": 512_000_000 + 600 * rows,
        },
        "intervals": {m: [max(v - half_width, 0.0), min(v + half_width, 1.0)] for m, v in quality.items()},
        "confusion": {"tn": 320, "fp": 20, "fn": 30, "tp": 150},
        "threshold_rule": "percentile 95 of validation scores",
        "oracle": False,
        "score": "elbo" if backend else None,
        "timed": True,
        "phases": {"import": 1.0, "data": 0.1, "train": 1.0, "score": 0.1},
        "samples": {
            "warmup": [0.2],
            "train": (rows / speed * rng.uniform(0.98, 1.02, epochs)).tolist(),
            "score": [0.01],
        },
        "train_rows_per_sample": rows,
        "score_rows_per_sample": speed / 10,
        "marks": [],
        "loss": (30 + 60 * decay + rng.normal(0, 0.3, epochs)).tolist() if backend else None,
        "validation_loss": (33 + 60 * decay + rng.normal(0, 0.3, epochs)).tolist() if backend else None,
        "mean_kl": 3.2 if detector == "vae" else None,
        "active_units": 6 if detector == "vae" else None,
        "latent": 8 if backend else None,
        "collapsed": False if detector == "vae" else None,
        "notes": [],
        "roc_curve": {"fpr": fpr.tolist(), "tpr": (fpr ** ((1 - auc) / max(auc, 1e-3))).tolist()},
        "histogram": {
            "edges": edges.tolist(),
            "normal": np.round(400 * np.exp(-(((middle - 10) / 4) ** 2))).tolist(),
            "anomaly": np.round(60 * np.exp(-(((middle - 10 - 30 * (auc - 0.5)) / 6) ** 2))).tolist(),
            "clipped": 0,
        },
        "data": {
            "checksum": f"{seed:064x}",
            "train_rows": rows,
            "val_rows": 200,
            "test_rows": 520,
            "anomalies": 181,
            "features": 64,
            "source": "scikit-learn's bundled 8x8 digits",
            "protocol": "normal rows train, digit 4 is the anomaly",
            "notes": [],
            "files": [],
        },
        "settings": {"epochs": epochs, "batch_size": batch, "hidden": [64, 32], "latent": 8} if backend else {},
        "environment": {
            "machine": {
                "cpu": "A CPU",
                "cores": 2,
                "memory_bytes": 8_000_000_000,
                "os": "Linux",
                "python": "3.11.7",
                "gpu": None,
            },
            "packages": {"numpy": "2.4", "torch": "2.13.0"},
            "backend": {"threads": 2, "precision": "float32", "device": "cpu"} if backend else None,
            "vaebench": "0.1.0",
            "revision": "abc123",
        },
        "equality": None,
        "command": "bench run quick",
        "started": "2026-11-22T17:00:00Z",
    }
    if backend and limit:
        record["metrics"]["limit_samples_per_second"] = limit
        record["metrics"]["fraction_of_limit"] = speed / limit
        record["limits"] = {
            "products_samples_per_second": limit,
            "library": "numpy",
            "threads": 1,
            "flops_per_sample": 76_800,
            "matmul_flops_per_second": 1.2e11,
            "copy_bytes_per_second": 1.1e10,
            "samples": {"products": {"numpy/1": [0.1]}},
        }
    return record | changes


def make_run(
    datasets: Iterable[str] = ("digits:4",),
    detectors: Iterable[str] = tuple(AUC),
    backends: Sequence[str] = BACKENDS,
    seeds: Iterable[int] = (0, 1, 2),
    **changes: Any,
) -> list[Record]:
    """All trials of a suite: each autoencoder on each backend, each other detector once, for each seed."""
    seeds = tuple(seeds)
    return [
        make_record(dataset, detector, backend, seed, **changes)
        for dataset in datasets
        for detector in detectors
        for backend in (backends if detector in ("vae", "autoencoder") else (None,))
        for seed in seeds
    ]


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture(scope="session")
def run() -> Callable[..., list[Record]]:
    return make_run
