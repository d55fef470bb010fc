"""Made-up records and histories: what the tests of the history are about, without running anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench.history import store
from bench.history.entry import Entry, Point, Run

START = datetime(2026, 10, 1, 3, tzinfo=UTC)


def record(**changes: Any) -> dict[str, Any]:
    metrics = {
        "train_samples_per_second": 80_000.0,
        "score_samples_per_second": 1e6,
        "compile_seconds": 0.8,
        "peak_memory_bytes": 400_000_000,
        "roc_auc": 0.93,
    }
    made: dict[str, Any] = {
        "schema": 1,
        "suite": "track",
        "dataset": "correlated",
        "detector": "vae",
        "backend": "torch",
        "mode": "idiomatic",
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
        "seed": 0,
        "round": 0,
        "scenario_hash": "0123456789abcdef",
        "environment_hash": "e0",
        "status": "ok",
        "started": "2026-11-25T02:28:40Z",
        "settings": {"batch_size": 128},
        "metrics": metrics | changes.pop("metrics", {}),
        "intervals": {"roc_auc": [0.91, 0.95]},
        "marks": [],
        "data": {"checksum": "5e51"},
        "train_rows_per_sample": 8000,
        "score_rows_per_sample": 2000,
        "environment": {
            "machine": {"cpu": "A", "cores": 2, "memory_bytes": 8 << 30, "python": "3.12.1"},
            "packages": {"torch": "2.12.1"},
            "vaebench": "0.1.0",
            "revision": "abc123abc123",
        },
    }
    return made | changes


def results(directory: Path, records: list[dict[str, Any]]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "records.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in records))
    return directory


def entry(number: int, median: float = 80_000.0, metric: str = "train_samples_per_second", **changes: Any) -> Entry:
    """The run of one day, with one point."""
    run = Run(
        source="records",
        date=START + timedelta(days=number),
        suite=changes.pop("suite", "track"),
        revision=f"{number:012x}",
        machine=changes.pop("machine", {"cpu": "A", "cores": 2}),
        versions=changes.pop("versions", {"torch": "2.12.1"}),
    )
    made = {"scenario": "s", "label": "correlated vae torch", "backend": "torch", "n": 5}
    return Entry(run, (Point(metric=metric, median=median, **(made | changes)),))


def history(directory: Path, medians: list[float], **changes: Any) -> Path:
    for number, median in enumerate(medians):
        store.add(directory, entry(number, median, **changes))
    return directory
