"""What a comparison does not tell: metrics and trials that one side lacks, and changes that no number of pairs in reach
would show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from bench.records.metrics import Metric
from bench.verdict.pairing import LEAST_COMPILE_SECONDS, Pair
from bench.verdict.rules import LEAST_PAIRS, Judged
from bench.verdict.statistics import quantile

BUDGETS = 10
"""A change cannot be told here where it would take more pairs than so many budgets bring, or than so many times the
trials that there are."""
SIDES = ("the baseline", "the candidate")

Key = tuple[int, int]
"""Seed and round of a trial."""


def of_metric(label: str, metric: Metric, pairs: Sequence[Pair]) -> dict[str, Any] | None:
    """A metric that some pairs of a scenario do not compare; None where all do.

    The result has ``whole``, whether no pair compares it, and ``sides``, those that lack it; none does where a value is
    there and too small to be compared.
    """
    without = [pair.without[metric.name] for pair in pairs if metric.name in pair.without]
    if not without:
        return None
    whole, of = len(without) == len(pairs), len(pairs)
    lacking = {place: sum(place in places for places in without) for place in (0, 1)}
    sides = [place for place, count in lacking.items() if count]
    if not sides:
        reason = f"{metric.title} is 0 on one side"
        if metric.name == "compile_seconds":
            reason = f"both sides compile in under {LEAST_COMPILE_SECONDS:g} s, which is not compared"
    elif min(lacking.values()) == of:
        reason = f"neither side has {metric.name}"
    elif max(lacking.values()) == of:
        reason = f"{SIDES[max(lacking, key=lambda place: lacking[place])]} has no {metric.name}"
    else:
        parts = [f"{SIDES[place]} has no {metric.name} in {lacking[place]} of {of} trials" for place in sides]
        reason = ", ".join(parts)
    return {
        "scenario": label,
        "metric": metric.name,
        "whole": whole,
        "sides": sides,
        "reason": reason,
    }


def of_trials(label: str, both: Iterable[Key], alone: Sequence[Iterable[Key]]) -> dict[str, Any] | None:
    """Trials that only one of the sides has; None where both have the same. ``alone`` has those of the baseline, then
    those of the candidate."""
    shared, own = set(both), [set(keys) for keys in alone]
    if not any(own):
        return None
    every = shared.union(*own)
    seeds = {seed for seed, _ in every}
    parts = []
    for place, side in enumerate(SIDES):
        lacking = own[1 - place]
        if not lacking:
            continue
        known = {seed for seed, _ in shared | own[place]}
        part = f"{side} lacks {len(lacking)} of {len(every)} trials"
        if wanting := len(seeds - known):
            part += f", {wanting} of {len(seeds)} seeds wholly"
        parts.append(part)
    return {
        "scenario": label,
        "lacking": [len(own[1]), len(own[0])],
        "of": len(every),
        "reason": "; ".join(parts),
    }


def untold(metric: Metric, judged: Judged, threshold: float, pairs: Sequence[Pair], budget: float | None) -> str | None:
    """Why a metric cannot be told here, in one line; None where it can, or too little is known yet.

    Parameters
    ----------
    budget : float or None
        Seconds of a live comparison; of stored results the trials there are count instead.
    """
    found = judged.estimate
    if judged.verdict != "inconclusive" or found.pairs < LEAST_PAIRS:
        return None
    if budget is None:
        reach, brought = BUDGETS * found.pairs, f"{BUDGETS} times as many trials"
    else:
        seconds = median(pair.seconds for pair in pairs)
        reach = int(BUDGETS * budget / seconds) if seconds > 0 else BUDGETS * found.pairs
        brought = f"the about {reach:,} pairs that {BUDGETS} budgets bring"
    if judged.more_pairs is not None and found.pairs + judged.more_pairs <= reach:
        return None
    write = _points if metric.quality else _percent
    around = f"around a change of {write(abs(metric.change(found.mean)))}"
    if found.shared > found.spread / found.pairs**0.5:
        shared = write(quantile(found.pairs - 1) * found.shared)
        return f"its test rows, the same in all pairs, leave it open by ±{shared} {around}: that takes more test rows"
    return (
        f"its pairs spread by {write(found.spread)} (standard deviation) {around}, too widely for the threshold of "
        f"{write(threshold)} even with {brought}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _points(difference: float) -> str:
    return f"{difference:.2g}"
