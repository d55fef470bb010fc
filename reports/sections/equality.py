"""What the trials were run under: which backends were proved to be the same model, or not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from reports import numbers
from reports.blocks import (
    Block,
    Cell,
    Column,
    Drawing,
    Figure,
    Heading,
    Prose,
    Section,
    Table,
    clean,
    code,
    listing,
    words,
)
from reports.sections.verification import AMPLIFIED, UNJUDGED, versions
from reports.tables.curves import rounded
from reports.tables.equality import LOSSES, WEIGHTS, Entry, Equality
from reports.tables.material import Material

_MOST_BLOCKS = 8
"""Verifications of one environment that a report shows."""
_MOST_FAILURES = 4
"""Failures that one sentence tells of."""
_MOST_LADDERS = 4
"""Verifications of one environment that a figure shows."""


def alerts(material: Material) -> list[str]:
    """What has to stand at the top of the report: a line for each environment whose backends were found to differ."""
    return [
        f"**The backends were not found to be the same model{_in(here.environment)}**: {_failures(here.failed)}. "
        "Differences between backends may be differences of the model. [Equality](#equality) has the rungs."
        for here in material.equalities
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
            found.setdefault(words(clean(entry.failure).rstrip(".")), {})[code(entry.precision)] = None
    said = [f"in {listing(list(precisions))}, {failure}" for failure, precisions in found.items()]
    more = [f"and {len(said) - _MOST_FAILURES} more"] if len(said) > _MOST_FAILURES else []
    return "; ".join([*said[:_MOST_FAILURES], *more]) or "the records do not tell where"


def section(material: Material) -> list[Section]:
    """None where no backend ran."""
    found = material.equalities
    if not found:
        return []
    blocks: list[Block] = [Prose(_NOT_VERIFIED)]
    if any(here.entries for here in found):
        blocks = [*_figure(found), *chain.from_iterable(map(_environment, found))]
    return [Section("equality", "Equality", blocks)]


def _environment(here: Equality) -> list[Block]:
    blocks: list[Block] = [Heading(3, f"Environment {here.environment}")] if here.environment else []
    if not here.entries:
        return [*blocks, Prose(_NOT_VERIFIED)]
    verifications = _verifications(here.entries)
    for entries in verifications[:_MOST_BLOCKS]:
        blocks += _verification(list(entries.values()))
    if len(verifications) > _MOST_BLOCKS:
        blocks.append(Prose(f"The records tell of {len(verifications) - _MOST_BLOCKS} more verifications."))
    return [*blocks, Prose(_coverage(here))]


def _figure(found: Sequence[Equality]) -> list[Block]:
    """The largest error of every rung of every verification, beside its bound."""
    ladders = []
    for here in found:
        for entry in here.entries[:_MOST_LADDERS]:
            if entry.errors:
                ladders.append(_ladder(here, entry))
    if not ladders:
        return []
    caption = "The largest error of every rung (dot) and its bound (stroke); an error of 0 stands at the left end."
    drawing = Drawing("equality.svg", "equality", "The largest error of every rung, beside its bound", caption, ladders)
    return [Figure("ladder", [drawing], lambda: ladders, caption)]


def _ladder(here: Equality, entry: Entry) -> dict[str, Any]:
    parts = (entry.precision, entry.mode, entry.device, here.environment)
    rungs = [
        {"name": clean(rung), "error": rounded(error, 3), "bound": rounded(bound, 3) if bound else None}
        for rung, (error, bound) in entry.errors.items()
    ]
    return {"name": " · ".join(clean(part) for part in parts if part), "rungs": rungs}


_NOT_VERIFIED = (
    "**Not verified.** Nothing shows that the backends train the same model with these versions on this machine: run "
    "`bench verify` (or `bench run … --verify`), which holds each of them against the reference and against the others."
)


def _verifications(entries: Iterable[Entry]) -> list[dict[str, Entry]]:
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


def _verification(entries: Sequence[Entry]) -> list[Block]:
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
        f"{words(first.verified) or 'an unknown time'}, in mode {code(first.mode)} on {code(first.device)} in "
        f"{precisions}, with {versions(first.backends) or 'no backend'}.{_largest(entries)}"
    )
    rungs = list(dict.fromkeys(chain.from_iterable(entry.errors for entry in entries)))
    columns = [Column("rung", words, "name")]
    for entry in entries:
        columns.append(Column(f"largest error in {code(entry.precision)}", partial(_error, entry)))
        columns.append(Column("bound", partial(_bound, entry)))
    blocks: list[Block] = [Prose(said)]
    if rungs:
        lines = [[column.cell(rung) for column in columns] for rung in rungs]
        blocks.append(Table("Largest errors and bounds", columns, lines))
    if drifting := [code(e.precision) for e in entries if WEIGHTS in e.errors and e.errors[WEIGHTS][1] is None]:
        blocks.append(Prose(AMPLIFIED.format(listing(drifting))))
    return blocks


def _largest(entries: Sequence[Entry]) -> str:
    """The two figures that sum a verification up: float64 shows that the formulas agree, float32 what rounding does."""
    clauses = [
        f"the largest {words} difference in {code(precision)} is **{numbers.error(entry.error(rung))}**"
        for precision, rung, words in (("float64", WEIGHTS, "weight"), ("float32", LOSSES, "relative loss"))
        for entry in entries
        if entry.precision == precision and math.isfinite(entry.error(rung))
    ]
    steps = numbers.span(entry.steps for entry in entries)
    training = f"{'a short' if entries[0].quick else 'the whole'} training of {steps} steps"
    return f" After {training}, {listing(clauses)}." if clauses else ""


def _error(entry: Entry, rung: str) -> Cell:
    if rung not in entry.errors:
        return Cell(numbers.MISSING)
    error, bound = entry.errors[rung]
    # what is not finite cannot have passed: there was nothing to compare, as with one backend and no pair
    compared = math.isfinite(error) or (bool(entry.backends) and not entry.passed)
    if not compared:
        return Cell(numbers.MISSING)
    over = not entry.passed and bound is not None and not error <= bound
    return Cell(f"**{numbers.error(error)}**" if over else numbers.error(error), error)


def _bound(entry: Entry, rung: str) -> Cell:
    if rung not in entry.errors:
        return Cell(numbers.MISSING)
    bound = entry.errors[rung][1]
    return Cell(UNJUDGED) if bound is None else Cell(numbers.bound(bound), bound)


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
