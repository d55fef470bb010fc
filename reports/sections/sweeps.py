"""Sweeps: what was chosen without the test labels and what that cost, quality over each key, and the best settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from reports import numbers
from reports.blocks import (
    Block,
    Cell,
    Column,
    Figure,
    Fold,
    Heading,
    Prose,
    Section,
    clean,
    code,
    listing,
    name,
    several,
    table,
)
from reports.sections import landscapes
from reports.sections.columns import figure as number_cell
from reports.tables.material import Material, label
from reports.tables.studies import LABELLED, WITHOUT_LABELS, Choice, Estimate, Level, Study, told

BEST = 10
"""Settings of a study that are listed."""
MOST_FIGURED = 16
"""Groups of studies that get figures."""
_PLACES = 3


def section(material: Material) -> list[Section]:
    if not material.studies:
        return []
    groups = grouped(material.studies)
    blocks: list[Block] = [Prose(_intro(material.studies)), _choices(material.studies)]
    previous: tuple[str, str] | None = None
    for place, group in enumerate(groups):
        first = group[0]
        if (first.environment, first.dataset) != previous:
            blocks.append(Heading(3, code(first.dataset) + label(first.environment)))
            previous = first.environment, first.dataset
        figured = place < MOST_FIGURED
        blocks += [
            Heading(4, _head(first, _several(material.studies, "likelihood"))),
            Prose(_sentence(group)),
            *(_figures(groups, place) if figured else []),
        ]
        blocks += [Fold("Quality over each key", [_over_keys(group)]), Fold("The best settings", _best_of(group))]
    return [Section("sweeps", "Sweeps", blocks)]


def grouped(studies: Sequence[Study]) -> list[list[Study]]:
    """The studies that differ in what ran them alone, in the order of data sets and detectors."""
    found: dict[tuple[str, ...], list[Study]] = {}
    for study in studies:
        key = study.environment, study.dataset, study.detector, study.likelihood, ",".join(study.keys)
        found.setdefault(key, []).append(study)
    return list(found.values())


def _figures(groups: Sequence[Sequence[Study]], place: int) -> list[Figure]:
    group = groups[place]
    stem = landscapes.stems_of([one[0] for one in groups])[place]
    figures = [landscapes.over_keys(group, stem)]
    if len(group[0].keys) > 1:
        figures += [landscapes.heat(group[0], stem), landscapes.parallel(group[0])]
    return figures


def _intro(studies: Sequence[Study]) -> str:
    text = (
        "A sweep trains one detector under many settings. **Chosen** is what can be chosen honestly: the setting with "
        "the lowest validation loss, a mean over seeds, where the KL divergence counts once whatever β trained it "
        "(reconstruction + KL, the negative ELBO at z = mu; of a plain autoencoder the reconstruction alone). "
        "**Oracle** is the setting with the highest mean ROC "
        "AUC on the test rows, which takes their labels to find: reporting it as a result is tuning on the test set. "
        "**Gap** is what that would gain, a mean over the same seeds. **Agreement** is Spearman's rank correlation, "
        "over the settings, of low validation loss with high ROC AUC: near 0 the loss tells nothing of detection. "
        "Brackets are 95 % intervals over seeds (Student's t, from three seeds on)."
    )
    if any(choice.by == LABELLED for study in studies for choice in study.choices):
        text += (
            " **Labelled** choices went by ROC AUC over test rows that were taken out for that with their labels, and "
            "are in no other figure of this report. Where there is one, it alone stands for its sweep in the rest of "
            "this report."
        )
    else:
        text += " The chosen setting alone stands for its sweep in the rest of this report."
    if any(not study.choices for study in studies):
        text += (
            " A detector without a validation loss has nothing to be chosen by without labels: its first setting, in "
            "the order of the values, stands for it."
        )
    if len({(s.environment, s.dataset, s.detector, s.backend) for s in studies}) < len(studies):
        text += " Losses of different likelihoods do not compare, so each likelihood has a choice of its own."
    return text


# -------------------------------------------------------------------------------------------------------------- choice


class _Row(NamedTuple):
    study: Study
    choice: Choice | None


def _stands(row: _Row) -> int:
    return row.choice.setting if row.choice else row.study.shown


_BY = {WITHOUT_LABELS: "validation loss", LABELLED: "labelled rows"}


def _choices(studies: Sequence[Study]) -> Block:
    rows = [_Row(study, choice) for study in studies for choice in (study.choices or (None,))]
    columns = [
        *(
            [Column("environment", lambda row: row.study.environment, "name")]
            if _several(studies, "environment")
            else []
        ),
        Column("data set", lambda row: code(row.study.dataset), "name"),
        Column("detector", lambda row: code(row.study.detector), "name"),
        Column("backend", lambda row: name(row.study.backend), "name"),
        *(
            [Column("likelihood", lambda row: name(row.study.likelihood), "name")]
            if _several(studies, "likelihood")
            else []
        ),
        Column(
            "settings × seeds",
            lambda row: Cell(f"{len(row.study.values)} × {len(row.study.seeds)}", len(row.study.values)),
        ),
        Column("chosen by", lambda row: _BY[row.choice.by] if row.choice else "nothing", "text"),
        Column("chosen: ROC AUC", lambda row: _estimate(row.study.quality(_stands(row)))),
        Column("oracle: ROC AUC", lambda row: _estimate(row.study.quality(row.study.oracle))),
        Column("gap", lambda row: _gap(row.choice)),
        Column("mean of all", lambda row: _number(float(row.study.means.mean()))),
        Column("agreement", lambda row: number_cell(row.study.agreement, numbers.signed(row.study.agreement, 2))),
        Column("chosen", lambda row: _setting(row.study, _stands(row)), "text"),
        Column("oracle", lambda row: _setting(row.study, row.study.oracle), "text"),
    ]
    return table("What is chosen without the test labels, and what with them", columns, rows)


def _several(studies: Sequence[Study], key: str) -> bool:
    return len({getattr(study, key) for study in studies if study.backend or key != "likelihood"}) > 1


def _setting(study: Study, place: int) -> str:
    return ", ".join(code(f"{key}={told(value)}") for key, value in study.values[place].items())


def _estimate(found: Estimate | None) -> Cell:
    if found is None or not math.isfinite(found.mean):
        return Cell(numbers.MISSING)
    return Cell(numbers.fixed(found.mean, _PLACES), found.mean, numbers.interval(found.low, found.high, _PLACES))


def _number(value: float) -> Cell:
    return number_cell(value, numbers.fixed(value, _PLACES))


def _gap(choice: Choice | None) -> Cell:
    if choice is None:
        return Cell(numbers.MISSING)
    gap = choice.gap
    return Cell(numbers.signed(gap.mean, _PLACES), gap.mean, numbers.interval(gap.low, gap.high, _PLACES))


# ------------------------------------------------------------------------------------------------------------ each key


def _plain_title(study: Study) -> str:
    return clean(study.detector) + (f" ({clean(study.likelihood)})" if study.likelihood else "")


def _head(study: Study, several_likelihoods: bool) -> str:
    return code(study.detector) + (f" under {code(study.likelihood)}" if several_likelihoods else "")


def _sentence(group: Sequence[Study]) -> str:
    first = group[0]
    order = sorted(first.keys, key=first.effect, reverse=True)
    effects = ", ".join(f"{code(key)} {numbers.fixed(first.effect(key), _PLACES)}" for key in order)
    where = f" on {code(first.backend)}" if len(group) > 1 else ""
    text = (
        f"{several(len(first.values), 'setting')} of {listing(list(map(code, first.keys)))}, "
        f"{several(len(first.seeds), 'seed')} each. Between the values of a key "
        f"the mean ROC AUC{where} differs by up to: {effects}."
    )
    failed = sum(study.failed for study in group)
    if failed:
        text += f" Left out: {several(failed, 'setting')} of which some seed was pruned or did not end well."
    return text


class _Line(NamedTuple):
    study: Study
    key: str
    level: Level


def _over_keys(group: Sequence[Study]) -> Block:
    rows = [_Line(study, key, level) for key in group[0].keys for study in group for level in study.levels(key)]
    columns = [
        Column("key", lambda line: code(line.key), "name"),
        Column("value", lambda line: code(line.level.label), "name"),
        *([Column("backend", lambda line: code(line.study.backend), "name")] if len(group) > 1 else []),
        Column(
            "mean over the other keys" if len(group[0].keys) > 1 else "ROC AUC",
            lambda line: _estimate(line.study.over_others(line.level.settings)),
        ),
        *(
            [Column("others chosen", lambda line: _estimate(line.study.chosen_of(line.level.settings)))]
            if len(group[0].keys) > 1
            else []
        ),
        Column("settings", lambda line: Cell(str(len(line.level.settings)), len(line.level.settings))),
    ]
    return table(f"{_plain_title(group[0])} on {clean(group[0].dataset)}: ROC AUC over each key", columns, rows)


def _best_of(group: Sequence[Study]) -> list[Block]:
    said = (
        f"Up to {BEST} settings with the highest mean ROC AUC on the test rows, which is the order of the oracle, and "
        "what was chosen; **rank** is the place that the validation loss gives each."
    )
    blocks: list[Block] = [Prose(said)]
    for study in group:
        blocks += [*([Prose(f"On {code(study.backend)}:")] if len(group) > 1 else []), _best(study)]
    return blocks


def _best(study: Study) -> Block:
    order = sorted(range(len(study.values)), key=lambda place: -study.means[place])[:BEST]
    order += [choice.setting for choice in study.choices if choice.setting not in order]
    losses = study.criterion
    known = bool(len(losses)) and all(map(math.isfinite, losses))
    rank = {place: at for at, place in enumerate(sorted(range(len(losses)), key=lambda p: losses[p]), start=1)}

    def said(place: int) -> str:
        words = [f"chosen by {_BY[choice.by]}" for choice in study.choices if choice.setting == place]
        return ", ".join([*(["oracle"] if place == study.oracle else []), *words])

    columns = [
        *(Column(code(key), partial(_value, study, key), "name") for key in study.keys),
        Column("ROC AUC", lambda place: _estimate(study.quality(place))),
        Column("AP", lambda place: _number(float(study.ap[place].mean()))),
        *(
            [Column("validation loss", lambda p: number_cell(losses[p], numbers.significant(losses[p], 4)))]
            if known
            else []
        ),
        *([Column("rank", lambda place: Cell(str(rank[place]), rank[place]))] if known else []),
        Column("", said, "text"),
    ]
    title = (
        f"{_plain_title(study)} {clean(study.backend)} on {clean(study.dataset)}: the best settings by the test labels"
    )
    return table(title, columns, order)


def _value(study: Study, key: str, place: int) -> str:
    return code(told(study.values[place][key]))
