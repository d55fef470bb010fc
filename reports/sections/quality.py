"""The report's section on quality: a table for each data set, and below it what qualifies the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from reports import numbers
from reports.arrays import Shelf
from reports.excerpt import HEADS, MARKDOWN, quality_cell
from reports.figures.sheets import MOST_DATASETS, Sheet
from reports.sections import details, paired
from reports.sections.columns import SETTINGS, cell, heading, sides, varying
from reports.sections.details import detected
from reports.sections.headline import COLLAPSED, TRIVIAL
from reports.surveys import QUALITY, held, mapping, number
from reports.tables import SANITY, Standing, having, standings
from reports.tables.frames import BLOCK, Row, rows, split
from reports.writers.escape import code, escape, listing, name, table

Records = Sequence[Mapping[str, Any]]


def section(
    trials: pd.DataFrame, quality: pd.DataFrame, records: Records, figures: Sequence[Sheet], shelf: Shelf
) -> list[str]:
    if quality.empty:
        return []
    seeds = (
        "**mean over seeds ± standard deviation over seeds**"
        if (quality["seeds"] > 1).any()
        else "the value of one seed"
    )
    intro = (
        f"Each cell holds {seeds}, then in brackets the **95 % interval** over the test rows (bootstrap, averaged over "
        "seeds). **Bold**: the best detector; no other's interval reaches its own, and no other's best seed its worst. "
        "**≈**: cannot be told apart from the best. Precision, recall and accuracy carry no such marks. **Detected**: "
        "how many of the anomalies the first threshold flags, a mean over seeds."
    )
    if not quality["primary"].all():
        intro += (
            " A network has a row for each **score** of the same training; only the first that its suite names "
            "competes, since the best of several would be chosen by the test labels."
        )
    if len(quality[BLOCK].drop_duplicates()) > MOST_DATASETS:
        intro += f" Figures are drawn for the first {MOST_DATASETS} data sets."
    parts = ["## Quality", intro]
    standing: dict[tuple[str, ...], Standing] = {(s.environment, s.dataset): s for s in standings(quality)}
    finished = dict(split(trials[trials["status"] == "ok"], BLOCK))
    for key, block in split(quality, BLOCK):
        environment, dataset = key
        told = having(records, "notes", finished[key]["position"]) | having(
            records, "best_epoch", finished[key]["position"]
        )
        own = [records[i] for i in finished[key]["position"][told]]
        splits = [records[i] for i in finished[key].drop_duplicates(["seed", "checksum"])["position"]]
        first = [records[i] for i in finished[key].drop_duplicates("scenario")["position"]]
        parts += [
            f"### {code(dataset)}{f' · environment {environment}' if environment else ''}",
            _data_sentence(splits, block),
            _quality_table(block),
            *_findings(block, standing.get(key), own, first, splits),
            *details.folds(block, finished[key], records),
            *paired.fold(block, finished[key], records, shelf),
            *(f.image for f in figures if (f.environment, f.dataset) == key),
        ]
    return parts


def _quality_table(part: pd.DataFrame) -> str:
    shown = varying(rows(part[part["backend"] != ""]), (*SETTINGS, "score"))
    places = {m: numbers.decimals((part[f"{m}_high"] - part[f"{m}_low"]) / 2) for m in QUALITY}
    header = ["detector", "backend", *map(heading, shown), *HEADS.values(), "detected", "seeds", "notes"]
    body = [
        [
            code(row["detector"]),
            name(row["backend"]),
            *(cell(row, key) for key in shown),
            *(quality_cell(row, m, places[m], MARKDOWN) for m in QUALITY),
            detected(row["tp"], row["fn"]),
            f"{row['seeds']}" if row["seeds"] == row["asked"] else f"{row['seeds']} of {row['asked']}",
            ", ".join(_remarks(row)) or numbers.MISSING,
        ]
        for row in rows(part)
    ]
    return table(header, body, "ll" + sides(shown) + "r" * (len(QUALITY) + 2) + "l")


def _remarks(row: Row) -> list[str]:
    found = ["sanity line"] if row["detector"] in SANITY else []
    if row["protocol"]:
        found.append(escape(row["protocol"]))
    if row["roc_auc"] < 0.5:
        found.append("worse than chance")
    if row["collapsed"]:
        found.append("**collapsed**" + (f" in {row['collapsed']} of {row['trials']}" if row["trials"] > 1 else ""))
    if row["oracle"]:
        found.append("oracle threshold")
    return found


def _data_sentence(records: Records, block: pd.DataFrame) -> str:
    data = [mapping(held(record, "data")) for record in records]

    def count(key: str) -> str:
        return numbers.span(value for d in data if isinstance(value := d.get(key), (int, float)))

    anomalies, rows_tested = (sum(number(d.get(key)) for d in data) for key in ("anomalies", "test_rows"))
    share = f" ({numbers.significant(100 * anomalies / rows_tested)} %)" if rows_tested > 0 else ""
    text = (
        f"{count('train_rows')} training, {count('val_rows')} validation and {count('test_rows')} test rows of "
        f"{count('features')} features; {count('anomalies')} of the test rows are anomalies{share}."
    )
    for label, words in (
        ("Source", [d.get("source") for d in data]),
        ("Protocol", [d.get("protocol") for d in data]),
        ("Threshold", list(block["threshold_rule"])),
    ):
        if found := distinct(words):
            text += f" {label}: {'; '.join(escape(w).rstrip('.') for w in found)}."
    return text


def distinct(words: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(word) for word in words if word))


def _findings(
    block: pd.DataFrame, standing: Standing | None, records: Records, first: Records, splits: Records
) -> list[str]:
    """The warnings, the settings and the notes below a table, one bullet each.

    ``first`` has one record a scenario, ``splits`` one for each split of the data.
    """
    lines = []
    if standing and standing.trivial and not standing.by_chance:
        lines.append(f"**Trivial data set.** {TRIVIAL}")
    if standing and "norm" not in set(block["detector"]):
        lines.append("The sanity line `norm` has no result here, so nothing tells whether this data set is trivial.")
    if (block["collapsed"] > 0).any():
        lines.append(f"**Collapsed posterior.** {COLLAPSED}")
    if block["oracle"].any():
        lines.append(
            "**Oracle threshold**: tuned on the test labels, so F1, precision and recall are out of competition."
        )
    several = "batch" in varying(rows(block[block["backend"] != ""]), ["batch"])
    lines += _by_detector(first, lambda record: [_settings(record, {"batch_size"} if several else set())], str)
    for note in distinct(note for record in splits for note in listed(mapping(held(record, "data")).get("notes"))):
        lines.append(f"Data: {escape(note)}")
    lines += _by_detector(records, lambda record: listed(record.get("notes")), escape)
    lines += _early_stopping(records)
    return ["\n".join(f"- {line}" for line in lines)] if lines else []


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _by_detector(
    records: Records, words: Callable[[Mapping[str, Any]], list[Any]], write: Callable[[object], str]
) -> list[str]:
    """``vae and autoencoder: text``: each distinct text once, with the detectors it holds for."""
    owners: dict[str, dict[str, None]] = {}
    for record in records:
        for text in filter(None, words(record)):
            owners.setdefault(str(text), {})[str(record.get("detector") or "")] = None
    return [f"{listing([code(d) for d in detectors])}: {write(text)}" for text, detectors in owners.items()]


def _settings(record: Mapping[str, Any], told: Set[str]) -> str:
    """All but those that have a column already."""
    settings = {"score": record.get("score"), **mapping(held(record, "settings"))}
    return ", ".join(
        code(f"{key}={_plain(value)}") for key, value in settings.items() if value not in (None, []) and key not in told
    )


def _early_stopping(records: Records) -> list[str]:
    """``vae on torch: early stopping after 17–23 of 50 epochs, the weights of epochs 14–20 restored``."""
    ends: dict[tuple[str, str, float], list[tuple[int, int]]] = {}
    for record in records:
        best = number(record.get("best_epoch"))
        if math.isfinite(best) and math.isfinite(epochs := number(mapping(held(record, "settings")).get("epochs"))):
            owner = str(record.get("detector") or ""), str(record.get("backend") or ""), epochs
            ends.setdefault(owner, []).append((len(listed(held(record, "loss"))), int(best) + 1))
    return [
        f"{code(detector)} on {code(backend)}: early stopping after {numbers.span(ran for ran, _ in found)} of "
        f"{epochs:.0f} epochs, with the weights of epoch {numbers.span(best for _, best in found)}."
        for (detector, backend, epochs), found in ends.items()
    ]


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)
