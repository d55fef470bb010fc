"""A whole trial over a device whose work ends later than it is launched: what the record says of its times."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import backends
from backends.interface import Capabilities, EpochLoss
from bench.detect.autoencoder import Autoencoder
from bench.quality.thresholds import Threshold
from bench.suites.scenario import Scenario, Training, Trial
from bench.worker.session import Session

EPOCHS = [6.0, 4.0, 3.0, 3.0, 3.0, 3.0]
"""Device seconds of each epoch; launching one takes a tenth of a second."""


class Device:
    """Holds the only clock there is: launched work waits in its queue until somebody waits for it."""

    def __init__(self) -> None:
        self.time = self.free = 0.0

    def launch(self, seconds: float) -> None:
        self.free = max(self.free, self.time) + seconds

    def wait(self) -> None:
        self.time = max(self.time, self.free)

    def now(self) -> float:
        return self.time


class Timer:
    def __init__(self, device: Device) -> None:
        self.device = device

    def start(self) -> None:
        self.first = max(self.device.free, self.device.time)

    def stop(self) -> None:
        self.last = self.device.free

    def seconds(self) -> float:
        self.device.wait()
        return self.last - self.first


class AsynchronousModel:
    """Only ``synchronize`` and what brings results to the host wait for the device."""

    def __init__(self, device: Device, *, synchronizes: bool, events: bool) -> None:
        self.device, self.synchronizes, self.events = device, synchronizes, events

    def load_data(self, X):
        self.device.launch(50.0)

    def compile(self, scores):
        self.device.launch(20.0)

    def synchronize(self):
        if self.synchronizes:
            self.device.wait()

    def device_timer(self):
        return Timer(self.device) if self.events else None

    def device_memory_peak(self): ...

    def run_epoch(self, epoch):
        self.device.launch(EPOCHS[epoch])
        self.device.time += 0.1

    def epoch_loss(self):
        self.device.wait()
        return EpochLoss(1.0, 1.0, 0.0)

    def evaluate(self, X):
        self.device.launch(1.0)  # and its result is not waited for
        return EpochLoss(1.0, 1.0, 0.0)

    def score(self, X, kind):
        self.device.launch(0.5 if len(X) > 1 else 0.02)
        self.device.wait()
        return np.linspace(0.0, 1.0, len(X))

    def reconstruct(self, X):
        return np.zeros(X.shape)

    def export_weights(self):
        return {"epoch": np.zeros(1, dtype=np.float32)}


@pytest.fixture
def run(monkeypatch):
    """Runs a trial on the fake device and returns the worker's last reply."""

    def run_session(*, synchronizes: bool = True, events: bool = False):
        device = Device()
        fake = SimpleNamespace(
            capabilities=lambda: Capabilities({}, {"cpu": "fake"}, ("float32",), ("idiomatic",), None),
            build=lambda spec, weights, settings: AsynchronousModel(device, synchronizes=synchronizes, events=events),
        )
        monkeypatch.setattr(backends, "load", lambda name: fake)
        training = Training(epochs=len(EPOCHS)).resolved(Autoencoder)
        where = ("blobs-2d", "autoencoder", "torch", "idiomatic", "cpu", "float32", 1)
        session = Session(Trial("mine", Scenario(*where, (Threshold(),), training), seed=0, round=0))
        session.clock.now = device.now
        session.prepare()
        for epoch in range(len(EPOCHS)):
            session.epoch(epoch)
        return session.score()

    return run_session


def test_every_phase_takes_the_time_of_its_own_work_on_the_device(run):
    reply = run()
    samples, metrics = reply["samples"], reply["metrics"]
    assert (samples["warmup"], samples["train"]) == (pytest.approx([6.0, 4.0]), pytest.approx([3.0] * 4))
    assert metrics["train_samples_per_second"] == pytest.approx(reply["train_rows_per_sample"] / 3.0)
    assert (reply["phases"]["build"], reply["phases"]["compile"]) == (50.0, 20.0)
    assert metrics["first_step_seconds"] == pytest.approx(70.0)
    assert metrics["result_seconds"] == pytest.approx(20.0 + 22.0)
    assert metrics["score_samples_per_second"] == pytest.approx(reply["score_rows_per_sample"] / 0.5)
    assert metrics["score_latency_p50_seconds"] == metrics["score_latency_p99_seconds"] == pytest.approx(0.02)
    assert "unsynchronised" not in reply["marks"]


def test_what_is_fitted_after_the_last_epoch_is_a_phase_of_its_own_and_counts_until_the_result(run, monkeypatch):
    monkeypatch.setattr(Autoencoder, "finish", lambda self: self.model.device.launch(7.0))
    reply = run()
    assert reply["samples"]["finish"] == [pytest.approx(7.0)]
    assert reply["metrics"]["result_seconds"] == pytest.approx(20.0 + 22.0 + 7.0)
    assert reply["metrics"]["train_samples_per_second"] == pytest.approx(reply["train_rows_per_sample"] / 3.0)


def test_scoring_is_repeated_until_it_has_lasted_and_no_longer(run):
    samples = run()["samples"]
    assert len(samples["score_warmup"] + samples["score"]) == 4  # 2 s, though five are wished for
    assert 25 <= len(samples["latency_warmup"] + samples["latency"]) <= 26  # half a second of 0.02 s


def test_a_backend_that_does_not_synchronise_is_caught(run):
    reply = run(synchronizes=False)
    assert max(reply["samples"]["train"]) < 3.0
    assert "unsynchronised" in reply["marks"]


def test_the_devices_own_events_stand_beside_the_host_clock(run):
    assert run(events=True)["samples"]["train_device"] == pytest.approx(EPOCHS)
    assert "train_device" not in run()["samples"]
