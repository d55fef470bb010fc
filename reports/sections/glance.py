"""The answer in small figures: quality by detector, on each data set or over all, and training rate by backend."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from reports import palette
from reports.blocks import Block, Drawing, Figure, clean, code, listing, plain, words
from reports.tables.curves import rounded
from reports.tables.frames import GROUP, RUNNER, Row, rows
from reports.tables.material import Material
from reports.tables.settings import told, varying

Plain = dict[str, Any]
Own = dict[str, Row]
"""A detector's best row on each data set."""

MOST_PANELS = 4
"""Data sets that have a panel each; of more the mean is shown."""
_MOST_ROWS = 12
"""Of one panel."""


def figure(material: Material) -> list[Block]:
    """One figure, or none where nothing was measured."""
    panels, said = _quality(material)
    rates, works = _rates(material)
    if not panels and not rates["lines"]:
        return []
    if rates["lines"]:
        over = f"the geometric mean over {len(works)} tasks that all of them trained" if len(works) > 1 else works[0]
        said += f" Training samples/s by backend, {over}, with 95 % intervals where several trials allow one."
    data = {"quality": panels, "rates": rates}
    drawing = Drawing("answer.svg", "answer", "Quality by detector, and training rate by backend", said.strip(), data)
    return [Figure("answer", [drawing], lambda: _on_screen(data), said.strip())]


def _on_screen(data: Plain) -> Plain:
    def shown(panel: Plain) -> Plain:
        lines = [line | {"colour": palette.screen_colour(line["colour"])} for line in panel["lines"]]
        return panel | {"lines": lines}

    return {"quality": [shown(panel) for panel in data["quality"]], "rates": shown(data["rates"])}


# ------------------------------------------------------------------------------------------------------------- quality


def _quality(material: Material) -> tuple[list[Plain], str]:
    """A panel for each data set, the detectors in one order, or one panel of means over many; and what it shows."""
    frame = material.first_scores
    frame = frame[frame["roc_auc"].notna() & (frame["protocol"] == "")] if (frame["protocol"] == "").any() else frame
    best = frame[frame["roc_auc"].notna()].drop_duplicates(["environment", "dataset", "detector"])
    several = best["environment"].nunique() > 1
    found: dict[tuple[str, str], Own] = {}
    for row in rows(best):
        found.setdefault((row["environment"], row["detector"]), {})[row["dataset"]] = row
    sets = list(dict.fromkeys(best["dataset"]))
    if not sets:
        return [], ""
    if len(sets) > MOST_PANELS:
        return _means(found, several)
    shown = sorted(found, key=lambda key: (_mean_rank(found, key), key))[:_MOST_ROWS]
    panels = [
        {"title": clean(dataset), "lines": [_of_one(key, found[key].get(dataset), several) for key in shown]}
        for dataset in sets
    ]
    order = " The order is that of their mean ranks." if len(sets) > 1 else ""
    swept = ", of a sweep the chosen one," if material.studies else ","
    which = f"the best setting of each{swept} with 95 % intervals over the test rows."
    return panels, f"ROC AUC by detector on {listing([code(name) for name in sets])}: {which}{order}"


def _mean_rank(found: dict[tuple[str, str], Own], key: tuple[str, str]) -> float:
    """Over the data sets that a detector has: which place its ROC AUC takes there."""
    ranks = [
        1 + sum(other[dataset]["roc_auc"] > row["roc_auc"] for other in found.values() if dataset in other)
        for dataset, row in found[key].items()
    ]
    return float(np.mean(ranks))


def _means(found: dict[tuple[str, str], Own], several: bool) -> tuple[list[Plain], str]:
    """The mean ROC AUC over the data sets that the detectors have in common, the best first.

    Detectors that lack half of what the others have, as one that is for categories alone, are left out, and of the
    data sets those that some other detector lacks. The interval is that of a mean of independent values: its
    half-width is the root of the sum of the squares of theirs, divided by their number.
    """
    most = max(len(own) for own in found.values())
    whole = {key: own for key, own in found.items() if 2 * len(own) > most}
    counts = Counter(dataset for own in whole.values() for dataset in own)
    common = [dataset for dataset, count in counts.items() if count == len(whole)]
    if not common:
        common = [counts.most_common(1)[0][0]]
        whole = {key: own for key, own in whole.items() if common[0] in own}
    lines = []
    for key, own in whole.items():
        values = np.array([own[dataset]["roc_auc"] for dataset in common])
        halves = np.array([(own[d]["roc_auc_high"] - own[d]["roc_auc_low"]) / 2 for d in common])
        middle, half = float(values.mean()), float(np.sqrt((halves**2).sum()) / len(halves))
        line = _line(_label(key, several), palette.colour(key[1], ""), middle, middle - half, min(middle + half, 1.0))
        lines.append(line | {"dots": [rounded(value) for value in values]})
    lines.sort(key=lambda line: -line["value"])
    absent = sorted({detector for _, detector in found.keys() - whole.keys()})
    every = len({dataset for own in found.values() for dataset in own})
    over = f"{len(common)} data sets" if len(common) == every else f"{len(common)} of {every} data sets"
    said = (
        f"ROC AUC by detector, the mean over {over if len(common) > 1 else code(common[0])} that all of them have "
        "(faint dots), with 95 % intervals over the test rows."
    )
    if absent:
        said += f" Left out, since they ran on few of them: {listing([code(name) for name in absent])}."
    title = f"mean over {over}" if len(common) > 1 else clean(common[0])
    return [{"title": title, "lines": lines[:_MOST_ROWS]}], said


def _label(key: tuple[str, str], several: bool) -> str:
    environment, detector = key
    return clean(detector) + (f" ({environment})" if several else "")


def _of_one(key: tuple[str, str], row: Row | None, several: bool) -> Plain:
    label, colour = _label(key, several), palette.colour(key[1], "")
    if row is None:
        return _line(label, colour, math.nan, math.nan, math.nan) | {"dots": []}
    return _line(label, colour, row["roc_auc"], row["roc_auc_low"], row["roc_auc_high"]) | {"dots": []}


def _line(label: str, colour: str, middle: float, low: float, high: float) -> Plain:
    return {
        "label": label,
        "colour": colour,
        "value": rounded(middle),
        "low": rounded(low),
        "high": rounded(high),
    }


# --------------------------------------------------------------------------------------------------------------- rates


def _rates(material: Material) -> tuple[Plain, list[str]]:
    """Backends, and their modes and settings where several ran, with the geometric mean of their training rates over
    the work that all of them did, fastest first; and what that work was."""
    frame = material.throughput
    body = [row for row in rows(frame) if row["backend"] and row["train"] > 0]
    found: dict[tuple[Any, ...], dict[Any, Row]] = {}
    for row in body:
        runner = (row["environment"], *(row[key] for key in RUNNER))
        found.setdefault(runner, {})[tuple(row[key] for key in GROUP[1:])] = row
    chosen = _comparable(found)
    works = set.intersection(*(set(own) for own in chosen.values())) if chosen else set()
    shown = [next(iter(own.values())) for own in chosen.values()]
    telling = varying(shown, ("mode", "device", "threads"))
    several = len({row["environment"] for row in shown}) > 1
    lines = []
    for (environment, backend, *_), own in chosen.items():
        rates = [own[work] for work in sorted(works, key=str)]
        logs = np.log([row["train"] for row in rates])
        halves = np.log([row["train_high"] / row["train"] for row in rates])
        middle, half = float(logs.mean()), float(np.sqrt((halves**2).sum()) / len(halves))
        parts = filter(None, [clean(backend), clean(told(next(iter(own.values())), telling))])
        label = " · ".join(parts) + (f" ({environment})" if several else "")
        bounds = (math.exp(middle - half), math.exp(middle + half))
        lines.append(_line(label, palette.backend_colour(backend), math.exp(middle), *bounds))
    lines.sort(key=lambda line: -line["value"])
    names = [f"{words(detector)} on {words(dataset)}" for dataset, detector, *_ in sorted(works, key=str)]
    title = clean(plain(names[0])) if len(names) == 1 else f"geometric mean over {len(names)} tasks"
    return {"title": title, "lines": lines[:_MOST_ROWS]}, names


def _comparable(found: dict[tuple[Any, ...], dict[Any, Row]]) -> dict[tuple[Any, ...], dict[Any, Row]]:
    """The runners that did some work in common: all of them, else those of the commonest settings, else those of the
    work that most of them did."""
    candidates = [found]
    arenas = Counter(runner[2:] for runner in found)
    for arena, _ in arenas.most_common(1):
        candidates.append({runner: own for runner, own in found.items() if runner[2:] == arena})
    works: Counter[Any] = Counter()
    for own in found.values():
        works.update(list(own))
    for work, _ in works.most_common(1):
        candidates.append({runner: own for runner, own in found.items() if work in own})
    for candidate in candidates:
        if candidate and set.intersection(*(set(own) for own in candidate.values())):
            return candidate
    return {}
