"""What a report is made of: plain blocks, made once and written by every writer in its own language.

Text in a block is ours, with ``**strong**``, ``*stressed*``, ```code` `` and ``[links](#key)``; what comes from outside
passes ``words`` or ``code``, which mark it, so that a writer can make it harmless. No text from outside has a mark.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from reports.numbers import MISSING

Row = dict[str, Any]

_LONGEST = 300
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_CODE, _WORDS, _END = "\ue000", "\ue001", "\ue002"
"""Marks are of the private use area, which ``clean`` leaves out of everything from outside."""


# --------------------------------------------------------------------------------------------------------------- text


@lru_cache(maxsize=65_536)
def _cleaned(text: str) -> str:
    line = "".join(" " if unicodedata.category(c) in _UNPRINTABLE else c for c in text[: 4 * _LONGEST])
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def clean(text: object) -> str:
    """One line without control, format or unpaired surrogate characters, at most 300 characters long."""
    return _cleaned(str(text))


def words(text: object) -> str:
    """Text from outside as plain words in a sentence."""
    return f"{_WORDS}{line}{_END}" if (line := clean(text)) else ""


def code(name: object) -> str:
    """A name from outside, set as one."""
    return f"{_CODE}{clean(name) or '(empty)'}{_END}"


def name(word: object) -> str:
    """A name from outside, or the sign that there is none."""
    return code(word) if word else MISSING


def listing(items: Sequence[str], most: int = 10) -> str:
    """``a``, ``a and b``, ``a, b and c``, ``a, b and 40 more``."""
    shown = list(items) if len(items) <= most else [*items[: most - 1], f"{len(items) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def several(count: int, word: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text: ``kind`` is ``plain``, ``words`` (from outside) or ``code``; ``key`` is where a link leads."""

    kind: str
    text: str
    strong: bool = False
    stressed: bool = False
    key: str = ""


_PIECES = re.compile(
    rf"{_CODE}([^{_END}]*){_END}|{_WORDS}([^{_END}]*){_END}|(\*\*)|`([^`]+)`|\[([^\[\]]+)\]\(#([\w-]+)\)|(\*)"
)


def spans(text: str) -> Iterator[Span]:
    """The pieces of a text, in order."""
    strong = stressed = False
    place = 0
    for match in _PIECES.finditer(text):
        if match.start() > place:
            yield Span("plain", text[place : match.start()], strong, stressed)
        place = match.end()
        outside, told, star, ours, link, key, single = match.groups()
        if star:
            strong = not strong
        elif single:
            stressed = not stressed
        elif link is not None:
            yield Span("plain", link, strong, stressed, key)
        elif told is not None:
            yield Span("words", told, strong, stressed)
        else:
            yield Span("code", outside if outside is not None else ours, strong, stressed)
    if place < len(text):
        yield Span("plain", text[place:], strong, stressed)


def marked(text: str, code: Callable[[str], str], words: Callable[[str], str]) -> str:
    """The text with its marked pieces, and nothing else, written by these."""
    if _END not in text:
        return text
    return _MARKED.sub(lambda match: code(match[1]) if match[1] is not None else words(match[2]), text)


_MARKED = re.compile(rf"{_CODE}([^{_END}]*){_END}|{_WORDS}([^{_END}]*){_END}")


def plain(text: str) -> str:
    """The text without marks and markup."""
    return "".join(span.text for span in spans(text))


# ------------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table says in one place.

    ``text`` is what is read first and ``small`` what follows it, with less weight where a writer can; ``value`` sorts;
    ``parts`` are the seconds of each phase, where the cell has a bar of them.
    """

    text: str
    value: float = math.nan
    small: str = ""
    parts: tuple[float, ...] = ()

    @property
    def known(self) -> bool:
        return self.text not in ("", MISSING)

    @property
    def line(self) -> str:
        """Both texts in one line."""
        return f"{self.text} {self.small}" if self.small else self.text


@dataclass(frozen=True)
class Column:
    """One column: its heading, and what its cell says of a row.

    ``kind`` is ``name`` (tells rows apart), ``text``, ``number``, ``share`` (a number of 0 to 1) or ``phases``.
    """

    title: str
    write: Callable[[Any], Cell | str]
    kind: str = "number"

    @property
    def right(self) -> bool:
        return self.kind in ("number", "share", "phases")

    def cell(self, row: Any) -> Cell:
        written = self.write(row)
        return written if isinstance(written, Cell) else Cell(written or MISSING)


@dataclass(frozen=True)
class Table:
    """Headings and cells; ``label`` says in words what it shows, ``parts`` names the parts of cells that have some."""

    label: str
    columns: list[Column]
    cells: list[list[Cell]]
    parts: list[str] = field(default_factory=list)


def table(
    label: str, columns: Iterable[Column], rows: Iterable[Any], parts: Sequence[str] = (), *, whole: bool = False
) -> Table:
    """A table without the columns in which no row says anything, unless it is to be ``whole``."""
    body = list(rows)
    filled = [(column, [column.cell(row) for row in body]) for column in columns]
    kept = [(column, cells) for column, cells in filled if whole or any(cell.known for cell in cells)]
    lines = [list(line) for line in zip(*(cells for _, cells in kept), strict=True)]
    return Table(label, [column for column, _ in kept], lines, list(parts))


# ------------------------------------------------------------------------------------------------------------- blocks


@dataclass(frozen=True)
class Prose:
    text: str


@dataclass(frozen=True)
class List:
    items: list[str]


@dataclass(frozen=True)
class Commands:
    """Lines for a shell, as they came from outside."""

    lines: list[str]


@dataclass(frozen=True)
class Heading:
    """Below a section's own heading: level 3 or deeper."""

    level: int
    text: str


@dataclass(frozen=True)
class Drawing:
    """One figure for paper: the file's name, who draws it, and the plain data that it is drawn from."""

    file: str
    kind: str
    alt: str
    caption: str
    data: Any


@dataclass(frozen=True)
class Figure:
    """What is drawn: on paper by ``drawings``, on a screen by the page's script of this ``kind`` from its own data.

    ``screen`` makes that data when a page is written; None where a screen shows nothing.
    """

    kind: str
    drawings: list[Drawing]
    screen: Callable[[], Any]
    note: str = ""
    """What a screen says below it."""


@dataclass(frozen=True)
class Fold:
    """Blocks that open on a click; ``summary`` is our own words."""

    summary: str
    blocks: list[Block]


Block = Prose | List | Commands | Heading | Table | Figure | Fold


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    blocks: list[Block]
    short: str = ""
    """The title in the page's navigation, where it is long."""


@dataclass(frozen=True)
class Document:
    """A report: what it is of, what has to be known first, the answer, and the sections."""

    title: str
    summary: str
    alerts: list[str]
    answer: list[Block]
    sections: list[Section]

    @property
    def drawings(self) -> list[Drawing]:
        """All figures for paper, in the order in which they are shown."""
        return list(_drawings([*self.answer, *(block for section in self.sections for block in section.blocks)]))


def _drawings(blocks: Iterable[Block]) -> Iterator[Drawing]:
    for block in blocks:
        if isinstance(block, Figure):
            yield from block.drawings
        elif isinstance(block, Fold):
            yield from _drawings(block.blocks)
