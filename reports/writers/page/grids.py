"""Tables as plain data: columns, and cells with a text, what sorts them, and what is said in small print beside it.

Names from outside are bare text here; the page's scripts only ever show them as text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports import numbers
from reports.excerpt import HEADS
from reports.sections.columns import SETTINGS, heading, varying
from reports.surveys import QUALITY, held, mapping, number
from reports.tables import SANITY, failures
from reports.tables.frames import Row, rows
from reports.writers.escape import clean

MOST_TRIALS = 3_000
"""Trials that the table of them holds, the latest ones."""
MOST_ENVIRONMENTS = 12
"""Columns of the table of environments, the first ones."""
PHASES = ("import", "data", "build", "compile", "warmup", "train", "score", "latency")
"""Phases in the order in which a trial goes through them; others follow."""

Cell = str | dict[str, Any]
"""Text, or ``t`` text, ``v`` what sorts it, ``s`` small print, ``m`` a mark: ``best`` or ``tie``."""
Column = tuple[str, str, Callable[[Row], Cell]]
"""Heading, kind (``name``, ``number``, ``text``, ``bar`` or ``phases``) and what its cell says of a row."""

_COUNTS = frozenset({"threads", "batch"})


def grid(columns: Sequence[Column], body: Iterable[Row], **more: Any) -> dict[str, Any]:
    """A table without the columns that no row has anything in."""
    body = list(body)
    found = [(title, kind, [write(row) for row in body]) for title, kind, write in columns]
    kept = [column for column in found if any(_said(cell) for cell in column[2])]
    lines = [list(line) for line in zip(*(cells for *_, cells in kept), strict=True)] if kept else []
    return {"columns": [{"title": title, "kind": kind} for title, kind, _ in kept], "rows": lines, **more}


def _said(cell: Cell) -> bool:
    return (cell["t"] if isinstance(cell, dict) else cell) not in ("", numbers.MISSING)


def named(key: str) -> Column:
    """The column of a setting."""
    if key in _COUNTS:
        return heading(key), "number", lambda row: figure(row[key] or math.nan, f"{row[key]:,}")
    return heading(key), "name", lambda row: clean(row[key])


def figure(value: float, text: str, small: str = "", mark: str = "") -> Cell:
    """A number's cell; one that is unknown sorts behind all others."""
    if not math.isfinite(value):
        return numbers.MISSING
    cell: dict[str, Any] = {"t": text, "v": float(f"{value:.6g}")}
    if small:
        cell["s"] = small
    if mark:
        cell["m"] = mark
    return cell


def measure(title: str, key: str, write: Callable[[float], str]) -> Column:
    return title, "number", lambda row: figure(row[key], write(row[key]))


def rate(title: str, key: str) -> Column:
    return title, "number", lambda row: figure(row[key], numbers.si(row[key]), _bounds(row, key, numbers.si_interval))


def _bounds(row: Row, key: str, write: Callable[[float, float], str]) -> str:
    return write(row[f"{key}_low"], row[f"{key}_high"])


# ----------------------------------------------------------------------------------------------------------- quality


def quality(part: pd.DataFrame, several: bool) -> dict[str, Any]:
    """One row a scenario; with ``several`` data sets or environments there are columns that tell them apart."""
    body = rows(part)
    places = {m: numbers.decimals((part[f"{m}_high"] - part[f"{m}_low"]) / 2) for m in QUALITY}
    telling = varying(rows(part[part["backend"] != ""]), (*SETTINGS, "score"))
    columns = [
        *([named(key) for key in varying(body, ("environment", "dataset"))] if several else []),
        named("detector"),
        named("backend"),
        *map(named, telling),
        *(_metric(m, places[m]) for m in QUALITY),
        ("seeds", "number", lambda row: figure(row["seeds"], _seeds(row))),
        ("notes", "text", lambda row: ", ".join(_remarks(row))),
    ]
    return grid(columns, body)


def _metric(metric: str, places: int) -> Column:
    def written(row: Row) -> Cell:
        spread, value = row[f"{metric}_sd"], row[metric]
        said = f"± {numbers.fixed(spread, places)} " if math.isfinite(spread) else ""
        small = said + numbers.interval(row[f"{metric}_low"], row[f"{metric}_high"], places)
        mark = "best" if row.get(f"{metric}_sole") else "tie" if row.get(f"{metric}_top") else ""
        return figure(value, numbers.fixed(value, places), small.strip(), mark)

    return HEADS[metric], "number", written


def _seeds(row: Row) -> str:
    return f"{row['seeds']}" if row["seeds"] == row["asked"] else f"{row['seeds']} of {row['asked']}"


def _remarks(row: Row) -> list[str]:
    found = ["sanity line"] if row["detector"] in SANITY else []
    if row["roc_auc"] < 0.5:
        found.append("worse than chance")
    if row["collapsed"]:
        found.append("collapsed" + (f" in {row['collapsed']} of {row['trials']}" if row["trials"] > 1 else ""))
    return [*found, "oracle threshold"] if row["oracle"] else found


def overview(part: pd.DataFrame) -> dict[str, Any]:
    """ROC AUC of each detector and backend, best of its settings, with a column a data set."""
    best = part[part["roc_auc"].notna()].drop_duplicates(["environment", "dataset", "detector", "backend"])
    keys = [*varying(rows(best), ["environment"]), "detector", "backend"]
    lines: dict[tuple[str, ...], Row] = {}
    for row in rows(best):
        key = tuple(row[k] for k in keys)
        lines.setdefault(key, {k: row[k] for k in keys} | {"cells": {}})["cells"][row["dataset"]] = row

    def column(dataset: str) -> Column:
        shown = best[best["dataset"] == dataset]
        write = _metric("roc_auc", numbers.decimals((shown["roc_auc_high"] - shown["roc_auc_low"]) / 2))[2]

        def cell(line: Row) -> Cell:
            return write(line["cells"][dataset]) if dataset in line["cells"] else numbers.MISSING

        return clean(dataset), "number", cell

    return grid([*map(named, keys), *map(column, dict.fromkeys(best["dataset"]))], lines.values())


# ------------------------------------------------------------------------------------------------------------- speed


def _settings(part: pd.DataFrame) -> list[Column]:
    telling = varying(rows(part[part["backend"] != ""]))
    keys = [*varying(rows(part), ["environment"]), "dataset", "detector", "backend", *telling]
    return [named(key) for key in keys]


def training(part: pd.DataFrame) -> dict[str, Any]:
    """How fast each scenario trains."""
    columns = [
        *_settings(part),
        rate("train samples/s", "train"),
        ("of limit", "bar", lambda row: figure(row["fraction"], numbers.fixed(row["fraction"], 2))),
        ("× slowest", "number", _times),
        measure("compile s", "compile_seconds", numbers.seconds),
        measure("first step s", "first_step_seconds", numbers.seconds),
        measure("result s", "result_seconds", numbers.seconds),
        ("trials", "number", lambda row: figure(row["trials"], f"{row['trials']:,}")),
        ("marks", "text", _marks),
    ]
    return grid(columns, rows(part))


def scoring(part: pd.DataFrame) -> dict[str, Any]:
    """How fast each scenario scores, and what memory and energy it takes."""
    columns = [
        *_settings(part),
        rate("score samples/s", "scoring"),
        measure("p50 ms", "latency_p50", numbers.milliseconds),
        measure("p99 ms", "latency_p99", numbers.milliseconds),
        measure("peak MiB", "peak_memory_bytes", numbers.mebibytes),
        measure("device MiB", "peak_device_memory_bytes", numbers.mebibytes),
        measure("J per 1M samples", "joules", numbers.significant),
    ]
    return grid(columns, rows(part))


def _times(row: Row) -> Cell:
    value, low, high = (row[f"ratio_{part}"] for part in ("value", "low", "high"))
    bounded = math.isfinite(low) and math.isfinite(high)
    small = f"[{numbers.significant(low)}, {numbers.significant(high)}]" if bounded else ""
    return figure(value, f"{numbers.significant(value)} ×", small)


def _marks(row: Row) -> str:
    return ", ".join(
        clean(mark) if count == row["trials"] else f"{clean(mark)} ({count} of {row['trials']})"
        for mark, count in row["marks"].items()
    )


# ---------------------------------------------------------------------------------------- failures, trials, environment


def failed(trials: pd.DataFrame) -> dict[str, Any]:
    """What did not end well."""
    found = failures(trials)
    body = rows(found)
    keys = varying(body, ("environment", "device", "threads", "arithmetic", "batch", "variant"))
    columns: list[Column] = [
        *map(named, ("dataset", "detector", "backend", "mode", *keys)),
        ("seeds", "text", lambda row: numbers.ranges(row["seeds"])),
        ("trials", "number", lambda row: figure(row["trials"], f"{row['trials']:,}")),
        named("status"),
        ("reason", "text", lambda row: clean(row["reason"])),
    ]
    return grid(columns, body)


def every_trial(trials: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row a trial with the time that each of its phases took; the latest ``MOST_TRIALS``."""
    body = rows(trials.iloc[-MOST_TRIALS:])
    for row in body:
        found = mapping(held(records[row["position"]], "phases"))
        known = {clean(name): number(seconds) for name, seconds in found.items()}
        row["phases"] = {name: seconds for name, seconds in known.items() if seconds >= 0}
    names = list(dict.fromkeys(name for row in body for name in row["phases"]))
    names.sort(key=lambda name: PHASES.index(name) if name in PHASES else len(PHASES))
    networks = [row for row in body if row["backend"]]
    keys = [*varying(body, ["environment"]), *varying(networks), *varying(body, ["round", "status"])]

    def phases(row: Row) -> Cell:
        total = sum(row["phases"].values())
        seconds = [float(f"{row['phases'].get(name, 0.0):.3g}") for name in names]
        return figure(total, numbers.seconds(total)) | {"p": seconds} if row["phases"] else numbers.MISSING  # type: ignore[operator]

    columns: list[Column] = [
        *map(named, ("dataset", "detector", "backend", *(key for key in keys if key != "round"))),
        *(_whole(key) for key in ("seed", "round") if key == "seed" or key in keys),
        ("ROC AUC", "number", lambda row: figure(row["roc_auc"], numbers.fixed(row["roc_auc"], 4))),
        measure("train samples/s", "train", numbers.si),
        ("seconds by phase", "phases", phases),
    ]
    return grid(columns, body, phases=names, left_out=len(trials) - len(body))


def _whole(key: str) -> Column:
    return measure(key, key, lambda value: f"{value:.0f}")


def environments(trials: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the records say of machine, packages and frameworks, with a column for each environment."""
    found: dict[str, dict[str, str]] = {}
    shown = trials["environment"].drop_duplicates()[:MOST_ENVIRONMENTS]
    for row in rows(trials[trials["environment"].isin(shown)].drop_duplicates(["environment", "backend"])):
        told = mapping(held(records[row["position"]], "environment"))
        own = found.setdefault(row["environment"], {"environment hash": clean(row["environment_hash"])[:12]})
        parts = {
            "": {key: value for key, value in told.items() if not isinstance(value, (dict, list))},
            "machine: ": mapping(told.get("machine")),
            "package: ": mapping(told.get("packages")),
            f"{row['backend'] or 'classical'} reports: ": mapping(told.get("backend")),
        }
        for prefix, values in parts.items():
            for key, value in values.items():
                if value is not None:
                    own.setdefault(clean(prefix + key.removesuffix("_bytes")), _told(key, value))
    body = [{"what": key} for key in dict.fromkeys(key for own in found.values() for key in own)]

    def column(environment: str) -> Column:
        own = found[environment]
        title = f"environment {environment}" if environment else "value"
        return title, "text", lambda row: own.get(row["what"], numbers.MISSING)

    return grid([("", "text", lambda row: row["what"]), *map(column, found)], body)


def _told(key: str, value: object) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, Mapping):
        return clean(", ".join(f"{k} {v}" for k, v in value.items() if v is not None))
    return clean(value)
