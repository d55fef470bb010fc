"""Crews: how many lanes are taken, what their records say, and what becomes of a crew that fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.run import crews
from bench.run.crews import Crews
from bench.run.lines import Line, lines
from bench.run.trial import blank
from bench.serve import progress
from bench.suites.suite import load
from bench.worker.process import TrialFailed

HERE: dict[str, Any] = {"machine": {"memory_bytes": 0}, "packages": {}}
SUITE = """
seeds = [{seeds}]
datasets = ["blobs"]
training = {{ hidden = [8], latent = 2, epochs = 2 }}
[[scenarios]]
detectors = ["vae"]
backends = ["jax"]
"""


class Clock:
    """What the crews read."""

    now = 0.0


class Worker:
    """Trains in no time, so many rows a second by the lanes that it has, and fails where it is told to.

    A seed's network is that of any other, or the one of its remainder by ``networks``.
    """

    def __init__(
        self, speed: dict[int, float], fails: str = "", room: dict[str, Any] | None = None, networks: int = 1
    ) -> None:
        self.speed, self.fails, self.networks = speed, fails, networks
        self.found = room or {"bytes": 1000, "most": 64, "refused": None}
        self.crews: list[tuple[int, int]] = []

    def extend(self, timeout: float) -> None:
        self.timeout = timeout

    def request(self, command: str, *arguments: Any, **more: Any) -> dict[str, Any]:
        if command == self.fails:
            raise TrialFailed("failed", "the fuse has blown")
        if command == "room":
            return self.found
        if command == "prepare_crew":
            own = [trial["seed"] % self.networks for trial in more["trials"]]
            taken = [place for place, network in enumerate(own) if network == own[0]]
            self.crews.append((len(taken), more["lanes"]))
            return {"epochs": 2, "taken": taken, "lanes": more["lanes"]}
        trials, lanes = self.crews[-1]
        if command == "crew_epoch":
            # the second lane diverges in the first epoch
            told = [{"loss": 1.0, "validation_loss": 2.0, "stop": False} for _ in range(trials)]
            gone = {"diverged": "the training loss was nan in epoch 1"} if arguments[0] == 0 else None
            told[1:2] = [gone] * len(told[1:2])
            Clock.now += trials / self.speed.get(lanes, 1.0)
            return {"lanes": told, "going": True, "rows": trials}
        return {
            "backend": {},
            "scored": {"metrics": {"roc_auc": 1.0, "f1": 1.0, "peak_memory_bytes": 1}, "samples": {}},
        }


class Alone:
    """A series whose trials end at once."""

    timeout, command, environment, process, done = 60.0, "", HERE, "one", 0

    def __init__(self, worker: Worker, rate: float) -> None:
        self.worker, self.rate, self.alone, self.dropped = worker, rate, [], 0

    def worker_for(self, trial: Any) -> Worker:
        return self.worker

    def drop(self) -> None:
        self.dropped += 1

    def record(self, trial: Any, progress: Any) -> dict[str, Any]:
        self.alone.append(trial.seed)
        self.done += 1
        for doing in ("training", "training", "scoring"):
            progress(doing, 0, 2)
            Clock.now += 1.0 / self.rate
        more = {"data": {"train_rows": 1}, "made": {"before": self.done - 1}}
        return blank(trial, HERE, "") | more


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(crews, "perf_counter", lambda: Clock.now)
    monkeypatch.setattr(crews, "WORTH", 0.0)

    def made(worker: Worker, rate: float, seeds: int, lanes: Any, jobs: int = 1):
        path = tmp_path / "mine.toml"
        path.write_text(SUITE.format(seeds=", ".join(map(str, range(seeds)))))
        trials = [trial for trial in load(str(path)).trials(1, timed=False) if trial.scenario.backend]
        (line,) = lines(trials, "none")
        series = Alone(worker, rate)
        told: list[Any] = []
        crew = Crews(series, lanes, jobs, lambda trial, *step: told.append(step))  # type: ignore[arg-type]
        ended = list(crew.records(Line(line)))
        assert sorted(trial.seed for trial, _ in ended) == list(range(seeds))
        order = [trial.seed for trial, _ in ended]
        records = [record for _, record in ended]
        return SimpleNamespace(series=series, records=records, told=told, trials=trials, order=order)

    return made


def test_lanes_grow_as_long_as_they_are_faster_and_the_fastest_number_stays(run):
    worker = Worker({8: 40.0, 16: 60.0, 32: 61.0})
    found = run(worker, 10.0, 1 + 8 + 16 + 32 + 40, "auto")
    assert found.series.alone == [0]
    assert [lanes for _, lanes in worker.crews] == [8, 16, 32, 32, 8], "no more than 16 are worth it, and 32 are there"


def test_where_lanes_are_slower_trials_go_on_alone_and_say_why(run):
    worker = Worker({8: 5.0})
    found = run(worker, 10.0, 20, "auto")
    assert worker.crews == [(8, 8)]
    assert found.series.alone == [0, *range(9, 20)]
    assert found.records[-1]["made"]["alone"] == "8 lanes train 0.50 times as many rows a second"
    assert "alone" not in found.records[0]["made"]


def test_lanes_are_no_more_than_asked_for_than_there_is_memory_for_and_than_others_leave(run):
    worker = Worker({})
    run(worker, 1.0, 8, 4)
    assert worker.crews == [(4, 4), (4, 4)]
    worker = Worker({}, room={"bytes": 1, "most": 3, "refused": None})
    run(worker, 1.0, 6, 4)
    assert worker.crews == [(3, 3), (3, 3)]
    worker = Worker({})
    run(worker, 1.0, 8, 8, jobs=2)
    assert worker.crews == [(4, 4), (2, 4)], "half of what is left, each time, in a program that is there"
    worker = Worker({}, room={"bytes": 1, "most": 3, "refused": "the backend has no lanes"})
    found = run(worker, 1.0, 3, 4)
    assert worker.crews == []
    assert found.records[2]["made"]["alone"] == "the backend has no lanes"


def test_a_record_tells_its_lane_and_a_lane_that_diverges_costs_no_other(run):
    found = run(Worker({}), 1.0, 3, 3)
    assert [record["made"] for record in found.records] == [
        {"before": 0, "lanes": 3, "lane": lane, "lane_bytes": 1000} for lane in range(3)
    ]
    assert [record["status"] for record in found.records] == ["ok", "diverged", "ok"]
    assert found.records[1]["reason"] == "the training loss was nan in epoch 1"
    assert found.records[2]["loss"] == [1.0, 1.0]
    assert "peak_memory_bytes" not in found.records[0]["metrics"]
    assert ("training 3 lanes", 1, 2) in found.told
    assert "lane 3 of 3" in progress.line(found.trials[2], found.records[2])


def test_few_trials_take_a_program_that_is_there_where_idle_lanes_cost_less_than_another_one():
    pace = crews.Pace()
    pace.learn(15, 100.0, 0.4)
    assert [pace.program(trials) for trials in (15, 8, 3, 2)] == [15, 15, 15, 2]
    assert pace.program(16) == 16
    pace.learn(4, 100.0, 0.4)
    assert pace.program(3) == 4
    pace.seconds = 10.0
    assert [pace.program(trials) for trials in (8, 7, 3, 2)] == [15, 7, 4, 2]


def test_trials_whose_networks_differ_are_trained_in_crews_of_their_own(run):
    worker = Worker({}, networks=2)
    found = run(worker, 1.0, 8, 4)
    assert found.order == [0, 2, 1, 3, 5, 4, 6, 7], "what is left out of a crew comes next"
    assert worker.crews == [(2, 4), (3, 4), (2, 4)]
    assert found.series.alone == [7]
    assert found.series.dropped == 0


@pytest.mark.parametrize("command", ["prepare_crew", "crew_epoch", "crew_score"])
def test_the_trials_of_a_crew_that_fails_are_trained_alone(run, command):
    found = run(Worker({}, fails=command), 1.0, 3, 3)
    assert found.series.dropped == 1
    assert found.series.alone == [0, 1, 2]
    assert found.records[2]["status"] == "ok"
    assert found.records[2]["made"]["alone"] == "in 3 lanes it failed: the fuse has blown"


def test_no_lanes_are_tried_where_too_little_is_left_to_train(run, monkeypatch):
    monkeypatch.setattr(crews, "WORTH", 30.0)
    worker = Worker({8: 1.0})
    run(worker, 1.0, 1 + 14, "auto")
    assert worker.crews == [], "28 seconds are left"
    run(worker, 1.0, 1 + 16, "auto")
    assert worker.crews == [(8, 8)]
