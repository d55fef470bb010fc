"""How a table tells its rows apart: the settings that vary among them, each a column of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reports.numbers import MISSING
from reports.tables.frames import Row
from reports.writers.escape import code, name

SETTINGS = ("mode", "device", "threads", "arithmetic", "batch", "variant")
_HEADINGS = {"arithmetic": "precision", "variant": "settings", "dataset": "data set"}
_COUNTS = frozenset({"threads", "batch"})


def varying(table: Iterable[Row], keys: Iterable[str] = SETTINGS) -> list[str]:
    """The columns that tell rows apart."""
    found = list(table)
    return [key for key in keys if len({row[key] for row in found}) > 1]


def heading(key: str) -> str:
    return _HEADINGS.get(key, key)


def side(key: str) -> str:
    return "r" if key in _COUNTS else "l"


def sides(keys: Iterable[str]) -> str:
    return "".join(map(side, keys))


def cell(row: Row, key: str) -> str:
    if key in _COUNTS:
        return f"{row[key]:,}" if row[key] else MISSING
    return name(row[key])


def threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def written(row: Row, keys: Iterable[str]) -> str:
    """``tuned · 2 threads · batch 128``: what a table has columns for, as plain text."""
    return " · ".join(_phrase(row, key, str) for key in keys if row[key])


def spoken(row: Row, keys: Iterable[str]) -> list[str]:
    """The same as Markdown, a phrase each."""
    return [_phrase(row, key, code) for key in keys if row[key]]


def _phrase(row: Row, key: str, write: Callable[[object], str]) -> str:
    if key == "threads":
        return threads(row[key])
    return f"batch {row[key]:,}" if key == "batch" else write(row[key])
