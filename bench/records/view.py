"""Records as reports read them: one pass over the file makes columns of all, and few are then read whole.

A results directory may hold a hundred thousand records and a gigabyte; a report shows the curves of a few of them.
Lines are decoded by the library that the store reads with, so that both agree on every line; it skips what no column is
made of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, repeat
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Required, TypedDict, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.records import store
from bench.records.metrics import ROUNDING, SHARES
from bench.records.record import REQUIRED, SCHEMA, Record
from reports import surveys
from reports.processes import mapped

_PIECE = 2 * 2**20
"""Bytes decoded at a time: what comes of them stays in a processor's cache until columns have it."""
_SHARE = 32 * 2**20
"""Bytes that a process makes columns of at a time."""


Places = NDArray[np.int64]
"""Where records lie, a row each: the number of the file, the line from 1, and the bytes from where to where."""


class View(Sequence[Mapping[str, Any]]):
    """The last record of each trial, in the order in which the trials first came; each is read when it is asked for.

    Attributes
    ----------
    columns : dict of str to array
        What ``reports.surveys`` makes of the records, a value for each.
    """

    def __init__(self, runs: Mapping[str, Path], places: Places, columns: surveys.Columns) -> None:
        self._runs, self._places, self.columns = list(runs.items()), places, columns

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        number, _, start, end = map(int, self._places[place])
        run, directory = self._runs[number]
        with store.opened(directory) as file:
            file.seek(start)
            found = store.checked(file.read(end - start))
        if not isinstance(found, dict):  # the file is no longer what it was
            return {}
        return found | {"run": run} if run else found


def read(runs: Mapping[str, Path], processes: int = 1) -> tuple[View, list[str]]:
    """The last record of each trial of one run or several, and a warning for each line that is none.

    Parameters
    ----------
    runs : mapping of str to Path
        Results directories by the name that their records carry as ``run``; a single run may have an empty one.
    processes : int
        How many read files that are large.

    Raises
    ------
    RecordsError
        A directory has no records file.
    """
    work = [(number, run, share) for number, run in enumerate(runs) for share in shares(runs[run], _SHARE)]
    parts = mapped(_part, [share for _, _, share in work], processes if len(work) > len(runs) else 1)
    warnings: list[str] = []
    places: list[Places] = []
    last: dict[tuple[Any, ...], int] = {}
    lines = dict.fromkeys(runs, 0)
    count = 0
    for (number, run, _), part in zip(work, parts, strict=True):
        last.update(zip(zip(repeat(run), part.trials), range(count, count + len(part.trials)), strict=False))
        count += len(part.trials)
        warnings += [warning(run, lines[run] + line, fault) for line, fault in part.faults]
        lines[run] += part.lines
        places.append(np.insert(part.places, 0, number, axis=1))
        if run:
            part.columns["run"] = np.full(len(part.trials), run, dtype=object)
    kept = np.fromiter(last.values(), np.int64, len(last)) if len(last) < count else slice(None)
    columns = {name: column[kept] for name, column in _joined([part.columns for part in parts]).items()}
    return View(runs, np.concatenate(places)[kept], columns), warnings


class _Part(NamedTuple):
    """What a share of a file holds; lines are counted from its start."""

    columns: surveys.Columns
    places: Places
    trials: list[tuple[Any, ...]]
    faults: list[tuple[int, str]]
    lines: int


Share = tuple[Path, int, int]
"""Whole lines of a directory's file: from which byte, and to which."""


def shares(directory: Path, most: int = 2**62) -> list[Share]:
    """The file as it is now, in shares of about so many bytes; at least one."""
    with store.opened(directory) as file:
        size = os.fstat(file.fileno()).st_size
        edges = [0]
        while edges[-1] < size:
            file.seek(min(edges[-1] + most, size))
            edges.append(store.past_line(file, size))
    return [(directory, start, end) for start, end in pairwise(edges)] or [(directory, 0, 0)]


def _part(share: Share) -> _Part:
    decoder = lines_decoder(surveys.READ, surveys.LARGE)
    columns: list[surveys.Columns] = [surveys.columns([]) | surveys.asked([])]
    places: list[Places] = [np.empty((0, 3), np.int64)]
    trials: list[tuple[Any, ...]] = []
    faults: list[tuple[int, str]] = []
    lines = 0
    for batch in batches(share, decoder):
        columns.append(surveys.columns(batch.records) | surveys.asked(batch.records))
        places.append(batch.places)
        trials += trials_of(batch.records)
        faults += batch.faults
        lines = batch.lines
    return _Part(_joined(columns), np.concatenate(places), trials, faults, lines)


def _joined(parts: Sequence[surveys.Columns]) -> surveys.Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def warning(run: str, line: int, fault: str) -> str:
    return f"{run}: " * bool(run) + f"line {line} of {store.FILE} {fault}"


def trials_of(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What makes two records of a run records of the same trial, as for ``store.latest``."""
    keys = ("environment_hash", "scenario_hash", "seed", "round")
    return zip(*([record[key] for record in records] for key in keys), strict=True)


def lines_decoder(read: Mapping[str, Sequence[str]], raw: Sequence[str]) -> msgspec.json.Decoder[Record]:
    """Decodes a line to some of its keys, and some keys inside those that name any; of others only the form is read.

    ``raw`` ones stay JSON. It takes no line that is not surely a record: ``store.checked`` has the last word.
    """
    checked: dict[str, dict[str, Any]] = {
        "metrics": dict.fromkeys(SHARES, _Share),
        "intervals": dict.fromkeys(SHARES, list[_Share] | None),
    }
    kinds: dict[str, Any] = {
        **{key: _object(key, inner) if inner else Any for key, inner in read.items()},
        **{key: _object(key, read.get(key, ()), shares) for key, shares in checked.items()},
        **dict.fromkeys(raw, msgspec.Raw),
        **{key: Required[kind] for key, kind in REQUIRED.items()},
        "schema": Required[Literal[SCHEMA]],
    }
    return msgspec.json.Decoder(TypedDict("Line", kinds, total=False))  # type: ignore[operator]


def _object(key: str, inner: Sequence[str], kinds: Mapping[str, Any] = MappingProxyType({})) -> Any:
    return TypedDict(key, {**dict.fromkeys(inner, Any), **kinds}, total=False) | None  # type: ignore[operator]


_Share = Annotated[float, msgspec.Meta(ge=-ROUNDING, le=1 + ROUNDING)] | None
_INTERVALS = msgspec.json.Decoder(_object("intervals", (), dict.fromkeys(SHARES, list[_Share] | None)))
"""Of records whose intervals stay JSON."""


class Batch(NamedTuple):
    """Some records, the places of their lines, the lines that hold none and why, and the lines so far."""

    records: list[Record]
    places: Places
    faults: list[tuple[int, str]]
    lines: int


def batches(share: Share, decoder: msgspec.json.Decoder[Record]) -> Iterator[Batch]:
    """The records of a share some at a time. What is written to the file meanwhile is not read."""
    directory, position, stop = share
    count = 0
    with store.opened(directory) as file:
        file.seek(position)
        while piece := file.read(min(_PIECE, stop - position)):
            piece += file.readline(min(stop - position - len(piece), store.LONGEST))
            more = 0
            if not piece.endswith(b"\n") and position + len(piece) < stop:
                more = store.past_line(file, stop) - position - len(piece)  # no record is as long: what is cut is none
            ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n"))
            if not piece.endswith(b"\n"):
                ends = np.append(ends, len(piece))
            starts = np.concatenate([[0], ends[:-1] + 1])
            lines = np.arange(count + 1, count + 1 + len(ends))
            places = np.stack([lines, position + starts, position + ends], axis=1)
            faults: list[tuple[int, str]] = []
            records = _decoded(decoder, piece, len(ends))
            if records is None:
                found = [_one(decoder, piece[start:end]) for start, end in zip(starts, ends, strict=True)]
                records = [one for one in found if isinstance(one, dict)]
                places = places[[isinstance(one, dict) for one in found]]
                faults = [(int(line), one) for line, one in zip(lines, found, strict=True) if isinstance(one, str)]
            count += len(ends)
            position += len(piece) + more
            yield Batch(records, places, faults, count)


def _decoded(decoder: msgspec.json.Decoder[Record], piece: bytes, lines: int) -> list[Record] | None:
    """The records of so many lines, or None where a line is none."""
    try:
        str(piece, "utf-8")  # the decoder looks into no text that it skips
        found = decoder.decode_lines(piece)
        _INTERVALS.decode_lines(
            b"\n".join(one["intervals"] for one in found if type(one.get("intervals")) is msgspec.Raw)
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if len(found) == lines else None


def _one(decoder: msgspec.json.Decoder[Record], line: bytes) -> Record | str | None:
    """The record that a line holds, or why it holds none, or None for an empty one."""
    found = _decoded(decoder, line, 1)
    return found[0] if found else store.checked(line)
