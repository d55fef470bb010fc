"""One-line answers to what cannot be used: how they are made, and the error that an option raises."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LONGEST = 600
"""Characters of a line; a longer one keeps its beginning, which says where, and its end, which says what."""
_ENDING = 200
_OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class UsageError(ValueError):
    """An option that cannot be taken; one line."""


def plain(text: str) -> str:
    """The text with each character that a terminal would obey or hide written as an escape: ``\\x1b``, ``\\u202e``."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def harmless(text: str) -> str:
    """The text, of many lines, with each control character and mark of direction written as JSON would: ``\\u001b``."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(error: BaseException) -> str:
    """Its message without line breaks, fit for a terminal, and of bounded length: the system's begins with the file."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and isinstance(error.filename, str) and error.filename2 is None:
        text = f"{error.filename}: {error.strerror}"
    line = " ".join(text.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST - _ENDING]} … {line[-_ENDING:]}"
    return plain(line)


def nearest(name: str, valid: Iterable[str], otherwise: str = "valid are", prefix: str = "") -> str:
    """``; did you mean 'x'?``, in any case of the letters, or the whole list where nothing is near.

    `prefix` stands before what is meant, as the user writes it.
    """
    known = {each.lower(): each for each in valid}
    near = difflib.get_close_matches(name[:LONGEST].lower(), known, n=1)
    if near:
        return f"; did you mean {prefix + known[near[0]]!r}?"
    return f"; {otherwise} {', '.join(known.values()) or 'none'}"


def quoted(name: str, valid: Iterable[str]) -> str:
    """The name, and the valid one that is nearest to it."""
    return f"{name!r}{nearest(name, valid)}"


def is_file_name(text: str) -> bool:
    """Whether the text names a file or folder in the one where it is used, and nothing beside or above it."""
    return (
        0 < len(text.encode(errors="replace")) <= 200
        and text.isprintable()
        and not text.startswith(".")
        and text.strip() == text
        and not set(text) & set('/\\:*?"<>|')
    )
