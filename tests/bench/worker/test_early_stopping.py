"""Early stopping through the harness: when training ends, which weights are scored, what the record says of it."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

import backends
import bench.run.trial
from backends import reference
from backends.interface import Capabilities, EpochLoss
from backends.spec import NetworkSpec, TrainingSettings
from bench.detect.autoencoder import Autoencoder
from bench.environment import environment
from bench.quality.thresholds import Threshold
from bench.suites.scenario import Scenario, Training, Trial
from bench.worker.session import Session


class FakeModel:
    """Its weights are the number of the epoch that they come from, and its scores show them; its losses are given."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.weights = losses, -1

    def load_data(self, X): ...

    def compile(self, scores): ...

    def synchronize(self): ...

    def device_timer(self): ...

    def device_memory_peak(self): ...

    def run_epoch(self, epoch):
        self.weights = epoch

    def epoch_loss(self):
        return EpochLoss(1.0, 1.0, 0.0)

    def evaluate(self, X):
        return EpochLoss(self.losses[self.weights], 0.0, 0.0)

    def score(self, X, kind):
        return self.weights + np.linspace(0.0, 0.5, len(X))

    def reconstruct(self, X):
        return np.zeros(X.shape)

    def export_weights(self):
        return {"epoch": np.array([self.weights], dtype=np.float32)}

    def import_weights(self, weights):
        self.weights = int(weights["epoch"][0])


class Here:
    """Answers the worker's commands in this process."""

    def __init__(self, *_: object, variables: object) -> None: ...

    def extend(self, timeout: float) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    def stop(self) -> None: ...

    def request(self, command, *arguments, trial=None, check=False):
        if command == "hello":
            return {}
        if command == "prepare":
            self.session = Session(msgspec.convert(trial, Trial))
        return msgspec.json.decode(msgspec.json.encode(getattr(self.session, command)(*arguments)))


@pytest.fixture
def run(monkeypatch):
    """Runs a trial of so many epochs over a fake model; returns its record and what the display was told last."""

    def run_trial(losses: list[float], patience: int):
        fake = SimpleNamespace(
            capabilities=lambda: Capabilities({}, {"cpu": "fake"}, ("float32",), ("idiomatic",), None),
            build=lambda spec, weights, settings: FakeModel(losses),
        )
        monkeypatch.setattr(backends, "load", lambda name: fake)
        monkeypatch.setattr(backends, "unavailable", lambda name: None)
        monkeypatch.setattr(bench.run.trial, "WorkerProcess", Here)
        training = Training(epochs=len(losses), patience=patience).resolved(Autoencoder)
        where = ("blobs-2d", "autoencoder", "torch", "idiomatic", "cpu", "float32", 1)
        shown = []
        record = bench.run.trial.run_trial(
            Trial("mine", Scenario(*where, (Threshold(),), training), seed=0, round=0),
            environment(),
            timeout=60,
            self_check=False,  # no reference could follow a model of given losses
            progress=lambda *step: shown.append(step),
        )
        assert record["status"] == "ok", record["reason"]
        return record, shown[-1]

    return run_trial


def test_training_stops_after_the_patience_and_the_best_weights_are_scored(run):
    losses = [5.0, 4.0, 3.0, 3.5, 3.0, 1.0, 1.0, 1.0]
    record, shown = run(losses, patience=2)
    assert record["validation_loss"] == losses[:5]
    assert record["loss"] == [1.0] * 5
    assert record["best_epoch"] == 2
    assert int(record["metrics"]["threshold"]) == 2
    assert len(record["samples"]["warmup"]) + len(record["samples"]["train"]) == 5
    assert shown == ("scoring", 5, 8)


def test_the_best_weights_are_scored_where_training_was_not_cut_short(run):
    record, _ = run([3.0, 1.0, 2.0, 2.0], patience=5)
    assert len(record["loss"]) == 4
    assert record["best_epoch"] == 1
    assert int(record["metrics"]["threshold"]) == 1


def test_without_patience_all_epochs_run_and_the_last_weights_are_scored(run):
    record, _ = run([1.0, 2.0, 3.0], patience=0)
    assert len(record["loss"]) == 3
    assert record["best_epoch"] is None
    assert int(record["metrics"]["threshold"]) == 2


def test_losses_that_are_never_finite_restore_nothing(run):
    record, _ = run([float("nan")] * 6, patience=3)
    assert record["best_epoch"] is None
    assert record["metrics"]["threshold"] >= 0


def test_fit_stops_and_restores_as_the_worker_does_and_refuses_to_guess_validation_rows():
    rng = np.random.default_rng(0)
    X, X_val = (rng.normal(size=(rows, 6)).astype(np.float32) for rows in (64, 32))
    spec = NetworkSpec(features=6, hidden=(64,), latent=6, kind="autoencoder")
    settings = TrainingSettings(batch_size=16, learning_rate=0.05, precision="float64")
    detector = Autoencoder(backend=reference, spec=spec, settings=settings, epochs=200, patience=3)
    detector.fit(X, X_val)
    best = detector.early_stopping
    assert 0 < best.best_epoch < 196
    assert detector.validation_loss(X_val) == best.best_loss
    with pytest.raises(ValueError, match="needs validation rows"):
        detector.fit(X)


def test_a_trial_that_stops_early_scores_as_one_that_ran_to_its_best_epoch(here, suite_file, read_records):
    backend = next((name for name in backends.names() if backends.unavailable(name) is None), None)
    if backend is None:
        pytest.skip("no framework is installed")

    def run(out: str, epochs: int, patience: int):
        suite = suite_file(f"""
            datasets = ["correlated?rows=600"]
            [training]
            random_source = "shared"
            hidden = [64]
            batch_size = 32
            learning_rate = 0.02
            patience = {patience}
            [[scenarios]]
            detectors = ["autoencoder"]
            backends = ["{backend}"]
        """)
        narrow = ["--detectors", "autoencoder", "--threads", "1", "--epochs", str(epochs), "--jobs", "2"]
        done = here("run", suite, *narrow, "--out", out)
        assert done.returncode == 0, done.stderr + done.stdout
        (record,) = read_records(out)
        return record

    stopped = run("stopped", 200, 2)
    best = stopped["best_epoch"]
    assert len(stopped["loss"]) == len(stopped["validation_loss"]) == best + 3 < 200
    assert stopped["validation_loss"][best] == min(stopped["validation_loss"])
    assert stopped["settings"]["patience"] == 2
    reached = run("reached", best + 1, 0)
    assert reached["best_epoch"] is None
    assert reached["metrics"]["threshold"] == pytest.approx(stopped["metrics"]["threshold"], rel=1e-6)
    assert reached["metrics"]["roc_auc"] == pytest.approx(stopped["metrics"]["roc_auc"], abs=1e-9)
