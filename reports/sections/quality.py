"""Quality: a table for each data set, what qualifies it below, and its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from reports import numbers
from reports.blocks import (
    Block,
    Cell,
    Column,
    Fold,
    Heading,
    List,
    Prose,
    Section,
    Table,
    clean,
    code,
    listing,
    table,
    words,
)
from reports.sections import details, paired, pictures
from reports.sections.columns import DETECTED, REMARKS, SEEDS, all_named, metric, metric_cell
from reports.sections.headline import COLLAPSED, TRIVIAL
from reports.surveys import QUALITY, mapping, number
from reports.tables import Standing, having
from reports.tables.album import Album
from reports.tables.frames import BLOCK, Row, rows
from reports.tables.material import MOST_DATASETS, Material, label
from reports.tables.settings import SETTINGS, networks, varying

Records = Sequence[Mapping[str, Any]]

_PLACES = 3
"""Decimals of the table of many data sets."""


def section(material: Material) -> list[Section]:
    if material.quality.empty:
        return []
    album = Album(material.shelf)
    blocks: list[Block] = [Prose(_intro(material.quality)), *_overview(material.first_scores, many=material.many)]
    for key, block in material.blocks:
        environment, dataset = key
        own = _dataset(material, key, block, album)
        inside = [Fold("Quality, notes and figures", own)] if material.many else own
        blocks += [Heading(3, code(dataset) + label(environment)), *inside]
    return [Section("quality", "Quality", blocks)]


def _intro(quality: pd.DataFrame) -> str:
    seeds = (
        "**mean over seeds ± standard deviation over seeds**"
        if (quality["seeds"] > 1).any()
        else "the value of one seed"
    )
    text = (
        f"Each cell holds {seeds}, then in brackets the **95 % interval** over the test rows (averaged over "
        "seeds). **Bold**: the best detector; no other's interval reaches its own, and no other's best seed its worst. "
        "**≈**: cannot be told apart from the best. Precision, recall and accuracy carry no such marks. **Detected**: "
        "how many of the anomalies the first threshold flags, a mean over seeds."
    )
    if not quality["primary"].all():
        text += (
            " A network has a row for each **score** of the same training; only the first that its suite names "
            "competes, since the best of several would be chosen by the test labels."
        )
    if len(quality[BLOCK].drop_duplicates()) > MOST_DATASETS:
        text += f" Figures are drawn for the first {MOST_DATASETS} data sets."
    return text


def _dataset(material: Material, key: tuple[str, ...], block: pd.DataFrame, album: Album) -> list[Block]:
    environment, dataset = key
    records, finished = material.records, material.finished[key]
    telling = having(records, "notes", finished["position"]) | having(records, "best_epoch", finished["position"])
    noted = [records[i] for i in finished[telling]["position"]]
    splits = [records[i] for i in finished.drop_duplicates(["seed", "checksum"])["position"]]
    firsts = [records[i] for i in finished.drop_duplicates("scenario")["position"]]
    standing = next((s for s in material.standings if (s.environment, s.dataset) == key), None)
    figures = [pictures.figure(material, block, environment, dataset, album)] if key in material.pictured else []
    return [
        Prose(_data_sentence(splits, block)),
        _table(block, f"Quality on {clean(dataset)}"),
        *_findings(block, standing, noted, firsts, splits),
        *details.folds(block, finished, records),
        *paired.fold(block, finished, records, material.shelf),
        *figures,
    ]


def _table(part: pd.DataFrame, name: str, keys: Sequence[str] = ()) -> Table:
    """``keys`` are further columns that may tell rows apart."""
    body = rows(part)
    columns = all_named((*varying(body, keys), "detector", "backend"))
    columns += all_named(varying(networks(body), (*SETTINGS, "score")))
    columns += [metric(key, part) for key in QUALITY]
    return table(name, [*columns, DETECTED, SEEDS, REMARKS], body)


def _overview(quality: pd.DataFrame, *, many: bool) -> list[Block]:
    """ROC AUC of each detector and backend, best of its settings, with one column per data set, or where there are many
    with one line per data set."""
    best = quality[quality["roc_auc"].notna()].drop_duplicates(["environment", "dataset", "detector", "backend"])
    datasets = list(dict.fromkeys(best["dataset"]))
    if many:
        return _wide(best)
    if len(datasets) < 2:
        return []
    body = rows(best)
    keys = [*varying(body, ["environment"]), "detector", "backend"]
    lines: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in body:
        lines.setdefault(tuple(row[key] for key in keys), {})[row["dataset"]] = row

    def column(dataset: str) -> Column:
        shown = best[best["dataset"] == dataset]
        places = numbers.decimals((shown["roc_auc_high"] - shown["roc_auc_low"]) / 2)

        def write(line: dict[str, Row]) -> Cell:
            return metric_cell(line[dataset], "roc_auc", places) if dataset in line else Cell(numbers.MISSING)

        return Column(code(dataset), write)

    columns = [*all_named(keys, lambda line: next(iter(line.values()))), *map(column, datasets)]
    return [Prose("ROC AUC on every data set:"), table("ROC AUC on every data set", columns, lines.values())]


def _wide(best: pd.DataFrame) -> list[Block]:
    """Data sets down and detectors across, so that a line is one contest; the highest value of each is strong."""
    body = rows(best)
    keys = [*varying(body, ["environment"]), "dataset"]
    lines: dict[tuple[str, ...], dict[tuple[str, str], Row]] = {}
    for row in body:
        lines.setdefault(tuple(row[key] for key in keys), {})[row["detector"], row["backend"]] = row

    def column(detector: str, backend: str) -> Column:
        def write(line: dict[tuple[str, str], Row]) -> Cell:
            row = line.get((detector, backend))
            if row is None:
                return Cell(numbers.MISSING)
            # as precise as it is shown: what is equal to the last digit is equally best
            shown = numbers.fixed(row["roc_auc"], _PLACES)
            first = shown == numbers.fixed(max(other["roc_auc"] for other in line.values()), _PLACES)
            return Cell(f"**{shown}**" if first else shown, row["roc_auc"])

        return Column(code(detector) + (f" ({code(backend)})" if backend else ""), write)

    across = dict.fromkeys((row["detector"], row["backend"]) for row in body)
    columns = [*all_named(keys, lambda line: next(iter(line.values()))), *(column(*key) for key in across)]
    said = (
        "ROC AUC on every data set, a mean over seeds; **bold**: the highest of its line, whether or not it can be "
        "told apart from the next. Each data set's own section, with intervals, is folded below."
    )
    return [Prose(said), table("ROC AUC on every data set", columns, lines.values())]


def _data_sentence(records: Records, block: pd.DataFrame) -> str:
    data = [mapping(record.get("data")) for record in records]

    def count(key: str) -> str:
        return numbers.span(value for d in data if isinstance(value := d.get(key), (int, float)))

    anomalies, tested = (sum(number(d.get(key)) for d in data) for key in ("anomalies", "test_rows"))
    share = f" ({numbers.significant(100 * anomalies / tested)}{numbers.GLUE}%)" if tested > 0 else ""
    text = (
        f"{count('train_rows')} training, {count('val_rows')} validation and {count('test_rows')} test rows of "
        f"{count('features')} features; {count('anomalies')} of the test rows are anomalies{share}."
    )
    for title, said in (
        ("Source", [d.get("source") for d in data]),
        ("Protocol", [d.get("protocol") for d in data]),
        ("Threshold", list(block["threshold_rule"])),
    ):
        if known := distinct(said):
            text += f" {title}: {'; '.join(words(clean(w).rstrip('.')) for w in known)}."
    return text


def distinct(texts: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(text) for text in texts if text))


def _findings(
    block: pd.DataFrame, standing: Standing | None, records: Records, first: Records, splits: Records
) -> list[Block]:
    """The warnings, the settings and the notes below a table, one bullet each.

    ``first`` has one record per scenario, ``splits`` one for each split of the data.
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
    batches = "batch" in varying(networks(rows(block)), ["batch"])
    lines += _by_detector(first, lambda record: [_settings(record, {"batch_size"} if batches else set())], str)
    notes = [listed(mapping(record.get("data")).get("notes")) for record in splits]
    lines += [f"Data: {words(note)}" for note in distinct(note for several in notes for note in several)]
    lines += _by_detector(records, lambda record: listed(record.get("notes")), words)
    lines += _early_stopping(records)
    return [List(lines)] if lines else []


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _by_detector(
    records: Records, said: Callable[[Mapping[str, Any]], list[Any]], write: Callable[[str], str]
) -> list[str]:
    """``vae and autoencoder: text``: each distinct text once, with the detectors it holds for."""
    owners: dict[str, dict[str, None]] = {}
    for record in records:
        for text in filter(None, said(record)):
            owners.setdefault(str(text), {})[str(record.get("detector") or "")] = None
    return [f"{listing(list(map(code, detectors)))}: {write(text)}" for text, detectors in owners.items()]


def _settings(record: Mapping[str, Any], shown: Set[str]) -> str:
    """All but those that have a column already."""
    settings = {"score": record.get("score"), **mapping(record.get("settings"))}
    known = {key: value for key, value in settings.items() if value not in (None, []) and key not in shown}
    return ", ".join(code(f"{key}={_plain(value)}") for key, value in known.items())


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        value = [_plain(one) for one in value.values()]
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _early_stopping(records: Records) -> list[str]:
    """``vae on torch: early stopping after 17–23 of 50 epochs, the weights of epochs 14–20 restored``."""
    ends: dict[tuple[str, str, float], list[tuple[int, int]]] = {}
    for record in records:
        best = number(record.get("best_epoch"))
        epochs = number(mapping(record.get("settings")).get("epochs"))
        if math.isfinite(best) and math.isfinite(epochs):
            owner = str(record.get("detector") or ""), str(record.get("backend") or ""), epochs
            ends.setdefault(owner, []).append((len(listed(record.get("loss"))), int(best) + 1))
    return [
        f"{code(detector)} on {code(backend)}: early stopping after {numbers.span(ran for ran, _ in runs)} of "
        f"{epochs:.0f} epochs, with the weights of epoch {numbers.span(best for _, best in runs)}."
        for (detector, backend, epochs), runs in ends.items()
    ]
