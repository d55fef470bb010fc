"""Detectors ranked over data sets."""

from __future__ import annotations

from typing import NamedTuple

from reports import numbers
from reports.blocks import Block, Cell, Column, Drawing, Figure, Fold, Prose, Section, clean, code, several, table
from reports.sections.pictures import file_name
from reports.tables.material import Material, label
from reports.tables.ranks import LEVEL, Ranks, adjusted, friedman, ranks


def section(material: Material) -> list[Section]:
    """One for each environment with ranks: these, and the diagram or why there is none."""
    return [
        Section(f"ranks{place or ''}", f"Ranks over data sets{label(found.environment)}", _blocks(found), "Ranks")
        for place, found in enumerate(ranks(material.quality))
    ]


def _blocks(found: Ranks) -> list[Block]:
    statistic, p = friedman(found)
    sets, detectors = found.table.shape
    blocks: list[Block] = [
        Prose(
            f"{detectors} detectors on {sets} data sets: Friedman's χ² = {numbers.significant(statistic)}, p = "
            f"{numbers.probability(p)}. A network is shown by its first backend. Data sets made "
            "from one source, such as the digits of one collection, are less independent than the test takes them for. "
            "*Wins* are data sets with the highest ROC AUC; equal ones have all won."
            + (f" Left out: {several(found.left_out, 'data set')} without a result of each." if found.left_out else "")
        ),
        table("Ranks", _RANKS, [_Line(name, found) for name in found.mean.index]),
    ]
    if not found.enough:
        pairs = detectors * (detectors - 1) // 2
        reason = (
            f"There is no critical-difference diagram: with {sets} data sets and {pairs} pairs "
            f"the smallest p that Wilcoxon's test with Holm's correction could give is "
            f"{numbers.significant(min(found.least, 1.0), 2)}, so no difference could be shown."
        )
        return [*blocks, Prose(reason)]
    return [*blocks, _diagram(found), Fold("Every pair", [_pairs(found)])]


class _Line(NamedTuple):
    name: str
    found: Ranks


_RANKS = [
    Column("detector", lambda line: code(line.name), "name"),
    Column("mean rank", lambda line: Cell(f"{line.found.mean[line.name]:.2f}", line.found.mean[line.name])),
    Column("median rank", lambda line: Cell(f"{line.found.median[line.name]:g}", line.found.median[line.name])),
    Column("wins", lambda line: Cell(str(line.found.wins[line.name]), line.found.wins[line.name])),
]


def _pairs(found: Ranks) -> Block:
    names = list(found.mean.index)
    pairs = adjusted(found)

    def column(other: str) -> Column:
        return Column(code(other), lambda one: "" if one == other else f"{pairs.loc[one, other]:.3f}")

    return table("p (Holm) of every pair", [Column("p (Holm)", code, "name"), *map(column, names)], names)


def _diagram(found: Ranks) -> Figure:
    caption = (
        f"Mean rank by ROC AUC over {len(found.table)} data sets, 1 the best. A bar joins detectors that "
        f"Wilcoxon's signed-rank test with Holm's correction cannot tell apart at {LEVEL:g}."
    )
    alt = "Critical-difference diagram of the detectors"
    data = {"mean": found.mean, "pairs": adjusted(found)}
    drawing = Drawing(file_name("ranks", found.environment), "ranks", alt, caption, data)
    return Figure("ranks", [drawing], lambda: _screen(found), caption)


def _screen(found: Ranks) -> dict[str, object]:
    """Each detector at its mean rank, and the runs of neighbours that no test tells apart."""
    names = list(found.mean.index)
    pairs = adjusted(found)
    bars: list[list[int]] = []
    for start in range(len(names)):
        end = start
        while end + 1 < len(names) and all(pairs.loc[names[k], names[end + 1]] > LEVEL for k in range(start, end + 1)):
            end += 1
        if end > start and not (bars and bars[-1][1] >= end):
            bars.append([start, end])
    return {"names": list(map(clean, names)), "ranks": [round(float(r), 3) for r in found.mean], "bars": bars}
