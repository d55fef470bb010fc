"""Training one detector to be kept: what a suite's block or the options of a command say, in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import backends
import datasets
from backends.interface import BackendError
from bench.detect import registry
from bench.detect.detector import DetectorError
from bench.keep import models
from bench.keep.models import Model, ModelError
from bench.quality.metrics import Quality, quality
from bench.suites import fits, suite
from bench.suites.building import built
from bench.suites.scenario import Scenario
from bench.suites.suite import Suite
from datasets.strangers import guarded


@dataclass(frozen=True)
class Fitted:
    """A model, the epochs that it was trained for (None without a network), and how it does on the test part by its
    first score and threshold."""

    model: Model
    epochs: int | None
    quality: Quality
    notes: tuple[str, ...] = ()
    """What was done with the data, a sentence each."""
    tested: str = "rows"
    """What the quality is of: ``rows``, or the ``time steps`` of a series."""


def plan(
    reference: str,
    detector: str,
    backend: str | None,
    *,
    file: str | None,
    changes: Mapping[str, Any],
    seed: int,
    threads: int,
) -> tuple[Suite, Scenario]:
    """The scenario to train: the options' ``changes`` over what a suite ``file`` says of the detector.

    ``changes`` are keys of a suite's block; ``training`` and ``parameters`` are merged key by key. Of the blocks that
    run the detector one that names the data set comes first. Raises SuiteError or ModelError, in one line.
    """
    table: dict[str, Any] = {}
    if file is not None:
        blocks = [block for block in suite.load(file).blocks if detector in block.detectors]
        if not blocks:
            raise ModelError(f"{file}: no block runs the detector {detector!r}")
        table = msgspec.to_builtins(next((block for block in blocks if reference in block.datasets), blocks[0]))
        table |= {"batch_sizes": [], "threads": [0], "sweep": {}, "robustness": []}
        if not registry.needs_backend(detector):
            del table["training"]  # of the networks beside it
    for key, value in changes.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value
    table |= {"datasets": [reference], "detectors": [detector], "backends": [backend] if backend else []}
    table["parameters"] = {name: own for name, own in table.get("parameters", {}).items() if name == detector}
    if detector in registry.names() and registry.needs_backend(detector) and backend is None:
        usable = [name for name in backends.defaults() if backends.unavailable(name) is None]
        if not usable:
            raise ModelError(f"{detector} needs a backend, and none is installed: see 'bench list backends'")
        table["backends"] = usable[:1]
    chosen, scenario = suite.single(table, seed=seed, threads=threads, where="options" if file is None else file)
    rule = scenario.thresholds[0]
    if rule.rows == "test":
        raise ModelError(
            f"threshold rule {rule.rule} reads the test rows, which new rows are not; a rule such as percentile reads "
            "the validation rows or the training rows"
        )
    loaded = registry.load(scenario.detector)
    if scenario.backend is None and hasattr(loaded, "prepare"):
        raise ModelError(
            f"{scenario.detector} is a network of another library, which would be trained anew at every load: "
            "fit vae or autoencoder instead"
        )
    if scenario.backend and (reason := backends.unavailable(scenario.backend)):
        raise ModelError(f"{scenario.backend}: {reason}")
    if reason := registry.unavailable(detector, scenario.parameters):
        raise ModelError(f"{detector}: {reason}")
    return chosen, scenario


def fit(chosen: Suite, scenario: Scenario, *, seed: int, data_dir: Path | None, scores: Sequence[str] = ()) -> Fitted:
    """Loads the data, trains, and takes the thresholds. Raises ModelError, SuiteError or DatasetError in one line."""
    kinds = models.kinds(scenario, scores)
    fits.check(chosen, data_dir)
    data = datasets.load(scenario.dataset, seed=seed, data_dir=data_dir)
    foreign = [scenario.detector] if scenario.detector not in registry.REGISTRY else []
    if scenario.backend is not None and scenario.backend not in backends.REGISTRY:
        foreign.append(scenario.backend)
    with guarded(" on ".join(foreign), ModelError, DetectorError, BackendError, ours=not foreign):
        detector = built(
            scenario,
            data.features,
            data.grid,
            seed=seed,
            score=kinds[0],
            rows=len(data.X_train),
            groups=data.groups,
        )
        epochs = None
        if scenario.training is None:
            try:
                detector.fit(data.X_train)
            except ValueError as error:
                raise ModelError(f"{scenario.detector}: {error}") from None
        else:
            detector.fit(data.X_train, data.X_val)
            best = detector.early_stopping.best_epoch
            epochs = scenario.training.epochs if best is None else best + 1
        model = models.snapshot(detector, scenario, data, seed, kinds)
        tested, labels = models.scored(detector, data.X_test, kinds[0]), data.y_test
    if data.series is not None:
        tested, labels = models.by_steps(data.series, "test", tested), data.series.labels.astype(np.int8)
    found = quality(tested, labels, [model.level(kinds[0])], seed=seed)
    own = (*getattr(detector, "streamed", ()), *scenario.shrunk(len(data.X_train)))
    notes = dict.fromkeys((*data.provenance.notes, *own))
    return Fitted(model, epochs, found, tuple(notes), "time steps" if data.series is not None else "rows")
