"""Live comparisons: process pairs of two sides, scenario by scenario in turn, until there are verdicts.

A live comparison keeps its records in two results directories of its own, so that it goes on where it stopped, and
``bench report`` reads them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock, Timeout

import backends
from bench.detect import registry
from bench.records import store
from bench.records.record import Record
from bench.run.trial import SOUND
from bench.suites.checks import SuiteError
from bench.suites.scenario import Scenario, Trial
from bench.suites.suite import Suite
from bench.verdict import pairing
from bench.verdict.comparison import NAMES, SCHEMA, Found, Terms, fault, verdicts
from bench.verdict.duet import Part, play
from bench.verdict.pairing import Pair
from bench.verdict.sides import Side
from datasets import storage

PLAN = "comparison.json"
LOGS = "logs"
BUDGET = 300.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Match:
    """A scenario as each side runs it."""

    label: str
    baseline: Scenario
    candidate: Scenario


def matches(suite: Suite, baseline: Side, candidate: Side, threads: int) -> tuple[list[Match], list[str]]:
    """The suite's scenarios for both sides, and a note on each backend that is left out for want of its framework.

    Sanity lines are left out: nobody asks how fast they are.
    """
    found: list[Match] = []
    notes: dict[str, None] = {}
    for scenario in suite.scenarios(threads):
        if scenario.detector in registry.SANITY:
            continue
        if scenario.backend and (reason := backends.unavailable(scenario.backend)):
            notes[f"{scenario.backend} is left out: {reason}"] = None
            continue
        found.append(Match(scenario.label, baseline.scenario(scenario), candidate.scenario(scenario)))
    if not found:
        raise SuiteError(f"{suite.name}: nothing in this suite can be compared here{''.join(f'; {n}' for n in notes)}")
    counts = Counter(match.label for match in found)
    return [
        replace(match, label=f"{match.label} {match.baseline.hash[:6]}") if counts[match.label] > 1 else match
        for match in found
    ], list(notes)


def folder_name(baseline: Side, candidate: Side, found: Sequence[Match]) -> str:
    """The folder that the pairs go to where nothing else is said: equal for the same command on the same code."""
    text = msgspec.json.encode([(match.baseline.hash, match.candidate.hash) for match in found])
    return f"{baseline.name}..{candidate.name}-{hashlib.sha256(text).hexdigest()[:6]}"


class Duets:
    """A live comparison that keeps its pairs.

    Parameters
    ----------
    found : sequence of Match
    baseline, candidate : Side
    out : Path
        Holds ``baseline`` and ``candidate``, results directories both, ``comparison.json`` and the logs of what failed.
    suite : Suite
        Its first seed is that of the first pair; each further pair has the next one.
    data_dir : Path or None
    slowdown : float
        Planted in the candidate.
    command : str

    Raises
    ------
    SuiteError
        The folder holds another comparison, or another process is writing there.
    """

    def __init__(
        self,
        found: Sequence[Match],
        baseline: Side,
        candidate: Side,
        out: Path,
        suite: Suite,
        *,
        data_dir: Path | None = None,
        slowdown: float = 0.0,
        command: str = "",
    ) -> None:
        self.matches, self.sides, self.out, self.suite = list(found), (baseline, candidate), out, suite
        self.data_dir, self.slowdown, self.command = data_dir, slowdown, command
        self.folders = (out / NAMES[0], out / NAMES[1])
        self.records: list[dict[store.Key, Record]] = [{}, {}]
        self.known: dict[tuple[Any, ...], Pair] = {}

    def __enter__(self) -> Duets:
        self.out.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.out / "compare.lock")
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise SuiteError(f"{self.out}: another comparison is writing here; choose another --out") from None
        try:
            self._go_on()
        except BaseException:
            self.lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def play(self, terms: Terms, budget: float, tell: Tell = lambda doing: None) -> None:
        """Plays process pairs, scenario by scenario in turn, until there is a verdict on everything or the budget
        (seconds of all pairs, those of an earlier run included) is spent. Each scenario gets one pair at least."""
        while (match := self._next(terms, budget)) is not None:
            tell(f"{match.label}: pair {len(self._both(match)) + 1}, {self.spent():.0f} of {budget:.0f} s")
            self.add(match)

    def add(self, match: Match) -> None:
        """Plays one more process pair of a scenario and keeps it: the first that is not there or was lost."""
        played = {first["round"] for first, _ in self._both(match)}
        self._play(match, next(number for number in count() if number not in played))

    def found(self, terms: Terms) -> list[Found]:
        return [self._found(match, terms) for match in self.matches]

    def spent(self) -> float:
        """Seconds that all pairs took."""
        return sum(
            float(max(first.get("wall_seconds", 0.0), second.get("wall_seconds", 0.0)))
            for match in self.matches
            for first, second in self._both(match)
        )

    def _next(self, terms: Terms, budget: float) -> Match | None:
        """The undecided scenario with the fewest pairs for whose next one there is time."""
        found = self.found(terms)
        for match, one in zip(self.matches, found, strict=True):
            if one.reason is None and not one.pairs:
                return match
        left = budget - self.spent()
        open_labels = {
            label for (label, _), judged in verdicts(found, terms).items() if judged.verdict == "inconclusive"
        }
        undecided = [
            (len(one.pairs), place)
            for place, one in enumerate(found)
            if one.label in open_labels
            and one.reason is None
            and float(np.median([pair.seconds for pair in one.pairs])) <= left
        ]
        return self.matches[min(undecided)[1]] if undecided else None

    def _play(self, match: Match, number: int) -> None:
        parts = []
        planted = (0.0, self.slowdown)
        scenarios = (match.baseline, match.candidate)
        for side, scenario, folder, slowdown in zip(self.sides, scenarios, self.folders, planted, strict=True):
            trial = Trial(
                self.suite.name,
                scenario,
                seed=(self.suite.seeds[0] + number) % 2**32,
                round=number,
                data_dir=str(self.data_dir) if self.data_dir else None,
                results=str(folder.absolute()),
            )
            parts.append(Part(trial, side.environment, side.home, slowdown, self.command))
        play(parts[0], parts[1], self.suite.timeout)
        for place, part in enumerate(parts):
            if part.record["status"] != "ok":
                name = f"{part.trial.scenario.hash}-{number}-{NAMES[place]}.log"
                (self.out / LOGS).mkdir(exist_ok=True)
                (self.out / LOGS / name).write_text(part.log, encoding="utf-8")
                part.record["log"] = f"{LOGS}/{name}"
            store.append(self.folders[place], part.record)
            self.records[place][store.key(part.record)] = part.record

    def _both(self, match: Match) -> list[tuple[Record, Record]]:
        """The pairs of a scenario, in their order; a half that a killed run left is none."""
        found = []
        for (hash_, seed, number), first in self.records[0].items():
            second = self.records[1].get((match.candidate.hash, seed, number))
            if hash_ == match.baseline.hash and second is not None:
                found.append((first, second))
        return sorted(found, key=lambda both: both[0]["round"])

    def _found(self, match: Match, terms: Terms) -> Found:
        found = Found(match.label, [])
        for first, second in self._both(match):
            found.reason = found.reason or fault(first, second)
            if found.reason is None:
                key = (match.label, first["round"], terms.metrics)
                if key not in self.known:
                    self.known[key] = pairing.pair(first, second, self.folders, terms.metrics)
                found.pairs.append(self.known[key])
        return found

    def _go_on(self) -> None:
        plan = {
            "schema": SCHEMA,
            "sides": [side.name for side in self.sides],
            "packages": [side.environment.get("packages") for side in self.sides],
            "machine": self.sides[0].environment.get("machine"),
            "scenarios": [[match.baseline.table, match.candidate.table] for match in self.matches],
            "seed": self.suite.seeds[0],
            "slowdown": self.slowdown,
        }
        text = msgspec.json.format(msgspec.json.encode(plan))
        path = self.out / PLAN
        if path.is_file():
            if path.read_bytes() != text:
                raise SuiteError(
                    f"{self.out}: holds another comparison, or one of another environment; choose another --out"
                )
        elif any((folder / store.FILE).exists() for folder in self.folders):
            raise SuiteError(f"{self.out}: holds records, but no {PLAN}; choose another --out")
        else:
            storage.replace(path, text)
        for place, folder in enumerate(self.folders):
            if (folder / store.FILE).is_file():
                kept, _ = store.read(folder)
                # what was killed, ran out of time or memory, or failed otherwise, is tried again
                self.records[place] = {store.key(one): one for one in kept if one["status"] in ("ok", *SOUND)}
