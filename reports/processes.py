"""Work that is shared among copies of this process, which end with it, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(work: Callable[[Item], Result], items: Sequence[Item], processes: int) -> list[Result]:
    """``work`` of each item, in the order of the items, by so many processes. Raises what ``work`` raises.

    No thread takes part, unlike in the pools of the standard library: where memory is short a new thread may die before
    it says that it began, and who started it waits for ever. What a process that died leaves undone is done here.
    """
    processes = min(processes, len(items))
    if processes < 2:
        return list(map(work, items))
    found: dict[int, Result] = {}
    todo = list(range(len(items)))[::-1]
    copies: list[Process] = []
    busy: dict[Connection, int] = {}
    try:
        for _ in range(processes):
            here, there = Pipe()
            copy = Process(target=_serve, args=(there, work, os.getpid()))
            try:
                _start(copy)
            except OSError:  # no memory for one more
                break
            finally:
                there.close()
            copies.append(copy)
            _give(here, items, todo, busy)
        while busy:
            ready = wait(list(busy))
            for here in [one for one in busy if one in ready]:
                place = busy.pop(here)
                try:
                    done, result = here.recv()
                except (EOFError, ConnectionError):
                    todo.append(place)
                    continue
                if not done:
                    raise result
                found[place] = result
                _give(here, items, todo, busy)
        found |= {place: work(items[place]) for place in todo}
    finally:
        for copy in copies:
            copy.kill()
            copy.join()
    return [found[place] for place in range(len(items))]


def _start(copy: Process) -> None:
    with warnings.catch_warnings():
        # what is copied has idle threads of numpy's, which nothing in a copy waits for
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        copy.start()


def _give(here: Connection, items: Sequence[Item], todo: list[int], busy: dict[Connection, int]) -> None:
    """Sends a process the next item, if there is one; a process that died gets no more."""
    if todo:
        place = todo.pop()
        try:
            here.send(items[place])
        except ConnectionError:
            todo.append(place)
        else:
            busy[here] = place


def _serve(there: Connection, work: Callable[[Item], Result], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the process that waits, and it ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with(parent)
    while True:
        item = there.recv()
        try:
            there.send((True, work(item)))
        except Exception as error:
            there.send((False, error))


def _die_with(parent: int) -> None:
    """Asks Linux to end this process when its parent, the process of that number, dies.

    The pipe that work comes by is open in each of the copies, so that none would see by itself that its parent was
    killed.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be asked
            os._exit(1)
