"""A document as GitHub Markdown: tables line up in the raw text too, and figures are files beside it."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from reports.blocks import (
    Block,
    Commands,
    Document,
    Drawing,
    Figure,
    Fold,
    Heading,
    List,
    Prose,
    Table,
    plain,
    spans,
)
from reports.writers.escape import fenced, markdown, markdown_words, padded, width

FIGURES = "figures"
"""The folder of the figures, beside the report."""
_LONG = 12
"""Headings from which on a report has a table of contents."""
_PADDED = 200
"""Rows of a table up to which its columns line up; longer ones would be half blanks."""


def written(document: Document) -> str:
    """The whole report."""
    parts = [f"# Benchmark report{': ' + markdown(document.title) if document.title else ''}"]
    if document.alerts:
        parts.append("> [!WARNING]\n" + "\n>\n".join(f"> {markdown(line)}" for line in document.alerts))
    parts += _written(document.answer)
    sections: list[str] = []
    for section in document.sections:
        sections += [f"## {markdown(section.title)}", *_written(section.blocks)]
    return "\n\n".join([*parts, *_contents(sections), *sections]) + "\n"


def blocks(content: Iterable[Block]) -> str:
    """Blocks by themselves, for a comment or a terminal that shows Markdown."""
    return "\n\n".join(_written(content)) + "\n"


def _written(content: Iterable[Block]) -> list[str]:
    parts: list[str] = []
    for block in content:
        match block:
            case Prose():
                parts.append(markdown(block.text))
            case List():
                parts.append("\n".join(f"- {markdown(item)}" for item in block.items))
            case Commands():
                parts.append(fenced(block.lines))
            case Heading():
                parts.append(f"{'#' * block.level} {markdown(block.text)}")
            case Table():
                parts.append(table(block))
            case Figure():
                parts += map(_drawing, block.drawings)
            case Fold():
                parts += [f"<details>\n<summary>{block.summary}</summary>", *_written(block.blocks), "</details>"]
    return parts


def _drawing(drawing: Drawing) -> str:
    return f"![{markdown_words(plain(drawing.alt))}]({FIGURES}/{drawing.file})\n\n*{_caption(drawing.caption)}*"


def _caption(text: str) -> str:
    """The caption stands in asterisks as a whole."""
    return "".join(markdown_words(span.text) if span.kind != "plain" else span.text for span in spans(text))


def table(block: Table) -> str:
    """A pipe table. Pipes inside the cells are escaped here."""
    heads = [[markdown(column.title) for column in block.columns]]
    lines = [[_piped(cell) for cell in line] for line in heads]
    lines += [[_piped(markdown(cell.line)) for cell in line] for line in block.cells]
    sides = [column.right for column in block.columns]
    if len(lines) > _PADDED:
        rule = ["--:" if right else "---" for right in sides]
        return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
    widths = [max(3, *map(width, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * (w - 1) + ":" if right else "-" * w for w, right in zip(widths, sides, strict=True)]
    rows = [_padded(line, widths, sides) for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [rows[0], rule, *rows[1:]])


def _piped(text: str) -> str:
    return text.replace("|", r"\|")


def _padded(line: Sequence[str], widths: Sequence[int], sides: Sequence[bool]) -> list[str]:
    return [padded(cell, w, right) for cell, w, right in zip(line, widths, sides, strict=True)]


# ----------------------------------------------------------------------------------------------------------- contents


def _contents(sections: Sequence[str]) -> list[str]:
    """A list of links to the headings ``##`` and ``###``, nested, where the report is long."""
    taken: Counter[str] = Counter()
    lines = []
    for block in sections:
        if match := _HEADING.match(block):
            slug = anchor(match[2])
            key = f"{slug}-{taken[slug]}" if taken[slug] else slug
            taken[slug] += 1
            if len(match[1]) < 4:
                lines.append(f"{'  ' * (len(match[1]) - 2)}- [{match[2]}](#{key})")
    if len(lines) < _LONG:
        return []
    return ["<details>\n<summary>Contents</summary>", "\n".join(lines), "</details>"]


_HEADING = re.compile(r"(#{1,6}) (.+)")


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading: letters, digits, ``_`` and ``-`` of its text, blanks as ``-``."""
    text = html.unescape(re.sub(r"\\([\\`*_\[\]~$])", r"\1", heading)).strip()
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
