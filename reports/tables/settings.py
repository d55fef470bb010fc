"""The settings that tell the rows of a table apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reports.tables.frames import Row

SETTINGS = ("mode", "device", "threads", "arithmetic", "batch", "variant")


def varying(table: Iterable[Row], keys: Iterable[str] = SETTINGS) -> list[str]:
    """The columns that tell rows apart."""
    body = list(table)
    return [key for key in keys if len({row[key] for row in body}) > 1]


def networks(table: Iterable[Row]) -> list[Row]:
    """The rows of detectors that a backend runs."""
    return [row for row in table if row["backend"]]


def threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def phrases(row: Row, keys: Iterable[str], write: Callable[[object], str] = str) -> list[str]:
    """``tuned``, ``2 threads``, ``batch 128``: what a table has columns for, in words; ``write`` sets the names."""
    return [_phrase(row, key, write) for key in keys if row[key]]


def told(row: Row, keys: Iterable[str]) -> str:
    """The same in one line: ``tuned · 2 threads · batch 128``."""
    return " · ".join(phrases(row, keys))


def _phrase(row: Row, key: str, write: Callable[[object], str]) -> str:
    if key == "threads":
        return threads(row[key])
    if key == "environment":
        return f"environment {row[key]}"
    return f"batch {row[key]:,}" if key == "batch" else write(row[key])
