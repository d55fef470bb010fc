"""A comparison: pairs of records with the same seed and round, verdicts on them, and what a report of it shows.

The pairs are those of two results directories, or those that ``bench.verdict.campaign`` plays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.detect import registry
from bench.environment import differences
from bench.records import store
from bench.records.record import Record
from bench.verdict import pairing, shortfall
from bench.verdict.pairing import Pair
from bench.verdict.rules import METRICS, QUALITY_THRESHOLD, THRESHOLD, Judged, Values, judge

SCHEMA = 1
NAMES = ("baseline", "candidate")


@dataclass(frozen=True)
class Terms:
    """What is compared, and how much counts; ``named`` where somebody asked for these metrics by their names."""

    metrics: tuple[str, ...] = tuple(METRICS)
    named: bool = False
    threshold: float = THRESHOLD
    quality_threshold: float = QUALITY_THRESHOLD


Trials = dict[tuple[int, int], Record]
"""By seed and round."""
Environments = dict[str, Trials]
"""By the hash of the environment."""


@dataclass
class Found:
    """All that is known of one scenario: its pairs, or the reason why it cannot be compared.

    ``both`` has seed and round of the trials that both sides have, ``alone`` those that only the baseline has, and
    those that only the candidate has.
    """

    label: str
    pairs: list[Pair]
    reason: str | None = None
    both: list[shortfall.Key] = field(default_factory=list)
    alone: tuple[list[shortfall.Key], list[shortfall.Key]] = field(default_factory=lambda: ([], []))


def of_directories(
    baseline: Path, candidate: Path, terms: Terms, tell: Callable[[str], object] = lambda warning: None
) -> list[Found]:
    """Two results directories: scenarios matched by their hash, trials paired by seed and round.

    ``tell`` is given a line for each record that cannot be read.
    A scenario that both have from several environments is compared in each of these by itself.
    """
    sides = [_by_scenario(directory, tell) for directory in (baseline, candidate)]
    found, hashes = [], []
    for hash_, environments in sides[0].items():
        others = sides[1].get(hash_)
        hashes += [hash_] * len(matched := _in_one_environment(environments, others or {}))
        for first, second, where in matched:
            label = _label(next(iter(first.values()))) + where
            if others is None:
                found.append(Found(label, [], _unmatched(next(iter(first.values())), sides[1], "candidate")))
                continue
            found.append(_paired(label, first, second, (baseline, candidate), terms))
    counts = Counter(one.label for one in found)
    for one, hash_ in zip(found, hashes, strict=True):
        if counts[one.label] > 1:
            one.label += f" {hash_[:6]}"
    # a scenario that only its settings tell from one of the baseline has been named above
    named = {_work(_any_of(environments)) for environments in sides[0].values()}
    for hash_, environments in sides[1].items():
        record = _any_of(environments)
        if hash_ not in sides[0] and _work(record) not in named:
            found.append(Found(_label(record), [], "only the candidate has it"))
    return found


def _in_one_environment(baseline: Environments, candidate: Environments) -> list[tuple[Trials, Trials, str]]:
    """The trials of both sides of each environment that both have, and what to add to the label where these are
    several; where they have none in common the last of each side, so that what differs can be named."""
    if common := [name for name in baseline if name in candidate]:
        return [(baseline[e], candidate[e], f" in {e[:6]}" if len(common) > 1 else "") for e in common]
    return [(list(baseline.values())[-1], list(candidate.values())[-1] if candidate else {}, "")]


def _paired(label: str, first: Trials, second: Trials, places: tuple[Path, Path], terms: Terms) -> Found:
    one = Found(label, [], both=[key for key in first if key in second])
    one.alone[0].extend(key for key in first if key not in second)
    one.alone[1].extend(key for key in second if key not in first)
    for key in one.both:
        if one.reason is not None:
            break
        try:
            one.reason = fault(first[key], second[key]) or _other_environment(first[key], second[key])
            if one.reason is None:
                one.pairs.append(pairing.pair(first[key], second[key], places, terms.metrics))
        except (LookupError, TypeError, ValueError, AttributeError):  # what a directory holds may be anybody's
            one.reason = "the records of seed {} and round {} are damaged".format(*key)
    if one.reason is None and not one.pairs:
        one.reason = "no seed and round are in both"
    return one


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


def result(found: Sequence[Found], terms: Terms, budget: float | None = None) -> dict[str, Any]:
    """Everything a report of the comparison shows, as plain data; ``budget`` has the seconds of a live comparison."""
    judged = verdicts(found, terms)
    rows: list[dict[str, Any]] = []
    missing, lacking = [], []
    for one in found:
        if one.reason is not None:
            rows.append({"scenario": one.label, "metric": None, "verdict": "incomparable", "reason": one.reason})
            continue
        if trials := shortfall.of_trials(one.label, one.both, one.alone):
            lacking.append(trials)
        for name in terms.metrics:
            gap = shortfall.of_metric(one.label, METRICS[name], one.pairs)
            if (one.label, name) in judged:
                rows.append(_row(one, name, judged[one.label, name], terms, budget))
            elif gap and terms.named:
                rows.append({key: gap[key] for key in ("scenario", "metric", "reason")} | {"verdict": "incomparable"})
                continue
            if gap and gap["sides"] and len(gap["sides"]) + gap["whole"] < 3:
                missing.append(gap)
    untold = [row for row in rows if row["metric"] is not None and row["verdict"] == "inconclusive" and row["reason"]]
    return {
        "schema": SCHEMA,
        "threshold": terms.threshold,
        "quality_threshold": terms.quality_threshold,
        "verdicts": rows,
        "counts": {
            word: sum(row["verdict"] == word for row in rows)
            for word in ("regressed", "incomparable", "inconclusive", "improved", "unchanged")
        },
        "named": terms.named,
        "missing": missing,
        "lacking": lacking,
        "notes": [
            *(f"{row['scenario']}: {row['title']} cannot be told here: {row['reason']}." for row in untold),
            *(f"{gap['scenario']}: {gap['reason']}." for gap in (*missing, *lacking)),
        ],
    }


def status(result: Mapping[str, Any], *, strict: bool) -> int:
    """The exit status: 1 something regressed, 4 something is incomparable or nothing was compared, 3 inconclusive where
    that counts, else 0.

    What one side lacks leaves the rest inconclusive where it is ``strict`` or metrics were asked for by name; a metric
    that was asked for by name and is nowhere to be compared is incomparable.
    """
    counts = result["counts"]
    if counts["regressed"]:
        return 1
    if counts["incomparable"] or not result["verdicts"]:
        return 4
    if (strict or result["named"]) and (result["missing"] or result["lacking"]):
        return 3
    return 3 if strict and counts["inconclusive"] else 0


def _row(one: Found, name: str, judged: Judged, terms: Terms, budget: float | None) -> dict[str, Any]:
    metric, estimate = METRICS[name], judged.estimate
    shown = [pair.shown[name] for pair in one.pairs if name in pair.shown]
    known = np.isfinite(estimate.low)
    threshold = metric.threshold(terms.threshold, terms.quality_threshold)
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
        "threshold": threshold,
        "pairs": estimate.pairs,
        "more_pairs": judged.more_pairs,
        "p": estimate.p,
        "q": judged.q,
        "reason": shortfall.untold(metric, judged, threshold, one.pairs, budget),
    }


def _shared(found: Sequence[Pair], name: str) -> float:
    """The variance that all pairs have in common, since their test rows are the same; rows that differ from pair to
    pair show in the spread of the pairs."""
    variances = [pair.row_variances[name] for pair in found if name in pair.row_variances]
    same = len(found) == 1 or len({pair.checksum for pair in found}) < len(found)
    return float(np.mean(variances)) if variances and same else 0.0


def fault(baseline: Record, candidate: Record) -> str | None:
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


def _by_scenario(directory: Path, tell: Callable[[str], object]) -> dict[str, Environments]:
    found: dict[str, Environments] = {}
    records, warnings = store.read(directory)
    for warning in warnings:
        tell(f"{directory}: {warning}")
    for record in store.latest(records):
        # nobody asks how fast a sanity line is, and a skipped trial never ran
        if record["detector"] not in registry.SANITY and record["status"] != "skipped":
            trials = found.setdefault(record["scenario_hash"], {}).setdefault(str(record.get("environment_hash")), {})
            trials[record["seed"], record["round"]] = record
    return found


def _any_of(environments: Environments) -> Record:
    return next(iter(next(iter(environments.values())).values()))


def _work(record: Record) -> tuple[str, ...]:
    keys = ("dataset", "detector", "backend", "mode", "device", "precision", "threads", "protocol")
    return tuple(str(record.get(key)) for key in keys)  # a record may be anybody's, and hold a list there


def _unmatched(record: Record, others: Mapping[str, Environments], where: str) -> str:
    """What keeps a scenario from being matched: settings that differ, or that there is none like it."""
    for environments in others.values():
        other = _any_of(environments)
        if _work(other) == _work(record):
            old, new = _settings(record), _settings(other)
            changed = [
                f"{key}: {old.get(key)} against {new.get(key)}"
                for key in {**old, **new}
                if old.get(key) != new.get(key)
            ]
            return "the scenarios differ: " + ("; ".join(changed) or "another scenario hash")
    return f"the {where} does not have it"


def _settings(record: Record) -> dict[str, Any]:
    found = record.get("settings")
    return found if isinstance(found, dict) else {}


def _label(record: Record) -> str:
    settings = _settings(record)
    words = [record["dataset"], record["detector"]]
    if record.get("backend"):
        words.append(f"{record['backend']}/{record.get('mode')}")
        words += [str(record.get("device")), str(record.get("precision"))]
        words.append(f"batch {settings.get('batch_size')}")
    words.append(f"threads {record.get('threads')}")
    return " ".join(words) + (f" ({record['protocol']})" if record.get("protocol") else "")
