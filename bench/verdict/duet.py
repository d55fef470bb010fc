"""A duet: two live workers that are stepped in turn, one epoch each, the order drawn anew for each pair of epochs.

Whatever the machine does meanwhile, it does to both. Only one of the two computes at a time; the other waits for its
next command.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from bench.environment import HERE, Home
from bench.records.record import Record
from bench.run.trial import blank
from bench.suites.scenario import Trial
from bench.worker import caches
from bench.worker.process import TrialFailed, WorkerProcess

SCORINGS = 20
"""Stretches in which each side scores all test rows in turn with the other."""
STRETCHED = 2
"""The protocol from which on a worker can score the rows several times over as one stretch."""


@dataclass
class Part:
    """One side of a duet: what it plays, and on what.

    ``environment`` goes into its record. ``slowdown`` is planted, and 0 in every comparison that is not a calibration.
    """

    trial: Trial
    environment: Mapping[str, Any]
    home: Home = HERE
    slowdown: float = 0.0
    command: str = ""
    record: Record = field(init=False)
    log: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.record = blank(self.trial, self.environment, self.command)


def play(
    baseline: Part, candidate: Part, timeout: float, *, progress: Callable[[str], None] = lambda doing: None
) -> None:
    """Plays one process pair to its end; afterwards each part holds its record, and its log where one failed.

    Parameters
    ----------
    baseline, candidate : Part
    timeout : float
        Seconds each of the two may take.
    progress : callable
        Told what goes on, between commands.
    """
    parts = (baseline, candidate)
    trial = baseline.trial
    rng = random.Random(f"{trial.scenario.hash}/{trial.seed}/{trial.round}")
    started = time.perf_counter()
    at_work = baseline
    with ExitStack() as stack:
        workers: list[WorkerProcess] = []

        def ask(side: int, command: str, *arguments: Any, **more: Any) -> dict[str, Any]:
            nonlocal at_work
            at_work = parts[side]
            return workers[side].request(command, *arguments, **more)

        try:
            for part in parts:
                at_work = part
                scenario = part.trial.scenario
                # each compiles cold: neither finds what the user's programs, or the other, have left
                kept = caches.variables(Path(stack.enter_context(TemporaryDirectory(prefix="vaebench-"))))
                workers.append(
                    stack.enter_context(WorkerProcess(scenario.threads, scenario.device, timeout, part.home, kept))
                )
            progress("starting")
            epochs = [0, 0]
            for side in _turns(rng):
                part = parts[side]
                planted = {"slowdown": part.slowdown} if part.slowdown else {}
                prepared = ask(side, "prepare", trial=msgspec.to_builtins(part.trial), **planted)
                part.record["environment"] = {**part.environment, "backend": prepared["backend"]}
                epochs[side] = prepared["epochs"]
            _train(parts, epochs, rng, ask, progress)
            # a worker of an older revision says nothing here, and knows no stretches
            known = [ask(side, "hello").get("protocol", 1) for side in (0, 1)]
            scorings = _score(rng, ask, stretched=min(known) >= STRETCHED)
            for side in _turns(rng):
                parts[side].record |= ask(side, "score")
                parts[side].record["duet_scorings"] = scorings
            for worker in workers:
                worker.stop()
        except TrialFailed as failed:
            for part, worker in zip(parts, workers, strict=False):
                part.log = worker.said()
            _fail(parts, at_work, failed)
    for part in parts:
        part.record["wall_seconds"] = time.perf_counter() - started
        if part.slowdown:
            part.record["slowdown"] = part.slowdown


def _train(
    parts: Sequence[Part],
    epochs: list[int],
    rng: random.Random,
    ask: Callable[..., dict[str, Any]],
    progress: Callable[[str], None],
) -> None:
    """All epochs of both, one each in turn; a side that has no more, or stops early, leaves the rest to the other."""
    for number in range(max(epochs)):
        progress(f"epoch {number + 1} of {max(epochs)}")
        for side in _turns(rng):
            if number >= epochs[side]:
                continue
            reply = ask(side, "epoch", number)
            # a revision from before early stopping does not say
            if reply.pop("stop", False):
                epochs[side] = number + 1
            for name, loss in reply.items():
                parts[side].record.setdefault(name, []).append(loss)


def _score(rng: random.Random, ask: Callable[..., dict[str, Any]], *, stretched: bool = False) -> int:
    """How often both have scored in turn: ``SCORINGS``, or 0 where one is of a revision that cannot do so.

    One scoring of few rows is over before a clock can tell it from its neighbour's. Where both sides can, each scores
    its rows several times over as one stretch, both as often as the faster of the two needs.
    """
    more = {"repeats": max(ask(side, "rehearse")["repeats"] for side in _turns(rng))} if stretched else {}
    for number in range(SCORINGS):
        for side in _turns(rng):
            try:
                ask(side, "scoring", **more)
            except TrialFailed as failed:
                if number or "has no attribute 'scoring'" not in failed.reason:
                    raise
                return 0
    return SCORINGS


def _fail(parts: Sequence[Part], broken: Part, failed: TrialFailed) -> None:
    for part in parts:
        if part is broken:
            part.record |= {"status": failed.status, "reason": failed.reason}
        else:
            part.record |= {"status": "skipped", "reason": "the other side did not end", "other_side_failed": True}


def _turns(rng: random.Random) -> tuple[int, int]:
    return (0, 1) if rng.random() < 0.5 else (1, 0)
