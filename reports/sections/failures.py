"""What did not end well, and why."""

from __future__ import annotations

from reports import numbers
from reports.blocks import Column, Section, table
from reports.sections.columns import TRIALS, all_named, named, plain_text
from reports.tables import failures
from reports.tables.frames import rows
from reports.tables.material import Material
from reports.tables.settings import varying


def section(material: Material) -> list[Section]:
    """Nothing where every trial ended well."""
    body = rows(failures(material.trials))
    if not body:
        return []
    keys = varying(body, ("environment", "threads", "arithmetic", "batch", "variant"))
    columns = [
        *all_named(("dataset", "detector", "backend", "mode", "device", *keys)),
        Column("seeds", lambda row: numbers.ranges(row["seeds"]), "text"),
        TRIALS,
        named("status"),
        plain_text("reason", "reason"),
    ]
    title = "Failed and skipped trials"
    return [Section("failures", title, [table(title, columns, body)], "Failures")]
