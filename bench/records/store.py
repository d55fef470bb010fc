"""The store: append-only JSON lines, one record per trial, written through to the disk before the next trial starts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from bench.records.record import REQUIRED, SCHEMA, Record

FILE = "records.jsonl"
_WELL_FORMED = msgspec.json.Decoder(msgspec.Raw)
_DIGITS = 4000
"""Of a whole number: Python reads no longer ones."""

Key = tuple[str, int, int]


class RecordsError(ValueError):
    """A results directory that cannot be used; the message is one line."""


def read(directory: Path) -> tuple[list[Record], list[str]]:
    """All records of a results directory, in the order they were written, and a warning for each line that is none.

    A line is left out, with a warning, when it is not JSON, was torn by a killed run, or has another schema version.

    Raises
    ------
    RecordsError
        There is no records file.
    """
    records: list[Record] = []
    warnings: list[str] = []
    with opened(directory) as lines:
        for number, line in enumerate(lines, start=1):
            found = checked(line)
            if isinstance(found, str):
                warnings.append(f"line {number} of {FILE} {found}")
            elif found:
                records.append(found)
    return records, warnings


def opened(directory: Path) -> BinaryIO:
    path = directory / FILE
    if not path.is_file():
        raise RecordsError(f"{directory}: no {FILE} here; 'bench run SUITE --out {directory}' would make one")
    return path.open("rb")


def checked(line: bytes) -> Record | str | None:
    """The record that a line holds, or why it holds none, or None for an empty one."""
    if not line.strip():
        return None
    try:
        record = _decoded(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: nested as deep as Python's own stack
        return "is not a whole JSON object and was left out"
    if found := _fault(record):
        return f"has {found} and was left out"
    return record  # type: ignore[no-any-return]


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except msgspec.ValidationError:  # a number beyond all floats, which Python takes for an infinity
        _WELL_FORMED.decode(line)
        return json.loads(line, parse_int=lambda digits: int(digits) if len(digits) < _DIGITS else float(digits))


def _fault(record: object) -> str:
    """What makes a decoded line none of this version's records; empty where nothing does."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else None
        return f"schema {found!r}, not {SCHEMA},"
    for name, kind in REQUIRED.items():
        if not isinstance(record.get(name), kind):
            return f"no usable {name!r}"
    return ""


def append(directory: Path, record: Record) -> None:
    """Adds one record and returns when it is on the disk. A line that a killed run left torn is cut off first."""
    directory.mkdir(parents=True, exist_ok=True)
    line = msgspec.json.encode(record) + b"\n"
    with (directory / FILE).open("ab+") as file:
        _cut_torn_line(file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def key(record: Record) -> Key:
    """Which trial of a plan a record is of, in whatever environment."""
    return record["scenario_hash"], record["seed"], record["round"]


def finished(records: Iterable[Record], *, timed: bool) -> dict[Key, Record]:
    """The trials that need not run again. A skipped trial never ran, so it is not among them; one that ran for its
    quality alone does not stand in for a timed one."""
    return {
        key(record): record
        for record in records
        if record["status"] != "skipped" and (record.get("timed", True) or not timed)
    }


def latest(records: Iterable[Record]) -> list[Record]:
    """One record per trial and environment, the last one written: a skipped trial may have run later. First come,
    first listed."""
    return list({(record["environment_hash"], *key(record)): record for record in records}.values())


def _cut_torn_line(file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    position = size
    while position > 0:
        step = min(4096, position)
        position = file.seek(position - step)
        newline = file.read(step).rfind(b"\n")
        if newline >= 0:
            file.truncate(position + newline + 1)
            return
    file.truncate(0)
