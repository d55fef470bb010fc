"""Crews: trials that are trained in lanes of one program, and how many of them are best, which is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import ceil
from statistics import median
from time import perf_counter
from typing import Any

import msgspec

from bench.records.record import Record
from bench.run.lines import Line, shape
from bench.run.trial import MEMORY, SOUND, Series, blank
from bench.suites.scenario import Trial
from bench.suites.suite import Lanes
from bench.worker.process import TrialFailed

FIRST = 8
"""Lanes that are tried first, once a trial of the shape was trained alone."""
MOST = 64
"""Lanes that are tried at most."""
GAIN = 1.05
"""By how much twice the lanes have to train faster for still more to be tried."""

WORTH = 30.0
"""Seconds that the trials which are left would train for, below which another number of lanes is not tried: its program
has to be compiled, which takes some seconds."""

COMPILED = 5.0
"""Seconds that another program of lanes takes to compile, about."""

Progress = Callable[[Trial, str, int, int], None]
Ended = tuple[Trial, Record]


class Pace:
    """Rows a second of one shape's trainings, by the lanes that trained them together.

    Over all that an epoch takes, its validation and the messages to the worker included.
    """

    def __init__(self) -> None:
        self.rates: dict[int, float] = {}
        self.seconds = 0.0
        """That a training took where it was fastest."""
        self.room = MOST
        self.bytes = 0
        self.refused: str | None = None

    def best(self) -> int:
        return max(self.rates, key=lambda lanes: self.rates[lanes])

    def learn(self, lanes: int, rate: float, seconds: float) -> None:
        """What a crew of so many lanes showed: rows a second, and the seconds of each training."""
        if lanes not in self.rates:
            self.rates[lanes] = rate
            self.seconds = min(seconds, self.seconds or seconds)

    def next(self, left: int) -> int:
        """How many lanes are to be tried for so many trainings, or are known to be best."""
        if not self.rates:
            return 1
        wanted = self._untried()
        return wanted if left * self.seconds >= WORTH else self.best()

    def _untried(self) -> int:
        """How many lanes may be faster than all that were tried; the best where there are none."""
        largest = max(self.rates)
        before = max((rate for lanes, rate in self.rates.items() if lanes < largest), default=0.0)
        if largest == 1:
            return min(FIRST, self.room)
        if self.rates[largest] > GAIN * before and 2 * largest <= min(MOST, self.room):
            return 2 * largest
        return self.best()

    def program(self, trials: int) -> int:
        """How many lanes so many trials are trained in: a program that is there already takes fewer than it has lanes,
        as long as less than half of them are idle, or they idle for less time than another program takes to compile."""
        there = min((lanes for lanes in self.rates if lanes >= max(trials, 2)), default=trials)
        idle = there - trials
        return there if idle < trials or idle * self.seconds < COMPILED else trials

    def why_alone(self) -> str:
        """Why no lanes are used."""
        if self.refused is not None:
            return self.refused
        tried = max(self.rates)
        return f"{tried} lanes train {self.rates[tried] / self.rates[1]:.2f} times as many rows a second"


class Crews:
    """The trials of lines, in lanes where these are faster, else one after the other.

    Parameters
    ----------
    series : Series
        Whose worker trains them.
    lanes : int or ``auto``
        How many at most; ``auto`` measures. A shape's first trial is then trained alone, the next in ever more lanes as
        long as these train faster, and all others in as many as were fastest.
    jobs : int
        How many take from a line at a time.
    progress : callable
        As in ``Display.doing``.
    """

    def __init__(self, series: Series, lanes: Lanes, jobs: int, progress: Progress) -> None:
        self.series, self.lanes, self.jobs, self.progress = series, lanes, jobs, progress
        self.paces: dict[object, Pace] = {}

    def records(self, line: Line) -> Iterator[Ended]:
        """Each trial of the line with its record, as it ends."""
        while alike := line.alike():
            first = line.first()
            if first is None:
                return
            wanted = 1 if self.lanes == 1 or alike == 1 else self._wanted(first, alike)
            share = ceil(alike / self.jobs)
            trials = line.take(min(wanted, share))
            # another job may have taken what was first, and left trials of a shape that is not known yet
            pace = self.paces.get(shape(trials[0].scenario)) if len(trials) > 1 else None
            if pace is not None:
                yield from self._together(line, trials, pace.program(len(trials)), pace)
            else:
                yield from ((trial, self._alone(trial)) for trial in trials)

    def _wanted(self, trial: Trial, left: int) -> int:
        """How many lanes trials of this one's shape, of which so many are left, are trained in next."""
        key = shape(trial.scenario)
        if key not in self.paces:
            pace = self.paces[key] = Pace()
            try:
                found = self.series.worker_for(trial).request("room", trial=msgspec.to_builtins(trial))
                pace.bytes, pace.room, pace.refused = found["bytes"], found["most"], found["refused"]
            except TrialFailed as failed:
                pace.refused = failed.reason
                self.series.drop()
        pace = self.paces[key]
        if pace.refused is not None:
            return 1
        return pace.next(left) if self.lanes == "auto" else min(self.lanes, pace.room)

    def _alone(self, trial: Trial) -> Record:
        marks: list[float] = []

        def progress(doing: str, done: int, of: int) -> None:
            if doing in ("training", "scoring"):
                marks.append(perf_counter())
            self.progress(trial, doing, done, of)

        record = self.series.record(trial, progress)
        pace = self.paces.get(shape(trial.scenario))
        if pace is None or record["status"] != "ok":
            return record
        if len(marks) > 1:
            epoch = median(end - start for start, end in pairwise(marks))
            pace.learn(1, record["data"]["train_rows"] / epoch, marks[-1] - marks[0])
        if pace.refused is not None or (max(pace.rates, default=1) > 1 and pace.best() == 1):
            record["made"]["alone"] = pace.why_alone()
        return record

    def _together(self, line: Line, trials: Sequence[Trial], lanes: int, pace: Pace) -> Iterator[Ended]:
        """Trains trials in so many lanes; where that fails as a whole, each that is left is trained alone.

        Trials whose networks turn out to be others than the first one's go back into the line.
        """
        series, started = self.series, perf_counter()
        left = dict(enumerate(trials))
        try:
            worker = series.worker_for(trials[0])
            worker.extend(series.timeout * len(trials))
            self.progress(trials[0], f"training {len(trials)} lanes", 0, 0)
            asked = [msgspec.to_builtins(trial) for trial in trials]
            prepared = worker.request("prepare_crew", trials=asked, lanes=lanes)
            line.give_back([trial for place, trial in left.items() if place not in prepared["taken"]])
            trials, lanes = [left[place] for place in prepared["taken"]], prepared["lanes"]
            left = dict(enumerate(trials))
            records = [blank(trial, series.environment, series.command) for trial in trials]
            before, series.done = series.done, series.done + len(trials)
            self._train(worker, trials, records, lanes, prepared["epochs"], pace)
            spent = (perf_counter() - started) / len(trials)
            for lane, (trial, record) in enumerate(zip(trials, records, strict=True)):
                record |= {"process": series.process, "made": {"before": before, "lanes": lanes, "lane": lane}}
                record["made"]["lane_bytes"] = pace.bytes
                self.progress(trial, "scoring", lane + 1, len(trials))
                begun = perf_counter()
                if record["status"] == "ok":
                    self._score(worker, lane, record)
                record["wall_seconds"] = spent + perf_counter() - begun
                del left[lane]
                yield trial, record
        except TrialFailed as failed:
            series.drop()
            pace.refused = f"in {lanes} lanes it failed: {failed.reason}"
            for trial in left.values():
                yield trial, self._alone(trial)

    def _train(
        self, worker: Any, trials: Sequence[Trial], records: Sequence[Record], lanes: int, epochs: int, pace: Pace
    ) -> None:
        """Trains until every lane has stopped, each one's losses into its record."""
        rates, started = [], perf_counter()
        for epoch in range(epochs):
            self.progress(trials[0], f"training {len(trials)} lanes", epoch, epochs)
            begun = perf_counter()
            reply = worker.request("crew_epoch", epoch)
            rates.append(reply["rows"] / (perf_counter() - begun))
            for record, found in zip(records, reply["lanes"], strict=False):
                if found is None:
                    continue
                if "diverged" in found:
                    record |= {"status": "diverged", "reason": found["diverged"]}
                    continue
                for name in ("loss", "validation_loss"):
                    record[name].append(found[name])
            if not reply["going"]:
                break
        pace.learn(lanes, median(rates[1:] or rates), (perf_counter() - started) / len(trials))

    def _score(self, worker: Any, lane: int, record: Record) -> None:
        """What is said of a lane's quality, into its record. Raises TrialFailed where the worker is lost."""
        try:
            reply = worker.request("crew_score", lane)
        except TrialFailed as failed:
            if failed.status not in SOUND:
                raise
            record |= {"status": failed.status, "reason": failed.reason}
            return
        record["environment"] = {**record["environment"], "backend": reply["backend"]}
        record |= reply["scored"]
        # what the process held is of all lanes
        for name in MEMORY:
            record["metrics"].pop(name, None)
        record.pop("import_memory_bytes", None)
