"""The answer in detail: sentences written from the tables, which claim no more than the intervals allow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from reports import numbers
from reports.blocks import Block, List, Prose, code, listing
from reports.palette import SANITY
from reports.sections import self_check
from reports.tables import TRIVIAL_MARGIN, Standing
from reports.tables.frames import Row, rows
from reports.tables.material import Material
from reports.tables.ratios import Race
from reports.tables.settings import phrases, threads, varying
from reports.tables.speed import PLAIN, Slower, nearest

_MOST_BULLETS = 12
_MOST_RACES = 4
"""Comparisons of training that one bullet tells of."""


def headline(material: Material) -> list[Block]:
    """A paragraph and bullets for each environment."""
    trials = material.trials
    if trials.empty:
        return [Prose("**There are no records, so there is nothing to report.**")]
    if not (trials["status"] == "ok").any():
        return [Prose(f"**No trial finished, so nothing can be compared.** {unfinished(trials)}".rstrip())]
    blocks: list[Block] = []
    for environment in material.environments:
        blocks += _one_environment(material, environment)
    return blocks


def _one_environment(material: Material, environment: str) -> list[Block]:
    trials, quality, throughput = (
        frame[frame["environment"] == environment]
        for frame in (material.trials, material.first_scores, material.throughput)
    )
    standing = [s for s in material.standings if s.environment == environment]
    race = [r for r in material.races if r.environment == environment]
    label = f"**Environment {environment}.**" if environment else ""
    late = [s for s in material.slower if s.row["environment"] == environment]
    speeds = [*_fastest_backends(trials, race), slower_modes(late), _nearest(throughput)]
    checked = self_check.sentence(trials)
    opening = [label, _best_detectors(standing), *speeds, checked, unfinished(trials), _one_seed(trials)]
    alone, telling = len(standing) == 1, varying(map(vars, race), ("mode", "device", "threads", "arithmetic", "batch"))
    bullets = []
    for s in standing[:_MOST_BULLETS]:
        bullets.append(_bullet(s, [r for r in race if r.dataset == s.dataset], alone, telling))
    if len(standing) > _MOST_BULLETS:
        bullets.append(f"{len(standing) - _MOST_BULLETS} more data sets: see their tables.")
    bullets = list(filter(None, [*bullets, *_trivial(standing), *_collapsed(quality)]))
    return [Prose(" ".join(filter(None, opening))), *([List(bullets)] if bullets else [])]


def name(row: Row) -> str:
    """The detector, and what it ran on: ``vae`` (``torch``)."""
    words = ", ".join(
        filter(None, [code(row["backend"]) if row["backend"] else "", row["variant"] and code(row["variant"])])
    )
    return f"{code(row['detector'])} ({words})" if words else code(row["detector"])


def value(row: Row, metric: str = "roc_auc") -> str:
    """``0.931 [0.910, 0.950]``, with the digits its interval is worth."""
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    places = numbers.decimals([(high - low) / 2])
    return f"{numbers.fixed(row[metric], places)} {numbers.interval(low, high, places)}".strip()


def clear(standing: Standing) -> bool:
    """Whether the leader can be named best."""
    return standing.follower is not None and not standing.rivals and not standing.by_chance


def _best_detectors(standing: Sequence[Standing]) -> str:
    """Which detector is best on which data set, or that none can be named."""
    if not standing:
        return "**No finished trial has a ROC AUC, so detectors cannot be compared.**"
    if len(standing) == 1:
        return f"**On {code(standing[0].dataset)}, {quality_sentence(standing[0])}.**"
    wins: dict[str, list[str]] = {}
    for s in filter(clear, standing):
        wins.setdefault(s.leader["detector"], []).append(s.dataset)
    ranked = sorted(wins.items(), key=lambda item: (-len(item[1]), item[0]))
    clauses = [f"{code(detector)} on {_datasets(sets)}" for detector, sets in ranked]
    open_ones = [s.dataset for s in standing if not clear(s)]
    undecided = f"on {_datasets(open_ones)} no detector can be named best" if open_ones else ""
    if not clauses:
        return f"**No detector can be named best on any of the {len(standing)} data sets.**"
    return f"**Best detector by ROC AUC: {listing(clauses)}{'; ' + undecided if undecided else ''}.**"


def _datasets(names: Sequence[str]) -> str:
    return listing([code(n) for n in names]) if len(names) <= 4 else f"{len(names)} data sets"


def quality_sentence(s: Standing) -> str:
    """Who leads one data set, by how much, and whether the intervals allow saying so."""
    best, said = name(s.leader), f"ROC AUC {value(s.leader)}"
    known = math.isfinite(s.leader["roc_auc_low"])
    if s.follower is None:
        return f"only {best} has a result, {said}: there is nothing to compare it with"
    if known and s.by_chance:
        return f"no detector is shown to beat guessing: the highest is {best}, {said}"
    if s.rivals:
        others = listing([f"{name(r)} at {value(r)}" for r in s.rivals], most=4)
        overlap = any(r["roc_auc_high"] >= s.leader["roc_auc_low"] for r in s.rivals)
        why = (
            ("the intervals overlap" if overlap else "it does not lead with every seed")
            if known
            else "no interval is known"
        )
        text = f"{best} has the highest ROC AUC, {value(s.leader)}, but cannot be told apart from {others}: {why}"
    else:
        gap = numbers.significant(s.leader["roc_auc"] - s.follower["roc_auc"], 2)
        text = f"{best} is best, {said}, {gap} ahead of {name(s.follower)} at {value(s.follower)}"
        text += "; the intervals do not overlap" + (", and it leads with every seed" if s.leader["seeds"] > 1 else "")
    sanity = [code(r["detector"]) for r in (s.leader, *s.rivals) if r["detector"] in SANITY]
    if sanity:
        lines = "line" if len(sanity) == 1 else "lines"
        text += f"; no trained detector is shown to beat the sanity {lines} {listing(sanity)}"
        if s.leader["detector"] in SANITY and s.trained["detector"] not in SANITY:
            text += f" (the best of them is {name(s.trained)} at {value(s.trained)})"
    return text


def _fastest_backends(trials: pd.DataFrame, race: Sequence[Race]) -> list[str]:
    """Which backend trains fastest, like against like: the same mode on the same device."""
    timed = trials[(trials["status"] == "ok") & trials["timed"] & (trials["backend"] != "")]
    if not race:
        if timed.empty:
            return ["No autoencoder was timed, so there is no backend to compare."]
        return ["Backends are not compared: no two of them were timed on the same detector and data set."]
    arenas = groupby(sorted(race, key=_arena), key=_arena)
    return [_fastest(list(group)) for _, group in arenas]


def slower_modes(found: Sequence[Slower], most: int = 8) -> str:
    """Where a mode that promises speed is slower than the guide's loop; nothing where none is."""
    if not found:
        return ""
    keys = ("detector", "device", "threads", "arithmetic", "batch", "variant", "environment")
    telling = varying((s.row for s in found), keys)
    modes = list(dict.fromkeys(s.row["mode"] for s in found))
    places = [_slower_place(s, telling, several=len(modes) > 1) for s in found[:most]]
    more = f"; {len(found) - most} more are in the tables" if len(found) > most else ""
    verb = "is" if len(modes) == 1 else "are"
    claim = f"{listing([code(mode) for mode in modes])} {verb} slower than {code(PLAIN)} here"
    return f"**{claim}: {'; '.join(places)}{more}.**"


def _slower_place(found: Slower, telling: Sequence[str], *, several: bool) -> str:
    """``torch`` on ``digits:4``, 0.93 [0.90, 0.96]"""
    row, rate = found.row, found.rate
    conditions = "".join(f", {words}" for words in phrases(row, [*(["mode"] if several else []), *telling], code))
    where = f"{code(row['backend'])} on {code(row['dataset'])}{conditions}"
    work = " in scoring" if found.work == "scoring" else ""
    said = f"{where}{work}, {numbers.fixed(rate.value, 2)} {numbers.interval(rate.low, rate.high, 2)}".rstrip()
    return f"{said} (marked {listing([code(mark) for mark in sorted(found.marks)])})" if found.marks else said


def _nearest(throughput: pd.DataFrame) -> str:
    """Who comes nearest to what the machine can do; nothing where no limit was measured."""
    row = nearest(throughput)
    if row is None:
        return ""
    how = f"mode {code(row['mode'])} on {threads(row['threads'])} with batch {row['batch']:,}"
    return (
        f"**Nearest to this machine's limit:** {code(row['backend'])} in {how} trains {code(row['detector'])} on "
        f"{code(row['dataset'])} at {numbers.fixed(row['fraction'], 2)} of the rate of the matrix products alone."
    )


def _arena(race: Race) -> tuple[str, str]:
    return race.mode, race.device


def _fastest(race: Sequence[Race]) -> str:
    several = len(race) > 1
    clauses = []
    for winner, count in sorted(Counter(r.winner for r in race).items(), key=lambda item: (-item[1], item[0])):
        won = [r for r in race if r.winner == winner]
        leads = [r.lead.value for r in won if math.isfinite(r.lead.value)]
        clause = f"{code(winner)} in {count}" if several else code(winner)
        if leads:
            low, high = numbers.significant(min(leads)), numbers.significant(max(leads))
            seconds = {r.second for r in won}
            second = code(seconds.pop()) if len(seconds) == 1 else "the second"
            clause += f", {low if low == high else f'{low} to {high}'} times as fast as {second}"
        clauses.append(f"{clause} ({_certainty(won)})")
    mode, device = _arena(race[0])
    scope = f", of {len(race)} comparisons (one data set and detector each)" if several else ""
    text = f"**Fastest training** in mode {code(mode)} on {code(device)}{scope}: {listing(clauses)}."
    marks = sorted({mark for r in race for mark in r.marks})
    return f"{text} Some of these measurements are marked {listing([code(m) for m in marks])}." if marks else text


def _certainty(won: Sequence[Race]) -> str:
    holds = sum(r.holds for r in won)
    if not any(math.isfinite(r.lead.low) for r in won):
        return "too few paired trials for an interval, so it may be chance"
    if holds in (0, len(won)):
        verb = "exclude" if holds else "include"
        return f"the intervals {verb} a tie" if len(won) > 1 else f"the interval {verb}s a tie"
    return f"the intervals exclude a tie in {holds} of them"


def unfinished(trials: pd.DataFrame) -> str:
    """How many trials did not end well; empty where all did."""
    counts = trials.loc[trials["status"] != "ok", "status"].value_counts()
    if counts.empty:
        return ""
    kinds = listing([f"{count} {code(status)}" for status, count in sorted(counts.items())])
    return f"{counts.sum():,} of {len(trials):,} trials did not end well: {kinds}, listed below with their reasons."


def _one_seed(trials: pd.DataFrame) -> str:
    if trials.loc[trials["status"] == "ok", "seed"].nunique() > 1:
        return ""
    return "Only one seed ran: what another seed would change is in no interval here."


def _bullet(s: Standing, race: Sequence[Race], alone: bool, telling: Sequence[str]) -> str:
    """What holds on one data set; ``alone`` leaves the detectors out, ``telling`` is what tells races apart."""
    sentences = [] if alone else [quality_sentence(s)]
    for r in race[:_MOST_RACES]:
        conditions = "".join(f", {words}" for words in phrases(vars(r), telling, code))
        sentences.append(f"training {code(r.detector)}{conditions}: {_lead(r)}")
    if len(race) > _MOST_RACES:
        sentences.append(f"{len(race) - _MOST_RACES} more comparisons of training: see the tables")
    return f"{code(s.dataset)}: {'. '.join(_capital(t) for t in sentences)}." if sentences else ""


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _lead(r: Race) -> str:
    said = f"{code(r.winner)} is {numbers.ratio(r.lead.value, r.lead.low, r.lead.high)} as fast as {code(r.second)}"
    if r.holds:
        return said
    if math.isfinite(r.lead.low):
        return f"{said}, an interval that includes a tie"
    return f"{said}, from too few paired trials for an interval"


def _trivial(standing: Sequence[Standing]) -> list[str]:
    sets = [code(s.dataset) for s in standing if s.trivial and not s.by_chance]
    if not sets:
        return []
    return [f"**Trivial: {listing(sets)}.** {TRIVIAL}"]


TRIVIAL = (
    f"`norm`, the distance from the training mean, comes within {TRIVIAL_MARGIN:g} of the best ROC AUC: "
    "here no model is shown to be worth its training."
)


def _collapsed(quality: pd.DataFrame) -> list[str]:
    collapsed = quality[quality["collapsed"] > 0]
    if collapsed.empty:
        return []
    where = [f"{name(row)} on {code(row['dataset'])}" for row in rows(collapsed)]
    return [f"**Collapsed posterior: {listing(where)}.** {COLLAPSED}"]


COLLAPSED = (
    "No latent unit is active, so every row is reconstructed alike and the score is a distance from one fixed point, "
    "whatever the ROC AUC says."
)
