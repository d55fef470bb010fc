"""What ``bench verify`` found, as blocks.

A result is a set of ladders, one per precision; a rung compares the backends with the reference and with each other and
holds where no error is over its bound. Nothing here claims more than the data do: what is damaged counts as not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from reports import numbers
from reports.blocks import Cell, Column, code, listing, words
from reports.blocks import Table as TableBlock
from reports.surveys import mapping, number
from reports.tables.equality import REFERENCE, WEIGHTS, as_text, limit, mappings

UNJUDGED = "reported"
AMPLIFIED = (
    "Training amplifies rounding from step to step: over the whole of it even the weights of equal models drift apart "
    "in {}, so that rungs without a bound are reported, not judged."
)

Pair = tuple[str, str]


def steps(value: float) -> str:
    return f"{value:,.0f} training steps" if value == value else "an unknown number of training steps"


def versions(backends: Mapping[str, Any]) -> str:
    """``torch 2.13.0; keras 3.15.1, tensorflow-cpu 2.21.0``; a backend is named where none of its packages is."""
    parts = []
    for backend, packages in backends.items():
        found = [words(f"{name} {as_text(version)}") for name, version in mapping(packages).items()]
        own = [] if backend in mapping(packages) else [f"{code(backend)}{':' if found else ''}"]
        parts.append(" ".join([*own, ", ".join(found)]).strip())
    return "; ".join(parts)


def _side(backend: str) -> str:
    return "the reference" if backend == REFERENCE else code(backend)


@dataclass(frozen=True)
class Rung:
    name: str
    measure: str
    bound: float | None
    """None: reported, not judged. NaN: damaged."""
    passed: bool
    errors: dict[Pair, float]
    """NaN: not finite."""
    failed: frozenset[Pair]

    @property
    def verdict(self) -> str:
        if not self.passed:
            return "FAIL"
        if not self.errors:
            return numbers.MISSING
        return UNJUDGED if self.bound is None else "pass"


@dataclass(frozen=True)
class Parting:
    """Where the models of a ladder part first."""

    precision: str
    rung: str
    between: list[str]
    where: str
    error: float
    bound: float | None

    def who(self) -> str:
        return listing([_side(b) for b in self.between]) if self.between else "the models"

    def said(self) -> str:
        where = words(self.where) or "a place not recorded"
        return (
            f"{words(self.precision)}, {words(self.rung)}: {self.who()} part at {where}, "
            f"{numbers.error(self.error)} against a bound of {numbers.bound(self.bound)}"
        )


@dataclass(frozen=True)
class Ladder:
    precision: str
    steps: float
    passed: bool
    rungs: list[Rung]
    parting: Parting | None

    @property
    def pairs(self) -> list[Pair]:
        """All comparisons, those with the reference first."""
        found = dict.fromkeys(pair for rung in self.rungs for pair in rung.errors)
        return sorted(found, key=lambda pair: pair[1] != REFERENCE)

    @property
    def amplified(self) -> bool:
        return any(rung.name == WEIGHTS and rung.verdict == UNJUDGED for rung in self.rungs)


def _pair(value: object) -> Pair | None:
    """Both sides, the reference last."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    one, other = map(as_text, value)
    return (other, one) if one == REFERENCE else (one, other)


def _rung(value: Mapping[str, Any]) -> Rung:
    errors: dict[Pair, float] = {}
    failed = set()
    for comparison in mappings(value.get("comparisons")):
        if (pair := _pair(comparison.get("between"))) is not None:
            errors[pair] = number(comparison.get("error"))
            if comparison.get("passed") is False:
                failed.add(pair)
    passed = value.get("passed") is True and not failed
    bound = limit(value.get("bound"))
    return Rung(as_text(value.get("name")), as_text(value.get("measure")), bound, passed, errors, frozenset(failed))


def ladder(value: Mapping[str, Any]) -> Ladder:
    precision, rungs = as_text(value.get("precision")), [_rung(rung) for rung in mappings(value.get("rungs"))]
    parting = None
    if first := mapping(value.get("first_failure")):
        between = first.get("between")
        parting = Parting(
            precision,
            as_text(first.get("rung")),
            list(_pair(between) or ()),
            as_text(first.get("where")),
            number(first.get("error")),
            limit(first.get("bound")),
        )
    passed = value.get("passed") is True and parting is None and all(rung.passed for rung in rungs)
    return Ladder(precision, number(value.get("steps")), passed, rungs, parting)


def answer(result: Mapping[str, Any], ladders: Sequence[Ladder]) -> str:
    """The sentence that comes first."""
    backends, failures = mapping(result.get("backends")), mapping(result.get("failures"))
    names = listing([code(b) for b in backends]) if backends else ""
    if parting := next((ladder.parting for ladder in ladders if ladder.parting), None):
        rung = words(parting.rung)
        return f"NOT equal: {parting.who()} part at the rung {rung}, in {words(parting.precision)}"
    if failures:
        return f"NOT verified: {listing([code(b) for b in failures])} ended with an error"
    if not names or not any(ladder.pairs for ladder in ladders):
        return "NOTHING verified: no backend was compared"
    if result.get("passed") is not True or not all(ladder.passed for ladder in ladders):
        return f"NOT verified: {names} did not hold every rung"
    rungs = f"every rung{' of the quick ladder' if result.get('quick') is True else ''} holds its bound"
    precisions = listing(list(dict.fromkeys(words(ladder.precision) for ladder in ladders)))
    if len(backends) == 1:
        return (
            f"{names} trains the same model as the reference: {rungs}, in {precisions}; "
            "no other backend took part, so there is no pair to compare"
        )
    return f"{names} train the same model: {rungs}, in {precisions}"


def _measures(ladders: Iterable[Ladder]) -> list[str]:
    """``largest difference (initial weights, forward pass)``: what each rung's error is."""
    found: dict[str, dict[str, None]] = {}
    for rung in (rung for ladder in ladders for rung in ladder.rungs):
        if rung.measure:
            found.setdefault(words(rung.measure), {})[words(rung.name)] = None
    return [f"{measure} ({', '.join(rungs)})" for measure, rungs in found.items()]


def facts(result: Mapping[str, Any], ladders: Sequence[Ladder]) -> list[tuple[str, str]]:
    """What stands below the tables, a label and a line each."""
    facts = [("fails at", ladder.parting.said()) for ladder in ladders if ladder.parting]
    for label, key in (("failed", "failures"), ("not here", "absent")):
        for backend, reason in mapping(result.get(key)).items():
            known = as_text(reason).startswith(f"{backend} ")
            facts.append((label, words(reason) if known else f"{code(backend)}: {words(reason)}"))
    if measures := _measures(ladders):
        facts.append(("errors", "; ".join(measures)))
    facts.append(("ref", "the reference: the same model in NumPy float64, its gradients derived by hand"))
    if packages := versions(mapping(result.get("backends"))):
        facts.append(("versions", packages))
    device, mode, environment, revision, verified = (
        as_text(result.get(key)) for key in ("device", "mode", "environment_hash", "revision", "verified")
    )
    facts.append(("ran on", f"{code(device or 'unknown')}, mode {code(mode or 'unknown')}"))
    made = [
        f"{words(verified) or 'at an unknown time'} in {numbers.seconds(number(result.get('seconds')))} s",
        "the quick ladder, with a short training" if result.get("quick") is True else "",
        f"environment {words(environment)}" if environment else "",
        f"revision {words(revision)}" if revision else "",
    ]
    facts.append(("verified", "; ".join(filter(None, made))))
    return facts


def rungs(found: Ladder) -> TableBlock:
    """A ladder's rungs: the errors of every comparison, the ones over the bound in bold, and the verdict."""
    columns = [Column("rung", lambda rung: words(rung.name), "name"), Column("bound", lambda r: numbers.bound(r.bound))]
    for one, other in found.pairs:
        title = f"{code(one)} = {'ref' if other == REFERENCE else code(other)}"
        columns.append(Column(title, partial(_error, pair=(one, other))))
    columns.append(Column("verdict", lambda rung: rung.verdict if rung.passed else f"**{rung.verdict}**", "text"))
    return TableBlock("Rungs", columns, [[column.cell(rung) for column in columns] for rung in found.rungs])


def _error(rung: Rung, pair: Pair) -> Cell:
    if pair not in rung.errors:
        return Cell(numbers.MISSING)
    said = numbers.error(rung.errors[pair])
    return Cell(f"**{said}**" if pair in rung.failed else said, rung.errors[pair])
