"""Trials side by side, where the machine has no room for so many."""

from __future__ import annotations

import threading

import pytest

from bench.run import side_by_side


class Board(list):
    """Lines that nobody has taken yet."""


def test_a_thread_that_cannot_be_started_ends_those_that_were_and_says_so(monkeypatch):
    waiting, gone = threading.Event(), threading.Event()

    class Last(threading.Thread):
        def start(self):
            if len(started) == 2:
                gone.set()  # as the workers that the others wait for are ended
                raise RuntimeError("can't start new thread")
            started.append(self)
            super().start()

    started: list[threading.Thread] = []
    monkeypatch.setattr(side_by_side, "Thread", Last)

    def run_line(line):
        waiting.set()
        gone.wait(30)
        return iter(())

    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(side_by_side._execute(Board([1, 2, 3]), run_line, jobs=4))
    assert waiting.is_set()
    assert not any(thread.is_alive() for thread in started)
