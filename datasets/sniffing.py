"""What a file of comma-separated values is written in: its encoding, separator, quotes and the names of its columns."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import IO

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

_NO_ENCODINGS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7", "undefined"})
"""Python's ways of writing text within other text, which read a backslash or a plus as something else."""
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


class Utf8:
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
            name = codecs.lookup(asked).name
        except (LookupError, ValueError):
            name = ""
        if not name or name in _NO_ENCODINGS:
            raise DatasetError(f"{path}: no encoding {asked!r}; such are utf-8, cp1252 and utf-16")
        return name
    head = first[:1000]
    if len(head) >= 4 and 5 * head.count(0) >= 2 * len(head):  # Latin letters of two bytes each, without a mark
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return "utf-8"


def form_of(source: Utf8, path: str) -> Form:
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
        require(
            told[1].isascii() and told[1].isprintable(),
            f"{path}: line {place + 1} names the separator {told[1]!a}; it wants a character of ASCII",
        )
        separators, place = told[1], _filled(lines, place + 1)
    none = f"{path}: not a table of comma-separated values (no columns)"
    require(place < len(lines), none)
    rest = lines[place:]
    widest = max(rest[0].count(separator) for separator in separators) + 1
    require(widest <= MOST_COLUMNS, f"{path}: line {place + 1} has {widest:,} fields; {MOST_COLUMNS:,} are read")
    separator, quote = _signs(rest, separators)
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


def _signs(lines: Sequence[str], separators: str) -> tuple[str, str]:
    """What separates the fields, and the double quote or the apostrophe that may enclose them."""
    text = "".join(lines)
    enclosed = '"' not in text and _ENCLOSED.search(text)

    def suits(pair: tuple[str, str]) -> tuple[bool, float, bool, int]:
        several, equal, width = _regularity(_parsed(lines, *pair))
        # text that only begins with an apostrophe makes records of unequal length
        return several, equal, pair[1] == "'", width

    separator, quote = max(product(separators, "\"'" if enclosed else '"'), key=suits)
    return separator, quote


_ENCLOSED = re.compile(r"(?:^|[,;\t|])'(?:[^']|'')*'(?=[,;\t|]|\s*$)", re.MULTILINE)
"""A field between apostrophes; one within is doubled."""


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


def undecodable_line(file: IO[bytes], encoding: str) -> int:
    """The line, from 1, that cannot be decoded, or 0."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, ends = 1, ""
    while True:
        block = file.read(BLOCK)
        try:
            text, failed = decoder.decode(block, final=not block), False
        except UnicodeDecodeError as error:
            text, failed = error.object[: error.start].decode(encoding, errors="replace"), True
        except UnicodeError:  # no mark at the start, for one
            text, failed = "", True
        ends = ends or ("\n" if "\n" in text else "\r")
        line += text.count(ends)
        if failed or not block:
            return line if failed else 0
