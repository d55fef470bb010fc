"""How equality is shown: the result of ``bench verify`` as text and as Markdown.

A result is a set of ladders, one a precision; a rung compares the backends with the reference and with each other and
holds where no error is over its bound. Nothing here claims more than the data do: what is damaged counts as not shown.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import numbers
from reports.surveys import mapping, number
from reports.writers.escape import clean, code, escape, listing, table, width

REFERENCE = "reference"
LOSSES, WEIGHTS = "training: losses", "training: weights"
NOT_FINITE = "not finite"
UNJUDGED = "reported"

AMPLIFIED = (
    "Training amplifies rounding from step to step: over the whole of it even the weights of equal models drift apart "
    "in {}, so that rungs without a bound are reported, not judged."
)

_COLUMNS = 110
"""Columns of a terminal that a table may take; more comparisons than fit go into another table below."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class Pen:
    """How words and names from outside are written where they are to be read."""

    words: Callable[[object], str]
    name: Callable[[object], str]

    def side(self, backend: str) -> str:
        return "the reference" if backend == REFERENCE else self.name(backend)


TERMINAL, PAGE = Pen(clean, clean), Pen(escape, code)


def written_error(value: float) -> str:
    """Two significant digits: ``7.1e-11``, ``0``, ``not finite``."""
    if not math.isfinite(value):
        return NOT_FINITE
    return "0" if value == 0 else f"{value:.1e}"


def written_bound(value: float | None) -> str:
    """``1e-11``, with a second digit where there is one."""
    if value is None or not math.isfinite(value):
        return numbers.MISSING
    short = f"{value:.0e}"
    return "0" if value == 0 else short if float(short) == value else f"{value:.1e}"


def written_steps(value: float) -> str:
    return f"{value:,.0f} training steps" if math.isfinite(value) else "an unknown number of training steps"


def written_versions(backends: Mapping[str, Any], pen: Pen) -> str:
    """``torch 2.13.0; keras 3.15.1, tensorflow-cpu 2.21.0``; a backend is named where none of its packages is."""
    parts = []
    for backend, packages in backends.items():
        found = [pen.words(f"{name} {as_text(version)}") for name, version in mapping(packages).items()]
        own = [] if backend in mapping(packages) else [f"{pen.name(backend)}{':' if found else ''}"]
        parts.append(" ".join([*own, ", ".join(found)]).strip())
    return "; ".join(parts)


@dataclass(frozen=True)
class _Rung:
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
class _Parting:
    """Where the models of a ladder part first."""

    precision: str
    rung: str
    between: list[str]
    where: str
    error: float
    bound: float | None

    def who(self, pen: Pen) -> str:
        return listing([pen.side(b) for b in self.between]) if self.between else "the models"

    def said(self, pen: Pen) -> str:
        where = pen.words(self.where) or "a place not recorded"
        return (
            f"{pen.words(self.precision)}, {pen.words(self.rung)}: {self.who(pen)} part at {where}, "
            f"{written_error(self.error)} against a bound of {written_bound(self.bound)}"
        )


@dataclass(frozen=True)
class _Ladder:
    precision: str
    steps: float
    passed: bool
    rungs: list[_Rung]
    parting: _Parting | None

    @property
    def pairs(self) -> list[Pair]:
        """All comparisons, those with the reference first."""
        found = dict.fromkeys(pair for rung in self.rungs for pair in rung.errors)
        return sorted(found, key=lambda pair: pair[1] != REFERENCE)

    @property
    def amplified(self) -> bool:
        return any(rung.name == WEIGHTS and rung.verdict == UNJUDGED for rung in self.rungs)


def mappings(value: object) -> list[dict[str, Any]]:
    """The objects in a list, whatever else is in it."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str:
    return "" if value is None else str(value)


def _pair(value: object) -> Pair | None:
    """Both sides, the reference last."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    one, other = map(as_text, value)
    return (other, one) if one == REFERENCE else (one, other)


def limit(value: object) -> float | None:
    """A rung's bound: None where it is not judged, NaN where the bound is damaged."""
    return None if value is None else number(value)


def _rung(value: Mapping[str, Any]) -> _Rung:
    errors: dict[Pair, float] = {}
    failed = set()
    for comparison in mappings(value.get("comparisons")):
        if (pair := _pair(comparison.get("between"))) is not None:
            errors[pair] = number(comparison.get("error"))
            if comparison.get("passed") is False:
                failed.add(pair)
    passed = value.get("passed") is True and not failed
    bound = limit(value.get("bound"))
    return _Rung(as_text(value.get("name")), as_text(value.get("measure")), bound, passed, errors, frozenset(failed))


def _ladder(value: Mapping[str, Any]) -> _Ladder:
    precision, rungs = as_text(value.get("precision")), [_rung(rung) for rung in mappings(value.get("rungs"))]
    parting = None
    if first := mapping(value.get("first_failure")):
        between = first.get("between")
        parting = _Parting(
            precision,
            as_text(first.get("rung")),
            list(_pair(between) or ()),
            as_text(first.get("where")),
            number(first.get("error")),
            limit(first.get("bound")),
        )
    passed = value.get("passed") is True and parting is None and all(rung.passed for rung in rungs)
    return _Ladder(precision, number(value.get("steps")), passed, rungs, parting)


def _answer(result: Mapping[str, Any], ladders: Sequence[_Ladder], pen: Pen) -> str:
    """The sentence that comes first."""
    backends, failures = mapping(result.get("backends")), mapping(result.get("failures"))
    names = listing([pen.name(b) for b in backends]) if backends else ""
    if parting := next((ladder.parting for ladder in ladders if ladder.parting), None):
        rung = pen.words(parting.rung)
        return f"NOT equal: {parting.who(pen)} part at the rung {rung}, in {pen.words(parting.precision)}"
    if failures:
        return f"NOT verified: {listing([pen.name(b) for b in failures])} ended with an error"
    if not names or not any(ladder.pairs for ladder in ladders):
        return "NOTHING verified: no backend was compared"
    if result.get("passed") is not True or not all(ladder.passed for ladder in ladders):
        return f"NOT verified: {names} did not hold every rung"
    rungs = f"every rung{' of the quick ladder' if result.get('quick') is True else ''} holds its bound"
    precisions = listing(list(dict.fromkeys(pen.words(ladder.precision) for ladder in ladders)))
    if len(backends) == 1:
        return (
            f"{names} trains the same model as the reference: {rungs}, in {precisions}; "
            "no other backend took part, so there is no pair to compare"
        )
    return f"{names} train the same model: {rungs}, in {precisions}"


def _measures(ladders: Iterable[_Ladder], pen: Pen) -> list[str]:
    """``largest difference (initial weights, forward pass)``: what each rung's error is."""
    found: dict[str, dict[str, None]] = {}
    for rung in (rung for ladder in ladders for rung in ladder.rungs):
        if rung.measure:
            found.setdefault(pen.words(rung.measure), {})[pen.words(rung.name)] = None
    return [f"{measure} ({', '.join(rungs)})" for measure, rungs in found.items()]


def _facts(result: Mapping[str, Any], ladders: Sequence[_Ladder], pen: Pen) -> list[tuple[str, str]]:
    """What stands below the tables, a label and a line each."""
    facts = [("fails at", ladder.parting.said(pen)) for ladder in ladders if ladder.parting]
    for label, key in (("failed", "failures"), ("not here", "absent")):
        for backend, reason in mapping(result.get(key)).items():
            known = as_text(reason).startswith(f"{backend} ")
            facts.append((label, pen.words(reason) if known else f"{pen.name(backend)}: {pen.words(reason)}"))
    if measures := _measures(ladders, pen):
        facts.append(("errors", "; ".join(measures)))
    facts.append(("ref", "the reference: the same model in NumPy float64, its gradients derived by hand"))
    if versions := written_versions(mapping(result.get("backends")), pen):
        facts.append(("versions", versions))
    device, mode, environment, revision, verified = (
        as_text(result.get(key)) for key in ("device", "mode", "environment_hash", "revision", "verified")
    )
    facts.append(("ran on", f"{pen.name(device or 'unknown')}, mode {pen.name(mode or 'unknown')}"))
    made = [
        f"{pen.words(verified) or 'at an unknown time'} in {numbers.seconds(number(result.get('seconds')))} s",
        "the quick ladder, with a short training" if result.get("quick") is True else "",
        f"environment {pen.words(environment)}" if environment else "",
        f"revision {pen.words(revision)}" if revision else "",
    ]
    facts.append(("verified", "; ".join(filter(None, made))))
    return facts


def text(result: Mapping[str, Any]) -> str:
    """What ``bench verify`` found, for a terminal: the answer, a table for each precision, and how it came about.

    Parameters
    ----------
    result : mapping
        The result as plain data; what is missing or of a wrong type is shown as missing and never counts as passed.

    Returns
    -------
    str
        Lines without a newline at the end; tables take at most 110 columns, unless one name alone needs more.
    """
    ladders = [_ladder(ladder) for ladder in mappings(result.get("ladders"))]
    lines = [*textwrap.wrap(f"{_answer(result, ladders, TERMINAL)}.", _COLUMNS), ""]
    for ladder in ladders:
        lines += [f"{clean(ladder.precision)}, {written_steps(ladder.steps)}", "", *_tables(ladder)]
        if any(rung.failed for rung in ladder.rungs):
            lines += ["! over its bound", ""]
        if ladder.amplified:
            lines += [*textwrap.wrap(AMPLIFIED.format(clean(ladder.precision)), _COLUMNS), ""]
    for label, fact in _facts(result, ladders, TERMINAL):
        first, *rest = textwrap.wrap(fact, _COLUMNS - 12, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"{label:<12}{first}", *(" " * 12 + line for line in rest)]
    return "\n".join(line.rstrip() for line in lines)


def _tables(ladder: _Ladder) -> list[str]:
    """The rungs in aligned columns, each comparison's heading on two lines; as many tables as the width asks for."""
    rungs = ladder.rungs
    fixed = [["", "rung", *(clean(r.name) for r in rungs)], ["", "bound", *(written_bound(r.bound) for r in rungs)]]
    verdicts = ["", "", *(r.verdict for r in rungs)]
    columns = [
        [
            clean(one),
            f"= {'ref' if other == REFERENCE else clean(other)}",
            *(f"{'!' if (one, other) in r.failed else ''}{_cell(r, (one, other))}" for r in rungs),
        ]
        for one, other in ladder.pairs
    ]

    def room(shown: Iterable[Sequence[str]]) -> int:
        return sum(2 + max(map(width, column)) for column in shown) - 2

    lines: list[str] = []
    while columns or not lines:
        most = next((n for n in range(len(columns), 1, -1) if room([*fixed, *columns[:n], verdicts]) <= _COLUMNS), 1)
        shown, columns = [*fixed, *columns[:most], verdicts], columns[most:]
        lines += [*_aligned(shown), ""]
    return lines


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side, all but the first and the last flush right, with a rule below the two lines of heading."""
    widths = [max(map(width, column)) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        gaps = [" " * (w - width(cell)) for cell, w in zip(cells, widths, strict=True)]
        lines.append("  ".join([cells[0] + gaps[0], *(g + c for g, c in zip(gaps[1:-1], cells[1:-1], strict=True))]))
        lines[-1] += f"  {cells[-1]}"
    return [*lines[:2], "  ".join("-" * w for w in widths), *lines[2:]]


def _cell(rung: _Rung, pair: Pair) -> str:
    return written_error(rung.errors[pair]) if pair in rung.errors else numbers.MISSING


def markdown(result: Mapping[str, Any]) -> str:
    """What ``bench verify`` found, as GitHub Markdown for a pull request comment; see ``text``."""
    ladders = [_ladder(ladder) for ladder in mappings(result.get("ladders"))]
    parts = ["### Equality of the backends", f"**{_answer(result, ladders, PAGE)}.**"]
    for ladder in ladders:
        pairs = ladder.pairs
        compared = [f"{code(one)} = {'ref' if other == REFERENCE else code(other)}" for one, other in pairs]
        body = [
            [
                escape(rung.name),
                written_bound(rung.bound),
                *(f"**{_cell(rung, pair)}**" if pair in rung.failed else _cell(rung, pair) for pair in pairs),
                rung.verdict if rung.passed else f"**{rung.verdict}**",
            ]
            for rung in ladder.rungs
        ]
        parts.append(f"{code(ladder.precision)}, {written_steps(ladder.steps)}:")
        parts.append(table(["rung", "bound", *compared, "verdict"], body, f"lr{'r' * len(pairs)}l"))
        if ladder.amplified:
            parts.append(AMPLIFIED.format(code(ladder.precision)))
    parts.append("\n".join(f"- {label.capitalize()}: {fact}" for label, fact in _facts(result, ladders, PAGE)))
    return "\n\n".join(parts) + "\n"
