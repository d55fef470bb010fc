"""Work that several processes share."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_work: Callable[[int], Any] | None = None


def shared(
    work: Callable[[T], R], items: Sequence[T], processes: int, meanwhile: Callable[[], None] | None = None
) -> list[R]:
    """``work`` of each item, in their order, in at most so many processes; in this one where that is one.

    ``meanwhile`` is what this process does while others work, or before. Where the system can, the processes are copies
    of this one and get work and items for nothing; elsewhere both have to be picklable. An error in one is raised here.
    """
    processes = min(processes, len(items))
    if processes < 2:
        if meanwhile is not None:
            meanwhile()
        return [work(item) for item in items]
    with warnings.catch_warnings():
        # what is copied has idle threads of numpy's, which nothing in a copy waits for
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        pool = ProcessPoolExecutor(processes, initializer=_begin, initargs=(_Numbered(work, items),))
        try:
            done = pool.map(_one, range(len(items)))
            if meanwhile is not None:
                meanwhile()
            return list(done)
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Numbered:
    work: Callable[[Any], Any]
    items: Sequence[Any]

    def __call__(self, number: int) -> Any:
        return self.work(self.items[number])


def _begin(work: Callable[[int], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the process that waits, and it ends these
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _one(number: int) -> Any:
    assert _work is not None
    return _work(number)
