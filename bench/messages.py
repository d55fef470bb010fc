"""One-line answers to what cannot be used: how they are made, and the error that an option raises."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """An option that cannot be taken; one line."""


def one_line(error: BaseException) -> str:
    """Its message without line breaks."""
    return " ".join(str(error).split())


def nearest(name: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or the whole list where nothing is near."""
    known = list(valid)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; valid are {', '.join(known) or 'none'}"


def quoted(name: str, valid: Iterable[str]) -> str:
    """The name, and the valid one that is nearest to it."""
    return f"{name!r}{nearest(name, valid)}"
