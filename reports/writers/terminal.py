"""Blocks as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from reports.blocks import Block, List, Prose, Table, plain
from reports.writers.escape import padded, width

WIDTH = 110
"""Columns of a terminal that text may take."""


def lines(block: Block) -> list[str]:
    """Prose, a list or a table; other blocks have no place in a terminal."""
    match block:
        case Prose():
            return plain(block.text).split("\n")
        case List():
            return [plain(item) for item in block.items]
        case Table():
            return table(block)
        case _:
            return []


def wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def split_table(block: Table) -> list[str]:
    """A table that names two things in a heading, ``a = b``, as as many tables as the width asks for.

    The first two columns and the last stand in each; a heading takes two lines, and what is strong has a ``!``. A blank
    line follows each table.
    """
    heads = [plain(column.title).partition(" = ") for column in block.columns]
    columns = [
        [one if sign else "", f"= {other}" if sign else one, *(_shouted(line[place].text) for line in block.cells)]
        for place, (one, sign, other) in enumerate(heads)
    ]
    first, compared, last = columns[:2], columns[2:-1], columns[-1]
    last = ["", "", *(plain(line[-1].text) for line in block.cells)]
    found: list[str] = []
    while compared or not found:
        fits = [n for n in range(len(compared), 1, -1) if _room([*first, *compared[:n], last]) <= WIDTH]
        most = fits[0] if fits else 1
        shown, compared = [*first, *compared[:most], last], compared[most:]
        rows = [list(row) for row in zip(*shown, strict=True)]
        sides = [False, *[True] * (len(shown) - 2), False]
        rule = "  ".join("-" * max(map(width, column)) for column in shown)
        written = aligned(rows, sides)
        found += [*written[:2], rule, *written[2:], ""]
    return found


def _room(columns: Sequence[Sequence[str]]) -> int:
    return sum(2 + max(map(width, column)) for column in columns) - 2


def _shouted(text: str) -> str:
    return f"!{plain(text)}" if text.startswith("**") else plain(text)


def table(block: Table) -> list[str]:
    """The table's lines, the headings first."""
    lines = [[plain(column.title) for column in block.columns]]
    lines += [[plain(cell.line) for cell in line] for line in block.cells]
    return aligned(lines, [column.right for column in block.columns])


def aligned(lines: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Cells in columns, two blanks between them."""
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    rows = []
    for line in lines:
        cells = [padded(cell, w, side) for cell, w, side in zip(line, widths, right, strict=True)]
        rows.append("  ".join(cells).rstrip())
    return rows
