"""Results directories of which a test knows what is in them."""

from __future__ import annotations

from pathlib import Path

from bench.records import store
from bench.verdict import comparison
from bench.verdict.comparison import Terms

MACHINE = {"cpu": "a", "memory_bytes": 8 << 30, "python": "3.11.7"}
TRAIN = "train_samples_per_second"


def record(round_: int = 0, **more) -> dict:
    base = {
        "schema": 1,
        "dataset": "blobs",
        "detector": "vae",
        "backend": "torch",
        "mode": "idiomatic",
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
        "protocol": "",
        "scenario_hash": "a" * 16,
        "environment_hash": "e",
        "environment": {"machine": MACHINE, "packages": {"torch": "2.9"}, "backend": {"precision": "float32"}},
        "seed": 0,
        "round": round_,
        "status": "ok",
        "reason": None,
        "settings": {"epochs": 20, "batch_size": 128},
        "data": {"checksum": "c"},
        "metrics": {TRAIN: 1000.0, "peak_memory_bytes": 4e8, "compile_seconds": 2.0},
        "intervals": {},
    }
    return base | more


def write(directory: Path, made: list[dict]) -> Path:
    for one in made:
        store.append(directory, one)
    return directory


def with_speed(speed: float, **more) -> list[dict]:
    """Five rounds, each 0.2 % off the last."""
    return [record(n, metrics={TRAIN: speed * (1 + 0.002 * n), "peak_memory_bytes": 4e8}, **more) for n in range(5)]


def compared(tmp_path: Path, baseline: list[dict], candidate: list[dict], terms: Terms | None = None) -> dict:
    folders = write(tmp_path / "a", baseline), write(tmp_path / "b", candidate)
    terms = terms or Terms()
    return comparison.result(comparison.of_directories(*folders, terms), terms)


def words(result: dict) -> dict:
    return {row["metric"]: row["verdict"] for row in result["verdicts"]}
