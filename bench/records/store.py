"""The store: append-only JSON lines, one record per trial, written through to the disk before the next trial starts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from bench.records.metrics import SHARES, is_share
from bench.records.record import REQUIRED, SCHEMA, Record

FILE = "records.jsonl"
LONGEST = 16 * 2**20
"""Bytes of a line; a longer one is no record."""
_PIECE = 2**20
_WELL_FORMED = msgspec.json.Decoder(msgspec.Raw)
_DIGITS = 4000
"""Of a whole number: Python reads no longer ones."""

Key = tuple[str, int, int]


class RecordsError(ValueError):
    """A results directory that cannot be used; the message is one line."""


def read(directory: Path) -> tuple[list[Record], list[str]]:
    """All records of a results directory, in the order they were written, and a warning for each line that is none.

    A line is left out, with a warning, when it is not JSON, was torn by a killed run, has another schema version, or
    has a share that is none: an ROC AUC of 1.7 is no measurement.

    Raises
    ------
    RecordsError
        There is no records file.
    """
    records: list[Record] = []
    warnings: list[str] = []
    with opened(directory) as file:
        for number, line in enumerate(_lines(file), start=1):
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


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines; of one that is longer than any record only the beginning, which is none either."""
    while line := file.readline(LONGEST):
        yield line
        if not line.endswith(b"\n"):
            past_line(file, 2**63)


def past_line(file: BinaryIO, stop: int) -> int:
    """Goes on to the end of the line that the file stands in, or to where it stops, and tells where that is."""
    while (piece := file.readline(min(_PIECE, stop - file.tell()))) and not piece.endswith(b"\n"):
        continue
    return file.tell()


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
        if not isinstance(record.get(name), kind) or isinstance(record[name], bool):  # to Python true is a number
            return f"no usable {name!r}"
    metrics, intervals = (
        found if isinstance(found := record.get(key), dict) else {} for key in ("metrics", "intervals")
    )
    for name in SHARES:
        if not is_share(metrics.get(name)):
            return f"{name} {metrics[name]!s:.20}, which lies between 0 and 1,"
        bounds = intervals.get(name)
        if isinstance(bounds, list) and not all(map(is_share, bounds)):
            return f"an interval of {name}, which lies between 0 and 1, beyond these"
    return ""


def append(directory: Path, record: Record) -> tuple[int, int]:
    """Adds one record and returns, when it is on the disk, from which byte to which it stands there.

    A line that a killed run left torn is cut off first; one that lacks nothing but its end gets it, since whoever read
    the file has taken it for a record.
    """
    directory.mkdir(parents=True, exist_ok=True)
    line = msgspec.json.encode(record) + b"\n"
    with (directory / FILE).open("ab+", buffering=0) as file:
        _mend_last_line(file)
        start = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(line):
                written += file.write(line[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(file.fileno(), start)  # the disk is full: half a line is no record
            raise
        os.fsync(file.fileno())
    return start, start + len(line)


def key(record: Record) -> Key:
    """Which trial of a plan a record is of, in whatever environment."""
    return record["scenario_hash"], record["seed"], record["round"]


def latest(records: Iterable[Record]) -> list[Record]:
    """One record per trial and environment, the last one written: a skipped trial may have run later. First come,
    first listed."""
    return list({(record["environment_hash"], *key(record)): record for record in records}.values())


def _mend_last_line(file: FileIO) -> None:
    """Leaves the file at the end of a whole line."""
    size = file.seek(0, os.SEEK_END)
    position = size
    end = 0  # of the last line that has one
    while position > 0:
        step = min(4096, position)
        position = file.seek(position - step)
        newline = file.read(step).rfind(b"\n")
        if newline >= 0:
            end = position + newline + 1
            break
    if end == size:
        return
    file.seek(end)
    if size - end < LONGEST and isinstance(checked(file.read()), dict):
        file.write(b"\n")
    else:
        file.truncate(end)
