"""Records as reports read them: one pass over the file makes columns of all, and each is decoded when it is asked for.

A results directory may hold a hundred thousand records and a gigabyte; a report shows the curves of a few of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Literal, NamedTuple, Required, TypedDict, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.records import store
from bench.records.store import Record
from reports.coded import Coded, Column, joined, taken
from reports.sharing import shared

Columns = dict[str, Column]
Places = NDArray[np.int64]


def read(
    directory: Path,
    columns: Callable[[Iterator[list[Record]]], Columns],
    processes: int = 1,
    meanwhile: Callable[[], None] | None = None,
) -> tuple[Stored, list[str]]:
    """The records of a results directory, and a warning a line that is none: the same as ``store.read`` finds.

    Parameters
    ----------
    directory : Path
    columns : callable
        Makes columns, a row a record, of records that come some at a time; the columns become ``Stored.columns``. Of
        keys that no report asks for these records have none; large values are JSON still, a ``msgspec.Raw``.
    processes : int
        How many read a file that is large.
    meanwhile : callable, optional
        What this process does while others read.

    Raises
    ------
    RecordsError
        There is no records file.
    """
    with store.opened(directory) as file:
        path, size = Path(file.name), os.fstat(file.fileno()).st_size
    content = _mapped(path, size)
    work, spans = partial(_part, path, size, columns), list(_spans(content, 0, size, _SHARE))
    parts = shared(work, spans, processes if size >= _MANY else 1, meanwhile)
    warnings: list[str] = []
    before = 0
    for part in parts:
        warnings += [f"line {before + number} of {store.FILE} {fault}" for number, fault in part.faults]
        before += part.lines
    if not parts:
        return Stored(content, *(np.empty(0, np.int64),) * 2, columns(iter([])), {}), warnings
    starts, ends = (np.concatenate([getattr(part, edge) for part in parts]) for edge in ("starts", "ends"))
    made, kept = (
        {name: joined([getattr(part, which)[name] for part in parts]) for name in getattr(parts[0], which)}
        for which in ("columns", "kept")
    )
    return Stored(content, starts, ends, made, kept), warnings


class Stored(Sequence[Mapping[str, Any]]):
    """Records in a file, each decoded when it is asked for; what is asked of all of them is known without that.

    The file may grow, but what ``read`` found in it has to stay.
    """

    def __init__(
        self, content: mmap | bytes, starts: Places, ends: Places, columns: Columns, kept: Mapping[str, Column]
    ) -> None:
        self._content, self._starts, self._ends = content, starts, ends
        self.columns, self.kept = columns, kept
        """What was made of the records, a row each, and the values of some keys."""

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        if isinstance(place, slice):
            return [_Line(self, one) for one in range(*place.indices(len(self)))]
        return _Line(self, range(len(self))[place])

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (_Line(self, place) for place in range(len(self)))

    def decoded(self, place: int) -> Record:
        line = self._content[self._starts[place] : self._ends[place]]
        try:
            return _LINES.decode(line)
        except msgspec.DecodeError:
            return msgspec.json.decode(line)  # type: ignore[no-any-return]

    def latest(self) -> Stored:
        """As ``store.latest``: of the records of one trial the last one, where the first of them was."""
        if not len(self):
            return self
        key = zip(*(self.kept[name].objects() for name in _KEY), strict=True)  # type: ignore[union-attr]
        places = np.array(list(dict(zip(key, range(len(self)), strict=True)).values()), dtype=np.int64)
        if len(places) == len(self):
            return self
        columns, kept = ({name: taken(c, places) for name, c in found.items()} for found in (self.columns, self.kept))
        return Stored(self._content, self._starts[places], self._ends[places], columns, kept)


class _Line(Mapping[str, Any]):
    """One record."""

    __slots__ = ("_place", "_stored", "_whole")

    def __init__(self, stored: Stored, place: int) -> None:
        self._stored, self._place = stored, place
        self._whole: Record | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """Missing and null are one, as for all who read records."""
        if self._whole is None and (kept := self._stored.kept.get(key)) is not None:
            value = kept[self._place]
            if value is None:
                return default
            if value is not _LATER:
                return [] if value == _EMPTY else msgspec.Raw(value) if type(value) is bytes else value
        return self.whole.get(key, default)

    @property
    def whole(self) -> Record:
        if self._whole is None:
            self._whole = self._stored.decoded(self._place)
        return self._whole

    def __getitem__(self, key: str) -> Any:
        return self.whole[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)

    def __reduce__(self) -> tuple[type[Record], tuple[Record]]:
        return dict, (self.whole,)


# ---------------------------------------------------------------------------------------------------------- one pass


class _Part(NamedTuple):
    """What a piece of the file holds."""

    lines: int
    faults: list[tuple[int, str]]
    """The lines that are no records, counted from 1, and why."""
    starts: Places
    ends: Places
    """Where the records' lines lie in the file."""
    columns: Columns
    kept: dict[str, Coded]


def _mapped(path: Path, size: int) -> mmap | bytes:
    """The file without a copy."""
    if size == 0:
        return b""
    with path.open("rb") as file:
        return mmap(file.fileno(), size, access=ACCESS_READ)


def _spans(content: mmap | bytes, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """Pieces of whole lines."""
    while start < end:
        stop = content.rfind(b"\n", start, min(start + most, end)) + 1 or content.find(b"\n", start, end) + 1 or end
        yield start, stop
        start = stop


class _Survey:
    """What one process finds out of its share of the file."""

    def __init__(self, path: Path, size: int) -> None:
        self.content = _mapped(path, size)
        self.lines = 0
        self.faults: list[tuple[int, str]] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.kept: dict[str, list[Any]] = {key: [] for key in (*_KEY, *_ASKED)}

    def records(self, start: int, end: int) -> Iterator[list[Record]]:
        """Some at a time, which a processor's cache holds."""
        for span in _spans(self.content, start, end, _PIECE):
            found = self._decoded(*span)
            for key, values in self.kept.items():
                values += map(dict.get, found, repeat(key))
            yield found

    def _decoded(self, start: int, end: int) -> list[Record]:
        starts, ends = _lines(self.content, start, end)
        try:
            found = _LINES.decode_lines(memoryview(self.content)[start:end])
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = []
        if len(found) != len(starts):
            checked = [store.checked(self.content[one:other]) for one, other in zip(starts, ends, strict=True)]
            self.faults += [(self.lines + number, one) for number, one in enumerate(checked, 1) if isinstance(one, str)]
            good = [place for place, one in enumerate(checked) if isinstance(one, dict)]
            found = [one for one in checked if isinstance(one, dict)]
            self.lines += len(starts) - len(good)
            starts, ends = ([edge[place] for place in good] for edge in (starts, ends))
        self.lines += len(found)
        self.starts += starts
        self.ends += ends
        return found


def _part(path: Path, size: int, columns: Callable[[Iterator[list[Record]]], Columns], span: tuple[int, int]) -> _Part:
    survey = _Survey(path, size)
    found = survey.records(*span)
    made = columns(found)
    for _ in found:  # what no column was made of
        pass
    starts, ends = np.array(survey.starts, np.int64), np.array(survey.ends, np.int64)
    kept = {key: _kept(values, key) for key, values in survey.kept.items()}
    return _Part(survey.lines, survey.faults, starts, ends, made, kept)


def _lines(content: mmap | bytes, start: int, end: int) -> tuple[list[int], list[int]]:
    starts, ends = [], []
    while start < end:
        starts.append(start)
        start = content.find(b"\n", start, end) + 1 or end
        ends.append(start)
    return starts, ends


def _kept(values: list[Any], key: str) -> Coded:
    """The values themselves where they are short or mostly the same, else that they have to be decoded."""
    kinds = set(map(type, values)) - {type(None)}
    if key in _KEY or kinds <= {str} or kinds <= {int} or kinds <= {float}:
        return Coded.of(values)
    return Coded.of([_short(value, key) for value in values])


def _short(value: Any, key: str) -> Any:
    if value is None or type(value) is str:
        return value
    if type(value) is not msgspec.Raw:
        return _EMPTY if value == [] else _LATER
    text = bytes(value) if key in _ALIKE or len(value) <= len(b"null") else b""
    return None if text == b"null" else _EMPTY if text == b"[]" else text if key in _ALIKE else _LATER


_LATER = ...
_EMPTY = ()
"""What stands for an empty list, which no column of codes can hold."""
_PIECE = 2 * 2**20
"""Bytes decoded at a time: what comes of them stays in the cache until columns have it."""
_SHARE = 32 * 2**20
"""Bytes that a process makes columns of at a time."""
_MANY = 64 * 2**20
"""Bytes from which on a file is read by several processes: below that they take longer to start than they save."""
_KEY = ("scenario_hash", "seed", "round")
_ASKED = (
    *("detector", "backend", "command", "started", "best_epoch", "notes", "arrays", "equality"),
    *("thresholds", "published", "other_scores"),
)
"""Keys that a report asks every record for."""
_ALIKE = ("equality",)
"""Those among them that are large and mostly the same."""
_LARGE = (
    *("data", "settings", "environment", "equality", "limits", "disturbance", "peer"),
    *("roc_curve", "histogram", "confusion", "loss", "validation_loss", "phases"),
    *("thresholds", "other_scores", "top_anomalies", "published", "self_check"),
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


_KINDS: dict[str, Any] = {
    **dict.fromkeys(_SMALL, Any),
    **dict.fromkeys(_LARGE, msgspec.Raw),
    **{name: Required[kind] for name, kind in store.REQUIRED.items()},
    "schema": Required[Literal[store.SCHEMA]],
    "samples": _Samples | None,
}
_STORED = TypedDict("_STORED", _KINDS, total=False)  # type: ignore[misc]
"""What a whole record is; a line that is not may be one still, as ``store.checked`` finds."""
_LINES: msgspec.json.Decoder[Record] = msgspec.json.Decoder(_STORED)
