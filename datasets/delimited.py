"""Comma-separated values as people save them: what separates, quotes and encodes them is found out, then Arrow parses.

Every cell comes as the text it is. The line of the file that a message names is looked for once something is known to
be wrong, since only Python's own, slow parser tells it.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from datasets.dataset import DatasetError, require

SEPARATORS = ",;\t|"
BLOCK = 1 << 23
"""Bytes that are parsed at a time; a line has to fit into one block."""
SNIFFED = 1 << 18
"""Bytes that tell what separates and quotes the fields."""
RECORDS = 100
"""Records that do so."""
MOST_COLUMNS = 1 << 14
"""As many as a spreadsheet has; a file of more is refused before it is parsed."""

Opened = Callable[[], IO[bytes]]
"""Opens the file at its start, as often as it is called."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """What a file is written in.

    Attributes
    ----------
    encoding, separator, quote : str
    header : the cells of the line of names, as they are written
    names : one per column; one without a name is called as pandas calls it
    start, lines : bytes of UTF-8 and lines before the first row
    """

    encoding: str
    separator: str
    quote: str
    header: tuple[str, ...]
    names: tuple[str, ...]
    start: int
    lines: int


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
            source = _Utf8(file, encoding, path)
            self.form = _form(source, path)

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

    def _rows(self, file: IO[bytes]) -> _Utf8:
        """The file from its first row on."""
        source = _Utf8(file, self.asked, self.path)
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
            if line := _undecodable(file, self.form.encoding):
                kind = "UTF-8" if self.form.encoding.startswith("utf-8") else self.form.encoding
                raise DatasetError(f"{self.path}: line {line} is not {kind} text; {self.save}") from error
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


class _Utf8:
    """A file's bytes as UTF-8 without a mark, as a file object that can only be read."""

    closed = False

    def __init__(self, file: IO[bytes], asked: str, path: str) -> None:
        first = file.read(BLOCK)
        self.encoding = _encoding(first, asked, path)
        self.file = file
        self.nul = self.undecodable = False
        # UTF-8 is decoded too, to see that it is: what Arrow calls for a bad line must not come upon other bytes
        self.decoder = codecs.getincrementaldecoder(self.encoding)()
        self.pending = b""
        self._take(first)

    def read(self, size: int = -1) -> bytes:
        while not self.pending and self.fill():
            continue
        size = len(self.pending) if size < 0 else size
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken

    def fill(self) -> bool:
        """Reads on; tells whether there was anything."""
        block = b"" if self.undecodable else self.file.read(BLOCK)
        self._take(block)
        return bool(block)

    def skip(self, size: int) -> None:
        """Leaves so many bytes out."""
        self.pending = self.pending[size:]

    def close(self) -> None:
        self.closed = True

    def _take(self, block: bytes) -> None:
        if self.undecodable:
            return
        try:
            text = self.decoder.decode(block, final=not block)
        except UnicodeError:
            self.undecodable = True  # as if it ended here: whoever reads it looks for the line
            return
        self.pending += block if self.encoding == "utf-8" else text.encode("utf-8", errors="replace")
        self.nul = self.nul or "\0" in text


def _encoding(first: bytes, asked: str, path: str) -> str:
    """What a file that begins so is encoded in."""
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            return encoding
    if asked:
        try:
            "".encode(asked)
            return codecs.lookup(asked).name
        except (LookupError, ValueError):
            raise DatasetError(f"{path}: no encoding {asked!r}; such are utf-8, cp1252 and utf-16") from None
    head = first[:1000]
    if len(head) >= 4 and 5 * head.count(0) >= 2 * len(head):  # Latin letters of two bytes each, without a mark
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return "utf-8"


def _form(source: _Utf8, path: str) -> Form:
    """What the file is written in, by its first lines."""
    head = source.pending
    if not head and source.undecodable:
        head = b"?"  # the whole file is refused, by its line
    # a header may be longer than what is looked at of the rows
    sample = head[: max(SNIFFED, head.find(b"\n") + 1, head.find(b"\r") + 1)]
    lines = io.StringIO(sample.decode("utf-8", errors="surrogateescape"), newline="").readlines()
    if len(sample) < len(head) and len(lines) > 1:
        lines.pop()  # cut off
    place = _filled(lines, 0)
    separators = SEPARATORS
    if place < len(lines) and (told := re.fullmatch(r"sep=(.)\s*", lines[place])):  # spreadsheets write it
        separators, place = told[1], _filled(lines, place + 1)
    none = f"{path}: not a table of comma-separated values (no columns)"
    require(place < len(lines), none)
    rest = lines[place:]
    widest = max(rest[0].count(separator) for separator in separators) + 1
    require(widest <= MOST_COLUMNS, f"{path}: line {place + 1} has {widest:,} fields; {MOST_COLUMNS:,} are read")
    quoted = '"' not in "".join(rest) and re.fullmatch(r"'[^']*'([,;\t|]'[^']*')*\s*", rest[0])
    quote = "'" if quoted else '"'
    separator = max(separators, key=lambda one: _regularity(_parsed(rest, one, quote)))
    reader = csv.reader(rest, delimiter=separator, quotechar=quote)
    try:
        header = next(reader)
    except csv.Error as error:
        raise DatasetError(f"{path}: not a table of comma-separated values (line {place + 1}: {error})") from error
    taken = place + reader.line_num
    start = len("".join(lines[:taken]).encode("utf-8", errors="surrogateescape"))
    if not _clean(header):
        raise DatasetError(f"{path}: line {place + 1} is not UTF-8 text; save the file as UTF-8")
    if _are_row_names(_parsed(rest, separator, quote)):
        header = ["", *header]
    return Form(source.encoding, separator, quote, tuple(header), _names(header), start, taken)


def _names(header: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns; one without a name is called as pandas calls it, and unlike all others."""
    names = list(header)
    for number in (place for place, name in enumerate(header) if not name):
        name, again = f"Unnamed: {number}", 0
        while name in names:
            again += 1
            name = f"Unnamed: {number}.{again}"
        names[number] = name
    return tuple(names)


def _filled(lines: Sequence[str], place: int) -> int:
    """The first line from there on that is not blank."""
    return next((later for later in range(place, len(lines)) if lines[later].strip()), len(lines))


def _parsed(lines: Sequence[str], separator: str, quote: str) -> list[list[str]]:
    """The first records of the lines, as far as they can be parsed; the last may be cut off."""
    reader = csv.reader(lines, delimiter=separator, quotechar=quote)
    try:
        return [fields for fields in islice(reader, RECORDS) if fields]
    except csv.Error:
        return []


def _regularity(records: Sequence[Sequence[str]]) -> tuple[bool, float, int]:
    """How much a separator looks like the right one: how many records have as many fields as the first, and these."""
    if not records:
        return False, 0.0, 0
    width = len(records[0])
    equal = sum(len(fields) == width for fields in records) / len(records)
    return width > 1, equal, width


def _are_row_names(records: Sequence[Sequence[str]]) -> bool:
    """Whether every row has one field more than the header, which numbers the rows: R writes such files."""
    header, *rows = records
    if not rows or any(len(fields) != len(header) + 1 for fields in rows):
        return False
    counted = [fields[0] for fields in rows]
    return counted in ([str(row + 1) for row in range(len(rows))], [str(row) for row in range(len(rows))])


def _clean(cells: Sequence[str]) -> bool:
    """Whether all bytes could be decoded."""
    return not any("\udc80" <= character <= "\udcff" for cell in cells for character in cell)


def _undecodable(file: IO[bytes], encoding: str) -> int:
    """The line, from 1, that cannot be decoded, or 0."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, ends = 1, ""
    while True:
        block = file.read(BLOCK)
        try:
            text, failed = decoder.decode(block, final=not block), False
        except UnicodeDecodeError as error:
            text, failed = error.object[: error.start].decode(encoding, errors="replace"), True
        ends = ends or ("\n" if "\n" in text else "\r")
        line += text.count(ends)
        if failed or not block:
            return line if failed else 0


def _flags(flags: Any) -> NDArray[np.bool_]:
    found = flags.to_numpy() if isinstance(flags, pa.ChunkedArray) else flags.to_numpy(zero_copy_only=False)
    return np.array(found, dtype=np.bool_)
