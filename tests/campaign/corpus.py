"""Good files of every kind that is read, made once and small: what the campaign spoils."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from bench import cli
from bench.suites import suite
from making.command import COMMAND
from making.histories import record

ROWS = 60


@cache
def frame() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    label = np.where(np.arange(ROWS) % 6 == 0, "attack", "normal")
    return pd.DataFrame(
        {
            "amount": np.round(draw.normal(50, 20, ROWS) + 100 * (label == "attack"), 3),
            "count": draw.integers(0, 40, ROWS),
            "kind": draw.choice(["a", "b", "c"], ROWS),
            "label": label,
        }
    )


@cache
def csv() -> bytes:
    return frame().to_csv(index=False).encode()


@cache
def csv_of_a_spreadsheet() -> bytes:
    return b"\xef\xbb\xbf" + frame().to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n").encode()


@cache
def csv_of_a_series() -> bytes:
    """A step a minute; those of the label attack lie in two stretches, the later one among the last steps."""
    steps = 400
    draw = np.random.default_rng(1)
    anomalous = np.isin(np.arange(steps) // 10, (20, 36))
    found = pd.DataFrame(
        {
            "when": pd.date_range("2026-01-01", periods=steps, freq="min").strftime("%Y-%m-%d %H:%M:%S"),
            "amount": np.round(np.sin(np.arange(steps) / 9) + draw.normal(0, 0.1, steps) + 3 * anomalous, 4),
            "flow": np.round(draw.normal(5, 1, steps), 4),
            "kind": draw.choice(["a", "b"], steps),
            "label": np.where(anomalous, "attack", "normal"),
        }
    )
    return found.to_csv(index=False).encode()


@cache
def parquet() -> bytes:
    buffer = io.BytesIO()
    frame().to_parquet(buffer, index=False)
    return buffer.getvalue()


@cache
def parquet_plain() -> bytes:
    buffer = io.BytesIO()
    frame().to_parquet(buffer, index=False, compression=None, use_dictionary=False)
    return buffer.getvalue()


@cache
def numbers() -> tuple[Any, Any]:
    return frame()[["amount", "count"]].to_numpy(np.float64), (frame()["label"] == "attack").to_numpy(np.int64)


@cache
def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, numbers()[0])
    return buffer.getvalue()


@cache
def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, X=numbers()[0], y=numbers()[1])
    return buffer.getvalue()


@cache
def npz_packed() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, X=numbers()[0], y=numbers()[1])
    return buffer.getvalue()


@cache
def mnist() -> dict[str, bytes]:
    """The four files by their names, not packed."""
    found = {}
    draw = np.random.default_rng(0)
    for part, rows in (("train", 120), ("t10k", 40)):
        labels = np.arange(rows, dtype=np.uint8) % 10
        images = draw.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        for name, values in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            header = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, dtype=">u4").tobytes()
            found[name] = header + values.tobytes()
    return found


@cache
def kdd() -> bytes:
    """Lines as those of KDD Cup 1999; too few, which is found out when all of them were read."""
    columns = ["0", "tcp", "http", "SF", "181", "5450", *["0"] * 5, "1", *["0"] * 10, "8", "8", *["0.00"] * 4]
    columns += ["1.00", "0.00", "0.00", "9", "9", "1.00", "0.00", "0.11", *["0.00"] * 5]
    lines = [",".join([*columns, "normal." if row % 3 else "neptune."]) for row in range(40)]
    return ("\n".join(lines) + "\n").encode()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@cache
def models() -> dict[str, bytes]:
    """What ``bench fit`` keeps of detectors that need no framework, and of one that does where there is one."""
    found = {}
    for name in ("norm", "knn", "isolation_forest", "mahalanobis"):
        found[name] = _fitted("--detector", name)
    return found


@cache
def networks() -> dict[str, bytes]:
    """The same of a network, made by a process of its own, so that this one loads no framework."""
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "rows.csv", Path(folder) / "model"
        path.write_bytes(csv())
        argv = ["fit", f"file:{path}?label=label&normal=normal", "--out", str(out), "--detector", "vae"]
        subprocess.run([COMMAND, *argv, "--backend", "torch", "--epochs", "1", "--batch-size", "16"], check=True)
        return {"vae": out.read_bytes()}


def _fitted(*options: str) -> bytes:
    import contextlib
    import os

    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path, out = Path(folder) / "rows.csv", Path(folder) / "model"
        path.write_bytes(csv())
        variables = os.environ.copy()
        status = cli.main(["fit", f"file:{path}?label=label&normal=normal", "--out", str(out), *options])
        os.environ.clear()
        os.environ.update(variables)
        assert status == 0
        return out.read_bytes()


def taken_apart(model: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file and what follows it."""
    size = struct.unpack("<Q", model[:8])[0]
    return json.loads(model[8 : 8 + size]), model[8 + size :]


def put_together(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def card_of(model: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(taken_apart(model)[0]["__metadata__"]["vaebench"])
    return found


def with_card(model: bytes, card: object) -> bytes:
    header, body = taken_apart(model)
    return put_together(header | {"__metadata__": {"vaebench": json.dumps(card)}}, body)


@cache
def records() -> tuple[dict[str, Any], ...]:
    """Of three detectors and two seeds, with the keys that a real record has."""
    found = []
    for detector, backend in (("vae", "torch"), ("autoencoder", "jax"), ("knn", None)):
        for seed in (0, 1):
            one = record(detector=detector, backend=backend, mode="idiomatic" if backend else None, seed=seed)
            one |= {
                "scenario_hash": f"{detector:x<16}"[:16],
                "reason": None,
                "confusion": {"tp": 20, "fp": 3, "fn": 4, "tn": 73},
                "threshold_rule": "percentile 95 of validation scores",
                "oracle": False,
                "score": "reconstruction" if backend else None,
                "timed": True,
                "phases": {"import": 1.0, "data": 0.1, "train": 1.0, "score": 0.1},
                "samples": {"warmup": [0.2], "train": [0.1, 0.11, 0.1], "score": [0.01]},
                "loss": [3.0, 2.0, 1.5] if backend else None,
                "validation_loss": [3.1, 2.2, 1.7] if backend else None,
                "mean_kl": 3.2 if detector == "vae" else None,
                "active_units": 6 if detector == "vae" else None,
                "latent": 8 if backend else None,
                "collapsed": False if detector == "vae" else None,
                "notes": ["one"],
                "roc_curve": {"fpr": [0.0, 0.2, 1.0], "tpr": [0.0, 0.8, 1.0]},
                "histogram": {"edges": [0.0, 1.0, 2.0], "normal": [5, 6], "anomaly": [1, 2], "clipped": 0},
                "data": {"checksum": "5e51", "train_rows": 80, "val_rows": 20, "test_rows": 30, "anomalies": 5,
                         "features": 4, "source": "made", "protocol": "held out", "notes": [], "files": []},
                "settings": {"epochs": 3, "batch_size": 16, "hidden": [8], "latent": 2} if backend else {},
                "protocol": "",
                "thresholds": [{"rule": "percentile 95", "oracle": False, "metrics": {"f1": 0.5, "threshold": 2.0}}],
                "other_scores": {"elbo": {"roc_auc": 0.9}},
                "published": [{"datasets": ["correlated"], "detector": "vae", "metric": "roc_auc", "value": 0.9,
                               "source": "somebody"}],
                "top_anomalies": [{"row": 3, "score": 9.0, "features": [["amount", 0.5]]}],
                "limits": {"memory_bytes_per_second": 1e10, "flops_per_second": 1e11},
                "self_check": {"followed": True, "reason": None},
                "disturbance": {"other_cpu_share": 0.01},
                "equality": None,
                "command": "bench run track",
                "wall_seconds": 2.5,
            }  # fmt: skip
            found.append(one)
    return tuple(found)


def lines(found: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in found)  # type: ignore[attr-defined]


@cache
def history() -> dict[str, bytes]:
    """The one file of a history, by its name."""
    from bench.history import condense, store

    with TemporaryDirectory() as folder:
        results, place = Path(folder) / "results", Path(folder) / "history"
        results.mkdir()
        (results / "records.jsonl").write_bytes(lines(records()))
        store.add(place, condense.results(results))
        return {path.name: path.read_bytes() for path in place.iterdir()}


@cache
def pytest_benchmark() -> dict[str, Any]:
    return {
        "machine_info": {"node": "x", "cpu": {"brand_raw": "A", "count": 2}, "system": "Linux", "release": "6.1.0",
                         "python_version": "3.12.1"},
        "commit_info": {"id": "abc123", "dirty": False},
        "benchmarks": [{"group": None, "name": "a", "fullname": "t.py::a", "params": None,
                        "stats": {"median": 0.01, "rounds": 12, "iqr": 0.001, "min": 0.009, "max": 0.02}}],
        "datetime": "2026-10-01T03:00:00+00:00",
        "version": "5.1.0",
    }  # fmt: skip


@cache
def suites() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(suite.SHIPPED.glob("*.toml")))


MAKERS: tuple[Callable[[], object], ...] = (
    csv, csv_of_a_spreadsheet, csv_of_a_series, parquet, parquet_plain, npy, npz, npz_packed, mnist, kdd, models,
    records, history,
    pytest_benchmark, suites,
)  # fmt: skip


def made() -> None:
    """Makes all of them, so that no fork makes its own."""
    for maker in MAKERS:
        maker()


def copied(files: dict[str, bytes], place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
