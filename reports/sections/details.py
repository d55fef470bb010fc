"""What is folded below a quality table: every threshold, the two classes, and the rows that stand out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports import numbers
from reports.blocks import Block, Cell, Column, Fold, Prose, clean, code, table, words
from reports.sections.columns import all_named, detected, spread_cell
from reports.surveys import mapping, number
from reports.tables import having, other_scores
from reports.tables.frames import ROW, Row, rows, split
from reports.tables.settings import networks, varying

Records = Sequence[Mapping[str, Any]]

FLAGGING = ("f1", "precision", "recall", "accuracy")
_MOST_EXPLAINED = 4
"""Detectors whose top anomalies one data set lists."""


def folds(block: pd.DataFrame, finished: pd.DataFrame, records: Records) -> list[Block]:
    """The folded parts of one data set: ``block`` are its rows of ``quality``, ``finished`` its trials."""
    body = rows(block)
    telling = varying(networks(body))
    order = {(row["scenario"], row["score"]): place for place, row in enumerate(body)}
    return [
        *_thresholds(_levels(finished, records), telling, order),
        *_classes(body, telling),
        *_top(body, finished, records),
    ]


# -------------------------------------------------------------------------------------------------------- thresholds


def _levels(finished: pd.DataFrame, records: Records) -> pd.DataFrame:
    """One row for each trial, score and threshold, of trials that have several thresholds."""
    levels: list[Row] = []
    for row in rows(finished[having(records, "thresholds", finished["position"])]):
        record = records[row["position"]]
        entries = [(row["score"], record.get("thresholds"))]
        if not isinstance(entries[0][1], list) or len(entries[0][1]) < 2:
            continue
        entries += [(entry.score, entry.thresholds) for entry in other_scores(record)]
        shared = {key: row[key] for key in (*ROW, "seed")}
        for score, listed in entries:
            for place, level in enumerate(map(mapping, listed if isinstance(listed, list) else ())):
                levels.append(shared | {"score": str(score or ""), "place": place} | _level(level))
    return pd.DataFrame(levels)


def _level(level: Mapping[str, Any]) -> Row:
    metrics, counts = mapping(level.get("metrics")), mapping(level.get("confusion"))
    true, false = number(counts.get("tp")), number(counts.get("fp"))
    return {
        "rule": str(level.get("rule") or ""),
        "oracle": level.get("oracle") is True,
        **{metric: number(metrics.get(metric)) for metric in FLAGGING},
        "flagged": true + false,
        "tp": true,
        "fn": number(counts.get("fn")),
    }


def _thresholds(levels: pd.DataFrame, telling: Sequence[str], order: Mapping[tuple[str, str], int]) -> list[Block]:
    """``order`` is that of the quality table, by scenario and score."""
    if levels.empty:
        return []
    keys = [*ROW, "score", "place", "rule", "oracle"]
    values = [*FLAGGING, "flagged", "tp", "fn"]
    by_seed = levels.groupby([*keys, "seed"], sort=False, dropna=False)[values].mean().groupby(keys, sort=False)
    spread = by_seed.std().add_suffix("_sd")
    body = rows(by_seed.mean().join(spread).reset_index())
    body.sort(key=lambda row: (order.get((row["scenario"], row["score"]), len(order)), row["place"]))
    columns = all_named(("detector", "backend", *varying(networks(body), (*telling, "score"))))
    columns.append(Column("threshold", _rule, "text"))
    columns += [
        Column(title, lambda row, key=key: spread_cell(row, key))  # type: ignore[misc]
        for title, key in zip(("F1", *FLAGGING[1:]), FLAGGING, strict=True)
    ]
    columns += [Column("flagged", lambda row: Cell(numbers.rows(row["flagged"]), row["flagged"])), _DETECTED]
    said = "Mean ± standard deviation over seeds. The first threshold of each row is that of the table above."
    if any(row["oracle"] for row in body):
        said += " An **oracle** is tuned on the test labels: what a threshold could do, not what anyone can have."
    return [Fold("Every threshold", [Prose(said), table("Every threshold", columns, body)])]


_DETECTED = Column("detected", detected)


def _rule(row: Row) -> str:
    return f"**oracle** · {words(row['rule'].removeprefix('oracle: '))}" if row["oracle"] else words(row["rule"])


# ----------------------------------------------------------------------------------------------------------- classes


def _classes(body: Sequence[Row], telling: Sequence[str]) -> list[Block]:
    known = [row for row in body if row["primary"] and math.isfinite(row["tp"] + row["fp"] + row["fn"] + row["tn"])]
    if not known:
        return []
    lines = []
    for row in known:
        lines += [_class(row, "normal", ("tn", "fp", "fn")), _class(row, "anomaly", ("tp", "fn", "fp"))]
    columns = [
        *all_named(("detector", "backend", *telling)),
        Column("class", lambda row: row["class"], "text"),
        *(
            Column(title, lambda row, key=key: Cell(numbers.fixed(row[key], 3), row[key]))  # type: ignore[misc]
            for title, key in (("precision", "of_called"), ("recall", "of_rows"), ("F1", "both"))
        ),
        *(
            Column(title, lambda row, key=key: Cell(numbers.rows(row[key]), row[key]))  # type: ignore[misc]
            for title, key in (("rows", "rows"), ("called normal", "normal"), ("called anomaly", "anomaly"))
        ),
    ]
    said = (
        "At the first threshold, from the counts averaged over seeds; *called normal* and *called anomaly* are the "
        "confusion matrix, one line per class."
    )
    label = "Each class, and the confusion matrix"
    return [Fold(label, [Prose(said), table(label, columns, lines)])]


def _class(row: Row, kind: str, counts: tuple[str, str, str]) -> Row:
    """One class: ``counts`` are its rows that were recognised, those that were not, and the other's taken for it."""
    right, wrong, taken = (row[key] for key in counts)
    precision = right / (right + taken) if right + taken else 0.0
    recall = right / (right + wrong) if right + wrong else 0.0
    both = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    normal, anomaly = (right, wrong) if kind == "normal" else (wrong, right)
    found = {"of_called": precision, "of_rows": recall, "both": both, "rows": right + wrong}
    return row | found | {"class": kind, "normal": normal, "anomaly": anomaly}


# ---------------------------------------------------------------------------------------------------- top anomalies


def _top(body: Iterable[Row], finished: pd.DataFrame, records: Records) -> list[Block]:
    """The highest-scoring test rows of the best row of each detector that explains its scores."""
    trials = split(finished.sort_values(["seed", "round"]), ["scenario"])
    first = {key[0]: part.iloc[0] for key, part in trials}
    blocks: list[Block] = []
    seen: set[str] = set()
    for row in body:
        trial = first.get(row["scenario"])
        if trial is None or row["detector"] in seen or not row["primary"] or len(seen) == _MOST_EXPLAINED:
            continue
        found = records[trial["position"]].get("top_anomalies")
        lines = list(enumerate(map(mapping, found if isinstance(found, list) else []), 1))
        if lines:
            seen.add(row["detector"])
            who = " on ".join([code(row["detector"]), *([code(row["backend"])] if row["backend"] else [])])
            blocks.append(Prose(f"{who}, seed {numbers.ranges([trial['seed']])}:"))
            blocks.append(table(f"Top anomalies of {clean(row['detector'])}", _EXPLAINED, lines))
    if not blocks:
        return []
    said = (
        "The test rows with the highest scores, and the features with the largest shares of each; value and "
        "reconstruction are in the units of the preprocessed columns."
    )
    return [Fold("Top anomalies and what made them so", [Prose(said), *blocks])]


def _features(found: Mapping[str, Any]) -> str:
    listed = found.get("features")
    said = []
    for feature in map(mapping, listed if isinstance(listed, list) else []):
        share, value, rebuilt = (number(feature.get(key)) for key in ("share", "value", "reconstruction"))
        said.append(
            f"{code(feature.get('name'))} {numbers.significant(100 * share, 2)}{numbers.GLUE}% · "
            f"{numbers.significant(value)} against {numbers.significant(rebuilt)}"
        )
    return "; ".join(said)


_EXPLAINED = [
    Column("", lambda line: f"{line[0]}"),
    Column("test row", lambda line: numbers.rows(number(line[1].get("row")))),
    Column("score", lambda line: numbers.significant(number(line[1].get("score")), 4)),
    Column("truth", lambda line: "anomaly" if line[1].get("anomaly") is True else "normal", "text"),
    Column("share of the score · value against reconstruction", lambda line: _features(line[1]), "text"),
]
