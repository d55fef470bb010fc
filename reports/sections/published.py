"""Our figures beside those that others published, each with its source, its protocol and the difference."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports import numbers
from reports.excerpt import HEADS
from reports.sections.columns import SETTINGS, cell, heading, sides, varying
from reports.surveys import held, mapping, number
from reports.tables import having, other_scores
from reports.tables.frames import Row, rows
from reports.writers.escape import code, escape, listing, name, table

Records = Sequence[Mapping[str, Any]]

_OURS = ["detector", "backend", "mode", "device", "threads", "arithmetic", "batch", "protocol"]
"""What a row of the table is one of, beside the published figure itself."""


def section(trials: pd.DataFrame, records: Records) -> list[str]:
    """One row for each published figure and backend; nothing where the records name none."""
    found = _measured(trials[trials["status"] == "ok"], records)
    if found.empty:
        return []
    body = _means(found)
    shown = varying([row for row in body if row["backend"]], [key for key in (*SETTINGS, "protocol") if key in _OURS])
    environments = varying(body, ["environment"])
    header = [*environments, "data sets", "detector", "backend", *map(heading, shown), "metric", "ours", "published"]
    lines = [
        [
            *(row[key] for key in environments),
            listing([code(dataset) for dataset in row["entry"]["datasets"]], 3),
            code(row["detector"]),
            name(row["backend"]),
            *(escape(row[key]) or numbers.MISSING if key == "protocol" else cell(row, key) for key in shown),
            _metric(row["entry"]),
            _ours(row),
            _theirs(row["entry"]),
            _difference(row),
            escape(row["entry"].get("source") or "") or numbers.MISSING,
            escape(row["entry"].get("protocol") or "") or numbers.MISSING,
        ]
        for row in body
    ]
    align = "l" * (len(environments) + 3) + sides(shown) + "lrrrll"
    return [
        "## Beside published figures",
        "**Ours** is the mean over the data sets that a figure is about, then over seeds ± the standard deviation; "
        "where some of the data sets have no result it says of how many there is one, and no difference. A "
        "difference within the spread over seeds is none. Theirs were got by the protocol named.",
        table([*header, "difference", "source", "their protocol"], lines, align),
    ]


def _measured(finished: pd.DataFrame, records: Records) -> pd.DataFrame:
    """One row for each trial and published figure that it measures."""
    found = []
    for row in rows(finished[having(records, "published", finished["position"])]):
        record = records[row["position"]]
        entries = held(record, "published")
        for entry in map(mapping, entries if isinstance(entries, list) else ()):
            if not _names(entry):
                continue
            value, oracle = _value(record, row, entry)
            if math.isfinite(value):
                text = json.dumps(entry, sort_keys=True)  # surrogates, which UTF-8 has none for, stay escapes
                known = {key: row[key] for key in ("environment", "dataset", *_OURS, "seed")}
                found.append({**known, "figure": text, "value": value, "oracle": oracle})
    return pd.DataFrame(found)


def _names(entry: Mapping[str, Any]) -> bool:
    """Whether the entry says what it is about: data sets, a metric and a value."""
    datasets = entry.get("datasets")
    named = isinstance(datasets, list) and datasets and all(isinstance(one, str) for one in datasets)
    return bool(named) and isinstance(entry.get("metric"), str) and math.isfinite(number(entry.get("value")))


def _value(record: Mapping[str, Any], row: Row, entry: Mapping[str, Any]) -> tuple[float, bool]:
    """The record's value of the entry's metric by its score and under its threshold, and whether it is an oracle's."""
    wanted, rule, metric = entry.get("score"), entry.get("threshold"), entry["metric"]
    scored: list[tuple[object, object, object, bool]] = [
        (row["score"], mapping(record.get("metrics")), held(record, "thresholds"), row["oracle"])
    ]
    scored += [(one.score, one.metrics, one.thresholds, one.oracle is True) for one in other_scores(record)]
    for score, metrics, levels, oracle in scored:
        if wanted is not None and score != wanted:
            continue
        if rule is None or (metric in mapping(metrics) and metric in ("roc_auc", "average_precision")):
            return number(mapping(metrics).get(metric)), oracle and metric not in ("roc_auc", "average_precision")
        for level in map(mapping, levels if isinstance(levels, list) else ()):
            if level.get("rule") == rule:
                return number(mapping(level.get("metrics")).get(metric)), level.get("oracle") is True
        break
    return math.nan, False


def _means(found: pd.DataFrame) -> list[Row]:
    """Over rounds, then data sets, then seeds."""
    keys = ["figure", "environment", *_OURS]
    order = {figure: place for place, figure in enumerate(dict.fromkeys(found["figure"]))}
    by_set = found.groupby([*keys, "dataset", "seed"], sort=False, dropna=False)["value"].mean().reset_index()
    result = []
    for key, part in by_set.groupby(keys, sort=False, dropna=False):
        row: Row = dict(zip(keys, key, strict=True))
        entry = json.loads(row["figure"])
        table = part.pivot(index="seed", columns="dataset", values="value")
        whole = table.dropna()
        means = (whole if len(whole) else table).mean(axis=1)
        oracle = found.loc[found["figure"] == row["figure"], "oracle"].any()
        row |= {"entry": entry, "value": means.mean(), "sd": means.std(), "sets": table.shape[1], "oracle": oracle}
        row["order"] = order[row["figure"]]
        result.append(row)
    return sorted(result, key=lambda row: (row["order"], row["environment"], row["backend"]))


def _metric(entry: Mapping[str, Any]) -> str:
    metric = HEADS.get(entry["metric"]) or escape(entry["metric"])
    more = [code(entry["score"])] if entry.get("score") else []
    more += [escape(entry["threshold"])] if entry.get("threshold") else []
    more += [code(f"{key}={value}") for key, value in mapping(entry.get("where")).items()]
    return f"{metric} ({', '.join(more)})" if more else metric


def _ours(row: Row) -> str:
    text = numbers.spread(row["value"], row["sd"])
    asked = len(set(row["entry"]["datasets"]))
    if row["sets"] < asked:
        text += f" ({row['sets']} of {asked} data sets)"
    return text + (" (oracle)" if row["oracle"] else "")


def _theirs(entry: Mapping[str, Any]) -> str:
    low, high = number(entry.get("low")), number(entry.get("high"))
    text = numbers.fixed(number(entry["value"]), 3)
    if math.isfinite(low) or math.isfinite(high):
        bounds: Iterable[str] = (numbers.fixed(bound, 3) if math.isfinite(bound) else "" for bound in (low, high))
        text += f" [{', '.join(bounds)}]"
    return text


def _difference(row: Row) -> str:
    """Ours minus theirs."""
    if row["sets"] < len(set(row["entry"]["datasets"])):
        return numbers.MISSING
    return numbers.signed(row["value"] - number(row["entry"]["value"]), 3)
