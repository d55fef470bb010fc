"""What is folded below a quality table: every threshold, the two classes, and the rows that stand out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports import numbers
from reports.sections.columns import cell, heading, sides, varying
from reports.surveys import held, mapping, number
from reports.tables import having, other_scores
from reports.tables.frames import ROW, Row, rows, split
from reports.writers.escape import code, escape, folded, name, table

Records = Sequence[Mapping[str, Any]]

FLAGGING = ("f1", "precision", "recall", "accuracy")
_MOST_EXPLAINED = 4
"""Detectors whose top anomalies one data set lists."""


def folds(block: pd.DataFrame, finished: pd.DataFrame, records: Records) -> list[str]:
    """The folded parts of one data set: ``block`` are its rows of ``quality``, ``finished`` its trials."""
    body = rows(block)
    telling = varying([row for row in body if row["backend"]])
    order = {(row["scenario"], row["score"]): place for place, row in enumerate(body)}
    return [
        *_thresholds(_levels(finished, records), telling, order),
        *_classes(body, telling),
        *_top(body, finished, records),
    ]


def detected(true: float, missed: float) -> str:
    """``47 of 50`` anomalies; means over seeds may have a decimal."""
    if not (math.isfinite(true) and math.isfinite(missed)):
        return numbers.MISSING
    return f"{count(true)} of {count(true + missed)}"


def count(value: float) -> str:
    """A number of rows, which as a mean over seeds may have a decimal."""
    if not math.isfinite(value):
        return numbers.MISSING
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"


# -------------------------------------------------------------------------------------------------------- thresholds


def _levels(finished: pd.DataFrame, records: Records) -> pd.DataFrame:
    """One row for each trial, score and threshold, of trials that have several thresholds."""
    found = []
    for row in rows(finished[having(records, "thresholds", finished["position"])]):
        record = records[row["position"]]
        entries = [(row["score"], held(record, "thresholds"))]
        if not isinstance(entries[0][1], list) or len(entries[0][1]) < 2:
            continue
        entries += [(entry.score, entry.thresholds) for entry in other_scores(record)]
        for score, levels in entries:
            for place, level in enumerate(map(mapping, levels if isinstance(levels, list) else ())):
                metrics, counts = mapping(level.get("metrics")), mapping(level.get("confusion"))
                true, false = number(counts.get("tp")), number(counts.get("fp"))
                found.append(
                    {
                        **{key: row[key] for key in (*ROW, "seed")},
                        "score": str(score or ""),
                        "place": place,
                        "rule": str(level.get("rule") or ""),
                        "oracle": level.get("oracle") is True,
                        **{metric: number(metrics.get(metric)) for metric in FLAGGING},
                        "flagged": true + false,
                        "tp": true,
                        "fn": number(counts.get("fn")),
                    }
                )
    return pd.DataFrame(found)


def _thresholds(levels: pd.DataFrame, telling: Sequence[str], order: Mapping[tuple[str, str], int]) -> list[str]:
    """``order`` is that of the quality table, by scenario and score."""
    if levels.empty:
        return []
    keys = [*ROW, "score", "place", "rule", "oracle"]
    values = [*FLAGGING, "flagged", "tp", "fn"]
    by_seed = levels.groupby([*keys, "seed"], sort=False, dropna=False)[values].mean().groupby(keys, sort=False)
    spread = by_seed.std().add_suffix("_sd")
    body = rows(by_seed.mean().join(spread).reset_index())
    body.sort(key=lambda row: (order.get((row["scenario"], row["score"]), len(order)), row["place"]))
    shown = varying([row for row in body if row["backend"]], (*telling, "score"))
    header = ["detector", "backend", *map(heading, shown), "threshold", "F1", "precision", "recall", "accuracy"]
    lines = [
        [
            code(row["detector"]),
            name(row["backend"]),
            *(cell(row, key) for key in shown),
            f"{'**oracle** · ' if row['oracle'] else ''}{escape(_rule(row))}",
            *(numbers.spread(row[metric], row[f"{metric}_sd"]) for metric in FLAGGING),
            count(row["flagged"]),
            detected(row["tp"], row["fn"]),
        ]
        for row in body
    ]
    said = "Mean ± standard deviation over seeds. The first threshold of each row is that of the table above."
    if any(row["oracle"] for row in body):
        said += " An **oracle** is tuned on the test labels: what a threshold could do, not what anyone can have."
    align = "ll" + sides(shown) + "l" + "r" * 6
    return [folded("Every threshold", [said, table([*header, "flagged", "detected"], lines, align)])]


def _rule(row: Row) -> str:
    return str(row["rule"]).removeprefix("oracle: ") if row["oracle"] else str(row["rule"])


# ----------------------------------------------------------------------------------------------------------- classes


def _classes(body: Sequence[Row], shown: Sequence[str]) -> list[str]:
    known = [row for row in body if row["primary"] and math.isfinite(row["tp"] + row["fp"] + row["fn"] + row["tn"])]
    if not known:
        return []
    lines = []
    for row in known:
        for kind, right, wrong, taken in (("normal", "tn", "fp", "fn"), ("anomaly", "tp", "fn", "fp")):
            support, called = row[right] + row[wrong], row[right] + row[taken]
            precision = row[right] / called if called else 0.0
            recall = row[right] / support if support else 0.0
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            normal, anomaly = (row[right], row[wrong]) if kind == "normal" else (row[wrong], row[right])
            lines.append(
                [
                    *(
                        [code(row["detector"]), name(row["backend"]), *(cell(row, key) for key in shown)]
                        if kind == "normal"
                        else [""] * (2 + len(shown))
                    ),
                    kind,
                    *(numbers.fixed(value, 3) for value in (precision, recall, f1)),
                    count(support),
                    count(normal),
                    count(anomaly),
                ]
            )
    header = ["detector", "backend", *map(heading, shown), "class", "precision", "recall", "F1", "rows"]
    said = (
        "At the first threshold, from the counts averaged over seeds; *called normal* and *called anomaly* are the "
        "confusion matrix, a line a class."
    )
    align = "ll" + sides(shown) + "l" + "r" * 6
    return [
        folded(
            "Each class, and the confusion matrix",
            [said, table([*header, "called normal", "called anomaly"], lines, align)],
        )
    ]


# ---------------------------------------------------------------------------------------------------- top anomalies


def _top(body: Iterable[Row], finished: pd.DataFrame, records: Records) -> list[str]:
    """The highest-scoring test rows of the best row of each detector that explains its scores."""
    first = {key[0]: part.iloc[0] for key, part in split(finished.sort_values(["seed", "round"]), ["scenario"])}
    parts: list[str] = []
    seen: set[str] = set()
    for row in body:
        trial = first.get(row["scenario"])
        if trial is None or row["detector"] in seen or not row["primary"] or len(seen) == _MOST_EXPLAINED:
            continue
        found = held(records[trial["position"]], "top_anomalies")
        lines = [_explained(place, mapping(one)) for place, one in enumerate(_listed(found), 1)]
        if lines:
            seen.add(row["detector"])
            who = " on ".join([code(row["detector"]), *([code(row["backend"])] if row["backend"] else [])])
            seed = numbers.ranges([trial["seed"]])
            header = ["", "test row", "score", "truth", "share of the score · value against reconstruction"]
            parts += [f"{who}, seed {seed}:", table(header, lines, "rrrll")]
    if not parts:
        return []
    said = (
        "The test rows with the highest scores, and the features with the largest shares of each; value and "
        "reconstruction are in the units of the preprocessed columns."
    )
    return [folded("Top anomalies and what made them so", [said, *parts])]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _explained(place: int, found: Mapping[str, Any]) -> list[str]:
    features = [
        f"{code(f.get('name'))} {numbers.significant(100 * number(f.get('share')), 2)}{numbers.GLUE}% · "
        f"{numbers.significant(number(f.get('value')))} against {numbers.significant(number(f.get('reconstruction')))}"
        for f in map(mapping, _listed(found.get("features")))
    ]
    return [
        f"{place}",
        count(number(found.get("row"))),
        numbers.significant(number(found.get("score")), 4),
        "anomaly" if found.get("anomaly") is True else "normal",
        "; ".join(features) or numbers.MISSING,
    ]
