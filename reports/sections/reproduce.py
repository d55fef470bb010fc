"""How to run it again: commands, versions, and what the data were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports import DISTRIBUTION, numbers
from reports.blocks import Block, Column, Commands, Prose, Section, code, several, table, words
from reports.sections.quality import distinct, listed
from reports.surveys import mapping
from reports.tables import different
from reports.tables.frames import rows, split
from reports.tables.material import Material

MOST_COMMANDS = 20
MOST_REASONS = 3
"""Why trials were trained without lanes: the first ones."""


def section(material: Material) -> list[Section]:
    trials, records = material.trials, material.records
    if trials.empty:
        return []
    firsts = [records[i] for i in trials.drop_duplicates(["environment", "dataset", "detector", "backend"])["position"]]
    started = sorted(different(records, "started"))
    environments = [mapping(record.get("environment")) for record in firsts]
    revisions = distinct(environment.get("revision") for environment in environments)
    versions = distinct(environment.get(DISTRIBUTION) for environment in environments)
    said = [
        f"{DISTRIBUTION} {words(', '.join(versions)) or 'of unknown version'}",
        f"revision {words(', '.join(revisions))}" if revisions else "",
        f"seeds {numbers.ranges(trials['seed'].unique())}",
        several(trials["round"].nunique(), "round"),
        f"first trial started {words(started[0])}" if started else "",
    ]
    blocks: list[Block] = [Prose(f"{'; '.join(filter(None, said))}."), *_shared(trials)]
    blocks += _commands(different(records, "command"))
    return [Section("reproduce", "How to reproduce", [*blocks, *_data(material), *_files(firsts)], "Reproduce")]


def _shared(trials: pd.DataFrame) -> list[Block]:
    """How trials that were not timed were made, where they were not all by themselves."""
    quality = trials[~trials["timed"]]
    lanes = quality[quality["lanes"] > 0]
    if lanes.empty and not (quality["before"] > 0).any():
        return []
    count = quality["process"].nunique()
    said = [f"{len(quality):,} trials that were not timed ran in {count:,} process{'es' * (count > 1)}."]
    if not lanes.empty:
        most = int(lanes["lanes"].max())
        said.append(f"{len(lanes):,} of them were trained in lanes of one program, up to {most} together.")
    for (backend,), part in split(quality[quality["alone"] != ""], ["backend"]):
        reasons = "; ".join(part["alone"].unique()[:MOST_REASONS])
        said.append(f"{words(backend)} trained {len(part):,} without lanes: {words(reasons)}.")
    return [Prose(" ".join(said))]


def _commands(commands: list[str]) -> list[Block]:
    if not commands:
        return []
    left_out = len(commands) - MOST_COMMANDS
    more = [Prose(f"{left_out:,} more commands are not shown.")] if left_out > 0 else []
    return [Commands(commands[:MOST_COMMANDS]), *more]


def _data(material: Material) -> list[Block]:
    known = material.trials[material.trials["checksum"] != ""]
    if known.empty:
        return []
    seeds = known.groupby(["reference", "checksum"], sort=True)["seed"].unique().reset_index()
    columns = [
        Column("data set", lambda row: code(row["reference"]), "name"),
        Column("seeds", lambda row: numbers.ranges(row["seed"]), "text"),
        Column("checksum", lambda row: code(row["checksum"][:16]), "text"),
    ]
    said = "The checksum covers all arrays of a data set as its seed splits them."
    return [Prose(said), table("Checksums of the data", columns, rows(seeds))]


def _files(records: Sequence[Mapping[str, Any]]) -> list[Block]:
    files: set[tuple[str, str]] = set()
    for record in records:
        listed_files = map(mapping, listed(mapping(record.get("data")).get("files")))
        files |= {(str(file.get("name")), str(file.get("sha256"))) for file in listed_files if file}
    if not files:
        return []
    columns = [
        Column("file read", lambda file: code(file[0]), "name"),
        Column("SHA-256", lambda file: code(file[1]), "text"),
    ]
    return [table("Files read", columns, sorted(files))]
