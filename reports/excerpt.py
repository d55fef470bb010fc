"""One table of a report by itself: for a README, a paper (LaTeX with booktabs) or another program.

As Markdown and LaTeX a table is written to be read, as in the report; as CSV, JSON and Parquet it holds every column
in full precision, with an empty cell, null or a missing value where a number is unknown.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from reports import numbers, tables
from reports.blocks import Cell, Column, Table, code, table, words
from reports.sections import columns
from reports.spreadsheets import inert
from reports.surveys import COUNTS, QUALITY, UNBOUNDED
from reports.tables.equality import equalities
from reports.tables.frames import Row, rows
from reports.tables.settings import SETTINGS, networks, varying
from reports.writers import latex, markdown

Records = Sequence[Mapping[str, Any]]

_IDENTITY = ("environment", "dataset", "detector", "backend", *SETTINGS, "scenario")
_MEASURED = {
    "train": "train_samples_per_second",
    "train_low": "train_samples_per_second_low",
    "train_high": "train_samples_per_second_high",
    "scoring": "score_samples_per_second",
    "scoring_low": "score_samples_per_second_low",
    "scoring_high": "score_samples_per_second_high",
    "limit": "limit_samples_per_second",
    "fraction": "fraction_of_limit",
    "ratio_value": "times_slowest",
    "ratio_low": "times_slowest_low",
    "ratio_high": "times_slowest_high",
    "compile_seconds": "compile_seconds",
    "compile_warm_seconds": "compile_warm_seconds",
    "first_step_seconds": "first_step_seconds",
    "result_seconds": "result_seconds",
    "fit_seconds": "median_sample_seconds",
    "latency_p50": "score_latency_p50_seconds",
    "latency_p99": "score_latency_p99_seconds",
    "peak_memory_bytes": "peak_memory_bytes",
    "peak_device_memory_bytes": "peak_device_memory_bytes",
    "joules": "joules_per_million_samples",
    "trials": "trials",
    "samples": "samples",
    "marks": "marks",
}
"""Columns of the throughput table and what they are called outside, where names carry their units."""

PIVOTS: dict[str, Sequence[str]] = {
    "quality": QUALITY,
    "throughput": ("train_samples_per_second", "score_samples_per_second", "fraction_of_limit", "compile_seconds"),
}
"""What a table can be turned about: one cell per data set."""


class NoTableError(ValueError):
    """There is nothing to show, or not in this form; one line says why."""


@UNBOUNDED
def written(records: Records, table: str, form: str, pivot: str | None = None) -> bytes:
    """One table of the records' report; the same records give the same bytes in every text format.

    Parameters
    ----------
    records : sequence of mappings
        As for ``reports.write_report``.
    table : str
        ``quality`` and ``throughput`` have one row per scenario, ``equality`` one row for each rung of each
        verification that the trials ran under.
    form : str
        ``markdown``, ``latex``, ``csv``, ``json`` or ``parquet``.
    pivot : str, optional
        One of ``PIVOTS[table]``: one row per detector and backend, one column per data set, this metric in the cells.

    Raises
    ------
    NoTableError
        Where no trial has anything to show in this table, or the table cannot be turned about the metric.
    """
    if pivot is not None and pivot not in PIVOTS.get(table, ()):
        known = ", ".join(PIVOTS.get(table, ())) or "no metric"
        raise NoTableError(f"the {table} table cannot be turned about {pivot!r} (it can about {known})")
    trials, outside = tables.trials(records), form in ("csv", "json", "parquet")
    frame = _FRAMES[table](trials if outside else tables.short(trials), records)
    if frame.empty:
        raise NoTableError(f"no trial has anything to show in the {table} table")
    if outside:
        named = frame.rename(columns=_MEASURED) if table == "throughput" else frame
        return _data(_turned(named, pivot) if pivot else named, form)
    block = _pivoted(frame, pivot) if pivot else _TABLES[table](frame)
    return (latex.table(block) if form == "latex" else markdown.table(block) + "\n").encode()


# ------------------------------------------------------------------------------------------------------------ frames


def _quality(trials: pd.DataFrame, records: Records) -> pd.DataFrame:
    found = tables.quality(tables.scored(trials, records))
    names = [*_IDENTITY, "protocol", "score", "primary", "threshold_rule", "oracle"]
    for metric in QUALITY:
        names += [f"{metric}{part}" for part in ("", "_low", "_high", "_sd")]
    names += [*COUNTS, "seeds", "asked", "trials"]
    for metric in tables.RANKED:
        names += [f"{metric}_sole", f"{metric}_top"]
    return found[names]


def _throughput(trials: pd.DataFrame, records: Records) -> pd.DataFrame:
    found = tables.throughput(trials)
    found["marks"] = [" ".join(f"{mark}:{count}" for mark, count in marks.items()) for marks in found["marks"]]
    return found[[*_IDENTITY, *_MEASURED]]


def _equality(trials: pd.DataFrame, records: Records) -> pd.DataFrame:
    found: list[Row] = []
    for here in equalities(trials, records):
        for entry in here.entries:
            shared = {
                "environment": here.environment,
                "verified": entry.verified,
                "quick": entry.quick,
                "backends": " ".join(entry.backends),
                "mode": entry.mode,
                "device": entry.device,
                "arithmetic": entry.precision,
                "steps": entry.steps,
            }
            for rung, (error, bound) in entry.errors.items():
                measured = {"rung": rung, "error": error, "bound": math.nan if bound is None else bound}
                found.append(shared | measured | {"passed": entry.passed})
    return pd.DataFrame(found)


_FRAMES: dict[str, Callable[[pd.DataFrame, Records], pd.DataFrame]] = {
    "quality": _quality,
    "throughput": _throughput,
    "equality": _equality,
}


def _turned(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row for what differs in anything but the data set, by appearance, and one column per data set."""
    keys = _turned_keys(frame)
    turned = frame.pivot(index=keys, columns="dataset", values=metric)
    order = frame.drop_duplicates(keys).set_index(keys).index
    return turned.reindex(index=order, columns=frame["dataset"].drop_duplicates()).reset_index()


def _turned_keys(frame: pd.DataFrame) -> list[str]:
    return [key for key in (*_IDENTITY, "score") if key in frame and key not in ("dataset", "scenario")]


def _data(frame: pd.DataFrame, form: str) -> bytes:
    frame.columns.name = None
    if form == "csv":
        words = frame.map(lambda cell: inert(cell) if isinstance(cell, str) else cell)
        words.columns = [inert(str(name)) for name in frame.columns]
        return words.to_csv(index=False, lineterminator="\n").encode()
    if form == "json":
        return (frame.to_json(orient="records", indent=2, double_precision=15, force_ascii=False) + "\n").encode()
    written = io.BytesIO()
    frame.to_parquet(written, index=False)
    return written.getvalue()


# ----------------------------------------------------------------------------------------------------- how it is read


def _named(body: Sequence[Row], keys: Sequence[str] = ("environment", "dataset")) -> list[Column]:
    """The columns that name a row: the environment and the data set only where they vary."""
    settings = varying(networks(body), (*SETTINGS, *(["score"] if "score" in body[0] else [])))
    return columns.all_named((*varying(body, keys), "detector", "backend", *settings))


def _quality_table(frame: pd.DataFrame) -> Table:
    body = rows(frame)
    return table("Quality", [*_named(body), *(columns.metric(m, frame) for m in QUALITY), columns.SEEDS], body)


def _throughput_table(frame: pd.DataFrame) -> Table:
    body = rows(frame)
    shown = [columns.TRAIN, columns.OF_LIMIT, columns.SLOWEST, columns.SCORE, columns.LATENCY, columns.COMPILE]
    return table("Throughput", [*_named(body), *shown, columns.PEAK, columns.TRIALS], body)


def _equality_table(frame: pd.DataFrame) -> Table:
    body = rows(frame)
    return table(
        "Equality",
        [
            *columns.all_named(varying(body, ("environment", "backends", "mode", "device"))),
            columns.named("arithmetic"),
            Column("rung", lambda row: words(row["rung"]), "name"),
            Column("largest error", lambda row: numbers.error(row["error"])),
            Column("bound", lambda row: numbers.bound(row["bound"])),
        ],
        body,
    )


_TABLES: dict[str, Callable[[pd.DataFrame], Table]] = {
    "quality": _quality_table,
    "throughput": _throughput_table,
    "equality": _equality_table,
}


def _pivoted(frame: pd.DataFrame, metric: str) -> Table:
    """One line for each detector and backend; a cell has the standard deviation over seeds where there is one."""
    frame = _telling(frame)
    keys = _turned_keys(frame)
    lines: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows(frame):
        lines.setdefault(tuple(row[key] for key in keys), {})[row["dataset"]] = row
    firsts = [next(iter(line.values())) for line in lines.values()]
    cell = _cell(frame, metric)

    def column(dataset: str) -> Column:
        return Column(code(dataset), lambda line: cell(line[dataset]) if dataset in line else Cell(numbers.MISSING))

    settings = varying(networks(firsts), (*SETTINGS, *(["score"] if "score" in firsts[0] else [])))
    names = (*varying(firsts, ["environment"]), "detector", "backend", *settings)
    named = columns.all_named(names, lambda line: next(iter(line.values())))
    return table(metric, [*named, *map(column, frame["dataset"].drop_duplicates())], lines.values())


def _cell(frame: pd.DataFrame, metric: str) -> Callable[[Row], Cell]:
    if metric in QUALITY:
        places = numbers.decimals((frame[f"{metric}_high"] - frame[f"{metric}_low"]) / 2)
        return partial(columns.metric_cell, key=metric, places=places, bounds=False)
    key = next(key for key, name in _MEASURED.items() if name == metric)
    write: dict[str, Callable[[float], str]] = {
        "fraction": lambda value: numbers.fixed(value, 2),
        "compile_seconds": numbers.seconds,
    }
    return lambda row: columns.figure(row[key], write.get(key, numbers.si)(row[key]))


def _telling(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the settings that tell no two rows of one data set apart: as a column they would tear rows in pieces."""
    for key, none in (("batch", 0), ("variant", "")):
        others = [other for other in _turned_keys(frame) if other != key]
        if not frame.duplicated(["dataset", *others]).any():
            frame = frame.assign(**{key: none})
    return frame
