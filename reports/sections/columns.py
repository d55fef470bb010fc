"""The columns that tables have in common, each declared once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from reports import numbers
from reports.blocks import Cell, Column, code, name, words
from reports.palette import SANITY
from reports.surveys import QUALITY
from reports.tables.frames import Row

HEADS = dict(zip(QUALITY, ("ROC AUC", "AP", "F1", "precision", "recall", "accuracy"), strict=True))
"""Headings of the quality metrics."""
_HEADINGS = {"arithmetic": "precision", "variant": "settings", "dataset": "data set"}
_COUNTS = frozenset({"threads", "batch"})


def heading(key: str) -> str:
    return _HEADINGS.get(key, key)


def figure(value: float, text: str, small: str = "") -> Cell:
    """A number's cell; one that is unknown sorts behind all others."""
    return Cell(text, value, small) if math.isfinite(value) else Cell(numbers.MISSING)


def named(key: str, of: Callable[[Any], Row] = lambda row: row) -> Column:
    """The column of a name or a setting; ``of`` finds the row that has it."""

    def write(row: Any) -> Cell:
        value = of(row)[key]
        if key in _COUNTS:
            return figure(value or math.nan, f"{value:,}")
        return Cell(name(value))

    return Column(heading(key), write, "number" if key in _COUNTS else "name")


def all_named(keys: Iterable[str], of: Callable[[Any], Row] = lambda row: row) -> list[Column]:
    return [named(key, of) for key in keys]


def plain_text(title: str, key: str) -> Column:
    return Column(title, lambda row: words(row[key]), "text")


def number(title: str, key: str, write: Callable[[float], str]) -> Column:
    return Column(title, lambda row: figure(row[key], write(row[key])))


def share(title: str, key: str) -> Column:
    return Column(title, lambda row: figure(row[key], numbers.fixed(row[key], 2)), "share")


def count(title: str, key: str) -> Column:
    return Column(title, lambda row: figure(row[key] or math.nan, f"{row[key]:,}"))


def rate(title: str, key: str) -> Column:
    def write(row: Row) -> Cell:
        return figure(row[key], numbers.si(row[key]), numbers.si_interval(row[f"{key}_low"], row[f"{key}_high"]))

    return Column(title, write)


def ratio(title: str, key: str) -> Column:
    """Of the columns ``key_value``, ``key_low`` and ``key_high``."""
    return Column(title, lambda row: ratio_cell(*(row[f"{key}_{part}"] for part in ("value", "low", "high"))))


def ratio_cell(value: float, low: float, high: float) -> Cell:
    if not math.isfinite(value):
        return Cell(numbers.MISSING)
    text, _, bounds = numbers.ratio(value, low, high).partition(" ")
    return Cell(text, value, bounds)


# ------------------------------------------------------------------------------------------------------------ quality


def metric(key: str, frame: pd.DataFrame) -> Column:
    """A quality metric with as many digits as the frame's intervals are worth."""
    places = numbers.decimals((frame[f"{key}_high"] - frame[f"{key}_low"]) / 2)
    return Column(HEADS[key], lambda row: metric_cell(row, key, places))


def metric_cell(row: Row, key: str, places: int, bounds: bool = True) -> Cell:
    """``0.931 ± 0.004 [0.91, 0.95]``: bold for the best by itself, ≈ for what cannot be told apart from the best."""
    value = numbers.fixed(row[key], places)
    if row.get(f"{key}_sole"):
        value = f"**{value}**"
    elif row.get(f"{key}_top"):
        value = f"≈{numbers.GLUE}{value}"
    spread = row[f"{key}_sd"]
    said = [f"±{numbers.GLUE}{numbers.fixed(spread, places)}"] if math.isfinite(spread) else []
    if bounds and (between := numbers.interval(row[f"{key}_low"], row[f"{key}_high"], places)):
        said.append(between)
    return figure(row[key], value, " ".join(said))


def spread_cell(row: Row | None, key: str, places: int = 3) -> Cell:
    """``0.931 ± 0.004``, whatever leads."""
    if row is None:
        return Cell(numbers.MISSING)
    return figure(row[key], numbers.spread(row[key], row[f"{key}_sd"], places))


def detected(row: Row) -> Cell:
    """``47 of 50`` anomalies; means over seeds may have a decimal."""
    true, missed = row["tp"], row["fn"]
    if not (math.isfinite(true) and math.isfinite(missed)):
        return Cell(numbers.MISSING)
    return Cell(f"{numbers.rows(true)} of {numbers.rows(true + missed)}", true)


def seeds(row: Row) -> Cell:
    return Cell(
        f"{row['seeds']}" if row["seeds"] == row["asked"] else f"{row['seeds']} of {row['asked']}", row["seeds"]
    )


def remarks(row: Row) -> str:
    """What qualifies a row of quality."""
    said = ["sanity line"] if row["detector"] in SANITY else []
    if row["protocol"]:
        said.append(words(row["protocol"]))
    if row["roc_auc"] < 0.5:
        said.append("worse than chance")
    if row["collapsed"]:
        said.append("**collapsed**" + (f" in {row['collapsed']} of {row['trials']}" if row["trials"] > 1 else ""))
    if row["oracle"]:
        said.append("oracle threshold")
    return ", ".join(said)


DETECTED = Column("detected", detected)
SEEDS = Column("seeds", seeds)
REMARKS = Column("notes", remarks, "text")


# -------------------------------------------------------------------------------------------------------------- speed


def marks(row: Row) -> str:
    """``noisy (1 of 2)``"""
    said = []
    for mark, times in row["marks"].items():
        said.append(code(mark) if times == row["trials"] else f"{code(mark)} ({times} of {row['trials']})")
    return ", ".join(said)


TRAIN = rate("train samples/s", "train")
OF_LIMIT = share("of limit", "fraction")
SLOWEST = ratio("× slowest", "ratio")
COMPILE = number("compile s", "compile_seconds", numbers.seconds)
WARM = number("warm s", "compile_warm_seconds", numbers.seconds)
LATENCY = number("p50 ms", "latency_p50", numbers.milliseconds)
PEAK = number("peak MiB", "peak_memory_bytes", numbers.mebibytes)
SCORE = rate("score samples/s", "scoring")
TRIALS = count("trials", "trials")
MARKS = Column("marks", marks, "text")

TRAINING = [TRAIN, OF_LIMIT, SLOWEST, TRIALS, count("epochs", "samples"), MARKS]
STARTING = [
    COMPILE,
    WARM,
    number("first step s", "first_step_seconds", numbers.seconds),
    number("result s", "result_seconds", numbers.seconds),
]
SCORING = [
    SCORE,
    LATENCY,
    number("p99 ms", "latency_p99", numbers.milliseconds),
    PEAK,
    number("device MiB", "peak_device_memory_bytes", numbers.mebibytes),
    number("J per 1M samples", "joules", numbers.significant),
]
FITTING = [number("fit s", "fit_seconds", numbers.seconds), rate("fit rows/s", "train")]
