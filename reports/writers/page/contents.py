"""All that a page shows, as plain data and as prose: what ``tables`` computes, cut to what a browser takes well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports import DISTRIBUTION, numbers, tables
from reports.arrays import Shelf
from reports.sections import equality as trial_equality
from reports.sections import protocols, published
from reports.sections.headline import headline
from reports.sections.speed import beside
from reports.sections.verification import REFERENCE, as_text
from reports.surveys import held, mapping, number
from reports.tables import different
from reports.tables.frames import BLOCK, split
from reports.writers.escape import clean
from reports.writers.page import grids, rates
from reports.writers.page.pictures import MOST_SERIES, Album, rounded

MOST_DATASETS = 24
"""Data sets that get pictures; a page on hundreds is read by its tables."""
MOST_COMMANDS = 20
MOST_WARNINGS = 20

Records = Sequence[Mapping[str, Any]]
Plain = dict[str, Any]


@dataclass(frozen=True)
class DatasetPart:
    """One data set of one environment: its heading, what is said of its rows, and the key of its data."""

    title: str
    about: str
    key: str


@dataclass(frozen=True)
class Contents:
    """What goes into a page.

    Attributes
    ----------
    title : str
    answer, equality, protocols, published, beside : str
        Markdown in which every word from outside is escaped.
    alerts : list of str
        The same, a paragraph each.
    warnings : list of str
        Plain text.
    datasets : list of DatasetPart
    more_datasets : int
        Those that have no pictures.
    commands : list of str
        Plain text.
    summary : str
        Plain text: how many trials, on what.
    data : dict
        What the page's scripts draw, as JSON.
    """

    title: str
    summary: str
    answer: str
    alerts: list[str]
    warnings: list[str]
    equality: str
    protocols: str
    published: str
    beside: str
    datasets: list[DatasetPart] = field(default_factory=list)
    more_datasets: int = 0
    commands: list[str] = field(default_factory=list)
    data: Plain = field(default_factory=dict)


def collect(records: Records, shelf: Shelf, warnings: Sequence[str]) -> Contents:
    """Everything of the records that a page shows; arrays are read from the ``shelf``."""
    trials = tables.trials(records)
    scores, throughput = tables.quality(tables.scored(trials, records)), tables.throughput(trials)
    quality = scores[scores["primary"].astype(bool)]
    suites = [clean(suite) for suite in trials["suite"].drop_duplicates() if suite]
    equalities = trial_equality.equalities(trials, records)
    blocks = split(quality, BLOCK)
    album, parts, panels = Album(trials, records, shelf), [], {}
    firsts = dict(split(trials[trials["status"] == "ok"], BLOCK))
    found: Plain = {}
    for place, ((environment, dataset), part) in enumerate(blocks[:MOST_DATASETS]):
        key = f"data-{place + 1}"
        title = clean(dataset) + (f" · environment {environment}" if environment else "")
        record = records[firsts[environment, dataset]["position"].iloc[0]]
        parts.append(DatasetPart(title, _about(record), key))
        panels[key] = {"series": album.of(part), "left_out": max(0, len(part) - MOST_SERIES)}
        every = scores[(scores["environment"] == environment) & (scores["dataset"] == dataset)]
        found[f"quality-{key}"] = grids.quality(every, several=False)
    if 1 < len(blocks) <= MOST_DATASETS:
        found["overview"] = grids.overview(quality)
    elif blocks[MOST_DATASETS:]:
        found["quality"] = grids.quality(quality, several=True)
    if not throughput.empty:
        found |= {"training": grids.training(throughput), "scoring": grids.scoring(throughput)}
    if (trials["status"] != "ok").any():
        found["failures"] = grids.failed(trials)
    if not trials.empty:
        found |= {"trials": grids.every_trial(trials, records), "environments": grids.environments(trials, records)}
    speed = {
        "bars": rates.bars(throughput),
        "roofline": rates.rooflines(throughput, trials, records),
        "batch": rates.over_batch(throughput),
        "rows": rates.over_rows(throughput),
    }
    distinct = dict.fromkeys(map(clean, different(records, "command")))
    return Contents(
        title=", ".join(suites[:4]) or DISTRIBUTION,
        summary=_summary(trials, records),
        answer=headline(trials, quality, throughput),
        alerts=[*_environments(trials), *trial_equality.alerts(equalities)],
        warnings=_bounded([clean(warning) for warning in warnings], MOST_WARNINGS),
        equality="\n\n".join(trial_equality.section(equalities)[1:]),
        protocols="\n\n".join(protocols.section(scores)[1:]),
        published="\n\n".join(published.section(trials, records)[1:]),
        beside="\n\n".join(beside(trials, throughput, records)),
        datasets=parts,
        more_datasets=max(0, len(blocks) - MOST_DATASETS),
        commands=_bounded(list(distinct), MOST_COMMANDS),
        data={"tables": found, "datasets": panels, "speed": speed, "ladder": _ladders(equalities)},
    )


def _bounded(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"… and {len(lines) - most + 1:,} more"]


def _summary(trials: pd.DataFrame, records: Records) -> str:
    if trials.empty:
        return "no trials"
    machine = mapping(mapping(held(records[trials["position"].iloc[0]], "environment")).get("machine"))
    cpu = clean(machine.get("cpu") or "")
    cores = machine.get("cores")
    words = [
        f"{len(trials):,} trial{'s' if len(trials) > 1 else ''}",
        f"{numbers.span([trials['dataset'].nunique()])} data set{'s' if trials['dataset'].nunique() > 1 else ''}",
        f"seeds {numbers.ranges(trials['seed'])}",
    ]
    if trials["environment"].nunique() > 1:
        words.append(f"{trials['environment'].nunique()} environments")
    elif cpu:
        words.append(cpu + (f", {cores} cores" if type(cores) is int else ""))
    return " · ".join(words)


def _environments(trials: pd.DataFrame) -> list[str]:
    labels = [label for label in trials["environment"].drop_duplicates() if label]
    if not labels:
        return []
    return [
        f"**These records come from {len(labels)} different environments.** They are shown apart and never averaged; "
        "differences between them are differences of machines or versions too. [Environment](#environment) tells "
        "them apart."
    ]


def _about(record: Mapping[str, Any]) -> str:
    """How many rows of what, and where they come from."""
    data = mapping(held(record, "data"))
    sizes = [numbers.span([number(data.get(key))]) for key in ("train_rows", "val_rows", "test_rows", "features")]
    anomalies, tested = number(data.get("anomalies")), number(data.get("test_rows"))
    text = f"{sizes[0]} training, {sizes[1]} validation and {sizes[2]} test rows of {sizes[3]} features"
    if 0 <= anomalies <= tested and tested > 0:
        text += f"; {anomalies:,.0f} of the test rows are anomalies ({numbers.significant(100 * anomalies / tested)} %)"
    told = [f"{title}: {clean(data[key]).rstrip('.')}." for title, key in _TOLD if data.get(key)]
    return " ".join([f"{text}.", *told])


_TOLD = (("Source", "source"), ("Protocol", "protocol"))


def _ladders(equalities: Sequence[trial_equality.Equality]) -> list[Plain]:
    """The largest error of every rung of every verification, beside its bound."""
    return [
        {
            "name": " · ".join(
                clean(as_text(word)) for word in (entry.precision, entry.mode, entry.device, here.environment) if word
            ),
            "passed": entry.passed,
            "reference": REFERENCE,
            "rungs": [
                {"name": clean(rung), "error": rounded(error, 3), "bound": rounded(bound, 3) if bound else None}
                for rung, (error, bound) in entry.errors.items()
            ],
        }
        for here in equalities
        for entry in here.entries[:4]
    ]
