"""The report's sections, from the headline to how to run it again. Every word from outside passes ``markup``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports import DISTRIBUTION, numbers
from reports.arrays import Shelf
from reports.figures.sheets import Sheet
from reports.sections import equality as trial_equality
from reports.sections import protocols, published, ranks
from reports.sections import quality as detection
from reports.sections.columns import cell, heading, sides, varying
from reports.sections.headline import headline
from reports.sections.quality import distinct, listed
from reports.sections.runs import section as sides_section
from reports.sections.speed import section as throughput_section
from reports.surveys import held, mapping
from reports.tables import different, failures
from reports.tables.frames import rows
from reports.writers.escape import code, contents, escape, fenced, folded, listing, table

Records = Sequence[Mapping[str, Any]]


def render(
    trials: pd.DataFrame,
    quality: pd.DataFrame,
    throughput: pd.DataFrame,
    records: Records,
    figures: Sequence[Sheet],
    warnings: Sequence[str],
    shelf: Shelf | None = None,
) -> str:
    """The whole report as Markdown, but for its figures: ``figures.placed`` brings them in."""
    suites = [code(suite) for suite in trials["suite"].drop_duplicates() if suite]
    equalities = trial_equality.equalities(trials, records)
    opening = [
        f"# Benchmark report{': ' + listing(suites) if suites else ''}",
        *_alerts(trials, [*trial_equality.alerts(equalities), *map(escape, warnings)]),
        headline(trials, quality, throughput),
    ]
    sections = [
        *detection.section(trials, quality, records, figures, shelf or Shelf(None)),
        *ranks.section(ranks.ranks(quality), {f.environment: f.image for f in figures if f.name.endswith("ranks.svg")}),
        *protocols.section(quality),
        *published.section(trials, records),
        *sides_section(quality, throughput),
        *throughput_section(trials, throughput, records, figures),
        *trial_equality.section(equalities),
        *_failures(trials),
    ]
    if not trials.empty:
        sections += [*_environment(trials, records), *_reproduce(trials, records), _MEANING]
    return "\n\n".join([*opening, *_contents(sections), *sections]) + "\n"


def _contents(sections: Sequence[str]) -> list[str]:
    """A table of contents where the report is long."""
    links = contents(sections)
    lines = links.count("\n") + 1
    return [folded("Contents", [links])] if lines >= _LONG else []


_LONG = 12
"""Headings from which on a report has a table of contents."""


def _label(environment: str) -> str:
    return f" · environment {environment}" if environment else ""


# ---------------------------------------------------------------------------------------------------------- warnings


def _alerts(trials: pd.DataFrame, more: Iterable[str]) -> list[str]:
    """One block of everything a reader has to know first; ``more`` is Markdown already."""
    lines = []
    labels = [label for label in trials["environment"].drop_duplicates() if label]
    runs = trials.loc[trials["run"] != "", ["environment", "run"]].drop_duplicates()
    if len(runs) > 1:
        told = listing([f"{label} is {code(run)}" for label, run in runs.itertuples(index=False, name=None)], 26)
        lines.append(
            f"**{len(runs)} runs side by side: {told}.** They are never averaged; differences between them are "
            "differences of machines, devices or versions too. [Environment](#environment) tells them apart."
        )
    elif labels:
        lines.append(
            f"**These records come from {len(labels)} different environments ({listing(labels)}).** They are shown "
            "apart and never averaged; differences between them are differences of machines or versions too. "
            "[Environment](#environment) tells them apart."
        )
    known = trials[trials["checksum"] != ""]
    changed = known.groupby(["dataset", "seed"])["checksum"].nunique()
    for dataset, seed, count in changed[changed > 1].reset_index().itertuples(index=False, name=None):
        lines.append(f"The rows of {code(dataset)} with seed {seed:.0f} changed between trials: {count} checksums.")
    lines += more
    return ["> [!WARNING]\n" + "\n>\n".join(f"> {line}" for line in lines)] if lines else []


# ---------------------------------------------------------------------------------------------------------- failures


def _failures(trials: pd.DataFrame) -> list[str]:
    failed = failures(trials)
    if failed.empty:
        return []
    columns = varying(rows(failed), ("environment", "threads", "arithmetic", "batch", "variant"))
    body = [
        [
            *(cell(row, key) for key in ("dataset", "detector", "backend", "mode", "device", *columns)),
            numbers.ranges(row["seeds"]),
            f"{row['trials']}",
            code(row["status"]),
            escape(row["reason"]) or numbers.MISSING,
        ]
        for row in rows(failed)
    ]
    header = ["data set", "detector", "backend", "mode", "device", *map(heading, columns)]
    header += ["seeds", "trials", "status", "reason"]
    return ["## Failed and skipped trials", table(header, body, "l" * 5 + sides(columns) + "lrll")]


# ------------------------------------------------------------------------------------------- environment, reproduction


def _environment(trials: pd.DataFrame, records: Records) -> list[str]:
    """One column for each environment; where they differ, the row says so."""
    columns: dict[str, dict[str, str]] = {}
    for row in rows(trials.drop_duplicates(["environment", "backend"])):
        found = columns.setdefault(row["environment"], {"run": code(row["run"])} if row["run"] else {})
        found.setdefault("environment hash", code(row["environment_hash"][:12]))
        environment = mapping(held(records[row["position"]], "environment"))
        parts = {
            "": {key: environment.get(key) for key in (DISTRIBUTION, "revision")},
            "machine ": mapping(environment.get("machine")),
            "package ": mapping(environment.get("packages")),
            f"{row['backend'] or 'classical'} reports ": mapping(environment.get("backend")),
        }
        for prefix, values in parts.items():
            for key, value in values.items():
                if value is not None:
                    found.setdefault(prefix + str(key).removesuffix("_bytes"), _environment_value(str(key), value))
    keys = dict.fromkeys(key for found in columns.values() for key in found)
    body = []
    for key in keys:
        cells = [found.get(key, numbers.MISSING) for found in columns.values()]
        body.append([escape(key), *cells, *(["≠" if len(set(cells)) > 1 else "="] if len(columns) > 1 else [])])
    header = ["", *(label or "value" for label in columns), *(["same"] if len(columns) > 1 else [])]
    return ["## Environment", table(header, body, "l" * len(header))]


def _environment_value(key: str, value: object) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, Mapping):
        return escape(", ".join(f"{k} {v}" for k, v in value.items() if v is not None)) or numbers.MISSING
    return escape(value) or numbers.MISSING


def _reproduce(trials: pd.DataFrame, records: Records) -> list[str]:
    firsts = [records[i] for i in trials.drop_duplicates(["environment", "dataset", "detector", "backend"])["position"]]
    commands, started = different(records, "command"), sorted(different(records, "started"))
    revisions = distinct(mapping(held(record, "environment")).get("revision") for record in firsts)
    versions = distinct(mapping(held(record, "environment")).get(DISTRIBUTION) for record in firsts)
    said = [
        f"{DISTRIBUTION} {escape(', '.join(versions)) or 'of unknown version'}",
        f"revision {escape(', '.join(revisions))}" if revisions else "",
        f"seeds {numbers.ranges(trials['seed'].unique())}",
        f"{trials['round'].nunique()} round{'s' if trials['round'].nunique() > 1 else ''}",
        f"first trial started {escape(started[0])}" if started else "",
    ]
    parts = ["## How to reproduce", f"{'; '.join(filter(None, said))}."]
    if commands:
        parts.append(fenced(commands))
    known = trials[trials["checksum"] != ""]
    if not known.empty:
        seeds = known.groupby(["dataset", "checksum"], sort=True)["seed"].unique().reset_index()
        body = [[code(r["dataset"]), numbers.ranges(r["seed"]), code(r["checksum"][:16])] for r in rows(seeds)]
        parts += [
            "The checksum covers all arrays of a data set as its seed splits them.",
            table(["data set", "seeds", "checksum"], body, "lll"),
        ]
    files = {
        (str(f.get("name")), str(f.get("sha256")))
        for record in firsts
        for f in map(mapping, listed(mapping(held(record, "data")).get("files")))
        if f
    }
    if files:
        parts.append(table(["file read", "SHA-256"], [[code(n), code(s)] for n, s in sorted(files)], "ll"))
    return parts


_MEANING = """\
## What the numbers mean and do not

- ROC AUC and AP judge the ranking of the test rows; F1, precision and recall judge one threshold, which is set \
without test labels unless marked as oracle.
- An interval that overlaps another does not show that two detectors are equal, only that these trials cannot tell \
them apart. Overlap is a cautious test: all detectors see the same test rows, which a paired comparison would use.
- Many data sets and detectors mean many comparisons; a few of the differences shown here may be luck.
- Throughput holds for this machine, these sizes of network and batch, and these versions; a larger network may turn \
the order of the backends around.
- The backends are written to be the same model from the same initial weights; what was proved of it, with the same \
batches and noise in each, stands under Equality. Trials with `random_source=native` draw their own, so scores differ \
as between seeds: quality should agree within that, and a gap beyond it is a fault to look for, not a merit of a \
framework."""
