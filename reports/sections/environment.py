"""What the records say of machine, packages and frameworks, with a column for each environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import DISTRIBUTION, numbers
from reports.blocks import Block, Column, Prose, Section, code, table, words
from reports.surveys import mapping
from reports.tables.frames import Row, rows
from reports.tables.material import Material

MOST_ENVIRONMENTS = 12
"""Columns, the first ones."""


def section(material: Material) -> list[Section]:
    if material.trials.empty:
        return []
    firsts = rows(material.trials.drop_duplicates(["environment", "backend"]))
    found: dict[str, dict[str, str]] = {}
    for row in firsts:
        _describe(row, mapping(material.records[row["position"]].get("environment")), found)
    shown = dict(list(found.items())[:MOST_ENVIRONMENTS])
    keys: dict[str, None] = {}
    for own in shown.values():
        keys |= dict.fromkeys(own)
    columns = [Column("", words, "name"), *(_column(label, own) for label, own in shown.items())]
    if len(shown) > 1:
        columns.append(Column("same", lambda key: _same(key, list(shown.values())), "text"))
    blocks: list[Block] = [table("Environment", columns, keys)]
    if hidden := len(found) - len(shown):
        blocks.append(Prose(f"{hidden} more environments are not shown."))
    return [Section("environment", "Environment", blocks)]


def _column(label: str, own: Mapping[str, str]) -> Column:
    return Column(label or "value", lambda key: own.get(key, numbers.MISSING), "text")


def _same(key: str, found: list[dict[str, str]]) -> str:
    return "≠" if len({own.get(key) for own in found}) > 1 else "="


def _describe(row: Row, environment: Mapping[str, Any], found: dict[str, dict[str, str]]) -> None:
    """Adds what one record tells of its environment to what is known of it."""
    own = found.setdefault(row["environment"], {"run": code(row["run"])} if row["run"] else {})
    own.setdefault("environment hash", code(row["environment_hash"][:12]))
    parts = {
        "": {key: environment.get(key) for key in (DISTRIBUTION, "revision")},
        "machine ": mapping(environment.get("machine")),
        "package ": mapping(environment.get("packages")),
        f"{row['backend'] or 'classical'} reports ": mapping(environment.get("backend")),
    }
    for prefix, values in parts.items():
        for key, value in values.items():
            if value is not None:
                own.setdefault(prefix + str(key).removesuffix("_bytes"), _value(str(key), value))


def _value(key: str, value: object) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, Mapping):
        return words(", ".join(f"{k} {v}" for k, v in value.items() if v is not None)) or numbers.MISSING
    return words(value) or numbers.MISSING
