"""The limits: what is measured where, which of it counts, and what a record gets of it."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

import backends
from backends.arithmetic import Product, training_parts, training_products
from backends.interface import BackendError
from backends.spec import NetworkSpec
from bench.detect import registry
from bench.environment import environment_hash
from bench.quality.thresholds import Threshold
from bench.records import store
from bench.run import limits, runner, side_by_side
from bench.serve.progress import PlainDisplay
from bench.suites.scenario import Scenario, Training
from bench.suites.suite import load
from bench.worker import products
from bench.worker.process import TrialFailed, WorkerProcess
from bench.worker.products import Convolving, Work

SHAPES = {"blobs": (20, None), "digits:4": (64, (8, 8))}


def scenario(**changes) -> Scenario:
    training = Training().resolved(registry.load("vae"))
    return replace(
        Scenario("blobs", "vae", "jax", "tuned", "cpu", "float32", 4, (Threshold(),), training, {}), **changes
    )


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch):
    monkeypatch.setattr(backends, "unavailable", lambda name: None)


@pytest.fixture
def asked(monkeypatch) -> list[tuple]:
    """What the processes that measure are asked, answered with 1 s for a step on 1 thread, 0.5 s on more, and by
    PyTorch 2 s; a process on 13 threads dies."""
    requests = []

    class Measuring:
        disturbed: ClassVar[list[bool]] = []

        def __init__(self, threads, device, timeout):
            self.threads = threads

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def request(self, command, threads, device, libraries, works):
            requests.append((threads, device, tuple(libraries), len(works)))
            if self.threads == 13:
                raise TrialFailed("failed", "the worker was killed by SIGKILL")
            assert command == "limits"
            assert threads <= self.threads
            seconds = {"numpy": 1.0 if threads == 1 else 0.5, "torch": 2.0}
            known = {"numpy": ("float32", "float64"), "torch": ("float32", "float64", "bfloat16")}
            series = {
                name: {
                    "products": [[9.0, seconds[name]] if work.precision in known[name] else None for work in works],
                    "matmul": {work.precision: [seconds[name]] for work in works if work.precision in known[name]},
                    "copy": [seconds[name]],
                }
                for name in libraries
                if name in known
            }
            if Convolving.name in libraries:
                quick = [[0.25] if work.convolution and work.convolution.first else None for work in works]
                series[Convolving.name] = {"products": quick, "matmul": {}, "copy": None}
            return {"libraries": series, "disturbed": self.disturbed.pop() if self.disturbed else False}

    monkeypatch.setattr(limits, "WorkerProcess", Measuring)
    return requests


def conv_scenario() -> Scenario:
    return scenario(dataset="digits:4", detector="conv_vae", training=Training().resolved(registry.load("conv_vae")))


def test_each_convolution_counts_as_what_is_fastest_and_the_record_says_what_that_was(asked):
    found = limits.measure([conv_scenario(), scenario()], SHAPES)
    assert asked[0][2] == ("numpy", "torch", Convolving.name)
    conv, dense = found[conv_scenario().hash], found[scenario().hash]
    assert conv["parts"]["encoder.0"] == {"library": Convolving.name, "threads": 1, "seconds": 0.25}
    assert conv["parts"]["encoder.1"] == conv["parts"]["dense"] == {"library": "numpy", "threads": 4, "seconds": 0.5}
    assert conv["products_samples_per_second"] == pytest.approx(128 / (0.25 + 4 * 0.5))
    assert list(dense["parts"]) == ["dense"]


def test_limits_that_were_disturbed_are_measured_again_and_marked_if_they_stay_so(asked):
    worker = limits.WorkerProcess
    worker.disturbed[:] = [False, True]
    assert limits.measure([scenario(threads=1)], SHAPES)[scenario(threads=1).hash]["marks"] == []
    assert len(asked) == 2
    worker.disturbed[:] = [True] * 9
    found = limits.measure([scenario(threads=1)], SHAPES)[scenario(threads=1).hash]
    assert (found["marks"], len(asked)) == (["limit disturbed"], 2 + limits.TRIES)
    worker.disturbed.clear()
    record = ended_well()
    limits.attach(record, scenario(threads=1), SHAPES["blobs"], found)
    assert record["marks"] == ["noisy", "limit disturbed"]


def test_a_fraction_above_the_limit_by_more_than_noise_is_marked(asked):
    found = limits.measure([scenario()], SHAPES)[scenario().hash]
    for rate, marks in ((256.0 * 1.04, ["noisy"]), (256.0 * 1.06, ["noisy", "over limit"])):
        record = ended_well(rate=rate)
        limits.attach(record, scenario(), SHAPES["blobs"], found)
        assert record["marks"] == marks


def test_one_process_is_asked_for_all_networks_of_a_device_and_a_number_of_threads_at_once(asked):
    same = scenario(backend="torch", mode="idiomatic")
    other = scenario(training=replace(scenario().training, batch_size=512))
    classical = Scenario("blobs", "knn", None, None, "cpu", "float32", 4, (Threshold(),))
    found = limits.measure([scenario(), same, other, scenario(threads=1), classical], SHAPES)
    both = ("numpy", "torch")
    assert asked == [(4, "cpu", both, 2), (1, "cpu", both, 2)]
    assert len(found) == 4


def test_the_limit_is_the_best_of_all_libraries_and_of_one_and_all_threads(asked):
    found = limits.measure([scenario(), scenario(threads=1)], SHAPES)
    four, one = found[scenario().hash], found[scenario(threads=1).hash]
    assert (four["library"], four["threads"], four["products_samples_per_second"]) == ("numpy", 4, 128 / 0.5)
    assert (one["library"], one["threads"], one["products_samples_per_second"]) == ("numpy", 1, 128 / 1.0)
    assert four["flops_per_sample"] == 133_120
    assert four["matmul_flops_per_second"] == 2 * products.SIDES["cpu"] ** 3 / 0.5
    assert four["copy_bytes_per_second"] == 2 * products.COPIED_BYTES / 0.5
    assert four["samples"]["products"] == {
        "numpy/1": [9.0, 1.0], "torch/1": [9.0, 2.0], "numpy/4": [9.0, 0.5], "torch/4": [9.0, 2.0]
    }  # fmt: skip


def test_a_library_counts_only_in_the_precisions_that_it_has(asked):
    half = limits.measure([scenario(precision="bfloat16"), scenario()], SHAPES)[scenario(precision="bfloat16").hash]
    assert (half["library"], set(half["samples"]["copy"])) == ("torch", {"torch/1", "torch/4"})
    tf32 = scenario(precision="tf32")
    assert limits.measure([tf32], SHAPES)[tf32.hash] == "nothing here multiplies matrices in tf32 on the cpu"


def test_a_gpu_is_measured_once_and_by_pytorch_alone(asked, monkeypatch):
    gpu = scenario(device="gpu")
    assert limits.measure([gpu], SHAPES)[gpu.hash]["library"] == "torch"
    assert asked == [(4, "gpu", ("torch",), 1)]
    monkeypatch.setattr(backends, "unavailable", lambda name: "torch is not installed" if name == "torch" else None)
    assert limits.measure([gpu], SHAPES)[gpu.hash] == "torch is not installed"
    assert limits.measure([scenario()], SHAPES)[scenario().hash]["library"] == "numpy"


def test_a_measuring_that_dies_leaves_other_limits_and_a_note(asked):
    doomed = scenario(device="gpu", threads=13)
    found = limits.measure([doomed, scenario()], SHAPES)
    assert found[scenario().hash]["library"] == "numpy"
    record = ended_well()
    limits.attach(record, doomed, SHAPES["blobs"], found[doomed.hash])
    assert record["notes"] == [
        "before", "The limit of the hardware could not be measured: the worker was killed by SIGKILL."
    ]  # fmt: skip
    assert "limits" not in record
    assert "fraction_of_limit" not in record["metrics"]


def ended_well(features: int = 20, rate: float = 64.0) -> dict:
    metrics = {"train_samples_per_second": rate}
    return {"status": "ok", "notes": ["before"], "marks": ["noisy"], "metrics": metrics, "data": {"features": features}}


def test_a_record_gets_its_limit_and_the_fraction_that_it_reached(asked):
    record = ended_well()
    found = limits.measure([scenario()], SHAPES)[scenario().hash]
    limits.attach(record, scenario(), SHAPES["blobs"], found)
    assert record["limits"] == found
    assert record["metrics"] == {
        "train_samples_per_second": 64.0, "limit_samples_per_second": 256.0, "fraction_of_limit": 0.25
    }  # fmt: skip
    failed = {"status": "failed"}
    limits.attach(failed, scenario(), SHAPES["blobs"], found)
    assert failed == {"status": "failed"}


def test_a_seed_whose_rows_have_more_columns_has_a_limit_that_is_lower_by_its_operations(asked):
    record = ended_well(features=40)
    limits.attach(record, scenario(), SHAPES["blobs"], limits.measure([scenario()], SHAPES)[scenario().hash])
    # 20 columns more, 128 wide: two passes of the first layer and three of the output
    assert record["metrics"]["limit_samples_per_second"] == 256 * 133_120 / (133_120 + 2 * 5 * 20 * 128)


class Device:
    """A device that runs what it was given only when it is waited for, on a clock of its own."""

    def __init__(self, *durations: float) -> None:
        self.durations, self.queued, self.time = list(durations), 0.0, 0.0

    def run(self) -> None:
        self.queued += self.durations.pop(0) if len(self.durations) > 1 else self.durations[0]

    def synchronize(self) -> None:
        self.time, self.queued = self.time + self.queued, 0.0


def test_samples_wait_for_the_device_on_both_edges():
    device = Device(100.0, 1 / 128)
    measured = products.samples(device.run, device.synchronize, runs=2, now=lambda: device.time)
    assert measured == [1 / 256] * products.SAMPLES
    assert device.time == 100 + products.SAMPLES * 2 / 128  # two calls make the least that a sample takes


def test_a_call_that_takes_long_ends_its_sample():
    device = Device(0.0, 0.004, 7.0, 0.004)
    slow, *others = products.samples(device.run, device.synchronize, now=lambda: device.time)
    assert slow == pytest.approx(7.004 / 2)
    assert others == pytest.approx([0.004] * 4)


def test_operands_fit_the_products_and_no_result_overwrites_a_factor():
    spec = NetworkSpec(20, (128, 64), 8)
    arrays = products.operands(training_products(spec, 128), np.ones, np.empty)
    for left, right, result in arrays:
        np.dot(left, right, result)
        assert (result == left.shape[1]).all()
    results = [result for *_, result in arrays]
    assert not any(np.shares_memory(a, b) for *factors, _ in arrays for a in factors for b in results)


def test_a_real_process_measures_every_precision_that_its_libraries_have(process, monkeypatch):
    monkeypatch.undo()
    libraries = ["numpy"] if backends.unavailable("torch") else ["numpy", "torch", Convolving.name]
    works = [Work(precision, [Product(64, 32, 16), Product(32, 64, 16)]) for precision in ("float32", "bfloat16")]
    network = NetworkSpec(35, (4,), 2, likelihood="bce", image=(5, 7), filters=(3, 4))
    layers = [part for name, part in training_parts(network, 8).items() if name != "dense"]
    works += [Work("float32", *part) for part in layers]
    with WorkerProcess(1, "cpu", 60) as worker:
        reply = worker.request("limits", 1, "cpu", libraries, works)["libraries"]
    assert list(reply) == libraries
    assert reply["numpy"]["products"][1] is None
    if convolving := reply.pop(Convolving.name, None):
        assert convolving["products"][:2] == [None, None]
        assert len(layers) == 4
        assert all(min(series) > 0 for series in convolving["products"][2:])
    assert set(reply["numpy"]["matmul"]) == {"float32"}
    for series in reply.values():
        found = [*filter(None, series["products"]), *series["matmul"].values(), series["copy"]]
        assert {len(samples) for samples in found} == {products.SAMPLES}
        assert min(map(min, found)) > 0
    if "torch" in reply:
        assert set(reply["torch"]["matmul"]) == {"float32", "bfloat16"}


class FakeTorch:
    """As much of PyTorch as a GPU's measuring touches; ``done`` tells what ran, and within what."""

    float32, bfloat16, int8 = "float32", "bfloat16", "int8"

    def __init__(self, gpu: bool) -> None:
        self.done: list[str] = []
        self.where = "stream 0"
        self.cuda = SimpleNamespace(
            is_available=lambda: gpu,
            get_device_capability=lambda: (9, 0),
            Stream=lambda: SimpleNamespace(wait_stream=lambda other: None),
            current_stream=lambda: SimpleNamespace(wait_stream=lambda other: None),
            stream=lambda stream: self.within("side stream"),
            graph=lambda graph: self.within("graph"),
            CUDAGraph=lambda: SimpleNamespace(replay=lambda: self.done.append("replay")),
            synchronize=lambda: self.done.append("synchronize"),
        )

    @contextlib.contextmanager
    def within(self, where: str):
        self.where = where
        yield
        self.where = "stream 0"

    def set_grad_enabled(self, enabled): ...
    def set_float32_matmul_precision(self, name):
        self.matmul_precision = name

    def device(self, name):
        return SimpleNamespace(type=name)

    def randn(self, shape, dtype, device):
        return SimpleNamespace(dtype=dtype, device=device.type)

    empty = randn

    def mm(self, left, right, out):
        assert left.device == right.device == out.device == "cuda"
        self.done.append(f"{out.dtype} in {self.where}")


def test_on_a_gpu_all_runs_are_one_launch_after_a_first_one_outside_the_graph(monkeypatch):
    fake = FakeTorch(gpu=True)
    monkeypatch.setitem(sys.modules, "torch", fake)
    library = products.Torch("gpu")
    run = library.sequence(Work("tf32", [Product(2, 3, 4)]))
    assert fake.matmul_precision == "high"
    assert fake.done == ["float32 in side stream", *["float32 in graph"] * library.runs]
    fake.done.clear()
    run()
    library.synchronize()
    assert fake.done == ["replay", "synchronize"]
    library.sequence(Work("bfloat16", [Product(2, 3, 4)]))
    assert fake.matmul_precision == "highest"
    assert "bfloat16 in graph" in fake.done


def test_a_gpu_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", FakeTorch(gpu=False))
    with pytest.raises(BackendError, match="no GPU"):
        products.measure(1, "gpu", ["torch"], [("float32", [Product(2, 3, 4)])])


@pytest.fixture
def run_backends(tmp_path, monkeypatch):
    """Runs one network on these backends with trials that take no time; returns what limits were measured for."""
    path = tmp_path / "mine.toml"
    path.write_text('[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["vae"]\n')
    here = {"machine": {"memory_bytes": 0}, "packages": {}}
    measured: list[list[str]] = []

    def measure(scenarios, shapes):
        found = [s for s in scenarios if s.backend]
        measured.append(sorted(s.backend for s in found))
        return {s.hash: "it is a test" for s in found}

    def run_trial(trial, *_, **__):
        s = trial.scenario
        names = {
            "suite": "mine",
            "dataset": s.dataset,
            "detector": s.detector,
            "backend": s.backend,
            "timed": trial.timed,
        }
        keys = {"scenario_hash": s.hash, "environment_hash": environment_hash(here), "seed": 0, "round": trial.round}
        return (
            names
            | keys
            | {"schema": 1, "status": "ok", "notes": [], "reason": None, "metrics": {"roc_auc": 1, "f1": 1}}
        )

    monkeypatch.setattr(limits, "measure", measure)
    series = contextlib.nullcontext(SimpleNamespace(record=run_trial))
    monkeypatch.setattr(side_by_side, "Series", lambda *_, **__: series)
    monkeypatch.setattr(side_by_side, "environment", lambda: here)

    def run(names: list[str], rounds: int, jobs: int = 1) -> list[list[str]]:
        measured.clear()
        outcome = runner.run(
            load(str(path)).vary(backends=names, rounds=rounds), tmp_path / "out", threads=1, timed=jobs == 1,
            executor=side_by_side.SideBySide(jobs), data_dir=None,
            shapes=SHAPES, unfit={}, command="", display=PlainDisplay(io.StringIO()),
        )  # fmt: skip
        assert not outcome.bad
        records, _ = store.read(tmp_path / "out")
        notes = {r["backend"]: r["notes"] for r in records if r["timed"]}
        assert all(bool(found) == (name is not None) for name, found in notes.items())
        return list(measured)

    return run


def test_each_round_measures_the_limits_of_what_still_has_to_run_in_it(run_backends):
    assert run_backends(["jax"], rounds=1) == [["jax"]]
    assert run_backends(["jax", "torch"], rounds=2) == [["torch"], ["jax", "torch"]]
    assert run_backends(["jax", "torch"], rounds=2) == []


def test_trials_side_by_side_have_no_limits(run_backends):
    assert run_backends(["jax"], rounds=2, jobs=2) == []
