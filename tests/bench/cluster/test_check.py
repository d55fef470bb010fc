"""What ``bench cluster check`` says of three machines, two alike and one with other versions."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.cluster import asking
from bench.cluster.check import lines
from bench.cluster.workers import Worker
from bench.quality.thresholds import Threshold
from bench.suites.scenario import Scenario

GIB = 1 << 30


def machine(name: str, jax: str = "0.9", **changes: Any) -> Worker:
    told = {"cpu": "one", "cores": 2, "memory_bytes": 8 * GIB, "os": "Linux 6", "python": "3.12.1", "gpu": None}
    environment = {"machine": told, "packages": {"jax": jax}, "vaebench": "0.1.0", "revision": "abc"}
    return Worker(f"tcp://{name}:1", name, name, name, 2, 2, 8 * GIB, environment, **changes)


def scenario(dataset: str, threads: int = 1) -> Scenario:
    return Scenario(dataset, "norm", None, None, "cpu", "float64", threads, (Threshold("oracle_f1"),))


def check(*workers: Worker, scenarios: tuple[Scenario, ...] = ()) -> tuple[str, bool]:
    told, well = lines({worker.address: worker for worker in workers}, scenarios)
    return "\n".join(told), well


def test_the_odd_machine_is_named_with_why():
    told, well = check(machine("a"), machine("b"), machine("c", jax="0.8"))
    assert not well
    assert told.startswith("3 workers on 3 machines, 2 environments; rates of different environments are shown apart")
    (odd,) = [line for line in told.splitlines() if "--mixed" in line]
    assert "jax 0.8, most have 0.9" in odd
    assert told.index("c at tcp://c:1") < told.index(odd)
    assert check(machine("a"), machine("b"))[1]
    assert check(machine("a"))[0].startswith("1 worker on 1 machine, 1 environment\n")


def test_what_a_worker_lacks_and_what_can_run_nowhere_is_said():
    lacking = machine("a", data={"mnist:4": "no file of it"})
    told, well = check(lacking, machine("b"), scenarios=(scenario("mnist:4"),))
    assert well
    assert "mnist:4: no file of it" in told
    assert "nowhere" not in told
    told, well = check(lacking, scenarios=(scenario("mnist:4"), scenario("blobs", threads=4)))
    assert not well
    assert "nowhere: mnist:4 norm threads 1: no file of it" in told
    assert "nowhere: blobs norm threads 4: 4 threads are more than its 2" in told


def test_a_worker_that_did_not_answer_is_refused_in_one_line():
    told, well = lines({"tcp://x:1": "vaebench is not installed there"}, ())
    assert told[1] == "tcp://x:1: refused: vaebench is not installed there"
    assert not well


def test_one_worker_whose_answer_cannot_be_sent_is_refused_alone():
    class Client:
        def run(self, function: Any, question: bytes, *, workers: list[str], on_error: str) -> dict[str, bytes]:
            if "tcp://odd:1" in workers:
                raise AssertionError
            return dict.fromkeys(workers, msgspec.json.encode(machine("a")))

    found = asking.described(Client(), {}, ["tcp://a:1", "tcp://odd:1", "tcp://b:1"])
    assert found["tcp://odd:1"] == "it did not answer: AssertionError"
    assert [found[f"tcp://{name}:1"] for name in "ab"] == [machine("a")] * 2


def test_a_file_that_a_run_sends_is_no_reason_against_a_worker(tmp_path):
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_text("a,label\n")
    with large.open("wb") as file:
        file.truncate(asking.MOST_SENT + 1)
    missing = {f"file:{path}": f"there is no file {path}" for path in (small, large, tmp_path / "none.csv")}
    worker = asking.with_files(machine("a", data=missing | {"mnist:4": "no file of it"}))
    assert list(worker.data) == [f"file:{large}", f"file:{tmp_path / 'none.csv'}", "mnist:4"]
    told, well = check(worker, scenarios=(scenario(f"file:{small}"),))
    assert well
    assert f"file:{small}: sent from here when a run begins" in told
