"""A report from 100,000 records: reading, tables, Markdown and figures, or HTML. Run with ``make benchmarks``."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from itertools import count, islice
from pathlib import Path

import msgspec
import numpy as np
import pytest

RECORDS = 100_000
ROOT = Path(__file__).parents[2]
AUC = {"vae": 0.93, "autoencoder": 0.92, "isolation_forest": 0.7, "one_class_svm": 0.74, "knn": 0.8, "norm": 0.57}


def scenarios():
    """One record each: three data sets, two networks on three backends in two modes, and the classical detectors."""
    rng = np.random.default_rng(0)

    def series(size: int) -> list[float]:
        return rng.random(size).tolist()

    for dataset in ("digits:4", "correlated", "kdd-synthetic"):
        for detector, auc in AUC.items():
            network = detector in ("vae", "autoencoder")
            for backend in ("torch", "keras", "jax") if network else (None,):
                for mode in ("idiomatic", "tuned") if network else (None,):
                    rate = float(rng.uniform(5e4, 2e5))
                    names = ("roc_auc", "average_precision", "f1", "precision", "recall")
                    limit = {
                        "products_samples_per_second": 6.4e5,
                        "library": "numpy",
                        "threads": 1,
                        "samples": {kind: {f"numpy/{n}": series(8) for n in (1, 2)} for kind in ("products", "copy")},
                    }
                    yield {
                        "schema": 1,
                        "suite": "quick",
                        "dataset": dataset,
                        "detector": detector,
                        "backend": backend,
                        "mode": mode,
                        "device": "cpu",
                        "precision": "float32",
                        "threads": 2,
                        "scenario_hash": f"{dataset}/{detector}/{backend}/{mode}",
                        "environment_hash": "206d9cb5e662",
                        "status": "ok",
                        "metrics": dict.fromkeys(names, auc)
                        | {"train_samples_per_second": rate, "compile_seconds": 0.8, "peak_memory_bytes": 4e8}
                        | ({"limit_samples_per_second": 6.4e5} if network else {}),
                        "intervals": {name: [auc - 0.01, auc + 0.01] for name in names},
                        "timed": True,
                        "phases": dict.fromkeys(("import", "data", "build", "compile", "train", "score"), 0.5),
                        "samples": {
                            "warmup": series(1),
                            "train": series(19),
                            "score": series(5),
                            "latency": series(100),
                        },
                        "train_rows_per_sample": 5000,
                        "score_rows_per_sample": 2000,
                        "marks": [],
                        "loss": series(20) if network else None,
                        "validation_loss": series(20) if network else None,
                        "notes": [],
                        "roc_curve": {"fpr": sorted(series(60)), "tpr": sorted(series(60))},
                        "histogram": {"edges": sorted(series(41)), "normal": series(40), "anomaly": series(40)},
                        "data": {
                            "checksum": "",
                            "train_rows": 5000,
                            "val_rows": 900,
                            "test_rows": 2000,
                            "features": 20,
                        },
                        "settings": {"epochs": 20, "batch_size": 128, "hidden": [64, 32], "latent": 8}
                        if network
                        else {},
                        "limits": limit if network else None,
                        "environment": {"machine": {"cpu": "A CPU", "cores": 2}, "packages": {"numpy": "2.4"}},
                        "equality": None,
                        "command": "bench run quick",
                        "started": "2026-11-22T17:00:00Z",
                    }


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Results as many nights of one suite leave them, near a gigabyte; removed after the benchmark."""
    folder = tmp_path_factory.mktemp("history")
    noise = random.Random(0)
    kinds = list(scenarios())
    with (folder / "records.jsonl").open("wb") as file:
        every = ((seed, turn, kind) for seed in count() for turn in range(5) for kind in kinds)
        for seed, turn, kind in islice(every, RECORDS):
            auc = min(1.0, kind["metrics"]["roc_auc"] + noise.gauss(0, 0.003))
            new = {"metrics": kind["metrics"] | {"roc_auc": auc}, "data": kind["data"] | {"checksum": f"{seed:064x}"}}
            file.write(msgspec.json.encode(kind | new | {"seed": seed, "round": turn}) + b"\n")
    yield folder
    shutil.rmtree(folder)


def test_benchmark_report_from_100_000_records(benchmark, directory):
    command = [sys.executable, "-m", "bench", "report", str(directory)]
    benchmark.pedantic(subprocess.run, (command,), {"cwd": ROOT, "check": True, "capture_output": True}, rounds=2)
    text = (directory / "report.md").read_text()
    assert text.count("figures/") == 10
    assert "| `vae`" in text


def test_benchmark_html_report_from_100_000_records(benchmark, directory):
    command = [sys.executable, "-m", "bench", "report", str(directory), "--format", "html"]
    benchmark.pedantic(subprocess.run, (command,), {"cwd": ROOT, "check": True, "capture_output": True}, rounds=2)
    assert (directory / "report.html").stat().st_size < 5_000_000
