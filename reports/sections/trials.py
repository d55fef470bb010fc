"""Every trial, with the time that each of its phases took."""

from __future__ import annotations

from reports import numbers
from reports.blocks import Block, Cell, Column, Fold, Prose, Section, Table, clean, table
from reports.sections.columns import all_named, number
from reports.surveys import mapping
from reports.surveys import number as finite
from reports.tables.frames import Row, rows
from reports.tables.material import Material
from reports.tables.settings import networks, varying

MOST_TRIALS = 3_000
"""The latest ones."""
PHASES = ("import", "data", "build", "compile", "warmup", "train", "score", "latency")
"""Phases in the order in which a trial goes through them; others follow."""


def section(material: Material) -> list[Section]:
    if material.trials.empty:
        return []
    left_out = len(material.trials) - MOST_TRIALS
    said = "One line per trial, with the seconds that each of its phases took."
    if left_out > 0:
        said += f" The latest {MOST_TRIALS:,}; {left_out:,} earlier ones are left out."
    blocks: list[Block] = [Prose(said), _table(material)]
    return [Section("trials", "Every trial", [Fold("Every trial", blocks)], "Trials")]


def _table(material: Material) -> Table:
    body = rows(material.trials.iloc[-MOST_TRIALS:])
    known: dict[str, None] = {}
    for row in body:
        row["phases"] = _phases(mapping(material.records[row["position"]].get("phases")))
        known |= dict.fromkeys(row["phases"])
    phases = sorted(known, key=lambda name: PHASES.index(name) if name in PHASES else len(PHASES))
    keys = [*varying(body, ["environment"]), *varying(networks(body)), *varying(body, ["status"])]

    def seconds(row: Row) -> Cell:
        if not row["phases"]:
            return Cell(numbers.MISSING)
        parts = tuple(float(f"{row['phases'].get(name, 0.0):.3g}") for name in phases)
        total = sum(row["phases"].values())
        return Cell(numbers.seconds(total), total, parts=parts)

    columns = [
        *all_named(("dataset", "detector", "backend", *keys)),
        *(number(key, key, "{:.0f}".format) for key in ("seed", *varying(body, ["round"]))),
        number("ROC AUC", "roc_auc", lambda value: numbers.fixed(value, 4)),
        number("train samples/s", "train", numbers.si),
        Column("seconds by phase", seconds, "phases"),
    ]
    return table("Every trial", columns, body, phases)


def _phases(found: dict[str, object]) -> dict[str, float]:
    known = {clean(name): finite(seconds) for name, seconds in found.items()}
    return {name: seconds for name, seconds in known.items() if seconds >= 0}
