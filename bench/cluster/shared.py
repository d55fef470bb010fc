"""The processes that quality trials share on a worker: one lies idle when its trial has ended, and the next trial
of its kind takes it.

A worker runs trials in threads. A process is of one trial at a time, and whatever ends it costs that one alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock, Timer

from bench.run.trial import Series

IDLE_SECONDS = 10.0
"""After which a process ends that no trial has taken: its run has ended, or has nothing more for this worker."""


@dataclass(frozen=True, eq=False)
class Idle:
    """A process that no trial has now; ``stack`` ends it."""

    kind: object
    series: Series
    stack: ExitStack
    timer: Timer


class Shared:
    """The idle processes of one worker of the cluster."""

    def __init__(self, seconds: float = IDLE_SECONDS) -> None:
        self.seconds = seconds
        self.lock = Lock()
        self.idle: list[Idle] = []

    @contextmanager
    def lent(self, kind: object, start: Callable[[], Series]) -> Iterator[Series]:
        """A series of this kind for one trial: the latest one that lies idle, else a new one.

        A new one ends all that lie idle: what they hold of the memory is not for them.
        """
        with ExitStack() as stack:
            found = self._taken(kind)
            if found is None:
                self.end()
                series = stack.enter_context(start())
            else:
                series = found.series
                stack.push(found.stack.pop_all())
            yield series
            if series.worker is not None:
                self._keep(kind, series, stack.pop_all())

    def end(self) -> None:
        """Ends all that lie idle."""
        with self.lock:
            ending, self.idle = self.idle, []
        for one in ending:
            one.timer.cancel()
            one.stack.close()

    def _taken(self, kind: object) -> Idle | None:
        with self.lock:
            found = next((one for one in reversed(self.idle) if one.kind == kind), None)
            if found is not None:
                self.idle.remove(found)
                found.timer.cancel()
            return found

    def _keep(self, kind: object, series: Series, stack: ExitStack) -> None:
        timer = Timer(self.seconds, lambda: self._expire(one))
        timer.daemon = True
        one = Idle(kind, series, stack, timer)
        with self.lock:
            self.idle.append(one)
        timer.start()

    def _expire(self, one: Idle) -> None:
        with self.lock:
            if one not in self.idle:
                return
            self.idle.remove(one)
        one.stack.close()
