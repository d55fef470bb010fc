"""What commands print of their results: as text for a terminal and as Markdown for a pull request's comment."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from reports.blocks import Block, Heading, List, Prose, code, plain, words
from reports.sections import calibration as calibration_
from reports.sections import comparison as comparison_
from reports.sections import verification as verification_
from reports.sections.verification import AMPLIFIED, Ladder
from reports.tables.equality import mappings
from reports.writers import markdown, terminal

Result = Mapping[str, Any]
_LABEL = 12
"""Columns of a label in a terminal."""


def verification_text(result: Result) -> str:
    """What ``bench verify`` found, for a terminal: the answer, a table for each precision, and how it came about.

    Parameters
    ----------
    result : mapping
        The result as plain data; what is missing or of a wrong type is shown as missing and never counts as passed.

    Returns
    -------
    str
        Lines without a newline at the end; tables take at most 110 columns, unless one name alone needs more.
    """
    ladders = [verification_.ladder(ladder) for ladder in mappings(result.get("ladders"))]
    lines = [*terminal.wrapped(f"{plain(verification_.answer(result, ladders))}."), ""]
    for ladder in ladders:
        lines += [f"{plain(words(ladder.precision))}, {verification_.steps(ladder.steps)}", ""]
        lines += terminal.split_table(verification_.rungs(ladder))
        if any(rung.failed for rung in ladder.rungs):
            lines += ["! over its bound", ""]
        if ladder.amplified:
            lines += [*terminal.wrapped(plain(AMPLIFIED.format(words(ladder.precision)))), ""]
    for label, fact in verification_.facts(result, ladders):
        room = terminal.WIDTH - _LABEL
        told = textwrap.wrap(plain(fact), room, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"{label:<{_LABEL}}{told[0]}", *(" " * _LABEL + line for line in told[1:])]
    return "\n".join(line.rstrip() for line in lines)


def verification_markdown(result: Result) -> str:
    """The same as GitHub Markdown."""
    ladders = [verification_.ladder(ladder) for ladder in mappings(result.get("ladders"))]
    answer = Prose(f"**{verification_.answer(result, ladders)}.**")
    blocks: list[Block] = [Heading(3, "Equality of the backends"), answer]
    for ladder in ladders:
        blocks += _ladder(ladder)
    facts = verification_.facts(result, ladders)
    return markdown.blocks([*blocks, List([f"{label.capitalize()}: {fact}" for label, fact in facts])])


def _ladder(ladder: Ladder) -> list[Block]:
    title = Prose(f"{code(ladder.precision)}, {verification_.steps(ladder.steps)}:")
    amplified = [Prose(AMPLIFIED.format(code(ladder.precision)))] if ladder.amplified else []
    return [title, verification_.rungs(ladder), *amplified]


def comparison_text(result: Result) -> str:
    """The verdicts of ``bench compare``, the worst first, for a terminal."""
    lines = [comparison_.headline(result), plain(comparison_.setting(result))]
    for scenario, rows in comparison_.by_scenario(result).items():
        lines += ["", scenario]
        apart = [row for row in rows if row["verdict"] == "incomparable"]
        lines += [f"  incomparable: {plain(words(row['reason']))}" for row in apart]
        if compared := [row for row in rows if row["verdict"] != "incomparable"]:
            lines += [f"  {line}" for line in terminal.table(comparison_.verdicts(compared))]
    return "\n".join([*lines, "", *map(plain, comparison_.notes(result))]) + "\n"


def comparison_markdown(result: Result) -> str:
    """The same as GitHub Markdown: what is unchanged is folded."""
    return markdown.blocks(comparison_.blocks(result))


comparison_junit = comparison_.junit


def calibration_text(result: Result) -> str:
    """How often a comparison errs on this machine, for a terminal."""
    parts = ["\n".join(terminal.lines(block)) for block in calibration_.blocks(result)]
    return "\n\n".join(parts) + "\n"


def calibration_markdown(result: Result) -> str:
    """The same as GitHub Markdown."""
    return markdown.blocks(calibration_.blocks(result))


calibration_sentence = calibration_.sentence
