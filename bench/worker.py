"""The worker: one fresh process for one trial, which answers a few commands over a pipe.

Commands are JSON lines on standard input, replies JSON lines on what was standard output; whatever a framework prints
goes to standard error. ``prepare`` comes first, then ``epoch`` as often as the driver likes, then ``score``;
``capabilities`` tells of a backend and needs no trial; ``climb`` and ``exchange`` are the ladder's. The parent only
waits, so nothing competes with the timed work.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.clock import Clock, marks
from bench.suite import Trial

if TYPE_CHECKING:
    from bench import ladder
    from datasets.dataset import Dataset

SCORE_REPETITIONS = 5
SCORE_SECONDS = 2.0


class Diverged(ArithmeticError):
    """The loss is no longer finite."""


class Session:
    """A trial inside the worker: the detector, its data, and the clock over both."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.clock = Clock()

    def prepare(self) -> dict[str, Any]:
        """Imports, loads, builds and compiles; the reply tells how many epochs there are to run (1 for a plain fit)."""
        import backends
        import datasets
        from bench import detectors

        trial, scenario = self.trial, self.trial.scenario
        with self.clock.phase("import"):
            detector_class = detectors.load_required(scenario.detector)
            backend = backends.load(scenario.backend) if scenario.backend else None
        with self.clock.phase("data"):
            directory = Path(trial.data_dir) if trial.data_dir else None
            self.data = datasets.load(scenario.dataset, seed=trial.seed, data_dir=directory)
        if backend is None:
            with self.clock.phase("build"):
                self.detector = detector_class(seed=trial.seed, threads=scenario.threads, **scenario.parameters)
                if hasattr(self.detector, "prepare"):
                    self.detector.prepare(self.data.X_train)
            self.model = None
            return {"epochs": 1, "backend": _thread_pools()}
        assert scenario.training is not None
        with self.clock.phase("build"):
            self.detector = detector_class(
                backend=backend,
                spec=scenario.network(self.data.features, self.data.image_shape),
                settings=scenario.training_settings(trial.seed),
                epochs=scenario.training.epochs,
                score=scenario.training.score,
                patience=scenario.training.patience,
            )
            self.detector.prepare(self.data.X_train)
            self.model = self.detector.model
            self.clock.synchronize = self.model.synchronize
        with self.clock.phase("compile"):
            self.model.compile([scenario.training.score])
        reported = backend.capabilities()
        return {
            "epochs": scenario.training.epochs,
            "backend": {
                "versions": dict(reported.versions),
                "threads": reported.threads,
                "device": reported.devices.get(scenario.device),
                "precision": next(iter(self.model.export_weights().values())).dtype.name,
            },
        }

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains one epoch on the clock, then reads its losses off it. The first of several is the warm-up.

        The reply's ``stop`` tells the driver that early stopping wants no further one.
        """
        if self.model is None:
            with self.clock.phase("train"):
                self.detector.fit(self.data.X_train)
            return {"stop": False}
        assert self.trial.scenario.training is not None
        warmup = number == 0 and self.trial.scenario.training.epochs > 1
        with self.clock.phase("warmup" if warmup else "train"):
            self.model.run_epoch(number)
        loss = self.model.epoch_loss().loss
        if not math.isfinite(loss):
            raise Diverged(f"the training loss was {loss} in epoch {number + 1}")
        validation_loss = self.detector.validation_loss(self.data.X_val)
        stop = self.detector.is_last(number, validation_loss)
        return {"loss": loss, "validation_loss": validation_loss, "stop": stop}

    def score(self) -> dict[str, Any]:
        """Ends training, scores the test rows on the clock, then, off it, reads all that the record says of quality
        and memory."""
        import numpy as np

        from bench.metrics import quality

        trial, scenario, data = self.trial, self.trial.scenario, self.data
        if self.model is not None:
            self.detector.finish()
        started = time.perf_counter()
        for _ in range(SCORE_REPETITIONS):
            with self.clock.phase("score"):
                scores = self.detector.decision_function(data.X_test)
            if not trial.timed or time.perf_counter() - started > SCORE_SECONDS:
                break
        memory = _peak_memory()
        validation = np.asarray(self.detector.decision_function(data.X_val), dtype=np.float64)
        if not (np.isfinite(scores).all() and np.isfinite(validation).all()):
            raise Diverged("the scores are not all finite")
        threshold = scenario.threshold(validation, scores)
        found = quality(scores, data.y_test, threshold, seed=trial.seed)
        training = scenario.training
        metrics: dict[str, float] = found.metrics | {"peak_memory_bytes": memory}
        reply: dict[str, Any] = {
            "metrics": metrics,
            "intervals": found.intervals,
            "resamples": found.resamples,
            "confusion": found.confusion,
            "threshold_rule": str(scenario.threshold),
            "roc_curve": found.roc_curve,
            "histogram": found.histogram,
            "score": training.score if training else None,
            "phases": self.clock.totals(),
            "samples": self.clock.samples,
            "latent": training.latent if training else None,
            "best_epoch": self.detector.early_stopping.best_epoch if training else None,
            "notes": list(self.detector.notes),
            "marks": [],
            "data": _description(data),
        }
        if hasattr(self.detector, "peer"):
            reply["peer"] = self.detector.peer
        if hasattr(self.detector, "posterior"):
            reply |= self.detector.posterior(data.X_val)
        if self.model is not None and (device_memory := self.model.device_memory_peak()) is not None:
            metrics["peak_device_memory_bytes"] = device_memory
        if trial.timed:
            rows = getattr(self.detector, "rows_per_fit", len(data.X_train))
            if training:
                rows -= rows % training.batch_size  # the last partial batch is not trained on
                metrics["compile_seconds"] = self.clock.samples["compile"][0]
                reply["marks"] = marks(self.clock.samples["train"])
            metrics["train_samples_per_second"] = rows / float(np.median(self.clock.samples["train"]))
            metrics["score_samples_per_second"] = len(scores) / float(np.median(self.clock.samples["score"]))
            reply |= {"train_rows_per_sample": rows, "score_rows_per_sample": len(scores)}
        return reply


def _description(data: Dataset) -> dict[str, Any]:
    """What the record says of the data set."""
    return {
        "checksum": data.checksum,
        "train_rows": len(data.X_train),
        "val_rows": len(data.X_val),
        "test_rows": len(data.X_test),
        "anomalies": int(data.y_test.sum()),
        "features": data.features,
        **msgspec.to_builtins(data.provenance),
    }


def capabilities(backend: str) -> dict[str, Any]:
    """What a backend reports of itself in this process."""
    import backends

    found: dict[str, Any] = msgspec.to_builtins(backends.load(backend).capabilities())
    return found


def failure(error: BaseException) -> dict[str, str]:
    """Status and one-line reason of what went wrong in a trial."""
    import backends.interface
    import datasets.dataset

    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= 400 else text[:399] + "…"
    if isinstance(error, Diverged):
        return {"status": "diverged", "reason": text}
    if isinstance(error, backends.interface.BackendError):
        return {"status": "skipped", "reason": text}
    if isinstance(error, datasets.dataset.DatasetError):
        return {"status": "failed", "reason": text}
    # each framework has a class and wording of its own for this
    wording = r"out of memory|RESOURCE_EXHAUSTED|OutOfMemory|OOM"
    if isinstance(error, MemoryError) or re.search(wording, f"{type(error).__name__} {text}"):
        return {"status": "out_of_memory", "reason": f"{type(error).__name__}: {text}"}
    return {"status": "failed", "reason": f"{type(error).__name__}: {text}"}


def serve() -> None:
    """Answers commands until ``stop`` or the end of the input."""
    _die_with_parent()
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    session: Session | None = None
    climber: ladder.Worker | None = None
    for line in sys.stdin.buffer:
        command = msgspec.json.decode(line)
        name = command["command"]
        if name == "stop":
            break
        try:
            if name == "capabilities":
                reply = capabilities(*command["arguments"])
            elif name == "prepare":
                trial = msgspec.convert(command["trial"], Trial)
                _pin(trial)
                session = Session(trial)
                reply = session.prepare()
            elif name == "climb":
                from bench import ladder

                name, folder, *arguments = command["arguments"]
                climber = climber or ladder.Worker(name, folder)
                reply = climber.climb(*arguments)
            elif name == "exchange":
                assert climber is not None
                reply = climber.exchange(*command["arguments"])
            else:
                assert session is not None
                reply = getattr(session, name)(*command.get("arguments", []))
        except Exception as error:
            traceback.print_exc()
            reply = {"error": failure(error)}
        replies.write(msgspec.json.encode(reply) + b"\n")


def _pin(trial: Trial) -> None:
    """Keeps a timed trial on as many cores as it has threads: the one limit that every framework obeys.

    Trials side by side are not pinned; they would all share the first cores.
    """
    if trial.timed and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if trial.scenario.threads < len(cores):
            os.sched_setaffinity(0, cores[: trial.scenario.threads])


def _die_with_parent() -> None:
    """Asks Linux to end this process when its parent dies, so that a killed run leaves nothing computing."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _peak_memory() -> int:
    """Peak resident memory of this process, in bytes."""
    try:
        # VmHWM starts anew at exec; ru_maxrss would begin at the parent's size
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _thread_pools() -> dict[str, Any]:
    """What NumPy's and scikit-learn's thread pools report back."""
    from threadpoolctl import threadpool_info

    return {
        "threads": max((pool["num_threads"] for pool in threadpool_info()), default=1),
        "device": "cpu",
    }


if __name__ == "__main__":
    serve()
