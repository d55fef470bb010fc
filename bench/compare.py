"""A comparison: two results directories as they are, or two live sides as duets, until there are verdicts.

Both come down to pairs of records with the same seed and round. A live comparison keeps its records in two results
directories of its own, so that it goes on where it stopped, and `bench report` reads them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock, Timeout

import backends
from bench import detectors, pairs, records
from bench.duet import Part, play
from bench.environment import differences
from bench.pairs import Pair
from bench.records import Record
from bench.sides import Side
from bench.suite import Scenario, Suite, SuiteError, Trial
from bench.verdicts import METRICS, QUALITY_THRESHOLD, THRESHOLD, Judged, Values, judge

SCHEMA = 1
PLAN = "comparison.json"
LOGS = "logs"
BUDGET = 300.0
NAMES = ("baseline", "candidate")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Terms:
    """What is compared, and how much counts."""

    metrics: tuple[str, ...] = tuple(METRICS)
    threshold: float = THRESHOLD
    quality_threshold: float = QUALITY_THRESHOLD


@dataclass(frozen=True)
class Match:
    """A scenario as each side runs it."""

    label: str
    baseline: Scenario
    candidate: Scenario


@dataclass
class Found:
    """All that is known of one scenario: its pairs, or the reason why it cannot be compared."""

    label: str
    pairs: list[Pair]
    reason: str | None = None


def matches(suite: Suite, baseline: Side, candidate: Side, threads: int) -> tuple[list[Match], list[str]]:
    """The suite's scenarios for both sides, and a note on each backend that is left out for want of its framework.

    Sanity lines are left out: nobody asks how fast they are.
    """
    found: list[Match] = []
    notes: dict[str, None] = {}
    for scenario in suite.scenarios(threads):
        if scenario.detector in detectors.SANITY:
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
        self.records: list[dict[records.Key, Record]] = [{}, {}]
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
        """Plays one more process pair of a scenario and keeps it."""
        both = self._both(match)
        self._play(match, both[-1][0]["round"] + 1 if both else 0)

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
            records.append(self.folders[place], part.record)
            self.records[place][records.key(part.record)] = part.record

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
            found.reason = found.reason or _fault(first, second)
            if found.reason is None:
                key = (match.label, first["round"], terms.metrics)
                if key not in self.known:
                    self.known[key] = pairs.pair(first, second, self.folders, terms.metrics)
                found.pairs.append(self.known[key])
        return found

    def _go_on(self) -> None:
        plan = {
            "schema": SCHEMA,
            "sides": [side.name for side in self.sides],
            "packages": [side.environment.get("packages") for side in self.sides],
            "machine": self.sides[0].environment.get("machine"),
            "scenarios": [[asdict(match.baseline), asdict(match.candidate)] for match in self.matches],
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
        elif any((folder / records.FILE).exists() for folder in self.folders):
            raise SuiteError(f"{self.out}: holds records, but no {PLAN}; choose another --out")
        else:
            path.write_bytes(text)
        for place, folder in enumerate(self.folders):
            if (folder / records.FILE).is_file():
                kept, _ = records.read(folder)
                self.records[place] = {records.key(record): record for record in kept}


def of_directories(baseline: Path, candidate: Path, terms: Terms) -> list[Found]:
    """Two results directories: scenarios matched by their hash, trials paired by seed and round."""
    sides = [_by_scenario(directory) for directory in (baseline, candidate)]
    found = []
    for hash_, first in sides[0].items():
        label = _label(next(iter(first.values())))
        second = sides[1].get(hash_)
        if second is None:
            found.append(Found(label, [], _unmatched(next(iter(first.values())), sides[1], "candidate")))
            continue
        one = Found(label, [])
        for key in [key for key in first if key in second]:
            one.reason = one.reason or _fault(first[key], second[key]) or _other_environment(first[key], second[key])
            if one.reason is None:
                one.pairs.append(pairs.pair(first[key], second[key], (baseline, candidate), terms.metrics))
        if one.reason is None and not one.pairs:
            one.reason = "no seed and round are in both"
        found.append(one)
    counts = Counter(one.label for one in found)
    for one, hash_ in zip(found, sides[0], strict=True):
        if counts[one.label] > 1:
            one.label += f" {hash_[:6]}"
    # a scenario that only its settings tell from one of the baseline has been named above
    named = {_work(next(iter(trials.values()))) for trials in sides[0].values()}
    for hash_, second in sides[1].items():
        record = next(iter(second.values()))
        if hash_ not in sides[0] and _work(record) not in named:
            found.append(Found(_label(record), [], "only the candidate has it"))
    return found


def verdicts(found: Sequence[Found], terms: Terms) -> dict[tuple[str, str], Judged]:
    """Verdicts by scenario and metric, on all that could be compared."""
    comparisons: dict[tuple[str, str], Values] = {}
    for one in found:
        for name in terms.metrics:
            metric = METRICS[name]
            with_it = [pair for pair in one.pairs if pair.worse(metric) is not None]
            if metric.quality:
                # further rounds with a seed repeat the same training: they are no further evidence of what it learns
                with_it = list({pair.seed: pair for pair in reversed(with_it)}.values())
            worse = [value for pair in with_it if (value := pair.worse(metric)) is not None]
            if one.reason is None and worse:
                threshold = metric.threshold(terms.threshold, terms.quality_threshold)
                comparisons[one.label, name] = Values(metric, threshold, worse, _shared(with_it, name))
    return judge(comparisons)


def result(found: Sequence[Found], terms: Terms) -> dict[str, Any]:
    """Everything a report of the comparison shows, as plain data."""
    judged = verdicts(found, terms)
    rows = []
    for one in found:
        if one.reason is not None:
            rows.append({"scenario": one.label, "metric": None, "verdict": "incomparable", "reason": one.reason})
            continue
        for name in terms.metrics:
            if (one.label, name) in judged:
                rows.append(_row(one, name, judged[one.label, name], terms))
    return {
        "schema": SCHEMA,
        "threshold": terms.threshold,
        "quality_threshold": terms.quality_threshold,
        "verdicts": rows,
        "counts": {
            word: sum(row["verdict"] == word for row in rows)
            for word in ("regressed", "incomparable", "inconclusive", "improved", "unchanged")
        },
    }


def status(result: Mapping[str, Any], *, strict: bool) -> int:
    """The exit status: 1 something regressed, 4 something is incomparable, 3 inconclusive where that counts, else 0."""
    counts = result["counts"]
    if counts["regressed"]:
        return 1
    if counts["incomparable"]:
        return 4
    return 3 if strict and counts["inconclusive"] else 0


def _row(one: Found, name: str, judged: Judged, terms: Terms) -> dict[str, Any]:
    metric, estimate = METRICS[name], judged.estimate
    shown = [pair.shown[name] for pair in one.pairs if name in pair.shown]
    known = np.isfinite(estimate.low)
    low, high = sorted((metric.change(estimate.low), metric.change(estimate.high))) if known else (None, None)
    return {
        "scenario": one.label,
        "metric": name,
        "title": metric.title,
        "quality": metric.quality,
        "higher_is_better": metric.higher_is_better,
        "verdict": judged.verdict,
        "baseline": float(np.median([before for before, _ in shown])),
        "candidate": float(np.median([after for _, after in shown])),
        "change": metric.change(estimate.mean),
        "low": low,
        "high": high,
        "threshold": metric.threshold(terms.threshold, terms.quality_threshold),
        "pairs": estimate.pairs,
        "more_pairs": judged.more_pairs,
        "p": estimate.p,
        "q": judged.q,
        "reason": None,
    }


def _shared(found: Sequence[Pair], name: str) -> float:
    """The variance that all pairs have in common, since their test rows are the same; rows that differ from pair to
    pair show in the spread of the pairs."""
    variances = [pair.row_variances[name] for pair in found if name in pair.row_variances]
    same = len(found) == 1 or len({pair.checksum for pair in found}) < len(found)
    return float(np.mean(variances)) if variances and same else 0.0


def _fault(baseline: Record, candidate: Record) -> str | None:
    """Why two records cannot be compared; None where they can."""
    for name, record in zip(NAMES, (baseline, candidate), strict=True):
        if record["status"] != "ok" and not record.get("other_side_failed"):
            logs = [log for one in (baseline, candidate) if (log := one.get("log"))]
            return f"the {name} {record['status']}: {record['reason']}" + (f" ({', '.join(logs)})" if logs else "")
    sums = [record.get("data", {}).get("checksum") for record in (baseline, candidate)]
    if sums[0] != sums[1]:
        return f"the data differ: checksum {str(sums[0])[:12]} against {str(sums[1])[:12]}"
    return None


def _other_environment(baseline: Record, candidate: Record) -> str | None:
    """What differs between the environments of two trials that nobody chose to differ."""
    if found := differences(baseline.get("environment", {}), candidate.get("environment", {})):
        return "the environments differ: " + "; ".join(
            phrase.replace(" there, ", " in the baseline, ").replace(" here", " in the candidate") for phrase in found
        )
    precisions = [record.get("environment", {}).get("backend", {}).get("precision") for record in (baseline, candidate)]
    if precisions[0] != precisions[1]:
        return f"the precision differs: {precisions[0]} against {precisions[1]}"
    return None


def _by_scenario(directory: Path) -> dict[str, dict[tuple[int, int], Record]]:
    found: dict[str, dict[tuple[int, int], Record]] = {}
    for record in records.latest(records.read(directory)[0]):
        if record["detector"] not in detectors.SANITY:
            found.setdefault(record["scenario_hash"], {})[record["seed"], record["round"]] = record
    return found


def _work(record: Record) -> tuple[Any, ...]:
    keys = ("dataset", "detector", "backend", "mode", "device", "precision", "threads", "protocol")
    return tuple(record.get(key) for key in keys)


def _unmatched(record: Record, others: Mapping[str, Mapping[Any, Record]], where: str) -> str:
    """What keeps a scenario from being matched: settings that differ, or that there is none like it."""
    for trials in others.values():
        other = next(iter(trials.values()))
        if _work(other) == _work(record):
            old, new = record.get("settings") or {}, other.get("settings") or {}
            changed = [
                f"{key}: {old.get(key)} against {new.get(key)}"
                for key in {**old, **new}
                if old.get(key) != new.get(key)
            ]
            return "the scenarios differ: " + ("; ".join(changed) or "another scenario hash")
    return f"the {where} does not have it"


def _label(record: Record) -> str:
    settings = record.get("settings") or {}
    words = [record["dataset"], record["detector"]]
    if record.get("backend"):
        words += [f"{record['backend']}/{record['mode']}", str(record.get("device")), str(record.get("precision"))]
        words.append(f"batch {settings.get('batch_size')}")
    words.append(f"threads {record.get('threads')}")
    return " ".join(words) + (f" ({record['protocol']})" if record.get("protocol") else "")
