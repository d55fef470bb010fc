"""Backends and modes on one piece of work, each in a process of its own, all alive at once and stepped in turn.

Whatever the machine does meanwhile it does to all of them, so their ratios are worth more than their rates. By hand:

    python tests/making/turns.py mnist-one-class:1 conv_vae jax/idiomatic jax/tuned --set 'likelihood="bce"'
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

import datasets
from bench.detect import registry
from bench.environment import HERE
from bench.quality.thresholds import Threshold
from bench.suites.scenario import Scenario, Training, Trial
from bench.worker.process import WorkerProcess

TIMEOUT = 900.0
WARM = 2
"""Epochs and scorings before those that count."""


@dataclass
class Runner:
    """One backend in one mode, and the seconds of its epochs and of its scorings, in the order of the rounds."""

    backend: str
    mode: str
    train: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.backend}/{self.mode}"


@dataclass(frozen=True)
class Outcome:
    """What the runners took, and how many rows an epoch and a scoring have."""

    runners: list[Runner]
    trained: int
    scored: int
    load: tuple[float, float]
    """The machine's load (1 min) before and after."""


def race(
    dataset: str,
    detector: str,
    names: Sequence[str],
    training: Mapping[str, Any],
    threads: int,
    rounds: int = 7,
    data_dir: str | None = None,
) -> Outcome:
    """So many counted epochs of each, then as many scorings of the test rows, one each in turn, in shuffled order.

    Trials are untimed to the worker, so that compilers find what they have made before; the cores are taken here.
    """
    settings = Training(**training).resolved(registry.load(detector))
    runners = [Runner(*name.split("/")) for name in names]
    rng = random.Random(dataset)
    before = os.getloadavg()[0]
    with ExitStack() as stack:
        workers: dict[str, WorkerProcess] = {}
        for runner in runners:
            scenario = Scenario(
                dataset=dataset,
                detector=detector,
                backend=runner.backend,
                mode=runner.mode,
                device="cpu",
                precision="float32",
                threads=threads,
                thresholds=(Threshold("percentile"),),
                training=settings,
            )
            trial = Trial("turns", scenario, seed=0, round=0, timed=False, data_dir=data_dir)
            with on_cores(threads):
                worker = stack.enter_context(WorkerProcess(threads, "cpu", TIMEOUT, HERE))
            worker.request("prepare", trial=msgspec.to_builtins(trial))
            workers[runner.name] = worker

        def turns(count: int) -> Iterator[tuple[int, Runner, WorkerProcess]]:
            for number in range(count):
                for runner in rng.sample(runners, len(runners)):
                    yield number, runner, workers[runner.name]

        for number, _, worker in turns(WARM + rounds):
            worker.request("epoch", number)
        repeats = max(workers[runner.name].request("rehearse")["repeats"] for runner in runners)
        for _, _, worker in turns(WARM + rounds):
            worker.request("scoring", repeats=repeats)
        for runner in runners:
            samples = workers[runner.name].request("score")["samples"]
            trained = [*samples.get("warmup", []), *samples["train"]]
            runner.train = trained[WARM:]
            runner.score = [seconds / repeats for seconds in samples["score"][WARM : WARM + rounds]]
            workers[runner.name].stop()
    data = datasets.load(dataset, seed=0, data_dir=Path(data_dir) if data_dir else None)
    rows = len(data.X_train) - len(data.X_train) % settings.batch_size
    return Outcome(runners, rows, len(data.X_test), (before, os.getloadavg()[0]))


@contextmanager
def on_cores(threads: int) -> Iterator[None]:
    """Processes that are started inside get so many cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """How many times as fast the second is, round by round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("detector")
    parser.add_argument("runners", nargs="+", help="backend/mode; the first is what the others are held against")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data-dir")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="keys of [training]")
    given = parser.parse_args()
    training = {key: msgspec.json.decode(value) for key, _, value in (pair.partition("=") for pair in given.set)}
    training = {key: tuple(value) if isinstance(value, list) else value for key, value in training.items()}
    training.setdefault("epochs", WARM + given.rounds)
    found = race(
        given.dataset, given.detector, given.runners, training, given.threads, given.rounds, data_dir=given.data_dir
    )
    print(f"{given.dataset} {given.detector} {training} threads {given.threads}, load {found.load}")
    first = found.runners[0]
    for runner in found.runners:
        train, score = found.trained / median(runner.train), found.scored / median(runner.score)
        print(
            f"{runner.name:18} train {train:10,.0f}/s {median(ratios(first.train, runner.train)):6.2f}x"
            f"   score {score:10,.0f}/s {median(ratios(first.score, runner.score)):6.2f}x"
        )


if __name__ == "__main__":
    main()
