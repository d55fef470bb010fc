"""TOML from outside, within bounds: what is too long, too deep or too large is refused in one line."""

from __future__ import annotations

import math
import re
import tomllib
from errno import ENOENT
from pathlib import Path
from typing import Any

LONGEST = 2**20
"""Bytes of a file."""
DEEPEST = 32
LARGEST = 2**63 - 1
_DOTTED = re.compile(rf"(?:[^\s.=\[\]]+\s*\.\s*){{{DEEPEST}}}")
"""A key of many parts, which the reader would take minutes for."""


class TOMLError(ValueError):
    """Text that is no TOML, or more than a suite may hold; one line."""


def read(path: Path) -> dict[str, Any]:
    """What a file holds, as ``loads``. Raises TOMLError, UnicodeDecodeError or OSError."""
    if not path.is_file():  # a pipe or a device would never end
        raise FileNotFoundError(ENOENT, "it is no file" if path.exists() else "there is no such file")
    if path.stat().st_size > 4 * LONGEST:
        raise TOMLError(f"it is longer than {LONGEST:,} characters")
    return loads(path.read_text(encoding="utf-8"))


def loads(text: str) -> dict[str, Any]:
    """What the text holds: every number finite and within 64 bits, and nothing deeper than ``DEEPEST``.

    Raises
    ------
    TOMLError
    """
    if len(text) > LONGEST:
        raise TOMLError(f"it is longer than {LONGEST:,} characters")
    for number, line in enumerate(text.splitlines(), start=1):
        if _DOTTED.match(line.partition("=")[0].lstrip("[ \t")):
            raise TOMLError(f"line {number}: a key of more than {DEEPEST} parts")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TOMLError(str(error)) from None
    except (ValueError, RecursionError):
        # an integer of thousands of digits, brackets nested by the thousand
        raise TOMLError("a value is too long, or nested too deeply") from None
    left: list[tuple[str, int, Any]] = [("", 0, table)]
    while left:
        where, depth, value = left.pop()
        if depth > DEEPEST:
            raise TOMLError(f"{where}: nested more than {DEEPEST} deep")
        if isinstance(value, dict):
            left += [(where or key, depth + 1, inner) for key, inner in value.items()]
        elif isinstance(value, list):
            left += [(where, depth + 1, inner) for inner in value]
        elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise TOMLError(f"{where}: an integer beyond 64 bits")
        elif isinstance(value, float) and not math.isfinite(value):
            raise TOMLError(f"{where}: expected a finite number, got {value}")
    return table


def value(text: str) -> Any:
    """One value as TOML has it, or the text itself where it is a bare word; TOMLError beyond the bounds."""
    try:
        return loads(f"value = {text}")["value"]
    except TOMLError as error:
        if text[:1] in "[{" or text[:1].isdigit():
            raise TOMLError(f"{text[:40]}: {error}") from None
        return text
