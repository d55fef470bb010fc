"""Which trials of a results directory have a record, without reading all of them at each start.

Of a hundred thousand records the file is a gigabyte. What a run has to know of each stands in ``.records.index`` beside
it: a copy, which is made anew where it does not fit the file, so that nothing is lost with it. What was appended since
it was written is read from the file itself.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from bench.records import store, view
from bench.records.record import SCHEMA, Record
from datasets.storage import replace

FILE = ".records.index"
EVERY = 1000
"""Records between two copies."""
_TAIL = 4096
"""Bytes before the end of what is covered that tell whether the file is still the same."""
_MOST_BYTES = 2**28


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What a run has to know of a record, and the bytes of the file where it stands."""

    scenario: str
    seed: int
    round: int
    environment: str
    status: str
    timed: bool
    start: int
    end: int

    @property
    def key(self) -> store.Key:
        return self.scenario, self.seed, self.round


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    covered: int
    digest: bytes
    entries: msgspec.Raw
    """Decoded once the digest fits: a disk may lose bytes in the middle of what it has renamed already."""


class Index:
    """The records of a directory, told shortly. It is for one writer at a time, which holds the directory's lock.

    Parameters
    ----------
    directory : Path
        It need not have any records yet.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.entries: list[Entry] = []
        self.covered = self.unsaved = 0
        if (directory / store.FILE).is_file():
            self._load()
            self._go_on()
            if self.unsaved >= EVERY:
                self.save()

    def finished(self, *, timed: bool, failed: bool = True) -> dict[store.Key, Entry]:
        """The trials that need not run again, the last record of each.

        A skipped trial never ran, so it is not among them; one that ran for its quality alone does not stand in for a
        timed one. Without ``failed`` only what ended well is finished.
        """
        last = {entry.key: entry for entry in self.entries if entry.status != "skipped" and (entry.timed or not timed)}
        return last if failed else {key: entry for key, entry in last.items() if entry.status == "ok"}

    def record(self, entry: Entry) -> Record:
        """The whole record, from the file."""
        with store.opened(self.directory) as file:
            found = None
            if 0 <= entry.start < entry.end <= self.covered:  # the copy may be anybody's
                file.seek(entry.start)
                found = store.checked(file.read(entry.end - entry.start))
        if not isinstance(found, dict):
            raise store.RecordsError(f"{self.directory}: {store.FILE} was changed by somebody else")
        return found

    def append(self, record: Record) -> None:
        """As ``store.append``, and the record is known from then on."""
        start, end = store.append(self.directory, record)
        self._add(record, start, end)
        self.covered = end
        if self.unsaved >= EVERY:
            self.save()

    def save(self) -> None:
        """Leaves a copy for the next start; where there is no room for it, that one reads more."""
        entries = msgspec.msgpack.encode(self.entries)
        saved = _Saved(SCHEMA, self.covered, self._digest(self.covered, entries), msgspec.Raw(entries))
        with suppress(OSError):
            replace(self.directory / FILE, msgspec.msgpack.encode(saved))
            self.unsaved = 0

    def _add(self, record: Any, start: int, end: int) -> None:
        timed = record.get("timed", True) is True
        entry = Entry(*store.key(record), record["environment_hash"], record["status"], timed,
                      start, end)  # fmt: skip
        self.entries.append(entry)
        self.unsaved += 1

    def _load(self) -> None:
        path = self.directory / FILE
        try:
            if not path.is_file() or path.stat().st_size > _MOST_BYTES:
                return
            found = msgspec.msgpack.decode(path.read_bytes(), type=_Saved)
            if found.schema != SCHEMA or found.covered <= 0:
                return
            if found.digest == self._digest(found.covered, bytes(found.entries)):
                self.entries, self.covered = msgspec.msgpack.decode(found.entries, type=list[Entry]), found.covered
        except (msgspec.DecodeError, UnicodeDecodeError, OSError, ValueError, OverflowError):
            return

    def _go_on(self) -> None:
        """Reads what stands behind what is covered."""
        decoder = view.lines_decoder({"timed": ()}, ())
        size = (self.directory / store.FILE).stat().st_size
        for batch in view.batches((self.directory, self.covered, size), decoder):
            for record, (_, start, end) in zip(batch.records, batch.places.tolist(), strict=True):
                self._add(record, start, end)
                self.covered = end

    def _digest(self, covered: int, entries: bytes) -> bytes:
        """Of the bytes before a place of the file, and of the entries. Raises ValueError where it is shorter."""
        with store.opened(self.directory) as file:
            if os.fstat(file.fileno()).st_size < covered:
                raise ValueError(f"{store.FILE} is shorter than what was indexed")
            file.seek(max(0, covered - _TAIL))
            return hashlib.sha256(file.read(min(covered, _TAIL)) + entries).digest()
