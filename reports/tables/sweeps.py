"""Throughput over batch size and over rows: rows of one table that differ in one quantity alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.tables.frames import Row, rows

FEWEST_POINTS = 3
"""Points that make a curve."""
MOST_CURVES = 8
"""Groups of curves over batch, and over rows, that a report shows."""
MOST_LINES = 16
"""Curves in one figure."""


@dataclass(frozen=True)
class Curve:
    """Rows of ``throughput`` that differ in one quantity alone, by rising value of it; at least three."""

    shared: Row
    """What the rows have in common: its first row."""
    values: list[float]
    points: list[Row]


@dataclass(frozen=True)
class Curves:
    """Curves that belong in one figure."""

    environment: str
    dataset: str
    """Without its number of rows where the curves are over rows."""
    device: str
    threads: int
    curves: list[Curve]


def batch_curves(throughput: pd.DataFrame) -> list[Curves]:
    """Throughput over batch, where at least three batch sizes ran with otherwise equal settings."""
    known = throughput[(throughput["batch"] > 0) & (throughput["train"] > 0)]
    return _curves(known, "batch", ["environment", "dataset", "device", "threads", "detector", "variant"])


def scale_curves(throughput: pd.DataFrame) -> list[Curves]:
    """Throughput over training rows, where at least three data sets differ in their rows alone."""
    known = throughput[(throughput["train_rows"] > 0) & (throughput["train"] > 0)]
    known = known.assign(family=[family(name) for name in known["dataset"]])
    return _curves(known, "train_rows", ["environment", "family", "device", "threads"])


def family(dataset: str) -> str:
    """The name of a data set without its number of rows: ``blobs?features=20`` of ``blobs?rows=100&features=20``."""
    name, _, options = dataset.partition("?")
    rest = "&".join(option for option in options.split("&") if option and not option.startswith("rows="))
    return f"{name}?{rest}" if rest else name


def _curves(known: pd.DataFrame, over: str, figure: list[str]) -> list[Curves]:
    line = ["detector", "backend", "mode", "arithmetic", *([] if over == "batch" else ["batch", "variant"])]
    groups: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Row]]] = {}
    for row in sorted(rows(known), key=lambda row: (row[over], row["train"])):
        lines = groups.setdefault(tuple(row[key] for key in figure), {})
        lines.setdefault(tuple(row[key] for key in line), []).append(row)
    found = []
    for key, lines in sorted(groups.items()):
        curves = []
        for _, points in sorted(lines.items()):
            members = list({row[over]: row for row in points}.values())  # of several the fastest
            if len(members) >= FEWEST_POINTS:
                curves.append(Curve(members[0], [float(row[over]) for row in members], members))
        if curves:
            environment, dataset, device, threads = key[:4]
            found.append(Curves(environment, dataset, device, int(threads), curves))
    return found


@dataclass(frozen=True)
class Scaling:
    """What a curve over rows says in two numbers."""

    flatness: float
    """The longest time a row to the shortest."""
    memory: float
    """Bytes of memory for a byte of data, at the most rows.

    Above what the process held before it had data; where that is unknown, above the peak with the fewest rows.
    """


def scaling(curve: Curve) -> Scaling:
    rates = [row["train"] for row in curve.points]
    first, last = curve.points[0], curve.points[-1]
    held_bytes, data = last["data_memory_bytes"], last["data_bytes"]
    if math.isnan(held_bytes):
        held_bytes = last["peak_memory_bytes"] - first["peak_memory_bytes"]
        data -= first["data_bytes"]
    return Scaling(max(rates) / min(rates), held_bytes / data if data > 0 else math.nan)
