"""Variants of a network beside the plain one: one table over all data sets, and a sentence on what each is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from reports import numbers
from reports.blocks import Block, Cell, Column, List, Prose, Section, clean, code, listing, table
from reports.tables.certainty import ROPE
from reports.tables.material import Material
from reports.tables.settings import SETTINGS, varying
from reports.tables.variants import LEVEL, VERDICTS, Variant

_PLACES = 3
_RUNNER = ("backend", "mode", "device", "threads")

Line = dict[str, Variant]
"""One variant of one detector by its data sets."""


def section(material: Material) -> list[Section]:
    found = material.variants
    if not found:
        return []
    blocks: list[Block] = [Prose(_INTRO)]
    for environment in dict.fromkeys(variant.environment for variant in found):
        own = [variant for variant in found if variant.environment == environment]
        title = "Variants" + (f" in environment {clean(environment)}" if environment else "")
        blocks += [table(title, _columns(own), _shown(own)), List(_sentences(own))]
    return [Section("variants", "Variants", blocks)]


_INTRO = (
    "First the plain network's ROC AUC, a mean over seeds; then a line for each way to train it otherwise, and what "
    "it adds by the first score: a mean over seeds of differences on the same test rows, with its 95 % interval "
    "(Student's t, from three seeds on). **Bold** helps and what is marked so hurts, by the paired t test over seeds "
    f"at {LEVEL:g} after Holm's correction for the variants of one detector on one data set; up to {ROPE:g} it is "
    "practically none. Where neither stands, no difference was shown, which is not to say that there is none. The "
    "plain networks alone are in the rest of this report."
)


def _lines(found: Sequence[Variant]) -> list[Line]:
    lines: dict[tuple[object, ...], Line] = {}
    for variant in found:
        lines.setdefault((variant.detector, variant.runner, variant.name), {})[variant.dataset] = variant
    return list(lines.values())


def _first(line: Line) -> Variant:
    return next(iter(line.values()))


class _Shown(NamedTuple):
    line: Line
    plain: bool
    """Whether it is the plain network that these are variants of."""


def _shown(found: Sequence[Variant]) -> list[_Shown]:
    """The lines, those of each network below one of the plain network."""
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in _lines(found):
        groups.setdefault((_first(line).detector, _first(line).runner), []).append(line)
    shown = []
    for lines in groups.values():
        everywhere = {dataset: variant for line in lines for dataset, variant in line.items()}
        shown += [_Shown(everywhere, True), *(_Shown(line, False) for line in lines)]
    return shown


def _columns(found: Sequence[Variant]) -> list[Column]:
    runners = [dict(zip(_RUNNER, variant.runner, strict=True)) for variant in found]
    telling = varying(runners, [key for key in ("backend", *SETTINGS) if key in _RUNNER])
    columns = [Column("detector", lambda row: code(_first(row.line).detector), "name")]
    columns += [Column(key, _runner(_RUNNER.index(key)), "name") for key in telling]
    columns.append(Column("variant", lambda row: "plain" if row.plain else code(_first(row.line).name), "name"))
    for dataset in dict.fromkeys(variant.dataset for variant in found):
        columns.append(Column(code(dataset), _gain(dataset)))
    return columns


def _runner(place: int) -> Callable[[_Shown], str]:
    return lambda row: code(_first(row.line).runner[place])


def _gain(dataset: str) -> Callable[[_Shown], Cell]:
    def write(row: _Shown) -> Cell:
        variant = row.line.get(dataset)
        if variant is None:
            return Cell(numbers.MISSING)
        if row.plain:
            return Cell(numbers.fixed(variant.plain.mean, _PLACES), variant.plain.mean)
        gain, text = variant.gain, numbers.signed(variant.gain.mean, _PLACES)
        said = [numbers.interval(gain.low, gain.high, _PLACES), *(["hurts"] if variant.verdict == "hurts" else [])]
        return Cell(f"**{text}**" if variant.verdict == "helps" else text, gain.mean, " ".join(filter(None, said)))

    return write


def _sentences(found: Sequence[Variant]) -> list[str]:
    """What each variant is worth, in words, and where it is worth nothing too."""
    lines = []
    for line in _lines(found):
        first, parts = _first(line), []
        for verdict in VERDICTS:
            sets = [code(dataset) for dataset, variant in line.items() if variant.verdict == verdict]
            if sets:
                parts.append(f"{verdict} on {listing(sets, 6)}")
        useless = "" if any(variant.verdict == "helps" for variant in line.values()) else " It is not shown to help."
        collapsed = [
            f"{variant.collapsed} of {variant.trials} on {code(dataset)}"
            for dataset, variant in line.items()
            if variant.collapsed
        ]
        if collapsed:
            useless += f" **Collapsed posterior** in {listing(collapsed)}."
        backend = f" on {code(first.runner[0])}" if len({variant.runner[0] for variant in found}) > 1 else ""
        lines.append(f"{code(first.name)} of {code(first.detector)}{backend}: {'; '.join(parts)}.{useless}")
    return lines
