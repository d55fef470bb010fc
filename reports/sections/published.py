"""Our figures beside those that others published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from reports import numbers
from reports.blocks import Cell, Column, Prose, Section, code, listing, table, words
from reports.sections.columns import HEADS, all_named
from reports.surveys import mapping, number
from reports.tables.frames import Row
from reports.tables.material import Material
from reports.tables.published import OURS, published
from reports.tables.settings import SETTINGS, networks, varying


def section(material: Material) -> list[Section]:
    """One row for each published figure and backend; nothing where the records name none."""
    body = published(material.trials, material.records)
    if not body:
        return []
    telling = varying(networks(body), [key for key in SETTINGS if key in OURS])
    columns = [
        *all_named(varying(body, ["environment"])),
        Column("data sets", lambda row: listing(list(map(code, row["entry"]["datasets"])), 3), "text"),
        *all_named(("detector", "backend", *telling)),
        *(Column(key, lambda row: words(row["protocol"]), "text") for key in varying(networks(body), ["protocol"])),
        Column("metric", lambda row: _metric(row["entry"]), "text"),
        Column("ours", _ours),
        Column("published", lambda row: _theirs(row["entry"])),
        Column("difference", _difference),
        Column("source", lambda row: words(row["entry"].get("source") or ""), "text"),
        Column("their protocol", lambda row: words(row["entry"].get("protocol") or ""), "text"),
    ]
    said = (
        "**Ours** is the mean over the data sets that a figure is about, then over seeds ± the standard deviation; "
        "where some of the data sets have no result it says of how many there is one, and no difference. A "
        "difference within the spread over seeds is none. Theirs were got by the protocol named."
    )
    title = "Beside published figures"
    return [Section("published", title, [Prose(said), table(title, columns, body, whole=True)], "Published")]


def _metric(entry: Mapping[str, Any]) -> str:
    metric = HEADS.get(entry["metric"]) or words(entry["metric"])
    more = [code(entry["score"])] if entry.get("score") else []
    more += [words(entry["threshold"])] if entry.get("threshold") else []
    more += [code(f"{key}={value}") for key, value in mapping(entry.get("where")).items()]
    return f"{metric} ({', '.join(more)})" if more else metric


def _ours(row: Row) -> Cell:
    asked = len(set(row["entry"]["datasets"]))
    small = [f"({row['sets']} of {asked} data sets)"] if row["sets"] < asked else []
    small += ["(oracle)"] if row["oracle"] else []
    return Cell(numbers.spread(row["value"], row["sd"]), row["value"], " ".join(small))


def _theirs(entry: Mapping[str, Any]) -> Cell:
    value, *bounds = (number(entry.get(key)) for key in ("value", "low", "high"))
    told = [numbers.fixed(bound, 3) if math.isfinite(bound) else "" for bound in bounds]
    return Cell(numbers.fixed(value, 3), value, f"[{', '.join(told)}]" if any(told) else "")


def _difference(row: Row) -> Cell:
    """Ours minus theirs."""
    if row["sets"] < len(set(row["entry"]["datasets"])):
        return Cell(numbers.MISSING)
    gap = row["value"] - number(row["entry"]["value"])
    return Cell(numbers.signed(gap, 3), gap)
