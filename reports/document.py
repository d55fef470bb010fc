"""The report as a document: which sections it has, in which order. A new section is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from reports import numbers
from reports.blocks import Document, Section, clean, code, listing, several
from reports.sections import (
    environment,
    equality,
    failures,
    meaning,
    protocols,
    published,
    quality,
    ranks,
    reproduce,
    robustness,
    runs,
    series,
    speed,
    sweeps,
    training_data,
    trials,
    variants,
)
from reports.sections.alerts import alerts
from reports.sections.answer import answer
from reports.surveys import UNBOUNDED, mapping
from reports.tables.material import Material

SECTIONS: tuple[Callable[[Material], list[Section]], ...] = (
    quality.section,
    series.section,
    ranks.section,
    sweeps.section,
    robustness.section,
    training_data.section,
    variants.section,
    protocols.section,
    published.section,
    runs.section,
    speed.section,
    equality.section,
    failures.section,
    trials.section,
    environment.section,
    reproduce.section,
    meaning.section,
)
"""In the order in which a report shows them; each returns none where it has nothing to say. Over many data sets the
ranks come first."""


@UNBOUNDED
def document(material: Material) -> Document:
    """The whole report as blocks; the same records give the same."""
    suites = [code(suite) for suite in material.trials["suite"].drop_duplicates() if suite]
    sections: list[Section] = []
    # over many data sets the ranks are the result, and what stands behind them follows
    order = sorted(SECTIONS, key=lambda section: section is not ranks.section) if material.many else SECTIONS
    for section in order:
        sections += section(material)
    title = listing(suites) if suites else ""
    return Document(title, _summary(material), alerts(material), answer(material), sections)


def _summary(material: Material) -> str:
    """``33 trials · 1 data set · seeds 0–2 · A CPU, 2 cores``, plain text."""
    frame = material.trials
    if frame.empty:
        return "no trials"
    words = [
        several(len(frame), "trial"),
        several(frame["dataset"].nunique(), "data set"),
        f"seeds {numbers.ranges(frame['seed'])}",
    ]
    machine = mapping(mapping(material.records[frame["position"].iloc[0]].get("environment")).get("machine"))
    cpu, cores = clean(machine.get("cpu") or ""), machine.get("cores")
    if len(material.environments) > 1:
        words.append(f"{len(material.environments)} environments")
    elif cpu:
        words.append(cpu + (f", {cores} cores" if type(cores) is int else ""))
    return " · ".join(words)
