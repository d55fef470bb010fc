"""Markdown's building stones: text from outside made harmless, and tables that line up in the raw text too."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain

from reports.numbers import MISSING

_LONGEST = 300
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SPECIAL = re.compile(r"([\\`*_\[\]~$])")
_OPENING = re.compile(r"^(?:\d{1,9}(?=[.)](?: |$))|(?=[#+=-]+(?: |$)))")
"""Where a line begins that Markdown would take for a heading, a rule or a list: up to the sign that makes it one."""


def clean(text: object) -> str:
    """One line without control, format or unpaired surrogate characters, at most 300 characters long."""
    line = "".join(" " if unicodedata.category(c) in _UNPRINTABLE else c for c in str(text)[: 4 * _LONGEST])
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def escape(text: object) -> str:
    """Text from outside as plain words in a sentence: no markup, no HTML, no mathematics."""
    words = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _OPENING.sub(r"\g<0>\\", _SPECIAL.sub(r"\\\1", words))


def code(name: object) -> str:
    """A name from outside as a code span; its fence is longer than any run of backticks inside."""
    text = clean(name) or "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in (text[0], text[-1]) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def name(word: str) -> str:
    """A name from outside as a code span, or the sign that there is none."""
    return code(word) if word else MISSING


def width(text: str) -> int:
    """Columns the text takes in a monospaced font: wide East Asian characters count two, combining marks none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@cache
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A pipe table; ``align`` has one ``l`` or ``r`` a column. Pipes inside the cells are escaped here."""
    lines = [[cell.replace("|", r"\|") for cell in line] for line in chain([header], rows)]
    widths = [max(3, *map(width, column)) for column in zip(*lines, strict=True)]
    rule = [("-" * w if side == "l" else "-" * (w - 1) + ":") for w, side in zip(widths, align, strict=True)]
    padded = [[_pad(cell, w, side) for cell, w, side in zip(line, widths, align, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])


def _pad(cell: str, columns: int, side: str) -> str:
    gap = " " * (columns - width(cell))
    return gap + cell if side == "r" else cell + gap


def listing(words: Sequence[str], most: int = 10) -> str:
    """``a``, ``a and b``, ``a, b and c``, ``a, b and 40 more``."""
    shown = list(words) if len(words) <= most else [*words[: most - 1], f"{len(words) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def fenced(lines: Sequence[str]) -> str:
    """Lines from outside in a code block that none of them can close."""
    text = [clean(line) for line in lines]
    fence = "`" * max(3, 1 + max((len(run) for line in text for run in re.findall("`+", line)), default=0))
    return "\n".join([f"{fence}sh", *text, fence])


def folded(summary: str, parts: Sequence[str]) -> str:
    """Paragraphs that open on a click; ``summary`` is our own words."""
    return "\n\n".join([f"<details>\n<summary>{summary}</summary>", *parts, "</details>"])


def contents(sections: Sequence[str]) -> str:
    """A list of links to the headings ``##`` and ``###`` of a report, nested."""
    taken: Counter[str] = Counter()
    lines = []
    for block in sections:
        if match := _HEADING.match(block):
            slug = _slug(match[2])
            anchor = f"{slug}-{taken[slug]}" if taken[slug] else slug
            taken[slug] += 1
            if match[1] in ("##", "###"):
                lines.append(f"{'  ' * (len(match[1]) - 2)}- [{match[2]}](#{anchor})")
    return "\n".join(lines)


_HEADING = re.compile(r"(#{1,6}) (.+)")


def _slug(heading: str) -> str:
    """The anchor that GitHub gives a heading: letters, digits, ``_`` and ``-`` of its text, blanks as ``-``."""
    text = html.unescape(re.sub(r"\\([\\`*_\[\]~$])", r"\1", heading)).strip()
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
