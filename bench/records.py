"""The store: append-only JSON lines, one record a trial, written through to the disk before the next trial starts."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import msgspec

SCHEMA = 1
FILE = "records.jsonl"
REQUIRED = {
    "dataset": str,
    "detector": str,
    "scenario_hash": str,
    "environment_hash": str,
    "seed": int,
    "round": int,
    "status": str,
}

Record = dict[str, Any]
Key = tuple[str, int, int]


class RecordsError(ValueError):
    """A results directory that cannot be used; the message is one line."""


def read(directory: Path) -> tuple[list[Record], list[str]]:
    """All records of a results directory, in the order they were written, and a warning a line that is not one.

    A line is left out, with a warning, when it is not JSON, was torn by a killed run, or has another schema version.

    Raises
    ------
    RecordsError
        There is no records file.
    """
    records: list[Record] = []
    warnings: list[str] = []
    with _opened(directory) as lines:
        for number, line in enumerate(lines, start=1):
            _keep(number, line, records, warnings)
    return records, warnings


def read_for_report(directory: Path) -> tuple[list[Record], list[str]]:
    """What ``read`` returns, several times as fast: a large value stays JSON, a ``msgspec.Raw``, for who needs it.

    Of keys that no report asks for the records have none.

    Raises
    ------
    RecordsError
        There is no records file.
    """
    records: list[Record] = []
    warnings: list[str] = []
    decoder = msgspec.json.Decoder(_STORED)
    with _opened(directory) as file:
        blocks = list(_blocks(file))
    before = counted = 0
    for place, block in enumerate(blocks):
        try:
            stored: list[Any] = decoder.decode_lines(block)
        except (msgspec.DecodeError, UnicodeDecodeError):
            stored = []
        if stored and not any(map(_fault, stored)):
            records += stored
            continue
        before += sum(bytes(earlier).count(b"\n") for earlier in blocks[counted:place])
        counted = place
        for number, line in enumerate(io.BytesIO(block), start=before + 1):
            _keep(number, line, records, warnings)
    return records, warnings


def _opened(directory: Path) -> BinaryIO:
    path = directory / FILE
    if not path.is_file():
        raise RecordsError(f"{directory}: no {FILE} here; 'bench run SUITE --out {directory}' would make one")
    return path.open("rb")


def _blocks(file: BinaryIO) -> Iterator[memoryview]:
    """The file in pieces of whole lines, without a copy: they stay as long as what is decoded later needs them."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        return
    content = mmap(file.fileno(), size, access=ACCESS_READ)
    start = 0
    while start < size:
        end = content.rfind(b"\n", start, start + _BLOCK_BYTES) + 1 or content.find(b"\n", start) + 1 or size
        yield memoryview(content)[start:end]
        start = end


def _keep(number: int, line: bytes, records: list[Record], warnings: list[str]) -> None:
    """Adds what a line holds to the records, or to the warnings why it is none of them."""
    if not line.strip():
        return
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        warnings.append(f"line {number} of {FILE} is not a whole JSON object and was left out")
        return
    if fault := _fault(record):
        warnings.append(f"line {number} of {FILE} has {fault} and was left out")
    else:
        records.append(record)


def _fault(record: object) -> str:
    """What makes a decoded line none of this version's records; empty where nothing does."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else None
        return f"schema {found!r}, not {SCHEMA},"
    for name, kind in REQUIRED.items():
        if not isinstance(record.get(name), kind):
            return f"no usable {name!r}"
    return ""


_LARGE = (
    *("data", "settings", "environment", "equality", "limits", "disturbance", "peer"),
    *("roc_curve", "histogram", "confusion", "loss", "validation_loss", "phases"),
    *("thresholds", "other_scores", "top_anomalies", "published"),
)
_SMALL = (
    *("schema", "suite", "dataset", "detector", "backend", "mode", "device", "precision", "threads", "seed", "round"),
    *("scenario_hash", "environment_hash", "status", "reason", "metrics", "intervals", "marks", "timed", "oracle"),
    *("threshold_rule", "score", "collapsed", "active_units", "notes", "best_epoch", "command", "started"),
    *("train_rows_per_sample", "score_rows_per_sample", "import_memory_bytes", "protocol", "arrays"),
)


class _Samples(TypedDict, total=False):
    train: Any
    score: Any


_KINDS: dict[str, Any] = {"samples": _Samples | None} | dict.fromkeys(_SMALL, Any) | dict.fromkeys(_LARGE, msgspec.Raw)
_STORED = TypedDict("_STORED", _KINDS, total=False)  # type: ignore[misc]
_BLOCK_BYTES = 16 * 2**20


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
    """What makes two records records of the same trial."""
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
    """One record a trial, the last one written: a skipped trial may have run later. First come, first listed."""
    return list({key(record): record for record in records}.values())


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
