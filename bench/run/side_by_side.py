"""Trials on this machine, so many at a time: timed ones each in a process of its own, others sharing some."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import chain, groupby
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread, get_ident
from typing import Any

from bench.environment import environment
from bench.proof import known
from bench.records.record import Record
from bench.run import limits
from bench.run.crews import Crews
from bench.run.executor import Display, Plan
from bench.run.limits import Limits
from bench.run.lines import Board, Line, lines
from bench.run.trial import Series
from bench.suites.scenario import Trial
from bench.suites.suite import Lanes
from bench.worker.process import WorkerProcess


class SideBySide:
    """This machine. Timed trials go one at a time, and every round begins with the limits of the hardware.

    Parameters
    ----------
    jobs : int
        Trials at a time; they must not be timed where it is above 1.
    lanes : int or ``auto``
        Trainings in one program, as in ``Crews``; trials must not be timed where it is not 1.
    """

    one_environment = True

    def __init__(self, jobs: int, lanes: Lanes = 1) -> None:
        self.jobs, self.lanes = jobs, lanes
        self.here: dict[str, Any] | None = None

    def environment(self) -> dict[str, Any]:
        self.here = self.here or environment()
        return self.here

    def records(self, plan: Plan, display: Display) -> Generator[tuple[Trial, Record]]:
        here = self.environment()
        proofs = known.known(here)
        found: dict[str, Limits | str] = {}
        workers: dict[int, WorkerProcess] = {}

        def launched(worker: WorkerProcess) -> None:
            workers[get_ident()] = worker

        def run_line(line: Line) -> Iterator[tuple[Trial, Record]]:
            first = line.first()
            if first is None:
                return
            with Series(
                here,
                timeout=plan.suite.timeout,
                command=plan.command,
                self_check=plan.self_check,
                warm=plan.warm(first),
                cache=_cache(plan, first, Path(shared)),
                launched=launched,
            ) as series:
                for trial, record in Crews(series, self.lanes, self.jobs, display.doing).records(line):
                    yield trial, completed(trial, record)

        def completed(trial: Trial, record: Record) -> Record:
            if trial.scenario.backend:
                record["equality"] = known.of_scenario(trial.scenario, proofs)
            if trial.scenario.hash in found:
                limits.attach(record, trial.scenario, plan.shapes[trial.scenario.dataset], found[trial.scenario.hash])
            return record

        with TemporaryDirectory(prefix="vaebench-") as shared:
            for batch in _rounds(plan.trials) if plan.timed else [list(plan.trials)]:
                scenarios = [trial.scenario for trial in batch]
                if plan.timed and any(scenario.backend for scenario in scenarios):
                    display.measuring()
                    found = limits.measure(scenarios, plan.shapes)
                board = Board(lines(batch, plan.suite.shared_process))
                if self.jobs == 1:
                    # nothing goes on while a record is written
                    for line in board:
                        yield from run_line(line)
                else:
                    yield from _execute(board, run_line, self.jobs, workers)


def _cache(plan: Plan, trial: Trial, shared: Path) -> Path | None:
    """Timed trials compile cold, but for the later ones of a scenario where the suite says so; what is not timed finds
    what any other has compiled."""
    if not plan.timed:
        return shared
    return None if plan.apart else shared / trial.scenario.hash


def _rounds(trials: Iterable[Trial]) -> Iterable[list[Trial]]:
    return (list(batch) for _, batch in groupby(trials, key=lambda trial: trial.round))


def _execute(
    board: Board,
    run_line: Callable[[Line], Iterator[tuple[Trial, Record]]],
    jobs: int,
    workers: Mapping[int, WorkerProcess],
) -> Generator[tuple[Trial, Record]]:
    """Runs lines, ``jobs`` at a time, and gives each record as its trial ends; ``workers`` has each thread's latest."""
    ended: SimpleQueue[tuple[Trial, Record] | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            for one in chain.from_iterable(map(run_line, board)):
                ended.put(one)
        except BaseException as error:
            ended.put(error)
        finally:
            ended.put(None)

    threads: list[Thread] = []
    try:
        for _ in range(jobs):
            thread = Thread(target=work)
            thread.start()
            threads.append(thread)
        working = jobs
        while working:
            found = ended.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                working -= 1
            else:
                yield found
    except BaseException:
        # stopped by the user, the disk is full, or there is no room for so many threads: end the workers, so that the
        # threads that wait for them end too
        board.clear()
        while any(thread.is_alive() for thread in threads):
            for worker in list(workers.values()):
                worker.kill()
            for thread in threads:
                thread.join(0.1)
        raise
