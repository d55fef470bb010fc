"""The answer at a glance: at most three short sentences over two small figures, and the detail behind them.

A fourth sentence stands where a mode that promises speed is slower than the guide's loop.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from reports import numbers, palette
from reports.blocks import Block, Drawing, Figure, Fold, Prose, clean, code, listing
from reports.sections import self_check
from reports.sections.headline import clear, headline, name, slower_modes, value
from reports.tables import Standing
from reports.tables.curves import rounded
from reports.tables.frames import GROUP, RUNNER, Row, rows
from reports.tables.material import Material
from reports.tables.settings import told, varying

Plain = dict[str, Any]

_MOST_ROWS = 12
"""Of one of the two figures."""
_MOST_DOUBTS = 3


def answer(material: Material) -> list[Block]:
    """What stands before all sections."""
    trials = material.trials
    detail = headline(material)
    if trials.empty or not (trials["status"] == "ok").any():
        return detail
    sentences = (
        _best(material),
        _fastest(material),
        slower_modes(material.slower, most=_MOST_DOUBTS),
        _doubts(material),
    )
    return [Prose(" ".join(filter(None, sentences))), *_figure(material), Fold("In detail", detail)]


# ----------------------------------------------------------------------------------------------------------- sentences


def _best(material: Material) -> str:
    """Who detects best."""
    standings = material.standings
    if not standings:
        return "**No detector can be compared: no finished trial has a ROC AUC.**"
    if len(standings) == 1:
        return f"**{_on_one(standings[0])}**"
    wins = Counter(s.leader["detector"] for s in standings if clear(s))
    if not wins:
        return f"**No detector can be named best on any of {len(standings)} data sets.**"
    ranked = sorted(wins.items(), key=lambda item: (-item[1], item[0]))
    clauses = [f"{code(detector)} on {count}" for detector, count in ranked]
    clauses[0] = f"{code(ranked[0][0])} detects best on {ranked[0][1]} of {len(standings)} data sets"
    undecided = len(standings) - sum(wins.values())
    rest = f"; on {undecided} none can be named best" if undecided else ""
    return f"**{listing(clauses, 4)}{rest}.**"


def _on_one(s: Standing) -> str:
    on = f"on {code(s.dataset)}"
    if s.follower is None:
        return f"Only {name(s.leader)} has a result {on}, ROC AUC {value(s.leader)}."
    if s.by_chance:
        return f"No detector is shown to beat guessing {on}; the highest ROC AUC is {value(s.leader)}."
    if s.rivals:
        others = listing([name(row) for row in (s.leader, *s.rivals)], 4)
        return f"No detector can be named best {on}: {others} cannot be told apart."
    return f"{name(s.leader)} detects best {on}, ROC AUC {value(s.leader)}."


def _fastest(material: Material) -> str:
    """Who trains fastest, and by how much."""
    races = material.races
    if not races:
        return "No two backends were timed on the same work."
    holding = [race for race in races if race.holds]
    if not holding:
        return "No backend is shown to train fastest: no interval excludes a tie."
    winner, count = sorted(Counter(race.winner for race in holding).items(), key=lambda item: (-item[1], item[0]))[0]
    won = [race for race in holding if race.winner == winner]
    leads = [race.lead.value for race in won]
    low, high = numbers.significant(min(leads), 2), numbers.significant(max(leads), 2)
    factor = low if low == high else f"{low} to {high}"
    seconds = {race.second for race in won}
    other = code(seconds.pop()) if len(seconds) == 1 else "the next"
    scope = f" in {count} of {len(races)} comparisons" if len(races) > 1 else ""
    return f"**{code(winner)} trains fastest{scope}, {factor} times as fast as {other}.**"


def _doubts(material: Material) -> str:
    """What to doubt: the weightiest reasons that the trials themselves give."""
    trials, doubts = material.trials, []
    finished = trials[trials["status"] == "ok"]
    if any(here.failed for here in material.equalities):
        doubts.append("the backends were not found to be the same model")
    elif any(not here.entries for here in material.equalities):
        doubts.append("the backends were not verified to be the same model")
    if missing := len(trials) - len(finished):
        doubts.append(f"{missing:,} of {len(trials):,} trials did not end well")
    if finished["seed"].nunique() < 2:
        doubts.append("only one seed ran")
    standings = [s for s in material.standings if not s.by_chance]
    unbeaten = [s for s in standings if any(row["detector"] in palette.SANITY for row in (s.leader, *s.rivals))]
    if unbeaten:
        doubts.append(f"no trained detector beats a sanity line on {_sets(unbeaten, len(material.standings))}")
    if trivial := [s for s in standings if s.trivial and s not in unbeaten]:
        doubts.append(
            f"{_sets(trivial, len(material.standings))} is trivial" if len(trivial) == 1 else "some are trivial"
        )
    if (material.first_scores["collapsed"] > 0).any():
        doubts.append("a posterior collapsed")
    marks = Counter(mark for marked in finished["marks"] for mark in marked)
    if marks:
        doubts.append(f"some timings are marked {listing([code(mark) for mark in sorted(marks)], 3)}")
    checked = self_check.counted(trials)
    if not doubts:
        return f"{checked}, and nothing else is to doubt." if checked else "The trials give no reason to doubt this."
    said = "; ".join(doubts[:_MOST_DOUBTS])
    return f"{checked}; to doubt: {said}." if checked else f"To doubt: {said}."


def _sets(standings: Sequence[Standing], of: int) -> str:
    return code(standings[0].dataset) if len(standings) == 1 else f"{len(standings)} of {of} data sets"


# ------------------------------------------------------------------------------------------------------------- figures


def _figure(material: Material) -> list[Block]:
    quality, sets = _quality(material)
    rates, works = _rates(material)
    if not quality and not rates:
        return []
    said = []
    if quality:
        over = (
            f"the mean over the {sets} data sets that all of them have (faint dots)" if sets > 1 else "the best of each"
        )
        said.append(f"ROC AUC by detector, {over}, with 95 % intervals over the test rows.")
    if rates:
        over = f", the geometric mean over {works} tasks that all of them trained" if works > 1 else ""
        said.append(f"Training samples/s by backend{over}, with 95 % intervals where several trials allow one.")
    caption = " ".join(said)
    data = {"quality": quality, "rates": rates}
    drawing = Drawing("answer.svg", "answer", "Quality by detector, and training rate by backend", caption, data)
    return [Figure("answer", [drawing], lambda: _on_screen(data), caption)]


def _on_screen(data: Plain) -> Plain:
    return {
        kind: [row | {"colour": palette.screen_colour(row["colour"])} for row in found] for kind, found in data.items()
    }


def _quality(material: Material) -> tuple[list[Plain], int]:
    """Detectors with the mean of their ROC AUCs over the data sets that all of them have, best first.

    The interval is that of a mean of independent values: its half-width is the root of the sum of the squares of
    theirs, divided by their number.
    """
    frame = material.first_scores
    frame = frame[frame["roc_auc"].notna() & (frame["protocol"] == "")] if (frame["protocol"] == "").any() else frame
    best = frame[frame["roc_auc"].notna()].drop_duplicates(["environment", "dataset", "detector"])
    several = best["environment"].nunique() > 1
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows(best):
        found.setdefault((row["environment"], row["detector"]), {})[row["dataset"]] = row
    common = _common(found)
    lines = []
    for (environment, detector), own in found.items():
        chosen = [own[dataset] for dataset in common if dataset in own]
        if len(chosen) == len(common) > 0:
            values = np.array([row["roc_auc"] for row in chosen])
            halves = np.array([(row["roc_auc_high"] - row["roc_auc_low"]) / 2 for row in chosen])
            middle, half = float(values.mean()), float(np.sqrt((halves**2).sum()) / len(halves))
            label = clean(detector) + (f" ({environment})" if several else "")
            low, high = (middle - half, min(middle + half, 1.0)) if len(chosen) > 1 else _bounds(chosen[0])
            dots = [rounded(value) for value in values] if len(chosen) > 1 else []
            lines.append(_line(label, palette.colour(detector, ""), middle, low, high) | {"dots": dots})
    return sorted(lines, key=lambda line: -line["value"])[:_MOST_ROWS], len(common)


def _bounds(row: Row) -> tuple[float, float]:
    return row["roc_auc_low"], row["roc_auc_high"]


def _line(label: str, colour: str, middle: float, low: float, high: float) -> Plain:
    return {
        "label": label,
        "colour": colour,
        "value": rounded(middle),
        "low": rounded(low),
        "high": rounded(high),
    }


def _common(found: dict[tuple[str, str], dict[str, Row]]) -> list[str]:
    """The data sets that all have; where there is none, the one that most have."""
    counts: Counter[str] = Counter()
    for own in found.values():
        counts.update(list(own))
    shared = [dataset for dataset, count in counts.items() if count == len(found)]
    return shared or [dataset for dataset, _ in counts.most_common(1)]


def _rates(material: Material) -> tuple[list[Plain], int]:
    """Backends, and their modes and settings where several ran, with the geometric mean of their training rates over
    the work that all of them did, fastest first."""
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
    return sorted(lines, key=lambda line: -line["value"])[:_MOST_ROWS], len(works)


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
