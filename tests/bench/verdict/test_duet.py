"""Live comparisons: two workers in turn, pairs that are kept, and sides that break."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from bench.cli import main
from bench.environment import environment
from bench.quality.thresholds import Threshold
from bench.records import store
from bench.suites import suite
from bench.suites.scenario import Scenario, Trial
from bench.verdict import campaign, comparison, duet
from bench.verdict.campaign import Duets, Match
from bench.verdict.comparison import Terms
from bench.verdict.duet import SCORINGS, Part, play
from bench.verdict.sides import Side
from bench.worker.process import TrialFailed, WorkerProcess
from bench.worker.session import SCORING_SECONDS, Session

TRAIN = "train_samples_per_second"

TINY = """
    seeds = [3]
    threads = [1]
    timeout = 60
    [[scenarios]]
    datasets = ["blobs-2d?rows=600"]
    detectors = ["knn"]
"""


def knn() -> Scenario:
    return Scenario("blobs-2d?rows=600", "knn", None, None, "cpu", "float32", 1, (Threshold(),))


@pytest.fixture
def tiny(suite_file) -> str:
    return suite_file(TINY)


def test_a_live_comparison_keeps_its_pairs_and_goes_on_with_them(process, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["compare", "here", "here", "--suite", tiny, "--budget", "1s", "--format", "json", "--out", "kept"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    by_metric = {row["metric"]: row for row in first["verdicts"]}
    assert {TRAIN, "score_samples_per_second", "score_latency_p50_seconds", "roc_auc", "f1"} <= set(by_metric)
    assert {row["pairs"] for row in first["verdicts"]} == {1}
    assert by_metric["roc_auc"]["change"] == 0
    (kept,), _ = store.read(Path("kept/baseline"))
    assert (kept["seed"], kept["round"], kept["duet_scorings"]) == (3, 0, SCORINGS)

    # killed between the two records of a pair: the half is none, and its pair is played again
    store.append(Path("kept/baseline"), kept | {"seed": 4, "round": 1})
    assert main([*command, "--budget", "1h", "--metric", "roc_auc"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert (row["verdict"], row["pairs"]) == ("unchanged", 2)
    rounds = [[one["round"] for one in store.read(Path("kept") / name)[0]] for name in comparison.NAMES]
    assert rounds == [[0, 1, 1], [0, 1]]

    assert main(["compare", "here", "set:threads=2", "--suite", tiny, "--out", "kept"]) == 2
    assert "holds another comparison" in capsys.readouterr().err


def test_neighbours_are_one_epoch_each_and_their_order_is_drawn(process, monkeypatch):
    asked, planted = [], []

    class Recorder(WorkerProcess):
        def request(self, command, *arguments, **more):
            asked.append((self, command))
            planted.extend([more.get("slowdown", 0.0)] if command == "prepare" else [])
            return super().request(command, *arguments, **more)

    monkeypatch.setattr("bench.verdict.duet.WorkerProcess", Recorder)
    trial = Trial("t", knn(), seed=0, round=0)
    parts = Part(trial, environment()), Part(trial, environment(), slowdown=0.01)
    play(*parts, timeout=60)
    assert sorted(planted) == [0.0, 0.01]
    assert "slowdown" not in parts[0].record
    assert [part.record["status"] for part in parts] == ["ok", "ok"]
    scorings = [worker for worker, command in asked if command == "scoring"]
    turns = list(zip(scorings[::2], scorings[1::2], strict=True))
    assert len(turns) == SCORINGS
    assert all(first is not second for first, second in turns)
    assert len({first for first, _ in turns}) == 2
    assert sum(command == "epoch" for _, command in asked) == 2


def test_a_planted_slowdown_stretches_what_is_timed_by_its_share():
    class Seconds:
        """A clock that stands still but for a tick at each look, and the work."""

        value = 0.0

        def __call__(self) -> float:
            self.value += 0.01
            return self.value

    spent = []
    for slowdown in (0.0, 0.5):
        session, seconds = Session(Trial("t", knn(), seed=0, round=0), slowdown), Seconds()
        session.clock.now = seconds
        with session.clock.phase("train"), session._stretched():
            seconds.value += 10.0
        spent += session.clock.samples["train"]
    assert spent == pytest.approx([10.0, 15.0], abs=0.1)


def test_a_side_that_dies_makes_its_scenario_incomparable_and_both_logs_are_kept(bench, suite_file, tmp_path):
    path = suite_file(TINY.replace('["knn"]', '["knn", "exiting"]'))
    done = bench("compare", "here", "here", "--suite", path, "--budget", "1s", "--out", "kept", "--format", "markdown")
    assert done.returncode == 4, done.stderr
    assert "no licence" in done.stdout
    assert "Traceback" not in done.stderr
    logs = sorted((tmp_path / "kept" / "logs").iterdir())
    assert [log.stem.rpartition("-")[2] for log in logs] == ["baseline", "candidate"]
    assert any("no licence" in log.read_text() for log in logs)
    again = bench("compare", "here", "here", "--suite", path, "--budget", "1s", "--out", "kept", "--format", "markdown")
    assert (again.returncode, again.stdout) == (4, done.stdout)


def test_a_pair_that_was_lost_is_played_again_in_its_place(tmp_path, monkeypatch):
    """A side that was killed, or had no memory or time, says nothing of the code; one that diverged does."""
    statuses = iter(["ok", "failed", "timeout", "diverged"])

    def played(baseline: Part, candidate: Part, timeout: float) -> None:
        for part in (baseline, candidate):
            part.record |= {"data": {"checksum": "c"}, "metrics": {TRAIN: 1000.0}, "wall_seconds": 1.0, "samples": {}}
            part.record |= {"train_rows_per_sample": 1}
        candidate.record["status"] = next(statuses, "ok")

    monkeypatch.setattr(campaign, "play", played)
    match = Match("knn", knn(), knn())

    def after(pairs: int) -> tuple[int, str | None]:
        """So many pairs more, and what the same command then goes on from."""
        with Duets([match], side(), side(), tmp_path, suite.load("compare")) as duets:
            for _ in range(pairs):
                duets.add(match)
        with Duets([match], side(), side(), tmp_path, suite.load("compare")) as duets:
            (found,) = duets.found(Terms(metrics=(TRAIN,)))
            return len(found.pairs), found.reason

    assert after(2) == (1, None)
    assert after(1) == (1, None)
    pairs, reason = after(1)
    assert (pairs, "diverged" in str(reason)) == (1, True)
    rounds = [record["round"] for record in store.read(tmp_path / "candidate")[0]]
    assert rounds == [0, 1, 1, 1]


def side(name: str = "x") -> Side:
    return Side("here", name, environment={"machine": {"memory_bytes": 0}, "packages": {}})


def fake_play(seconds: dict[str, float], log: list[str]):
    """Stands for the workers: pairs of so many seconds, by the detector's parameter."""

    def played(baseline: Part, candidate: Part, timeout: float, **_: object) -> None:
        what = baseline.trial.scenario.dataset
        log.append(what)
        for part in (baseline, candidate):
            noise = 1.0 + 0.1 * ((part.trial.round * 7) % 5) * (part is candidate)
            part.record |= {
                "data": {"checksum": what},
                "metrics": {TRAIN: 1000.0 * noise},
                "wall_seconds": seconds[what],
                "samples": {},
            }
            part.record |= {"train_rows_per_sample": 1}

    return played


def test_the_budget_is_shared_in_turn_and_not_overdrawn(tmp_path, monkeypatch):
    log: list[str] = []
    monkeypatch.setattr(campaign, "play", fake_play({"blobs-2d": 10.0, "blobs": 4.0}, log))
    found = []
    for dataset in ("blobs-2d", "blobs"):
        scenario = Scenario(dataset, "knn", None, None, "cpu", "float32", 1, (Threshold(),))
        found.append(Match(scenario.label, scenario, scenario))
    with Duets(found, side(), side(), tmp_path, suite.load("compare")) as played:
        played.play(Terms(metrics=(TRAIN,)), 47.0)
        assert played.spent() == 46.0
    assert log == ["blobs-2d", "blobs", "blobs-2d", "blobs", "blobs-2d", "blobs", "blobs"]


def test_a_calibration_says_what_it_saw_and_a_comparison_quotes_it(tmp_path, monkeypatch, capsys, suite_file):
    def played(baseline: Part, candidate: Part, timeout: float, **_: object) -> None:
        offset = 0.01 * ((baseline.trial.round * 7) % 5 - 2)
        for part in (baseline, candidate):
            speed = 1000.0 / (1.0 + part.slowdown) * (1.0 + offset * (part is candidate))
            metrics = {TRAIN: speed, "peak_memory_bytes": 4e8}
            part.record |= {"data": {"checksum": "c"}, "metrics": metrics, "wall_seconds": 5.0}

    monkeypatch.setattr(campaign, "play", played)
    monkeypatch.chdir(tmp_path)
    path = suite_file(TINY)
    command = ["calibrate", "--suite", path, "--slowdowns", "10", "--duration", "3m", "--comparisons", "60"]
    assert main([*command, "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["pairs"] == {"0": 18, "0.1": 18}
    alarms = result["false_alarms"]
    assert (alarms["all"]["count"], alarms["all"]["of"]) == (0, 60)
    assert alarms["live"]["of"] + alarms["resampled"]["of"] == 60
    assert alarms["live"]["of"] >= 1
    (seen,) = (row for row in result["power"] if row["metric"] == TRAIN)
    assert seen["resampled"]["count"] == 60
    assert seen["measured"][0] == pytest.approx(0.1, abs=0.01)
    (smallest,) = (row for row in result["smallest"] if row["metric"] == TRAIN)
    assert 0.03 < smallest["slowdown"] <= 0.07

    assert main(command) == 0  # every pair is there already
    text = capsys.readouterr().out.replace("\u00a0", " ")
    assert "a slowdown by" in text
    assert main(["compare", "here", "here", "--suite", path, "--out", "kept", "--metric", TRAIN]) == 0
    assert "0 of 60 comparisons of equal sides" in capsys.readouterr().out


def test_a_revision_that_knows_no_scoring_in_turn_is_scored_at_once_and_another_failure_is_one():
    def unknown(side: int, command: str) -> dict:
        raise TrialFailed("failed", "AttributeError: 'Session' object has no attribute 'scoring'")

    def broken(side: int, command: str) -> dict:
        raise TrialFailed("failed", "RuntimeError: no licence")

    assert duet._score(random.Random(0), unknown) == 0
    with pytest.raises(TrialFailed, match="no licence"):
        duet._score(random.Random(0), broken)


def test_without_scoring_in_turn_the_medians_are_compared():
    from bench.verdict import pairing

    samples = {"train": [1.0], "score": [0.2, 0.2], "latency": [0.1]}
    base = {"samples": samples, "train_rows_per_sample": 1, "score_rows_per_sample": 1, "duet_scorings": 0}
    first = base | {"metrics": {"score_samples_per_second": 100.0}}
    second = base | {"metrics": {"score_samples_per_second": 50.0}}
    found = pairing.pair(first, second, (Path(), Path()), ["score_samples_per_second"])
    assert found.logs == {"score_samples_per_second": [pytest.approx(math.log(2.0))]}


def test_a_stretch_of_scoring_is_as_long_as_the_faster_side_needs_on_both():
    asked = []

    def ask(side: int, command: str, **more: int) -> dict:
        asked.append((side, command, more))
        return {"repeats": (7, 30)[side]} if command == "rehearse" else {}

    assert duet._score(random.Random(0), ask, stretched=True) == SCORINGS
    assert sorted(side for side, command, _ in asked if command == "rehearse") == [0, 1]
    scorings = [more for _, command, more in asked if command == "scoring"]
    assert scorings == [{"repeats": 30}] * (2 * SCORINGS)


def test_beside_an_older_revision_neither_side_scores_in_stretches(process, monkeypatch):
    asked = []

    class Older(WorkerProcess):
        """The second of the two answers as a revision of protocol 1 does."""

        count = 0

        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            Older.count += 1
            self.old = Older.count == 2

        def request(self, command, *arguments, **more):
            asked.append((command, more))
            if self.old and command == "hello":
                return {}
            return super().request(command, *arguments, **more)

    monkeypatch.setattr("bench.verdict.duet.WorkerProcess", Older)
    parts = Part(Trial("t", knn(), seed=0, round=0), environment()), Part(Trial("t", knn(), 0, 0), environment())
    play(*parts, timeout=60)
    assert [part.record["status"] for part in parts] == ["ok", "ok"]
    assert [part.record["score_rows_per_sample"] for part in parts] == [parts[0].record["data"]["test_rows"]] * 2
    assert "rehearse" not in {command for command, _ in asked}
    assert all(not more for command, more in asked if command == "scoring")


def test_a_stretch_lasts_and_its_rate_is_that_of_the_rows_it_scored(process):
    parts = Part(Trial("t", knn(), seed=0, round=0), environment()), Part(Trial("t", knn(), 0, 0), environment())
    play(*parts, timeout=60)
    first, second = (part.record for part in parts)
    assert first["score_repeats"] == second["score_repeats"] > 1
    rows = first["data"]["test_rows"] * first["score_repeats"]
    assert first["score_rows_per_sample"] == rows
    seconds = sorted(first["samples"]["score"])
    # found off the clock as 0.05 s by the fastest of five: on a busy machine it only gets longer
    assert seconds[len(seconds) // 2] > SCORING_SECONDS / 2
    assert first["metrics"]["score_samples_per_second"] == pytest.approx(rows / np.median(seconds))
