"""Trials side by side, where the machine has no room for so many."""

from __future__ import annotations

import subprocess
import threading

import pytest

from bench.run import side_by_side


class Board(list):
    """Lines that nobody has taken yet; each goes to one thread."""

    def __iter__(self):
        while self:
            yield self.pop(0)


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
        list(side_by_side._execute(Board([1, 2, 3]), run_line, jobs=4, workers={}))
    assert waiting.is_set()
    assert not any(thread.is_alive() for thread in started)


def test_a_run_that_stops_ends_its_own_workers_and_no_other_process_of_the_program_that_runs_it(process):
    class Worker:
        def __init__(self):
            self.process = subprocess.Popen(["sleep", "60"])
            self.kill = self.process.kill

    strangers = subprocess.Popen(["sleep", "60"])
    workers, started = {}, threading.Event()

    def run_line(line):
        if line == "fails":
            assert started.wait(30)
            raise OSError("no space left on device")
        worker = workers[threading.get_ident()] = Worker()
        started.set()
        worker.process.wait(30)
        return iter(())

    try:
        with pytest.raises(OSError, match="no space left"):
            list(side_by_side._execute(Board(["waits", "fails"]), run_line, jobs=2, workers=workers))
        assert [worker.process.poll() for worker in workers.values()] == [-9]
        assert strangers.poll() is None
    finally:
        strangers.kill()
        strangers.wait()
