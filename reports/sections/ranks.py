"""Detectors ranked over data sets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from reports import numbers
from reports.blocks import Block, Cell, Column, Drawing, Figure, Fold, Prose, Section, clean, code, several, table
from reports.sections.pictures import file_name
from reports.tables.certainty import POWER, ROPE, Needed, Posterior
from reports.tables.material import Material, label
from reports.tables.ranks import LEVEL, Ranks, adjusted, first_and_others, friedman, over_seeds, ranks, to_part
from reports.tables.studies import Estimate

_POWER = f"{100 * POWER:.0f} %"


def section(material: Material) -> list[Section]:
    """One for each environment with ranks: these, and the diagram or why there is none."""
    return [
        Section(
            f"ranks{place or ''}", f"Ranks over data sets{label(found.environment)}", _blocks(found, material), "Ranks"
        )
        for place, found in enumerate(ranks(material.quality))
    ]


def _blocks(found: Ranks, material: Material) -> list[Block]:
    statistic, p = friedman(found)
    sets, detectors = found.table.shape
    of_seeds = over_seeds(found, material.competing)
    blocks: list[Block] = [
        Prose(
            f"{detectors} detectors on {sets} data sets: Friedman's χ² = {numbers.significant(statistic)}, p = "
            f"{numbers.probability(p)}. A network is shown by its first backend. Data sets made "
            "from one source, such as the digits of one collection, are less independent than the test takes them for. "
            "*Wins* are data sets with the highest ROC AUC; equal ones have all won."
            + (_OF_SEEDS if of_seeds else "")
            + (f" Left out: {several(found.left_out, 'data set')} without a result of each." if found.left_out else "")
        ),
        table(
            "Ranks",
            [*_RANKS, *([_MEAN_OF_SEEDS] if of_seeds else [])],
            [_Line(name, found, of_seeds.get(name)) for name in found.mean.index],
        ),
        *_sure(found, material),
    ]
    if not found.enough:
        pairs = _pairs_of(found)
        reason = (
            f"There is no critical-difference diagram: with {sets} data sets and {pairs} pairs "
            f"the smallest p that Wilcoxon's test with Holm's correction could give is "
            f"{numbers.significant(min(found.least, 1.0), 2)}, so no difference could be shown."
        )
        return [*blocks, Prose(reason)]
    return [*blocks, _diagram(found), Fold("Every pair", [_pairs(found)])]


def _sure(found: Ranks, material: Material) -> list[Block]:
    """How sure the first is of its place, and what would make it surer."""
    first, second = found.mean.index[:2]
    posteriors = first_and_others(found)
    blocks: list[Block] = [
        Prose(
            f"How sure it is that {code(first)} is better than each other one, by the Bayesian signed-rank test "
            f"(Benavoli et al. 2017) over the {len(found.table)} data sets: the probabilities that it is practically "
            f"better, that the two are practically equal (within {ROPE:g} of ROC AUC), and that the other is better."
        ),
        table("How sure the first is", _SURE, posteriors.items()),
    ]
    need = to_part(found, material.competing)
    if need is not None:
        blocks.append(Prose(_power(found, first, second, need)))
    return blocks


def _power(found: Ranks, first: str, second: str, need: Needed) -> str:
    sets = len(found.table)
    gap = float((found.table[first] - found.table[second]).mean())
    text = (
        f"**To tell the first two apart**, {code(first)} and {code(second)}, {numbers.signed(gap, 3)} in mean ROC AUC: "
    )
    if not math.isfinite(need.sets):
        return text + "no number of data sets would, as there is no difference."
    if need.sets <= sets:
        return text + f"these {sets} data sets give a power of {_POWER} or more for a difference of that size."
    text += (
        f"about {need.sets:,.0f} data sets like these would find such a difference with a power of "
        f"{_POWER} (Wilcoxon's test at {LEVEL:g}, corrected for {_pairs_of(found)} pairs), "
        f"{need.sets - sets:,.0f} more than there are"
    )
    if need.seeds is None:
        return text + "; what more seeds would do cannot be told from one."
    if not math.isfinite(need.seeds):
        return text + "; more seeds alone would not, as the data sets differ by more than the seeds."
    return text + f"; or {need.seeds:,.0f} seeds on each of these."


def _pairs_of(found: Ranks) -> int:
    detectors = found.table.shape[1]
    return detectors * (detectors - 1) // 2


def _probability(title: str, of: Callable[[Posterior], float]) -> Column:
    return Column(title, lambda line: Cell(f"{of(line[1]):.2f}", of(line[1])), "share")


_SURE = [
    Column("against", lambda line: code(line[0]), "name"),
    _probability("first better", lambda found: found.first),
    _probability("practically equal", lambda found: found.neither),
    _probability("other better", lambda found: found.second),
]


class _Line(NamedTuple):
    name: str
    found: Ranks
    of_seeds: Estimate | None


_RANKS = [
    Column("detector", lambda line: code(line.name), "name"),
    Column("mean rank", lambda line: Cell(f"{line.found.mean[line.name]:.2f}", line.found.mean[line.name])),
    Column("median rank", lambda line: Cell(f"{line.found.median[line.name]:g}", line.found.median[line.name])),
    Column("wins", lambda line: Cell(str(line.found.wins[line.name]), line.found.wins[line.name])),
]
_OF_SEEDS = (
    " *Of one seed* is the mean rank as the trials of one seed give it: the mean over seeds, and its 95 % interval."
)


def _one_seed(line: _Line) -> Cell:
    found = line.of_seeds
    if found is None:
        return Cell(numbers.MISSING)
    return Cell(f"{found.mean:.2f}", found.mean, numbers.interval(found.low, found.high, 2))


_MEAN_OF_SEEDS = Column("of one seed", _one_seed)


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
