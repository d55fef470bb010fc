"""The worker's process: ``python -m bench.worker`` answers commands until ``stop`` or the end of its input.

Commands are JSON lines on standard input, replies JSON lines on what was standard output; whatever a framework prints
goes to standard error. ``prepare`` comes first, then ``epoch`` as often as the driver likes, then ``score``, and in the
end ``self_check`` where ``prepare`` was told so; ``room``, ``prepare_crew``, ``crew_epoch`` and ``crew_score`` are for
trials that are trained in lanes of one program; ``hello`` is answered at once with the protocol, which tells how long
a process takes to start; ``capabilities`` tells of a backend and needs no trial; ``climb`` and ``exchange`` are the
ladder's, ``limits`` the hardware's, and ``facts`` a data set's. A driver that steps two workers in turn sends
``rehearse`` once and ``scoring`` as often as it likes before ``score``. The parent only waits, so
nothing competes with the timed work.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bench.suites.scenario import Trial
from bench.worker.session import Diverged, Session
from bench.worker.shelf import Shelf

if TYPE_CHECKING:
    from bench.worker.crew import Crew

LADDER = "bench.proof.ladder"
"""Who climbs; it stands above the worker, and is loaded where somebody asks for it."""
COMMANDS = frozenset(
    {"hello", "capabilities", "prepare", "epoch", "rehearse", "scoring", "score", "self_check"}
    | {"room", "prepare_crew", "crew_epoch", "crew_score"}
    | {"facts", "limits", "climb", "exchange"}
)
PROTOCOL = 2
"""Told by ``hello``; a worker of protocol 1 does not. From 2 on it knows ``rehearse``, and ``scoring`` takes
``repeats``."""


class Service:
    """One method for each of ``COMMANDS``; each takes what came with the command and returns the reply."""

    session: Session
    climber: Any = None
    crew: Crew

    def __init__(self) -> None:
        self.shelf = Shelf()

    def hello(self) -> dict[str, Any]:
        return {"protocol": PROTOCOL}

    def capabilities(self, backend: str) -> dict[str, Any]:
        """What a backend reports of itself in this process."""
        import backends
        from backends.interface import Capabilities

        told = backends.load(backend).capabilities()
        if not isinstance(told, Capabilities):  # another distribution's
            raise TypeError(f"capabilities() of the backend {backend!r} returned {type(told).__name__}")
        found: dict[str, Any] = msgspec.to_builtins(told)
        return found

    def prepare(self, trial: Mapping[str, Any], slowdown: float = 0.0, check: bool = False) -> dict[str, Any]:
        taken = msgspec.convert(trial, Trial)
        if taken.timed:
            _pin(taken.scenario.threads)
        self.session = Session(taken, slowdown, check, self.shelf)
        return self.session.prepare()

    def epoch(self, number: int) -> dict[str, Any]:
        return self.session.epoch(number)

    def rehearse(self) -> dict[str, Any]:
        return self.session.rehearse()

    def scoring(self, repeats: int = 1) -> dict[str, Any]:
        return self.session.scoring(repeats)

    def score(self) -> dict[str, Any]:
        return self.session.score()

    def self_check(self) -> dict[str, Any]:
        return self.session.self_check()

    def room(self, trial: Mapping[str, Any]) -> dict[str, Any]:
        from bench.worker.crew import Crew

        return Crew([msgspec.convert(trial, Trial)], self.shelf).room()

    def prepare_crew(self, trials: Sequence[Mapping[str, Any]], lanes: int) -> dict[str, Any]:
        from bench.worker.crew import Crew

        self.crew = Crew(msgspec.convert(trials, list[Trial]), self.shelf)
        return self.crew.prepare(lanes)

    def crew_epoch(self, number: int) -> dict[str, Any]:
        return self.crew.epoch(number)

    def crew_score(self, lane: int) -> dict[str, Any]:
        return self.crew.score(lane)

    def facts(self, reference: str, seed: int, data_dir: str | None) -> dict[str, Any]:
        from pathlib import Path

        from bench.suites import fits

        found = fits.examine(reference, seed, Path(data_dir) if data_dir else None)
        told: dict[str, Any] = {"unusable": found} if isinstance(found, str) else msgspec.to_builtins(found)
        return told

    def limits(self, threads: int, *arguments: Any) -> dict[str, Any]:
        from bench.worker import products

        _pin(threads)
        return products.measure(threads, *arguments)

    def climb(self, name: str, folder: str, *arguments: Any) -> dict[str, Any]:
        self.climber = self.climber or importlib.import_module(LADDER).Worker(name, folder)
        reply: dict[str, Any] = self.climber.climb(*arguments)
        return reply

    def exchange(self, *arguments: Any) -> dict[str, Any]:
        reply: dict[str, Any] = self.climber.exchange(*arguments)
        return reply


def serve() -> None:
    """Answers commands until ``stop`` or the end of the input."""
    _die_with_parent()
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    service = Service()
    for line in sys.stdin.buffer:
        command = msgspec.json.decode(line)
        name, arguments = command.pop("command"), command.pop("arguments", ())
        if name == "stop":
            break
        try:
            if name not in COMMANDS:
                raise ValueError(f"no command {name!r}")
            reply = getattr(service, name)(*arguments, **command)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": failure(error)}
        replies.write(msgspec.json.encode(reply) + b"\n")


def failure(error: BaseException) -> dict[str, str]:
    """Status and one-line reason of what went wrong in a trial."""
    import backends.interface
    import datasets.dataset

    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= 400 else text[:399] + "…"
    if isinstance(error, Diverged):
        return {"status": "diverged", "reason": text}
    if isinstance(error, backends.interface.BackendError):
        return {"status": "skipped", "reason": text}
    if isinstance(error, datasets.dataset.DatasetError):
        return {"status": "failed", "reason": text}
    # each framework has a class and wording of its own for this
    wording = r"out of memory|RESOURCE_EXHAUSTED|OutOfMemory|OOM"
    if isinstance(error, MemoryError) or re.search(wording, f"{type(error).__name__} {text}"):
        return {"status": "out_of_memory", "reason": f"{type(error).__name__}: {text}"}
    return {"status": "failed", "reason": f"{type(error).__name__}: {text}"}


def _pin(threads: int) -> None:
    """Keeps what is timed on as many cores as it has threads: the one limit that every framework obeys.

    Trials side by side are not pinned; they would all share the first cores.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if threads < len(cores):
            os.sched_setaffinity(0, cores[:threads])


def _die_with_parent() -> None:
    """Asks Linux to end this process when its parent dies, so that a killed run leaves nothing computing."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    serve()
    sys.stderr.flush()
    os._exit(0)  # all is said, and to take a framework apart lasts up to a second
