"""The answer at a glance: at most three short sentences over two small figures, and the detail behind them.

A fourth sentence stands where a mode that promises speed is slower than the guide's loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reports import numbers, palette
from reports.blocks import Block, Fold, Prose, code, listing
from reports.sections import glance, self_check
from reports.sections.headline import clear, headline, name, slower_modes, value
from reports.tables import Standing
from reports.tables.material import Material

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
    return [Prose(" ".join(filter(None, sentences))), *glance.figure(material), Fold("In detail", detail)]


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
        return f"**No detector can be named best on any of {_counted(standings)}.**"
    ranked = sorted(wins.items(), key=lambda item: (-item[1], item[0]))
    clauses = [f"{code(detector)} on {count}" for detector, count in ranked]
    clauses[0] = f"{code(ranked[0][0])} detects best on {ranked[0][1]} of {_counted(standings)}"
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
        doubts.append(f"no trained detector beats a sanity line on {_sets(unbeaten, material.standings)}")
    if trivial := [s for s in standings if s.trivial and s not in unbeaten]:
        doubts.append(f"{_sets(trivial, material.standings)} is trivial" if len(trivial) == 1 else "some are trivial")
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


def _sets(standings: Sequence[Standing], of: Sequence[Standing]) -> str:
    return code(standings[0].dataset) if len(standings) == 1 else f"{len(standings)} of {_counted(of)}"


def _counted(standings: Sequence[Standing]) -> str:
    """How many there are, and of what: quality of two environments is never averaged."""
    environments = {standing.environment for standing in standings}
    return f"{len(standings)} {'data sets' if len(environments) == 1 else 'pairs of data set and environment'}"
