"""What a report says of the equality its trials ran under: verified when, on what, with which largest errors, or not.

Each record of a backend's trial carries what ``bench verify`` had found by then, an entry a precision; records mostly
carry the same, so each distinct one is read once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports import numbers
from reports.sections.verification import (
    AMPLIFIED,
    LOSSES,
    PAGE,
    UNJUDGED,
    WEIGHTS,
    as_text,
    limit,
    mappings,
    written_bound,
    written_error,
    written_versions,
)
from reports.surveys import Surveyed, held, mapping, number
from reports.writers.escape import code, escape, listing, table

_MOST_BLOCKS = 8
"""Verifications of one environment that a report shows."""

_MOST_FAILURES = 4
"""Failures that one sentence tells of."""


@dataclass(frozen=True)
class Entry:
    """What a record says of one verified precision."""

    verified: str
    quick: bool
    precision: str
    device: str
    mode: str
    passed: bool
    """Whether the whole verification did, in all its precisions."""
    backends: dict[str, Any]
    steps: float
    errors: dict[str, tuple[float, float | None]]
    """Largest error (NaN: not finite, or nothing was compared) and bound (None: not judged) by rung."""
    failure: str
    """Where this precision failed, in a line; empty where it did not, or where nothing tells."""

    def covers(self, backend: str, mode: str, device: str, precision: str) -> bool:
        """Whether a trial that ran so is what was verified."""
        return backend in self.backends and (mode, device, precision) == (self.mode, self.device, self.precision)

    def error(self, rung: str) -> float:
        return self.errors.get(rung, (math.nan, None))[0]


def _entry(value: Mapping[str, Any]) -> Entry | None:
    """None for what proves nothing: no verdict, or a good one of no backend."""
    passed, backends = value.get("passed"), mapping(value.get("backends"))
    if not isinstance(passed, bool) or (passed and not backends):
        return None
    errors = {
        rung: (number(found[0]), limit(found[1]))
        for rung, found in mapping(value.get("errors")).items()
        if isinstance(found, list) and len(found) == 2
    }
    words = {key: as_text(value.get(key)) for key in ("verified", "precision", "device", "mode", "failure")}
    steps, quick = number(value.get("steps")), value.get("quick") is True
    return Entry(**words, quick=quick, passed=passed, backends=backends, steps=steps, errors=errors)


@dataclass
class Equality:
    """What the trials of one environment were run under."""

    environment: str
    entries: list[Entry] = field(default_factory=list)
    """Each once, in the order in which the records bring them."""
    trials: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Trials by backend, mode, device and precision."""
    unverified: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Those among them that no entry of their record covers."""

    @property
    def failed(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.passed]


def equalities(trials: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> list[Equality]:
    """One for each environment in which a backend ran, whether it was verified or not."""
    ran = trials[(trials["backend"] != "") & (trials["status"] != "skipped")]
    distinct, places = _claims(records, ran["position"])
    as_run = ["environment", "backend", "mode", "device", "arithmetic", "place"]
    counts = ran.assign(place=places).groupby(as_run, sort=False).size()
    claims = [[entry for item in mappings(claimed) if (entry := _entry(item))] for claimed in distinct]
    found: dict[str, Equality] = {}
    seen: dict[str, set[str]] = {}
    for (environment, *run, place), count in zip(counts.index, counts.tolist(), strict=True):
        trial = tuple(run)
        here = found.setdefault(environment, Equality(environment))
        for entry in claims[place]:
            if (key := repr(entry)) not in seen.setdefault(environment, set()):
                seen[environment].add(key)
                here.entries.append(entry)
        here.trials[trial] += count
        if not any(entry.covers(*trial) for entry in claims[place]):
            here.unverified[trial] += count
    return list(found.values())


def _claims(records: Sequence[Mapping[str, Any]], positions: pd.Series[int]) -> tuple[list[object], list[int]]:
    """What the records at these positions say of equality, each once, and which of it each says."""
    distinct: list[object] = []
    places: dict[str, int] = {}
    found: list[int] = []
    known: dict[int, int] = {}
    kept = records.kept.get("equality") if isinstance(records, Surveyed) else None
    for position in positions:
        source = -1 if kept is None else int(kept.codes[position])
        if kept is not None and kept.values[source] is ...:  # not known: each has to be looked at
            source = -1
        if source in known:
            found.append(known[source])
            continue
        claimed = held(records[position], "equality")
        # neighbours mostly claim the same, and comparing takes a twentieth of the time that repr does
        if not found or claimed != distinct[found[-1]]:
            place = places.setdefault(repr(claimed), len(distinct))
            if place == len(distinct):
                distinct.append(claimed)
            found.append(place)
        else:
            found.append(found[-1])
        if source >= 0:
            known[source] = found[-1]
    return distinct, found


def alerts(found: Iterable[Equality]) -> list[str]:
    """What has to stand at the top of the report: a line for each environment whose backends were found to differ."""
    return [
        f"**The backends were not found to be the same model{_in(here.environment)}**: {_failures(here.failed)}. "
        "Differences between backends may be differences of the model. [Equality](#equality) has the rungs."
        for here in found
        if here.failed
    ]


def _in(environment: str) -> str:
    return f" in environment {environment}" if environment else ""


def _failures(failed: Iterable[Entry]) -> str:
    """``in `float64`, gradients: …; in `float32`, loss: …``: each finding once, with the precisions it was made in.

    An entry may have failed without a finding of its own: it then shares the verdict of another precision.
    """
    found: dict[str, dict[str, None]] = {}
    for entry in failed:
        if entry.failure:
            found.setdefault(escape(entry.failure).rstrip("."), {})[code(entry.precision)] = None
    said = [f"in {listing(list(precisions))}, {failure}" for failure, precisions in found.items()]
    more = [f"and {len(said) - _MOST_FAILURES} more"] if len(said) > _MOST_FAILURES else []
    return "; ".join([*said[:_MOST_FAILURES], *more]) or "the records do not tell where"


def section(found: Sequence[Equality]) -> list[str]:
    """The report's section on equality, as paragraphs; none where no backend ran."""
    if not found:
        return []
    parts = ["## Equality"]
    if not any(here.entries for here in found):
        return [*parts, _NOT_VERIFIED]
    for here in found:
        if here.environment:
            parts.append(f"### Environment {here.environment}")
        if not here.entries:
            parts.append(_NOT_VERIFIED)
            continue
        blocks = _blocks(here.entries)
        for block in blocks[:_MOST_BLOCKS]:
            parts += _block(list(block.values()))
        if len(blocks) > _MOST_BLOCKS:
            parts.append(f"The records tell of {len(blocks) - _MOST_BLOCKS} more verifications.")
        parts.append(_coverage(here))
    return parts


_NOT_VERIFIED = (
    "**Not verified.** Nothing shows that the backends train the same model with these versions on this machine: run "
    "`bench verify` (or `bench run … --verify`), which holds each of them against the reference and against the others."
)


def _blocks(entries: Iterable[Entry]) -> list[dict[str, Entry]]:
    """The entries of one verification together, by precision."""
    blocks: list[dict[str, Entry]] = []
    open_ones: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        key = repr((entry.verified, entry.quick, entry.device, entry.mode, entry.backends))
        if entry.precision in open_ones.setdefault(key, {}):
            open_ones[key] = {}
        if not open_ones[key]:
            blocks.append(open_ones[key])
        open_ones[key][entry.precision] = entry
    return blocks


def _block(entries: Sequence[Entry]) -> list[str]:
    """One verification: what it found, how, its largest errors, and all rungs."""
    first, failed = entries[0], [entry for entry in entries if not entry.passed]
    if failed:
        said = f"**Verification failed.** The backends were not found to be the same model: {_failures(failed)}."
    elif len(first.backends) == 1:
        said = (
            f"**Verified against the reference alone.** {code(*first.backends)} trains the same model as the NumPy "
            "reference; no other backend took part, so there is no pair to compare."
        )
    else:
        said = (
            f"**Verified.** {listing([code(backend) for backend in first.backends])} train the same model: from the "
            "same weights, with the same batches and noise, they take the same steps as the NumPy reference and as "
            "each other, up to rounding."
        )
    precisions = listing([code(entry.precision) for entry in entries])
    said += (
        f" Checked by `bench verify{' --quick' if first.quick else ''}` at "
        f"{escape(first.verified) or 'an unknown time'}, in mode {code(first.mode)} on {code(first.device)} in "
        f"{precisions}, with {written_versions(first.backends, PAGE) or 'no backend'}.{_largest(entries)}"
    )
    rungs = dict.fromkeys(rung for entry in entries for rung in entry.errors)
    header = ["rung", *(word for e in entries for word in (f"largest error in {code(e.precision)}", "bound"))]
    body = [[escape(rung), *(cell for entry in entries for cell in _rung_cells(entry, rung))] for rung in rungs]
    parts = [said]
    if body:
        parts.append(table(header, body, "l" + "rr" * len(entries)))
    if drifting := [code(e.precision) for e in entries if WEIGHTS in e.errors and e.errors[WEIGHTS][1] is None]:
        parts.append(AMPLIFIED.format(listing(drifting)))
    return parts


def _largest(entries: Sequence[Entry]) -> str:
    """The two figures that sum a verification up: float64 shows that the formulas agree, float32 what rounding does."""
    clauses = [
        f"the largest {words} difference in {code(precision)} is **{written_error(entry.error(rung))}**"
        for precision, rung, words in (("float64", WEIGHTS, "weight"), ("float32", LOSSES, "relative loss"))
        for entry in entries
        if entry.precision == precision and math.isfinite(entry.error(rung))
    ]
    steps = numbers.span(entry.steps for entry in entries)
    training = f"{'a short' if entries[0].quick else 'the whole'} training of {steps} steps"
    return f" After {training}, {listing(clauses)}." if clauses else ""


def _rung_cells(entry: Entry, rung: str) -> list[str]:
    if rung not in entry.errors:
        return [numbers.MISSING] * 2
    error, bound = entry.errors[rung]
    # what is not finite cannot have passed: there was nothing to compare, as with one backend and no pair
    compared = math.isfinite(error) or (bool(entry.backends) and not entry.passed)
    shown = written_error(error) if compared else numbers.MISSING
    over = compared and not entry.passed and bound is not None and not error <= bound
    return [f"**{shown}**" if over else shown, UNJUDGED if bound is None else written_bound(bound)]


def _coverage(here: Equality) -> str:
    """Whether the trials ran as it was verified: the same backend, mode, device and precision."""
    if not here.unverified:
        total = sum(here.trials.values())
        trials = f"All {total:,} trials with a backend" if total > 1 else "The one trial with a backend"
        return f"{trials}{_in(here.environment)} ran in a mode, on a device and in a precision checked here."
    groups: dict[tuple[str, ...], list[str]] = {}
    for backend, *as_run in here.unverified:
        groups.setdefault(tuple(as_run), []).append(backend)
    said = []
    for (mode, device, precision), backends in groups.items():
        keys = [(backend, mode, device, precision) for backend in backends]
        missed, of = (sum(count[key] for key in keys) for count in (here.unverified, here.trials))
        trials = f"{missed:,} trial{'s' if of > 1 else ''}" if missed == of else f"{missed:,} of {of:,} trials"
        names = listing([code(backend) for backend in backends])
        said.append(f"{names} in mode {code(mode)} on {code(device)} in {code(precision)} ({trials})")
    return f"**Not verified as they ran:** {listing(said)}."
