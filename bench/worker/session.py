"""A trial inside the worker: the detector, its data, and the clock over both."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.suites.scenario import Trial
from bench.worker.clock import Clock, marks, unsynchronised
from bench.worker.counters import Watch, disturbed, gpu_energy, own_cores, package_energy, peak_memory
from bench.worker.shelf import Shelf

if TYPE_CHECKING:
    from backends.early_stopping import EarlyStopping
    from backends.interface import DeviceTimer, EpochLoss, Weights
    from datasets.dataset import Dataset

SCORE_LIMIT = 2.0
"""Seconds after which neither all rows nor single ones are scored again."""

Left = tuple["EpochLoss", "Weights", float]
"""What an epoch on the clock left: its losses, the weights after it, and their validation loss."""


class Diverged(ArithmeticError):
    """The loss or a score is not finite."""


FOLLOWED = 3
"""Epochs that the self-check follows, at most: a second one shows what repeats the first, a third what alternates."""
LATENCIES = 10
"""Single rows that one ``scoring`` times."""
SCORING_SECONDS = 0.05
"""What one timed stretch of scoring in turn takes at least: all test rows are scored so many times over."""
REHEARSALS = 5
"""Untimed scorings of all test rows that this number of times is found by; they are the warm-up as well."""


class Session:
    """A trial inside the worker: the detector, its data, and the clock over both.

    Parameters
    ----------
    trial : Trial
    slowdown : float
        Every epoch and every scoring takes longer by this share of its own time, on the clock, with the core busy:
        ``bench calibrate`` plants it to see whether a comparison finds it.
    check : bool
        Whether the trial will be asked for its ``self_check``.
    shelf : Shelf
        What earlier trials of this process have left, which one that is not timed makes use of.
    """

    def __init__(self, trial: Trial, slowdown: float = 0.0, check: bool = False, shelf: Shelf | None = None) -> None:
        self.trial = trial
        self.shelf = shelf or Shelf()
        self.check = check
        self.left: list[Left] = []
        self.begun = time.perf_counter()
        self.slowdown = slowdown
        self.clock = Clock()
        self.watch = Watch(package_energy() + (gpu_energy() if trial.scenario.device == "gpu" else []))
        self.timer: DeviceTimer | None = None
        self.device_seconds: list[float] = []
        self.waits: list[float] = []
        self.finished = False
        self.repeats = 1

    def prepare(self, training: bool = True) -> dict[str, Any]:
        """Imports, loads, builds and compiles; the reply tells how many epochs there are to run (1 for a plain fit)
        and how long each phase took. What will be trained elsewhere, and is to ``adopt`` the weights, compiles nothing.
        """
        import backends
        import datasets
        from bench.detect import registry
        from bench.suites.building import built

        trial, scenario = self.trial, self.trial.scenario
        with self.clock.phase("import"):
            registry.load_required(scenario.detector, scenario.parameters)
            load_backend = backends.load if trial.timed else self.shelf.backend
            backend = load_backend(scenario.backend) if scenario.backend else None
        self.import_memory = peak_memory()
        with self.clock.phase("data"):
            directory = Path(trial.data_dir) if trial.data_dir else None
            load_data = datasets.load if trial.timed else self.shelf.data
            self.data = load_data(scenario.dataset, seed=trial.seed, data_dir=directory)
        with self.clock.phase("build"):
            data = self.data
            self.detector = built(
                scenario,
                data.features,
                data.grid,
                seed=trial.seed,
                rows=len(data.X_train),
                groups=data.groups,
                backend=backend,
            )
            if hasattr(self.detector, "prepare"):
                self.detector.prepare(self.data.X_train)
            self.model = self.detector.model if backend else None
            if self.model is not None:
                self.clock.synchronize = self.model.synchronize
                self.timer = self.model.device_timer()
        if backend is None:
            return {"epochs": 1, "backend": _thread_pools(), "phases": self.clock.totals()}
        assert scenario.training is not None
        with self.clock.phase("compile"):
            if training:
                self.detector.compile()
        reported = backend.capabilities()
        return {
            "epochs": scenario.training.epochs,
            "phases": self.clock.totals(),
            "backend": {
                "versions": dict(reported.versions),
                "threads": reported.threads,
                "device": reported.devices.get(scenario.device),
                "precision": next(iter(self.detector.model.export_weights().values())).dtype.name,
            },
        }

    def adopt(self, weights: Weights, stopping: EarlyStopping) -> None:
        """Takes the weights, and what early stopping noted, of a training that was done elsewhere."""
        self.detector.model.import_weights(weights)
        self.detector.early_stopping = stopping

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains one epoch on the clock, then reads its losses off it.

        The reply's ``stop`` tells the driver that early stopping wants no further one.
        """
        if self.model is None:
            with self.watch.stretch(), self.clock.phase("train"), self._stretched():
                self.detector.fit(self.data.X_train)
            return {"stop": False}
        with self.watch.stretch(), self.clock.phase("train"), self._stretched():
            if self.timer:
                self.timer.start()
            self.model.run_epoch(number)
            if self.timer:
                self.timer.stop()
        asked = self.clock.now()
        loss = self.model.epoch_loss().loss
        self.waits.append(self.clock.now() - asked)
        if self.timer:
            self.device_seconds.append(self.timer.seconds())
        if not math.isfinite(loss):
            raise Diverged(f"the training loss was {loss} in epoch {number + 1}")
        validation_loss = self.detector.validation_loss(self.data.X_val)
        if self.check and len(self.left) < FOLLOWED:
            weights = {name: array.copy() for name, array in self.model.export_weights().items()}
            self.left.append((self.model.epoch_loss(), weights, validation_loss))
        stop = self.detector.is_last(number, validation_loss)
        return {"loss": loss, "validation_loss": validation_loss, "stop": stop}

    def rehearse(self) -> dict[str, Any]:
        """Scores all test rows off the clock, after the last epoch; the reply's ``repeats`` tells how many times over a
        stretch of ``SCORING_SECONDS`` has to."""
        self._finish()
        taken = []
        for _ in range(REHEARSALS):
            start = self.clock.now()
            self.detector.decision_function(self.data.X_test)
            self.clock.synchronize()
            taken.append(self.clock.now() - start)
            if sum(taken) > SCORING_SECONDS * REHEARSALS:
                break
        return {"repeats": math.ceil(SCORING_SECONDS / max(min(taken), 1e-6))}

    def scoring(self, repeats: int = 1) -> dict[str, Any]:
        """Scores all test rows, so many times over as one sample, and some row by row, on the clock, after the last
        epoch."""
        self.repeats = repeats
        self._finish()
        self._score_stretch()
        X = self.data.X_test
        for _ in range(LATENCIES):
            row = len(self.clock.samples.get("latency", [])) % len(X)
            with self.clock.phase("latency"), self._stretched():
                self.detector.decision_function(X[row : row + 1])
        return {}

    def _finish(self) -> None:
        """Ends training, once, off the clock."""
        if self.model is not None and not self.finished:
            self.detector.finish()
        self.finished = True

    def _score_stretch(self) -> Any:
        """One sample of ``score``: the test rows, as often as a stretch wants them; returns their scores."""
        with self.clock.phase("score"), self._stretched():
            for _ in range(self.repeats):
                scores = self.detector.decision_function(self.data.X_test)
        return scores

    @contextmanager
    def _stretched(self) -> Iterator[None]:
        """Lets the body take longer by the planted slowdown; without one it is left alone."""
        start = self.clock.now()
        yield
        if self.slowdown:
            self.clock.synchronize()
            end = start + (self.clock.now() - start) * (1.0 + self.slowdown)
            while self.clock.now() < end:
                pass

    def score(self) -> dict[str, Any]:
        """Ends training, scores the test rows on the clock, then, off it, reads all that the record says of quality
        and memory."""
        from backends import weights
        from bench.detect.detector import one_a_row
        from bench.quality.evaluation import NotFinite, evaluate
        from bench.records import arrays

        trial, scenario, data = self.trial, self.trial.scenario, self.data
        if self.model is not None:
            with self.clock.phase("finish"):
                self.detector.finish()
        self.scores = scores = one_a_row(self._score_rows(), len(data.X_test))
        memory = peak_memory()
        device_memory = self.model.device_memory_peak() if self.model is not None else None
        try:
            found, kept = evaluate(
                self.detector,
                data,
                scores,
                kinds=scenario.training.scores if scenario.training else (),
                thresholds=scenario.thresholds,
                pictured=scenario.pictures,
                labelled=scenario.labelled,
                epsilons=scenario.robustness,
                seed=trial.seed,
            )
        except NotFinite as error:
            raise Diverged(str(error)) from None
        training = scenario.training
        metrics: dict[str, float] = found.pop("metrics") | {"peak_memory_bytes": memory}
        reply: dict[str, Any] = {
            "metrics": metrics,
            "import_memory_bytes": self.import_memory,
            **found,
            "latent": training.latent if training else None,
            "best_epoch": self.detector.early_stopping.best_epoch if training else None,
            "notes": [
                *self.detector.notes,
                *getattr(self.detector, "streamed", ()),
                *scenario.shrunk(len(data.X_train)),
            ],
            "marks": [],
            "data": _description(data),
        }
        if hasattr(self.detector, "peer"):
            reply["peer"] = self.detector.peer
        if self.model is not None and (sigma := weights.sigma(self.model.export_weights())) is not None:
            reply["sigma"] = sigma
        if hasattr(self.detector, "posterior"):
            reply |= self.detector.posterior(data.X_val)
        if device_memory is not None:
            metrics["peak_device_memory_bytes"] = device_memory
        if trial.results is not None:
            name = f"{scenario.hash}-{trial.seed}-{trial.round}"
            reply["arrays"] = arrays.write(Path(trial.results), name, kept)
        self.clock.settle("train", "warmup")
        reply["phases"] = self.clock.totals()
        if trial.timed:
            timings, more = self._timings(len(scores))
            metrics |= timings
            reply |= more
        reply["samples"] = self.clock.samples
        return reply

    def self_check(self) -> dict[str, Any]:
        """Whether the run that was timed followed the reference; the last thing that a trial is asked."""
        training = self.trial.scenario.training
        if self.model is None or training is None:
            return {"self_check": {"followed": None, "reason": "this detector has no reference to follow"}}
        from bench.worker.self_check import SelfCheck

        detector, data = self.detector, self.data
        build = detector.backend.build
        check = SelfCheck(self.model, detector.spec, detector.settings, data.X_train, data.X_val, build)
        own = detector.scores_of_its_own
        elapsed = time.perf_counter() - self.begun
        spent = self.clock.totals()
        building = spent["build"] + spent["compile"]
        kind = None if own else training.scores[0]
        found = check.conclude(self.left, elapsed, building, kind, data.X_test, self.scores)
        scope = "the network alone: what is fitted beside it has no reference" if own else "the network and its scores"
        return {"self_check": found | {"scope": scope}}

    def _score_rows(self) -> Any:
        """Scores all test rows at once, then, where the trial is timed, again and row by row."""
        X = self.data.X_test

        def again(phase: str, least: int, most: int, seconds: float) -> bool:
            samples = self.clock.samples.get(phase, [])
            spent = sum(samples)
            return len(samples) < most and spent < SCORE_LIMIT and (len(samples) < least or spent < seconds)

        scores = self._score_stretch()
        while self.trial.timed and again("score", least=5, most=50, seconds=0.3):
            self._score_stretch()
        row = 0
        while self.trial.timed and again("latency", least=20, most=200, seconds=0.5):
            with self.clock.phase("latency"), self._stretched():
                self.detector.decision_function(X[row : row + 1])
            row = (row + 1) % len(X)
        return scores

    def _timings(self, scored: int) -> tuple[dict[str, float], dict[str, Any]]:
        """The metrics of a timed trial, and what else the record says of its times."""
        import numpy as np

        training, clock, samples = self.trial.scenario.training, self.clock, self.clock.samples
        scored *= self.repeats
        spent = clock.totals()
        clock.settle("score", "score_warmup")
        clock.settle("latency", "latency_warmup")
        rows = getattr(self.detector, "rows_per_fit", len(self.data.X_train))
        if training:
            rows -= rows % training.batch_size  # the last partial batch is not trained on
        p50, p99 = np.percentile(samples["latency"], [50, 99])
        metrics = {
            "train_samples_per_second": rows / float(np.median(samples["train"])),
            "score_samples_per_second": scored / float(np.median(samples["score"])),
            "score_latency_p50_seconds": float(p50),
            "score_latency_p99_seconds": float(p99),
            "result_seconds": spent.get("compile", 0.0) + spent["warmup"] + spent["train"] + spent.get("finish", 0.0),
        }
        warmups, found = len(samples["warmup"]), []
        if training:
            metrics["compile_seconds"] = spent["compile"]
            metrics["first_step_seconds"] = spent["import"] + spent["build"] + spent["compile"]
            found = marks(samples["train"])
            if unsynchronised(samples["train"], self.waits[warmups:]):
                found.append("unsynchronised")
        disturbance = self.watch.disturbance(warmups)
        if disturbed(disturbance, len(samples["train"]), len(own_cores())):
            found.append("disturbed")
        more = {
            "train_rows_per_sample": rows,
            "score_rows_per_sample": scored,
            "disturbance": asdict(disturbance),
            "marks": found,
        }
        if self.repeats > 1:
            more["score_repeats"] = self.repeats
        if (joules := self.watch.energy(warmups)) is not None:
            metrics["train_energy_joules"] = joules
            more["energy_counters"] = [counter.name for counter in self.watch.counters]
        if self.timer:
            samples["train_device"] = self.device_seconds
        return metrics, more


def _description(data: Dataset) -> dict[str, Any]:
    """What the record says of the data set."""
    from bench.quality.evaluation import few_rows

    told: dict[str, Any] = msgspec.to_builtins(data.provenance)
    few = few_rows(data.y_test)
    return {
        "checksum": data.checksum,
        "train_rows": len(data.X_train),
        "val_rows": len(data.X_val),
        "test_rows": len(data.X_test),
        "anomalies": int(data.y_test.sum()),
        "features": data.features,
        "image_shape": data.image_shape,
        **told,
        "notes": [*told["notes"], *([few] if few else [])],
    }


def _thread_pools() -> dict[str, Any]:
    """What NumPy's and scikit-learn's thread pools report back."""
    from threadpoolctl import threadpool_info

    return {
        "threads": max((pool["num_threads"] for pool in threadpool_info()), default=1),
        "device": "cpu",
    }
