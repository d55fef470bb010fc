"""How often a comparison errs on this machine, and how small a slowdown it sees.

Pairs of equal sides, and pairs with a slowdown planted in the candidate, are played live. In the order in which they
were played they make live comparisons, by the very rules of ``bench compare``. Many more are resampled from the pairs
of equal sides: pairs are drawn, then neighbours within each, and a slowdown is planted by arithmetic, which the live
ones check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock
from platformdirs import user_state_path

from bench import DISTRIBUTION
from bench.suites.suite import Suite
from bench.verdict.campaign import Duets, Match
from bench.verdict.comparison import Found, Terms, verdicts
from bench.verdict.pairing import Pair
from bench.verdict.rules import METRICS
from bench.verdict.sides import Side
from bench.verdict.statistics import estimate, rate_interval

SCHEMA = 1
STRETCHED = ("train_samples_per_second", "score_samples_per_second", "score_latency_p50_seconds")
"""Metrics that a planted slowdown reaches."""
POWER = 0.95
"""How often a slowdown must be seen for it to be promised."""
STEP = 0.005
LARGEST = 0.5
PROMISED_BY = 300
"""Resampled comparisons at least that a promise rests on: of much fewer no rate is known to be as high as ``POWER``."""
LEAST_PAIRS = 8
"""Live pairs of equal sides to resample from."""

Source = Iterator[Pair]


@dataclass(frozen=True)
class Outcome:
    """One comparison: the verdicts by scenario and metric, and whether it came to its end."""

    verdicts: Mapping[tuple[str, str], str]
    whole: bool

    @property
    def changed(self) -> bool:
        return any(verdict in ("regressed", "improved") for verdict in self.verdicts.values())


def compared(sources: Mapping[str, Source], terms: Terms, budget: float) -> Outcome:
    """One comparison by the rules of ``bench compare``, with pairs from sources instead of workers.

    It is not whole where a source ended before there were verdicts on everything or the budget was spent.
    """
    found = {label: Found(label, []) for label in sources}
    spent = 0.0
    while True:
        judged = verdicts(list(found.values()), terms)
        outcome = {key: one.verdict for key, one in judged.items()}
        unsure = {label for (label, _), word in outcome.items() if word == "inconclusive"}
        undecided = [label for label, one in found.items() if label in unsure or not one.pairs]
        affordable = [label for label in undecided if _next_seconds(found[label]) <= budget - spent]
        if not affordable:
            return Outcome(outcome, True)
        label = min(affordable, key=lambda label: len(found[label].pairs))
        pair = next(sources[label], None)
        if pair is None:
            return Outcome(outcome, False)
        found[label].pairs.append(pair)
        spent += pair.seconds


def live_comparisons(played: Mapping[str, Sequence[Pair]], terms: Terms, budget: float) -> list[Outcome]:
    """The whole comparisons that the pairs make in the order in which they were played; no pair is in two of them."""
    sources = {label: iter(pairs) for label, pairs in played.items()}
    found = []
    while (outcome := compared(sources, terms, budget)).whole:
        found.append(outcome)
    return found


def resampled_comparisons(
    played: Mapping[str, Sequence[Pair]], terms: Terms, budget: float, *, slowdown: float, count: int, seed: int
) -> list[Outcome]:
    """So many comparisons of pairs drawn from those of equal sides, with a slowdown planted by arithmetic."""
    rng = np.random.default_rng(seed)
    sources = {label: _drawn(pairs, slowdown, rng) for label, pairs in played.items()}
    return [compared(sources, terms, budget) for _ in range(count)]


def _next_seconds(one: Found) -> float:
    """What another pair is expected to take; the first one is always played."""
    return median(pair.seconds for pair in one.pairs) if one.pairs else -math.inf


def _drawn(pairs: Sequence[Pair], slowdown: float, rng: np.random.Generator) -> Source:
    """Pairs without an end: each one drawn from those played, its neighbours drawn from its own; only their median is
    kept."""
    while True:
        pair = pairs[int(rng.integers(len(pairs)))]
        logs: dict[str, Sequence[float]] = {}
        for name, values in pair.logs.items():
            drawn = np.asarray(values)[rng.integers(len(values), size=len(values))]
            logs[name] = [float(np.median(drawn)) + (math.log1p(slowdown) if name in STRETCHED else 0.0)]
        yield replace(pair, logs=logs)


class Calibration:
    """Live pairs of equal sides and of planted slowdowns, kept in a folder, and what they say.

    Parameters
    ----------
    found : sequence of Match
    side : Side
        Both sides.
    suite : Suite
    out : Path
        Holds a folder of pairs for each slowdown.
    slowdowns : sequence of float
        Shares of the candidate's own time.
    """

    def __init__(
        self,
        found: Sequence[Match],
        side: Side,
        suite: Suite,
        out: Path,
        slowdowns: Sequence[float],
        *,
        data_dir: Path | None = None,
        command: str = "",
    ) -> None:
        self.matches = list(found)
        self.slowdowns = tuple(sorted(set(slowdowns)))
        self.duets = {
            slowdown: Duets(
                found,
                side,
                side,
                out / f"planted-{slowdown:g}",
                suite,
                data_dir=data_dir,
                slowdown=slowdown,
                command=command,
            )
            for slowdown in (0.0, *self.slowdowns)
        }
        self.stack = ExitStack()

    def __enter__(self) -> Calibration:
        with ExitStack() as stack:
            for duets in self.duets.values():
                stack.enter_context(duets)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def play(self, duration: float, tell: Callable[[str], None]) -> None:
        """Plays pairs for so many seconds, those of an earlier run included: half of the time for equal sides, the rest
        for the slowdowns alike. Equal sides get ``LEAST_PAIRS`` each at least."""
        share = {0.0: 1.0} | {slowdown: 1.0 / len(self.slowdowns) for slowdown in self.slowdowns}
        while True:
            spent = {slowdown: duets.spent() for slowdown, duets in self.duets.items()}
            short = min(len(one.pairs) for one in self.duets[0.0].found(Terms())) < LEAST_PAIRS
            if sum(spent.values()) >= duration and not short:
                return
            slowdown = min(spent, key=lambda one: spent[one] / share[one])
            if sum(spent.values()) >= duration:
                slowdown = 0.0
            tell(f"planted {100 * slowdown:g} %: {sum(spent.values()):.0f} of {duration:.0f} s")
            for match in self.matches:
                self.duets[slowdown].add(match)
            if reasons := [one.reason for one in self.duets[slowdown].found(Terms()) if one.reason]:
                raise CalibrationError(reasons[0])

    def result(self, terms: Terms, budget: float, comparisons: int) -> dict[str, Any]:
        """Rates of false alarms and of slowdowns seen, live and resampled, and the smallest slowdown promised.

        Parameters
        ----------
        terms : Terms
        budget : float
            Seconds of one comparison.
        comparisons : int
            Of equal sides, live ones included, and as many resampled ones of each slowdown.
        """
        played = {
            slowdown: {one.label: one.pairs for one in duets.found(terms) if one.pairs}
            for slowdown, duets in self.duets.items()
        }
        equal = played[0.0]
        live = {slowdown: live_comparisons(pairs, terms, budget) for slowdown, pairs in played.items() if pairs}
        rest = max(comparisons - len(live[0.0]), 0)
        drawn = {
            slowdown: resampled_comparisons(
                equal, terms, budget, slowdown=slowdown, count=rest if slowdown == 0 else comparisons, seed=place
            )
            for place, slowdown in enumerate(self.duets)
        }
        metrics = [name for name in STRETCHED if name in terms.metrics]
        power = [
            {
                "scenario": label,
                "metric": name,
                "slowdown": slowdown,
                "live": _seen(live.get(slowdown, []), label, name),
                "resampled": _seen(drawn[slowdown], label, name),
                "measured": _measured(played[slowdown].get(label, []), name),
            }
            for label in equal
            for name in metrics
            for slowdown in self.slowdowns
        ]
        return {
            "schema": SCHEMA,
            "made": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "threshold": terms.threshold,
            "budget": budget,
            "metrics": list(terms.metrics),
            "scenarios": list(equal),
            "pairs": {f"{slowdown:g}": sum(map(len, pairs.values())) for slowdown, pairs in played.items()},
            "pair_seconds": {label: float(np.median([p.seconds for p in pairs])) for label, pairs in equal.items()},
            "noise": [_noise(pairs, label, name) for label, pairs in equal.items() for name in metrics],
            "false_alarms": {
                "live": _rate([one.changed for one in live[0.0]]),
                "resampled": _rate([one.changed for one in drawn[0.0]]),
                "all": _rate([one.changed for one in (*live[0.0], *drawn[0.0])]),
            },
            "power": power,
            "smallest": [
                {
                    "scenario": label,
                    "metric": name,
                    "slowdown": _smallest(equal, label, name, terms, budget, comparisons),
                }
                for label in equal
                for name in metrics
            ],
        }


class CalibrationError(ValueError):
    """Equal sides that do not even run; one line."""


def keep(result: Mapping[str, Any], environment_hash: str) -> Path:
    """Adds a result to those of this environment and returns the file it is in."""
    path = _file(environment_hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")), path.open("ab") as file:
        file.write(msgspec.json.encode(result) + b"\n")
    return path


def newest(environment_hash: str, threshold: float) -> dict[str, Any] | None:
    """The newest result for this environment and threshold; None where there is none that can be read."""
    try:
        lines = _file(environment_hash).read_bytes().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            result = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(result, dict) and result.get("schema") == SCHEMA and result.get("threshold") == threshold:
            return result
    return None


def folder(environment_hash: str) -> Path:
    """Where calibrations of this environment, and the pairs they were made from, are kept."""
    return user_state_path(DISTRIBUTION, appauthor=False) / "calibration" / environment_hash


def _file(environment_hash: str) -> Path:
    return folder(environment_hash) / "calibrations.jsonl"


def _rate(hits: Sequence[bool]) -> dict[str, Any]:
    count, of = sum(hits), len(hits)
    low, high = rate_interval(count, of) if of else (0.0, 1.0)
    return {"count": count, "of": of, "low": low, "high": high}


def _seen(outcomes: Sequence[Outcome], label: str, name: str) -> dict[str, Any]:
    return _rate([one.verdicts.get((label, name)) == "regressed" for one in outcomes])


def _measured(played: Sequence[Pair], name: str) -> list[float] | None:
    """The slowdown that the live pairs say was planted, with its interval."""
    values = [value for pair in played if (value := pair.worse(METRICS[name])) is not None]
    if len(values) < 2:
        return None
    found = estimate(values)
    return [float(np.expm1(x)) for x in (found.mean, found.low, found.high)]


def _noise(played: Sequence[Pair], label: str, name: str) -> dict[str, Any]:
    """Standard deviations of log-ratios: of neighbours within a pair, and of the pairs' medians."""
    within = [float(np.std(pair.logs[name])) for pair in played if name in pair.logs]
    medians = [float(np.median(pair.logs[name])) for pair in played if name in pair.logs]
    return {
        "scenario": label,
        "metric": name,
        "within": float(np.median(within)) if within else None,
        "between": float(np.std(medians, ddof=1)) if len(medians) > 1 else None,
    }


def _smallest(
    equal: Mapping[str, Sequence[Pair]], label: str, name: str, terms: Terms, budget: float, count: int
) -> float | None:
    """The smallest slowdown, in steps of half a percent, that is seen in ``POWER`` of resampled comparisons at least,
    by the lower bound of the rate; None where ``LARGEST`` is not."""
    few, enough, count = int(terms.threshold / STEP), int(LARGEST / STEP) + 1, max(count, PROMISED_BY)
    allowed = max(misses for misses in range(count // 10) if rate_interval(count - misses, count)[0] >= POWER)
    while enough - few > 1:
        middle = (few + enough) // 2
        sources = {one: _drawn(pairs, middle * STEP, np.random.default_rng(middle)) for one, pairs in equal.items()}
        outcomes = (compared(sources, terms, budget) for _ in range(count))
        missed = (outcome for outcome in outcomes if outcome.verdicts.get((label, name)) != "regressed")
        # no more are played than it takes to see that too many are missed
        if len(list(islice(missed, allowed + 1))) <= allowed:
            enough = middle
        else:
            few = middle
    return enough * STEP if enough * STEP <= LARGEST else None
