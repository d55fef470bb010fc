"""What the contract suite runs inside a backend's own process: plain values in, NumPy values out."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import backends
from backends.early_stopping import EarlyStopping
from backends.inference import CHUNK, TAIL
from backends.interface import Backend, Capabilities, EpochLoss, Model, Weights
from backends.reusing import Reusing
from backends.spec import SCORES, NetworkSpec, Score, TrainingSettings
from backends.weights import initial_weights
from backends.weights import load as load_weights

ROWS = 44
"""Five full batches of 8 and a partial one that has to be dropped."""


@dataclass(frozen=True)
class Case:
    """A network, how it is trained, and for how long."""

    spec: NetworkSpec
    settings: TrainingSettings
    epochs: int = 3
    rows: int = ROWS
    compile: bool = False
    scores: tuple[Score, ...] = SCORES
    """What rows are scored by; without any, only the training is looked at."""
    repetition: int = 0


@dataclass(frozen=True)
class Outcome:
    """All that can be seen of one training run."""

    initial: Weights
    forward: dict[str, np.ndarray]
    losses: list[EpochLoss]
    weights: Weights
    evaluation: EpochLoss | None
    scores: dict[Score, np.ndarray]
    memory_peak: int | None


def module(name: str) -> Backend:
    """The backend, warnings being errors from its import on."""
    if name == "reference":
        from backends import reference

        return reference
    backend = backends.load(name)
    warnings.simplefilter("error")
    # PyTorch's compiler itself still uses what PyTorch deprecates
    warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated", DeprecationWarning)
    # as Keras still does with NumPy 2 in Variable.__array__
    warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
    return backend


def make_rows(count: int, features: int) -> np.ndarray:
    """Rows in [0, 1], which both likelihoods allow."""
    return np.random.default_rng(5).random((count, features)).astype(np.float32)


def make_model(name: str, case: Case) -> Model:
    return module(name).build(case.spec, make_weights(case), case.settings)


def make_weights(case: Case) -> Weights:
    weights = initial_weights(case.spec, 1, make_rows(case.rows, case.spec.features))
    rng = np.random.default_rng(2)  # biases and a log σ of zero would hide one that is never loaded
    return weights | {key: rng.normal(0, 0.1, value.shape) for key, value in weights.items() if not value.any()}


def train(name: str, case: Case) -> Outcome:
    """Builds, trains and scores."""
    return outcome(make_model(name, case), case)


def train_again(name: str, case: Case, compile_first: bool = False) -> tuple[Outcome, bool]:
    """``train`` by a model that was trained, and lost, with other seed, β, weights and rows before; and whether it is
    one."""
    backend, settings = Reusing(module(name)), case.settings
    other = replace(settings, seed=settings.seed + 1, beta=settings.beta + 0.5, kl_warmup_epochs=1)
    first = backend.build(case.spec, initial_weights(case.spec, 2, make_rows(case.rows, case.spec.features)), other)
    outcome(first, replace(case, settings=other, epochs=2, compile=compile_first), scale=0.5)
    lost = {name: np.full_like(array, np.nan) for name, array in first.export_weights().items()}
    first.import_weights(lost)
    first.run_epoch(2)
    backend.release()
    again = backend.build(case.spec, make_weights(case), settings)
    return outcome(again, case), again is first


def outcome(model: Model, case: Case, scale: float = 1.0) -> Outcome:
    """What training a new model shows."""
    X = make_rows(case.rows, case.spec.features) * np.float32(scale)
    initial, forward = model.export_weights(), {}
    if case.scores:
        mu, logvar = model.encode(X)
        generated = model.generate(mu + np.exp(logvar / 2))
        forward = {"mu": mu, "logvar": logvar, "reconstruction": model.reconstruct(X), "generated": generated}
    model.load_data(X)
    if case.compile:
        model.compile()
    losses = []
    for epoch in range(case.epochs):
        model.run_epoch(epoch)
        model.synchronize()
        losses.append(model.epoch_loss())
    return Outcome(
        initial,
        forward,
        losses,
        model.export_weights(),
        model.evaluate(X) if case.scores else None,
        {kind: model.score(X, kind) for kind in case.scores if kind in case.spec.scores},
        model.device_memory_peak(),
    )


def scores_in_pieces(name: str, case: Case) -> dict[Score, list[np.ndarray]]:
    """Scores of more rows than one chunk and one tail: at once, reversed, and the first few on their own."""
    X = make_rows(CHUNK + TAIL + 7, case.spec.features)
    model = make_model(name, case)
    return {
        kind: [
            model.score(X, kind),
            model.score(X[::-1], kind)[::-1],
            np.concatenate([model.score(X[i : i + 1], kind) for i in range(3)] + [model.score(X[3:50], kind)]),
            model.score(X[:0], kind),
        ]
        for kind in case.spec.scores
    }


@dataclass(frozen=True)
class Stopped:
    """How a training ended that early stopping watched."""

    losses: list[float]
    best_epoch: int | None
    weights: Weights


def train_until_stopped(name: str, case: Case, patience: int) -> Stopped:
    """Trains and validates on rows of pure chance, of which there is nothing to learn; restores the best weights."""
    X = make_rows(2 * case.rows, case.spec.features)
    model, stopping, losses = make_model(name, case), EarlyStopping(patience), []
    model.load_data(X[: case.rows])
    for epoch in range(case.epochs):
        model.run_epoch(epoch)
        losses.append(model.evaluate(X[case.rows :]).loss)
        if stopping.should_stop(epoch, losses[-1], model):
            break
    stopping.restore(model)
    return Stopped(losses, stopping.best_epoch, model.export_weights())


@dataclass(frozen=True)
class Continued:
    """A training that went on from imported weights."""

    given: Weights
    imported: Weights
    scores: np.ndarray
    weights: Weights


def train_on_imported(name: str, case: Case) -> Continued:
    """Trains an epoch, replaces the weights, scores, and trains another epoch."""
    X, given = make_rows(case.rows, case.spec.features), initial_weights(case.spec, seed=9)
    model = make_model(name, case)
    model.load_data(X)
    model.run_epoch(0)
    model.import_weights(given)
    imported, scores = model.export_weights(), model.score(X, "elbo")
    model.run_epoch(1)
    return Continued(given, imported, scores, model.export_weights())


def import_from_wider(name: str, case: Case) -> tuple[str, Weights, Weights]:
    """Imports weights of a wider network: what is said of them, and the model's own before and after."""
    model = make_model(name, case)
    before, width = model.export_weights(), case.spec.hidden[-1]
    try:
        model.import_weights(initial_weights(replace(case.spec, hidden=(*case.spec.hidden[:-1], width + 1)), seed=1))
    except ValueError as error:
        return str(error), before, model.export_weights()
    raise AssertionError("weights of other shapes were taken")


@dataclass(frozen=True)
class Dropped:
    """What dropout does to a network whose weights stand still."""

    losses: list[float]
    evaluation: float
    scores: dict[Score, np.ndarray]


def train_counting_network(name: str, case: Case) -> Dropped:
    """Trains a network that counts what dropout leaves of its units.

    One layer of W units that are all 1, whose mean is the latent value, and mirrored: the one output is the product of
    the two layers' means, 1 without dropout. All rows are 0, so that the loss is the output's square.
    """
    (width,) = case.spec.hidden
    weights = {key: np.zeros_like(array) for key, array in initial_weights(case.spec, seed=0).items()}
    weights["encoder.0.bias"] += 1
    weights["latent.kernel"] += 1 / width
    weights["decoder.0.kernel"] += 1
    weights["output.kernel"] += 1 / width
    X = np.zeros((case.rows, case.spec.features), dtype=np.float32)
    model = module(name).build(case.spec, weights, case.settings)
    model.load_data(X)
    losses = []
    for epoch in range(case.epochs):
        model.run_epoch(epoch)
        losses.append(model.epoch_loss().loss)
    return Dropped(losses, model.evaluate(X[:50]).loss, {kind: model.score(X[:50], kind) for kind in case.spec.scores})


def scores_of_file(name: str, path: Path) -> np.ndarray:
    """Elbo scores of a saved network."""
    spec, weights = load_weights(path)
    model = module(name).build(spec, weights, TrainingSettings(precision="float64"))
    return model.score(make_rows(20, spec.features), "elbo")


def traces_after_compile(name: str, case: Case) -> int:
    """How often the network's Python code runs, which a compiling framework does to trace it, once it is compiled."""
    model: Any = make_model(name, case)
    X = make_rows(case.rows, case.spec.features)
    model.load_data(X)
    model.compile(case.spec.scores)
    network, calls = type(model.network), []
    original = network.decode
    network.decode = lambda *arguments: calls.append(1) or original(*arguments)
    try:
        for epoch in range(3):
            model.run_epoch(epoch)
            model.evaluate(X)
            for kind in case.spec.scores:
                model.score(X, kind)
                model.score(X[:1], kind)
    finally:
        network.decode = original
    return len(calls)


def load_rows(name: str, case: Case, shape: tuple[int, int], writeable: bool = True) -> None:
    """Loads data of any shape, trains one epoch and scores them."""
    X = make_rows(*shape)
    X.flags.writeable = writeable
    before = X.copy()
    model = make_model(name, case)
    model.load_data(X)
    model.run_epoch(0)
    model.score(X)
    np.testing.assert_array_equal(X, before)


def score_of_kind(name: str, case: Case, kind: Any) -> None:
    make_model(name, case).score(make_rows(8, case.spec.features), kind)


def build_from_other_weights(name: str, case: Case) -> None:
    """Builds a network from weights that lack its layers."""
    module(name).build(case.spec, initial_weights(replace(case.spec, hidden=()), seed=1), case.settings)


def build_on_another_engine(name: str, case: Case, other: str) -> None:
    """Builds on one engine, then asks for another in the same process."""
    make_model(name, case)
    try:
        make_model(other, case)
    finally:
        backends.load(name)  # what later tasks build on


def capabilities(name: str) -> Capabilities:
    return module(name).capabilities()


def frameworks_held(name: str) -> set[str]:
    """The frameworks in the backend's process."""
    return {"torch", "tensorflow", "jax"} & set(sys.modules)


def satisfies_the_protocol(name: str, case: Case) -> bool:
    return isinstance(make_model(name, case), Model)
