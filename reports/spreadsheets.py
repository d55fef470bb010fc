"""Text for files that spreadsheets open."""

from __future__ import annotations

import re

_FORMULA = re.compile("[\\s\0\ufeff\u200b]*[=+@\\-\uff1d\uff0b\uff20\uff0d]|[\t\r\n]")
"""How a formula begins: blanks before its sign do not count, nor its width, and a tab or line end begins a cell anew
(https://owasp.org/www-community/attacks/CSV_Injection)."""
_NUMBER = re.compile("[+-]?[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]+)?")


def inert(text: str) -> str:
    """Text that a spreadsheet would take for a formula, made text again by an apostrophe; a number stays one."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
