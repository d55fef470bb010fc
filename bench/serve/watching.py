"""A run that can be watched: its report is rebuilt between trials, where it disturbs no timing."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.records.record import Record
from bench.run.executor import Display
from bench.serve.server import Board
from bench.suites.scenario import Trial

SHARE = 10
"""A page that took a second to make is made again after so many seconds at the earliest."""


class Pace:
    """Shows new pages on a board, and no more often than leaves most of the time to others.

    Parameters
    ----------
    board : Board
    render : callable
        Makes the page from what is on the disk now.
    """

    def __init__(self, board: Board, render: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self.board, self.render, self.clock = board, render, clock
        self.next = -float("inf")

    def due(self) -> bool:
        """Whether somebody looks, and the last page is old enough."""
        return self.board.wanted and self.clock() >= self.next

    def show(self) -> None:
        began = self.clock()
        self.board.show(self.render())
        ended = self.clock()
        self.next = ended + SHARE * (ended - began)


class Watched:
    """A run's display that also rebuilds the page once a record is on the disk and before the next trial starts."""

    def __init__(self, display: Display, pace: Pace) -> None:
        self.display, self.pace = display, pace

    def begin(self, trials: int, kept: int) -> None:
        self.display.begin(trials, kept)

    def doing(self, trial: Trial, what: str, done: int, of: int) -> None:
        self.display.doing(trial, what, done, of)

    def measuring(self) -> None:
        self.display.measuring()

    def working(self, worker: str, what: str) -> None:
        self.display.working(worker, what)

    def ended(self, trial: Trial, record: Record) -> None:
        self.display.ended(trial, record)
        if self.pace.due():
            self.pace.show()

    def close(self) -> None:
        self.display.close()
