"""A results directory as one run of the history: a median, an interval and a number of trials for each scenario and
metric."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from scipy.special import stdtrit

from bench.detect.registry import SANITY
from bench.history.entry import METRICS, Entry, Fact, Point, Run, machine_of, moment
from bench.history.store import HistoryError
from bench.records import store
from bench.records.record import Record

_LARGEST = math.log(1e300)
"""Of a bound; no rate and no time comes near it."""


def results(
    directory: Path, revision: str | None = None, tell: Callable[[str], object] = lambda warning: None
) -> Entry:
    """The run that a results directory holds; ``revision`` replaces that of the records, and ``tell`` is given a line
    for each record that cannot be read.

    Raises
    ------
    HistoryError
        No trial ended well, or the records are of several revisions or environments.
    """
    found, warnings = store.read(directory)
    for warning in warnings:
        tell(f"{directory}: {warning}")
    ended = followed(found)
    if not ended:
        raise HistoryError(f"{directory}: no trial ended well, so there is nothing to keep")
    revisions = {str(revision or _environment(record).get("revision")) for record in ended}
    for what, values in (
        ("environments", {record["environment_hash"] for record in ended}),
        ("revisions", revisions),
    ):
        if len(values) > 1:
            raise HistoryError(
                f"{directory}: its records are of {len(values)} {what} ({', '.join(sorted(values))}), "
                "and a point of the history is of one; run the suite again into another directory"
            )
    try:
        run = _run(ended, revision)
        points = tuple(point for group in _by_scenario(ended) for point in _points(group))
    except KeyError as error:
        raise HistoryError(f"{directory}: a record has no {error}, which the history keeps") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise HistoryError(f"{directory}: a record holds what the history cannot keep: {error}") from None
    return Entry(run, points)


def followed(found: Sequence[Record]) -> list[Record]:
    """The trials that ended well, one record each; without the sanity lines, which no change of code makes faster."""
    ended = [record for record in store.latest(found) if record["status"] == "ok"]
    return [record for record in ended if record["detector"] not in SANITY] or ended


def _environment(record: Record) -> dict[str, Any]:
    found = record.get("environment")
    return found if isinstance(found, dict) else {}


def _run(ended: Sequence[Record], revision: str | None) -> Run:
    environment = _environment(ended[0])
    machine: dict[str, Fact]
    machine, python = machine_of(environment["machine"])
    run = Run(
        source="records",
        # as a file stores it: whole seconds, so that the same directory always makes the same file
        date=max(moment(record["started"]) for record in ended).replace(microsecond=0),
        suite=ended[0].get("suite") or "",
        revision=environment.get("revision") if revision is None else revision,
        machine=machine,
        versions=python | environment["packages"] | {"vaebench": environment["vaebench"]},
    )
    return msgspec.convert(msgspec.to_builtins(run), Run)


def _by_scenario(ended: Sequence[Record]) -> list[list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in ended:
        groups.setdefault(record["scenario_hash"], []).append(record)
    return list(groups.values())


def _points(trials: Sequence[Record]) -> list[Point]:
    first = trials[0]
    data = sorted({(record["seed"], record["data"]["checksum"]) for record in trials})
    shared = {
        "scenario": first["scenario_hash"],
        "label": _label(first),
        "backend": first.get("backend") or "",
        "data": hashlib.sha256(msgspec.json.encode(data)).hexdigest()[:12],
    }
    marked = sum(bool(record.get("marks")) for record in trials)
    points = []
    for name, metric in METRICS.items():
        found = [record["metrics"].get(name) for record in trials]
        if odd := [value for value in found if not isinstance(value, int | float | None)]:
            raise ValueError(f"{name} {odd[0]!r:.40}")
        # a record that somebody else wrote may hold an infinity, which no point of a history is
        values = [value for value in found if value is not None and math.isfinite(value)]
        if not values or (metric.relative and min(values) <= 0):
            continue
        low: float | None
        high: float | None
        if len(values) > 1:
            low, high = interval(values, relative=metric.relative)
        else:
            low, high = (trials[0].get("intervals") or {}).get(name) or (None, None)
        point = Point(
            metric=name,
            median=rounded(median(values)),
            n=len(values),
            low=None if low is None else rounded(low),
            high=None if high is None else rounded(high),
            marked=marked if metric.relative else 0,
            **shared,
        )
        points.append(msgspec.convert(msgspec.to_builtins(point), Point))
    return points


def rounded(value: float) -> float:
    """Six significant digits, far below what any machine repeats."""
    return float(f"{value:.6g}")


def _label(record: Record) -> str:
    """The scenario for people: what it is of, how it runs, and the numbers that often vary."""
    words = [record["dataset"], record["detector"]]
    if record.get("backend"):
        words += [f"{record['backend']}/{record['mode']}", record["device"], record["precision"]]
        batch = (record.get("settings") or {}).get("batch_size")
        words += [f"batch {batch}"] if batch else []
    words.append(f"threads {record['threads']}")
    return " ".join(words) + (f" ({record['protocol']})" if record.get("protocol") else "")


def interval(values: Sequence[float], *, relative: bool) -> tuple[float, float]:
    """The 95 % interval of the median of a handful of trials.

    So few have no interval without an assumption: this is Student's, of logarithms where the metric is ``relative``,
    wider by √(π/2), the ratio of the standard errors of median and mean under a normal distribution.
    """
    known = np.asarray(values, dtype=np.float64)
    scaled = np.log(known) if relative else known
    half = float(stdtrit(len(known) - 1, 0.975) * scaled.std(ddof=1)) * math.sqrt(math.pi / 2 / len(known))
    centre = float(np.median(scaled))
    low, high = centre - half, centre + half
    if not relative:
        return max(0.0, low), min(1.0, high)
    if high > _LARGEST:
        raise ValueError(f"trials between {known.min():.3g} and {known.max():.3g}")
    return math.exp(low), math.exp(high)
