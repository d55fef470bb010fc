"""Which trial goes where, without a process: workers and trials are plain data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.cluster.placement import Assignment, Placement, sent
from bench.cluster.workers import START, Memory, Worker, odd
from bench.quality.thresholds import Threshold
from bench.suites.scenario import Scenario, Training, Trial

GIB = 1 << 30


def environment(cpu: str = "one", numpy: str = "2.0", gpu: str | None = None) -> dict[str, Any]:
    machine = {"cpu": cpu, "cores": 4, "memory_bytes": 8 * GIB, "os": "Linux 6", "python": "3.12.1", "gpu": gpu}
    return {"machine": machine, "packages": {"numpy": numpy}, "vaebench": "0.1.0", "revision": "abc"}


def worker(name: str, machine: str = "", **changes: Any) -> Worker:
    plain = {"threads": 2, "cores": 4, "memory": 8 * GIB, "environment": environment()}
    return Worker(name, name, name, machine or name, **{**plain, **changes})


def scenario(detector: str = "norm", dataset: str = "blobs", **changes: Any) -> Scenario:
    plain = {"backend": None, "mode": None, "device": "cpu", "precision": "float64", "threads": 1}
    return Scenario(dataset, detector, thresholds=(Threshold("oracle_f1"),), **{**plain, **changes})


def network(backend: str, **changes: Any) -> Scenario:
    return scenario("vae", backend=backend, mode="tuned", training=Training(), **changes)


def trial(scenario: Scenario, seed: int = 0, round: int = 0, timed: bool = False) -> Trial:
    return Trial("suite", scenario, seed, round, timed)


def placement(trials: list[Trial], *workers: Worker, **changes: Any) -> Placement:
    plain = {"retries": 2, "memory": Memory({}), "mixed": False, "homes": {}}
    found = Placement(trials, **{**plain, **changes})
    for one in workers:
        found.join(one)
    return found


def started(found: Placement) -> list[Assignment]:
    return list(iter(found.next, None))


def test_quality_trials_take_as_many_threads_as_a_worker_has():
    found = placement([trial(scenario(), seed) for seed in range(9)], worker("a"), worker("b", threads=3))
    running = started(found)
    assert sorted(one.worker.name for one in running[:5]) == ["a", "a", "b", "b", "b"]
    assert sorted(one.worker.name for one in running[5:]) == ["a", "b"], "one more lies ready on each"
    assert [one.trial.seed for one in running] == list(range(7)), "in the order of the plan"
    assert found.ended(running[0])
    assert [one.trial.seed for one in started(found)] == [7]


def test_a_worker_gets_trials_that_share_its_processes_and_helps_with_others_when_it_has_none_left():
    names = ["torch"] * 2 + ["jax"] * 6
    found = placement([trial(network(name), seed) for seed, name in enumerate(names)], worker("a"), worker("b"))
    where: dict[str, list[str | None]] = {"a": [], "b": []}
    while running := started(found):
        for one in running:
            where[one.worker.name].append(one.trial.scenario.backend)
            found.ended(one)
    first, other = sorted(where.values(), key=len)
    assert other == ["jax"] * len(other)
    assert first == ["torch"] * 2 + ["jax"] * (len(first) - 2)
    assert len(first) > 2


def test_trials_of_one_program_follow_each_other_whatever_the_plan_says():
    trials = [trial(network("jax", dataset=("digits:4", "blobs")[seed % 2]), seed) for seed in range(8)]
    found = placement(trials, worker("a", threads=1))
    order = []
    while running := started(found):
        for one in running:
            order.append(one.trial.scenario.dataset)
            found.ended(one)
    assert order == ["digits:4"] * 4 + ["blobs"] * 4


def test_a_worker_that_had_no_room_is_asked_again_when_its_trial_ended_or_takes_less_than_was_thought():
    found = placement([trial(scenario(), seed) for seed in range(6)], worker("a"), memory=Memory({"blobs": GIB}))
    one, _ = started(found)
    found.learn(scenario(), GIB)
    assert started(found), "the next one fits now"
    assert found.ended(one)
    assert started(found)


def test_quality_trials_take_no_more_memory_than_a_worker_has():
    memory = Memory({"blobs": GIB})
    assert memory.of(scenario()) == START[None] + 6 * GIB
    found = placement([trial(scenario(), seed) for seed in range(3)], worker("a"), memory=memory)
    _, ready = started(found)
    assert found.ahead == {ready.number}, "one runs at a time"
    memory.learn(scenario(), 2 * GIB)  # what it really took
    assert memory.of(scenario()) == 2 * GIB + GIB // 4
    found = placement([trial(scenario(), seed) for seed in range(2)], worker("a"), memory=memory)
    assert len(started(found)) == 2
    assert not found.ahead


def test_an_estimate_beyond_every_worker_takes_the_largest_alone():
    found = placement(
        [trial(scenario(), seed) for seed in range(2)],
        worker("small", memory=4 * GIB),
        worker("large"),
        memory=Memory({"blobs": 10 * GIB}),
    )
    assert {one.worker.name for one in started(found)} == {"large"}
    assert len(found.ahead) == 1


def test_a_timed_trial_has_its_machine_to_itself_whatever_workers_share_it():
    trials = [trial(scenario(), seed, timed=True) for seed in range(3)] + [trial(scenario(), 9)]
    found = placement(trials, worker("a1", "A"), worker("a2", "A"), worker("b", "B"))
    assert [one.worker.machine for one in started(found)] == ["A", "B"]
    ended = next(one for one in found.running.values() if one.worker.machine == "A")
    found.ended(ended)
    (next_one,) = started(found)
    assert next_one.worker.machine == "A"
    assert next_one.trial.timed


def test_no_timed_trial_starts_on_a_machine_with_a_quality_trial():
    found = placement([trial(scenario())], worker("a1", "A"), worker("a2", "A"))
    (quality,) = started(found)
    found._queue(waiting := trial(scenario(), 1, timed=True)).append((1, waiting))
    found.left += 1
    assert started(found) == []
    found.ended(quality)
    assert [one.trial for one in started(found)] == [waiting]


def test_what_is_compared_goes_to_one_machine_and_rounds_to_others():
    names = ("torch", "jax", "keras")
    trials = [trial(network(name), 0, round, timed=True) for round in range(2) for name in names]
    found = placement(trials, worker("a"), worker("b"))
    where: dict[int, set[str]] = {0: set(), 1: set()}
    while running := started(found):
        for one in running:
            where[one.trial.round].add(one.worker.machine)
            found.ended(one)
    assert where == {0: {"a"}, 1: {"b"}}
    assert found.left == 0


def test_a_run_that_goes_on_takes_the_machine_that_began_a_comparison_and_another_where_it_is_gone():
    trials = [trial(network("jax"), timed=True)]
    homes = {("blobs", 0, 0): "b"}
    assert started(placement(trials, worker("a"), worker("b"), homes=homes))[0].worker.name == "b"
    assert started(placement(trials, worker("a"), homes=homes))[0].worker.name == "a"


def test_a_comparison_goes_where_most_of_it_can_run_and_the_rest_where_it_can():
    lacking = {"jax": "not installed"}
    trials = [trial(network(name), timed=True) for name in ("torch", "jax")]
    found = placement(trials, worker("poor", backends=lacking), worker("rich"))
    assert started(found)[0].worker.name == "rich"
    split = placement(trials, worker("a", backends=lacking), worker("b", backends={"torch": "not installed"}))
    assert {one.trial.scenario.backend: one.worker.name for one in started(split)} == {"torch": "a", "jax": "b"}


def test_other_versions_run_no_timed_trial_unless_they_are_mixed():
    crowd = [worker("a"), worker("b"), worker("odd", environment=environment(numpy="1.9"))]
    trials = [trial(scenario(), seed, timed=True) for seed in range(3)]
    assert odd(crowd) == {"odd": "numpy 1.9, most have 2.0"}
    assert {one.worker.name for one in started(placement(trials, *crowd))} == {"a", "b"}
    assert {one.worker.name for one in started(placement(trials, *crowd, mixed=True))} == {"a", "b", "odd"}
    quality = [replace(one, timed=False) for one in trials]
    assert "odd" in {one.worker.name for one in started(placement(quality, *crowd))}


def test_machines_and_not_workers_decide_which_versions_are_usual():
    old = environment(numpy="1.9")
    crowd = [*(worker(f"x{i}", "X", environment=old) for i in range(8)), worker("a"), worker("b")]
    assert set(odd(crowd)) == {f"x{i}" for i in range(8)}


def test_another_processor_is_no_other_version():
    assert odd([worker("a"), worker("b", environment=environment(cpu="two"))]) == {}


def test_a_trial_whose_worker_is_lost_runs_again_at_its_place_and_ends_after_its_retries():
    found = placement([trial(scenario(), 0), trial(scenario(), 1)], worker("a", threads=1), retries=2)
    seen = []
    for attempt in (1, 2, 3):
        one, *ready = started(found)
        assert (one.trial.seed, one.attempt) == (0, attempt)
        assert len(ready) == (attempt == 1), "what was lost once has its worker to itself"
        (lost, again), *_ = found.leave("a")
        seen.append(again)
        assert not found.ended(lost), "a late reply of a lost worker counts no more"
        found.join(worker("a", threads=1))
    assert seen == [True, True, False]
    assert found.left == 1
    innocent = started(found)[0]
    assert (innocent.trial.seed, innocent.attempt) == (1, 1), "it had not begun when the worker was lost"


def test_a_lost_connection_is_no_attempt():
    found = placement([trial(scenario())], worker("a"), retries=0)
    for _ in range(5):
        assert found.lost(started(found)[0], counted=False)
    assert started(found)[0].attempt == 1


def test_a_worker_that_joins_late_is_used_and_a_small_one_given_what_it_can_do():
    found = placement([trial(scenario(threads=4)), trial(scenario())], worker("small", threads=1))
    assert [one.trial.scenario.threads for one in started(found)] == [1]
    found.join(worker("late", threads=4))
    assert [one.worker.name for one in started(found)] == ["late"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": {"mnist:4": "no file"}}, "no file"),
        ({"backends": {"jax": "not installed"}}, "jax: not installed"),
        ({"detectors": {"vae": "needs more"}}, "needs more"),
        ({"threads": 1}, "2 threads are more than its 1"),
    ],
)
def test_what_a_worker_cannot_run_is_said_and_waits_for_no_one(changes, reason):
    wanted = trial(network("jax", dataset="mnist:4", threads=2))
    found = placement([wanted], worker("a", **changes))
    assert started(found) == []
    assert found.hopeless() == [(wanted, reason)]
    assert found.left == 0
    assert len(started(placement([wanted], worker("a")))) == 1


def test_gpu_trials_go_to_workers_with_a_gpu_one_at_a_time():
    trials = [trial(network("jax", device="gpu"), seed) for seed in range(2)]
    found = placement(trials, worker("none"), worker("card", environment=environment(gpu="H100")))
    assert [one.worker.name for one in started(found)] == ["card"]


def test_a_file_that_was_sent_is_read_where_it_lies():
    one = trial(scenario(dataset="file:mine.csv"))
    (assignment,) = started(placement([one], worker("a", folders={"file:mine.csv": "/there"})))
    assert sent(assignment).data_dir == "/there"
    assert sent(assignment).key == one.key


def test_ten_thousand_trials_are_placed_as_fast_as_they_end():
    one, two = scenario(threads=1), scenario(threads=2)
    trials = [trial((one, two)[seed % 2], seed) for seed in range(10_000)]
    found = placement(trials, *(worker(f"w{i}") for i in range(4)))
    ended = 0
    while running := started(found):
        for one in running:
            ended += found.ended(one)
    assert ended == 10_000
    assert not found.waiting
