"""Records as reports read them: one pass over the file makes columns of all, and few are then read whole.

A results directory may hold a hundred thousand records and a gigabyte; a report shows the curves of a few of them.
Lines are decoded by the library that the store reads with, so that both agree on every line; it skips what no column is
made of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, Required, TypedDict, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.records import store
from bench.records.record import REQUIRED, SCHEMA, Record
from reports import surveys

_PIECE = 2 * 2**20
"""Bytes decoded at a time: what comes of them stays in a processor's cache until columns have it."""


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


def read(runs: Mapping[str, Path]) -> tuple[View, list[str]]:
    """The last record of each trial of one run or several, and a warning for each line that is none.

    Parameters
    ----------
    runs : mapping of str to Path
        Results directories by the name that their records carry as ``run``; a single run may have an empty one.

    Raises
    ------
    RecordsError
        A directory has no records file.
    """
    decoder = lines_decoder(surveys.READ, surveys.LARGE)
    warnings: list[str] = []
    parts: list[surveys.Columns] = [surveys.columns([]) | surveys.asked([])]
    places: list[Places] = [np.empty((0, 4), np.int64)]
    last: dict[tuple[Any, ...], int] = {}
    count = 0
    for number, (run, directory) in enumerate(runs.items()):
        for records, where in batches(directory, decoder, run, warnings):
            last.update(zip(trials_of(run, records), range(count, count + len(records)), strict=True))
            count += len(records)
            places.append(np.insert(where, 0, number, axis=1))
            parts.append(surveys.columns(records) | surveys.asked(records))
            if run:
                parts[-1]["run"] = np.full(len(records), run, dtype=object)
    kept = np.fromiter(last.values(), np.int64, len(last)) if len(last) < count else slice(None)
    columns = {name: np.concatenate([part[name] for part in parts])[kept] for name in parts[0]}
    return View(runs, np.concatenate(places)[kept], columns), warnings


def trials_of(run: str, records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What makes two records of several runs records of the same trial, as for ``store.latest``."""
    keys = ("environment_hash", "scenario_hash", "seed", "round")
    return zip(repeat(run, len(records)), *([record[key] for record in records] for key in keys), strict=True)


def trial_of(run: str, record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two records of several runs records of the same trial, as for ``store.latest``."""
    return run, record["environment_hash"], record["scenario_hash"], record["seed"], record["round"]


def lines_decoder(read: Mapping[str, Sequence[str]], raw: Sequence[str]) -> msgspec.json.Decoder[Record]:
    """Decodes a line to some of its keys, and some keys inside those that name any; of others only the form is read.

    ``raw`` ones stay JSON. It takes no line that is not surely a record: ``store.checked`` has the last word.
    """
    kinds: dict[str, Any] = {
        **{key: _object(key, inner) if inner else Any for key, inner in read.items()},
        **dict.fromkeys(raw, msgspec.Raw),
        **{key: Required[kind] for key, kind in REQUIRED.items()},
        "schema": Required[Literal[SCHEMA]],
    }
    return msgspec.json.Decoder(TypedDict("Line", kinds, total=False))  # type: ignore[operator]


def _object(key: str, inner: Sequence[str]) -> Any:
    return TypedDict(key, dict.fromkeys(inner, Any), total=False) | None  # type: ignore[operator]


def batches(
    directory: Path, decoder: msgspec.json.Decoder[Record], run: str, warnings: list[str]
) -> Iterator[tuple[list[Record], Places]]:
    """The records of a directory some at a time, with line, start and end of each; adds a warning for each line that is
    none. What is written to the file meanwhile is not read."""
    with store.opened(directory) as file:
        size = os.fstat(file.fileno()).st_size
        before, position = 0, 0
        while piece := file.read(min(_PIECE, size - position)):
            piece += file.readline(size - position - len(piece))
            ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n"))
            if not piece.endswith(b"\n"):
                ends = np.append(ends, len(piece))
            starts = np.concatenate([[0], ends[:-1] + 1])
            lines = np.arange(before + 1, before + 1 + len(ends))
            places = np.stack([lines, position + starts, position + ends], axis=1)
            records = _decoded(decoder, piece, len(ends))
            if records is None:
                found = [_one(decoder, piece[start:end]) for start, end in zip(starts, ends, strict=True)]
                records = [one for one in found if isinstance(one, dict)]
                places = places[[isinstance(one, dict) for one in found]]
                faults = [(line, one) for line, one in zip(lines, found, strict=True) if isinstance(one, str)]
                warnings += [f"{run}: " * bool(run) + f"line {line} of {store.FILE} {fault}" for line, fault in faults]
            before += len(ends)
            position += len(piece)
            yield records, places


def _decoded(decoder: msgspec.json.Decoder[Record], piece: bytes, lines: int) -> list[Record] | None:
    """The records of so many lines, or None where a line is none."""
    try:
        str(piece, "utf-8")  # the decoder looks into no text that it skips
        found = decoder.decode_lines(piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if len(found) == lines else None


def _one(decoder: msgspec.json.Decoder[Record], line: bytes) -> Record | str | None:
    """The record that a line holds, or why it holds none, or None for an empty one."""
    found = _decoded(decoder, line, 1)
    return found[0] if found else store.checked(line)
