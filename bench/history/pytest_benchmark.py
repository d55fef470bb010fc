"""pytest-benchmark's JSON: its runs into the history, and a results directory as a file that its ``compare`` reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import __version__
from bench.history.condense import rounded
from bench.history.entry import Entry, Fact, Point, Run, moment
from bench.history.store import MOST_BYTES, HistoryError
from bench.records.record import Record

_MOST_BYTES = 32 * MOST_BYTES
"""A file with the raw times of every round is large."""

TIMES: dict[str, tuple[str, str | None]] = {
    "train": ("train_samples_per_second", "train_rows_per_sample"),
    "score": ("score_samples_per_second", "score_rows_per_sample"),
    "latency": ("score_latency_p50_seconds", None),
    "compile": ("compile_seconds", None),
}
"""What takes time, the metric that says so, and the rows that a rate is of: an epoch, a pass over the test rows."""


class _Stats(msgspec.Struct):
    median: float
    rounds: int
    iqr: float = 0.0


class _Benchmark(msgspec.Struct):
    fullname: str
    stats: _Stats
    group: str | None = None


class _Commit(msgspec.Struct):
    id: str | None = None
    dirty: bool | None = None


class _File(msgspec.Struct):
    benchmarks: list[_Benchmark]
    datetime: str
    machine_info: dict[str, Any] = {}
    commit_info: _Commit = msgspec.field(default_factory=_Commit)
    version: str = ""


def read(path: Path, revision: str | None = None) -> Entry:
    """The run that a file of pytest-benchmark holds: the median time of each benchmark.

    The interval is that of a box plot's notches, median ± 1.57 · IQR / √rounds (McGill, Tukey and Larsen 1978).

    Raises
    ------
    HistoryError
        The file is not what ``pytest --benchmark-json`` writes.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise HistoryError(f"{path}: over {_MOST_BYTES >> 20} MiB; leave the raw times out (--benchmark-json does)")
        found = _decoded(path.read_bytes())
        points = [_point(benchmark) for benchmark in found.benchmarks]
        run = Run(
            source="pytest-benchmark",
            date=moment(found.datetime).replace(microsecond=0),
            suite="pytest-benchmark",
            revision=revision or _revision(found.commit_info),
            machine=_machine(found.machine_info),
            versions=_versions(found),
        )
        run = msgspec.convert(msgspec.to_builtins(run), Run)
        checked = tuple(msgspec.convert(msgspec.to_builtins(point), Point) for point in points)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, HistoryError):
            raise
        raise HistoryError(f"{path}: not a file of 'pytest --benchmark-json': {error}") from None
    if not checked:
        raise HistoryError(f"{path}: holds no benchmarks")
    return Entry(run, checked)


def _decoded(content: bytes) -> _File:
    """The file, where it is no JSON as Python writes it: with NaN, Infinity and -Infinity for what is not finite."""
    try:
        return msgspec.json.decode(content, type=_File)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(content), _File)


def _point(benchmark: _Benchmark) -> Point:
    stats = benchmark.stats
    if not math.isfinite(stats.median):
        raise ValueError(f"{benchmark.fullname}: its median is {stats.median}")
    half = 1.57 * stats.iqr / math.sqrt(max(1, stats.rounds))
    if not math.isfinite(half):
        half = 0.0  # one round has no spread
    return Point(
        scenario=benchmark.fullname,
        label=benchmark.fullname,
        metric="seconds",
        median=rounded(stats.median),
        n=stats.rounds,
        low=rounded(max(0.0, stats.median - half)),
        high=rounded(stats.median + half),
    )


def _revision(commit: _Commit) -> str | None:
    if commit.id in (None, "", "unversioned", "unknown"):
        return None
    return str(commit.id)[:12] + ("+" if commit.dirty else "")


def _machine(info: Mapping[str, Any]) -> dict[str, Fact]:
    """The same facts as those of a record, as far as the file has them."""
    cpu = info.get("cpu")
    known = cpu if isinstance(cpu, dict) else {}
    release = ".".join(str(info.get("release", "")).split(".")[:2])
    return {
        "cpu": str(known.get("brand_raw") or info.get("processor") or info.get("machine") or "unknown"),
        "cores": known["count"] if isinstance(known.get("count"), int) else None,
        "os": f"{info.get('system', '')} {release}".strip(),
    }


def _versions(found: _File) -> dict[str, str]:
    versions = {"pytest-benchmark": found.version} if found.version else {}
    if python := found.machine_info.get("python_version"):
        versions["python"] = str(python)
    return versions


def written(entry: Entry, trials: Sequence[Record]) -> bytes:
    """A results directory as pytest-benchmark writes its own: one benchmark a scenario and thing that takes time, one
    round a trial, which is the trial's median.

    Parameters
    ----------
    entry : Entry
        What the history would keep of the directory.
    trials : sequence of records
        Its trials that ended well.

    Raises
    ------
    HistoryError
        Nothing was timed.
    """
    labels = {point.scenario: point.label for point in entry.points}
    groups: dict[str, list[Record]] = {}
    for record in trials:
        groups.setdefault(record["scenario_hash"], []).append(record)
    benchmarks = [
        _benchmark(labels[scenario], what, seconds, records)
        for scenario, records in groups.items()
        if scenario in labels
        for what in TIMES
        if (seconds := [s for record in records if (s := _seconds(record, what)) is not None])
    ]
    if not benchmarks:
        raise HistoryError(
            "there is nothing to export: no trial was timed, and pytest-benchmark's files hold times alone"
        )
    machine, versions = entry.run.machine, entry.run.versions
    system, _, release = str(machine.get("os", "")).partition(" ")
    revision = entry.run.revision or "unversioned"
    document = {
        "machine_info": {
            "node": "",
            "machine": "",
            "processor": "",
            "system": system,
            "release": release,
            "python_implementation": "CPython",
            "python_version": versions.get("python", ""),
            "cpu": {"brand_raw": machine.get("cpu"), "count": machine.get("cores")},
        },
        "commit_info": {
            "id": revision.rstrip("+"),
            "time": None,
            "author_time": None,
            "dirty": revision.endswith("+"),
            "project": "vaebench",
            "branch": "(unknown)",
        },
        "benchmarks": benchmarks,
        "datetime": entry.run.date.isoformat(),
        "version": f"vaebench {__version__}",
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _seconds(record: Record, what: str) -> float | None:
    metric, rows = TIMES[what]
    value = record["metrics"].get(metric)
    if not value or not math.isfinite(value):
        return None
    if rows is None:
        return float(value)
    # of a live comparison one sample may be several passes
    count, passes = record.get(rows), record.get("score_repeats", 1) if what == "score" else 1
    # a record may be anybody's
    known = all(isinstance(number, int | float) and number > 0 for number in (count, passes))
    return float(count / value / passes) if known else None


def _benchmark(label: str, what: str, seconds: Sequence[float], trials: Sequence[Record]) -> dict[str, Any]:
    first = trials[0]
    name = f"{label} [{what}]"
    quality = {key: first["metrics"][key] for key in ("roc_auc", "average_precision", "f1") if key in first["metrics"]}
    return {
        "group": what,
        "name": name,
        "fullname": f"{first.get('suite') or 'vaebench'}::{name}",
        "params": None,
        "param": None,
        "extra_info": {"scenario_hash": first["scenario_hash"], **quality},
        "options": {"timer": "perf_counter", "warmup": True},
        "stats": _stats(np.asarray(seconds, dtype=np.float64)),
    }


def _stats(times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, Any]:
    q1, middle, q3 = (float(q) for q in np.quantile(times, (0.25, 0.5, 0.75)))
    iqr, mean = q3 - q1, float(times.mean())
    spread = float(times.std(ddof=1)) if times.size > 1 else 0.0
    inside = times[(times >= q1 - 1.5 * iqr) & (times <= q3 + 1.5 * iqr)]
    far = int((abs(times - mean) > spread).sum())
    return {
        "min": float(times.min()),
        "max": float(times.max()),
        "mean": mean,
        "stddev": spread,
        "rounds": int(times.size),
        "median": middle,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": int(times.size - inside.size),
        "stddev_outliers": far,
        "outliers": f"{far};{times.size - inside.size}",
        "ld15iqr": float(inside.min()),
        "hd15iqr": float(inside.max()),
        "ops": 1 / mean,
        "total": float(times.sum()),
        "data": times.tolist(),
        "iterations": 1,
    }
