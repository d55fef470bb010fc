"""Our figures beside those that others published, each with its source, its protocol and the difference."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.surveys import mapping, number
from reports.tables.frames import Row, rows
from reports.tables.trials import having, other_scores

Records = Sequence[Mapping[str, Any]]

OURS = ["detector", "backend", "mode", "device", "threads", "arithmetic", "batch", "protocol"]
"""What a row is one of, beside the published figure itself."""


def published(trials: pd.DataFrame, records: Records) -> list[Row]:
    """One row for each published figure and way of ours: ``entry`` is theirs, ``value`` and ``sd`` are ours, over
    ``sets`` of the data sets that the figure is about."""
    measured = _measured(trials[trials["status"] == "ok"], records)
    return [] if measured.empty else _means(measured)


def _measured(finished: pd.DataFrame, records: Records) -> pd.DataFrame:
    """One row for each trial and published figure that it measures."""
    found = []
    for row in rows(finished[having(records, "published", finished["position"])]):
        record = records[row["position"]]
        entries = record.get("published")
        for entry in map(mapping, entries if isinstance(entries, list) else ()):
            if not _names(entry):
                continue
            value, oracle = _value(record, row, entry)
            if math.isfinite(value):
                text = json.dumps(entry, sort_keys=True)  # surrogates, which UTF-8 has none for, stay escapes
                known = {key: row[key] for key in ("environment", "dataset", *OURS, "seed")}
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
        (row["score"], mapping(record.get("metrics")), record.get("thresholds"), row["oracle"])
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
    keys = ["figure", "environment", *OURS]
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
