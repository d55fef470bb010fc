"""Code of other distributions: what it raises becomes one line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def guarded(what: str, refusal: type[Exception], *passing: type[BaseException], ours: bool = False) -> Iterator[None]:
    """Turns what a stranger's code raises while it does ``what`` into a ``refusal``; what ours raises is a fault and
    passes on.

    So do a refusal itself, a lack of memory, which the command or the trial tells, and what is ``passing``.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if ours or isinstance(error, (refusal, MemoryError, *passing)):
            raise
        raise refusal(f"{what} raised {type(error).__name__}: {error}") from error
