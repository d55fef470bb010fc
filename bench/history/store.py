"""The directory: one file a run, named by its date and its content, so that two branches never write the same file
unless it is the same run, and git merges them without a conflict."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.history.entry import SCHEMA, Entry, Point, Run
from datasets.storage import replace

MOST_BYTES = 16 * 2**20
"""A file of the history holds medians; one beyond this is something else."""

_NAME = re.compile(r"\d{8}T\d{6}Z-([0-9a-f]{12})\.jsonl")
_MERGE = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")


class HistoryError(ValueError):
    """A history, or something to be added to one, that cannot be used; the message is one line."""


def add(directory: Path, entry: Entry) -> Path | None:
    """Writes a run as a file of its own and returns its path; None where the same run is there already.

    Raises
    ------
    HistoryError
        ``directory`` is something else than a directory, or the file cannot be written there.
    """
    if directory.exists() and not directory.is_dir():
        raise HistoryError(f"{directory}: not a directory, so no history can be kept there")
    encoder = msgspec.json.Encoder(order="deterministic")
    content = b"".join(encoder.encode(line) + b"\n" for line in (entry.run, *entry.points))
    path = directory / f"{entry.run.date:%Y%m%dT%H%M%SZ}-{_digest(content)}.jsonl"
    if path.exists():
        return None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        replace(path, content)
    except OSError as error:
        raise HistoryError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def later(directory: Path, entry: Entry) -> list[datetime]:
    """The dates of the runs that are newer than this one, the newest last, by the names of their files."""
    names = (path.name[:16] for path in directory.glob("*.jsonl") if _NAME.fullmatch(path.name))
    dates = sorted(datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for name in names)
    return [date for date in dates if date > entry.run.date]


def read(directory: Path) -> list[Entry]:
    """All runs, oldest first.

    Raises
    ------
    HistoryError
        No such directory, no run in it, or a file that is no run or no longer what was written.
    """
    if not directory.is_dir():
        what = "not a directory" if directory.exists() else "no such directory"
        raise HistoryError(f"{directory}: {what}; 'bench history add RESULTS --history {directory}' would make one")
    paths = sorted(directory.glob("*.jsonl"))
    if not paths:
        raise HistoryError(f"{directory}: holds no runs; 'bench history add RESULTS --history {directory}' adds one")
    entries = [_read(path) for path in paths]
    return sorted(entries, key=lambda entry: entry.run.date)


def _read(path: Path) -> Entry:
    if not (named := _NAME.fullmatch(path.name)):
        raise HistoryError(f"{path}: not a name that 'bench history add' gives; move the file elsewhere")
    if not path.is_file():
        raise HistoryError(f"{path}: is no file; move it elsewhere")
    if path.stat().st_size > MOST_BYTES:
        raise HistoryError(f"{path}: over {MOST_BYTES >> 20} MiB, which no run of a history needs")
    content = path.read_bytes().replace(b"\r\n", b"\n")
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if line.startswith(_MERGE):
            raise HistoryError(f"{path}, line {number}: left over from a merge; restore the file with git checkout")
    try:
        run = msgspec.json.decode(lines[0], type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path}, line 1: not a run of schema {SCHEMA}: {error}") from None
    points = []
    for number, line in enumerate(lines[1:-1], start=2):
        try:
            points.append(msgspec.json.decode(line, type=Point))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HistoryError(f"{path}, line {number}: not a point of the history: {error}") from None
    if _digest(content) != named[1]:
        raise HistoryError(f"{path}: changed since it was written, or torn; restore the file with git checkout")
    return Entry(run, tuple(points))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
