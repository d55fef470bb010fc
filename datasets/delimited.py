"""Comma-separated values as people save them: what separates, quotes and encodes them is found out, then Arrow parses.

Every cell comes as the text it is. The line of the file that a message names is looked for once something is known to
be wrong, since only Python's own, slow parser tells it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from datasets.dataset import DatasetError, require
from datasets.sniffing import BLOCK, Utf8, form_of, undecodable_line

Opened = Callable[[], IO[bytes]]
"""Opens the file at its start, as often as it is called."""


class Delimited:
    """One file of comma-separated values.

    Parameters
    ----------
    opened : function that opens the file at its start
    path : the file as the user named it, for messages
    encoding : what it is encoded in, where it is not UTF-8 and no mark at its start tells
    skip : whether lines with too few or too many fields, or the header once more, are left out instead of refused
    options : whether the user could say so, and name an encoding, by options of a reference
    """

    def __init__(
        self, opened: Opened, path: str, *, encoding: str = "", skip: bool = False, options: bool = True
    ) -> None:
        self.opened, self.path, self.skip = opened, path, skip
        self.asked = encoding
        self.advice = "; ?bad_lines=skip reads the file without such lines" if options else ""
        self.save = "save the file as UTF-8" + (", or name its encoding with ?encoding=cp1252" if options else "")
        self.left_out: list[tuple[int, str]] = []
        """Lines that were left out, and why."""
        with opened() as file:
            source = Utf8(file, encoding, path)
            self.form = form_of(source, path)

    @property
    def names(self) -> tuple[str, ...]:
        return self.form.names

    def whole(self) -> tuple[list[pa.ChunkedArray], NDArray[np.int64]]:
        """All columns, and the number of each row among the file's rows: some may be left out."""
        invalid: list[int] = []
        with self.opened() as file:
            source = self._rows(file)
            try:
                parsed = arrow_csv.read_csv(pa.PythonFile(source, mode="r"), *self._options(invalid))
            except pa.ArrowException as error:
                self._refuse(error)
        if source.undecodable or (source.nul and not self.skip):
            self._refuse(None)
        columns = parsed.columns
        rows = np.arange(parsed.num_rows)
        bad = self._again(columns)
        if source.nul:
            for column in columns:
                bad |= _flags(pc.match_substring(column, "\0"))
        if bad.any():
            places = np.flatnonzero(bad)
            nul = [any("\0" in str(column[int(place)]) for column in columns) for place in places]
            words = ["a NUL byte" if one else "the header again" for one in nul]
            if not self.skip:
                self.refuse(int(places[0]), words[0])
            self.left_out += zip(self.locate(places), words, strict=True)
            columns = [column.filter(pa.array(~bad)) for column in columns]
            rows = rows[~bad]
        if invalid:
            self.left_out += self._misfits()
        return columns, rows

    def batches(self) -> Iterator[tuple[int, list[pa.ChunkedArray]]]:
        """The columns some rows at a time, with the number of the first of these."""
        start = 0
        with self.opened() as file:
            source = self._rows(file)
            if not source.pending and not source.fill():
                if source.undecodable:
                    self._refuse(None)
                return
            try:
                with arrow_csv.open_csv(pa.PythonFile(source, mode="r"), *self._options([])) as reader:
                    for batch in reader:
                        if source.nul or source.undecodable:
                            self._refuse(None)
                        columns = [pa.chunked_array([column]) for column in batch.columns]
                        if (again := self._again(columns)).any():
                            self.refuse(start + int(np.argmax(again)), "the header again")
                        yield start, columns
                        start += len(batch)
            except pa.ArrowException as error:
                self._refuse(error)
            if source.undecodable:
                self._refuse(None)

    def locate(self, rows: Sequence[int] | NDArray[np.intp]) -> list[int]:
        """The lines that rows begin in; the numbers of the rows have to rise."""
        wanted = list(rows)
        found: list[int] = []
        fitting = (line for line, fields in self._records() if len(fields) == len(self.names))
        for number, line in enumerate(fitting):
            if len(found) < len(wanted) and number == wanted[len(found)]:
                found.append(line)
                if len(found) == len(wanted):
                    break
        return found

    def refuse(self, row: int, what: str) -> None:
        """Raises DatasetError for a row that holds something it must not."""
        line = self.locate([row])[0]
        raise DatasetError(f"{self.path}: line {line} holds {what}{self.advice}")

    def _rows(self, file: IO[bytes]) -> Utf8:
        """The file from its first row on."""
        source = Utf8(file, self.asked, self.path)
        source.skip(self.form.start)
        return source

    def _options(self, invalid: list[int]) -> tuple[Any, Any, Any]:
        width = len(self.names)

        def misfit(row: Any) -> str:
            if not row.text.strip():
                return "skip"  # a line of blanks is no row
            invalid.append(1)
            return "skip" if self.skip else "error"

        names = [str(number) for number in range(width)]
        return (
            arrow_csv.ReadOptions(column_names=names, block_size=BLOCK),
            arrow_csv.ParseOptions(
                delimiter=self.form.separator,
                quote_char=self.form.quote,
                newlines_in_values=True,
                invalid_row_handler=misfit,
            ),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )

    def _again(self, columns: Sequence[pa.ChunkedArray]) -> NDArray[np.bool_]:
        """Which rows are the header once more."""
        again = _flags(pc.equal(columns[0], self.form.header[0]))
        for column, name in zip(columns[1:], self.form.header[1:], strict=True):
            if not again.any():
                break
            again &= _flags(pc.equal(column, name))
        return again

    def _refuse(self, error: Exception | None) -> None:
        """Raises DatasetError for what Arrow could not parse, with the first line that is at fault."""
        width = len(self.names)
        with self.opened() as file:
            if line := undecodable_line(file, self.form.encoding):
                kind = "UTF-8" if self.form.encoding.startswith("utf-8") else self.form.encoding
                raise DatasetError(f"{self.path}: line {line} is not {kind} text; {self.save}") from error
        self._refuse_endless_line()
        for line, fields in self._records():
            if len(fields) not in (0, width) and "".join(fields).strip():
                found = f"line {line} has {len(fields)} fields, the header {width}{self.advice}"
                raise DatasetError(f"{self.path}: {found}") from error
            require(sum(map(len, fields)) < BLOCK, f"{self.path}: line {line} is longer than {BLOCK >> 20} MiB")
            for name, cell in zip(self.names, fields, strict=False):
                if "\0" in cell:
                    raise DatasetError(f"{self.path}: line {line}, column {name!r} holds a NUL byte{self.advice}")
        why = str(error).partition("\n")[0]
        raise DatasetError(f"{self.path}: not a table of comma-separated values ({why})") from error

    def _refuse_endless_line(self) -> None:
        """Raises DatasetError for a line that is better not looked at: it has no end for a whole block."""
        line = 1
        with self.opened() as file:
            while block := file.read(BLOCK):
                ends = block.count(b"\n") or block.count(b"\r")
                require(ends > 0 or len(block) < BLOCK, f"{self.path}: line {line} is longer than {BLOCK >> 20} MiB")
                line += ends

    def _misfits(self) -> list[tuple[int, str]]:
        """Lines with too few or too many fields."""
        width = len(self.names)
        return [
            (line, f"{len(fields)} fields")
            for line, fields in self._records()
            if len(fields) not in (0, width) and "".join(fields).strip()
        ]

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The records behind the header, with the line that each begins in."""
        form = self.form
        with self.opened() as file, io.TextIOWrapper(file, form.encoding, errors="replace", newline="") as text:
            reader = csv.reader(islice(text, form.lines, None), delimiter=form.separator, quotechar=form.quote)
            while True:
                line = form.lines + reader.line_num + 1
                try:
                    fields = next(reader, None)
                except csv.Error as error:
                    raise DatasetError(f"{self.path}: line {line}: {error}") from error
                if fields is None:
                    return
                yield line, fields


def _flags(flags: Any) -> NDArray[np.bool_]:
    found = flags.to_numpy() if isinstance(flags, pa.ChunkedArray) else flags.to_numpy(zero_copy_only=False)
    return np.array(found, dtype=np.bool_)
