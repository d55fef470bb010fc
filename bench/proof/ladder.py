"""The ladder: what is observed of a backend, rung by rung, so that any two can be compared.

Everything is trained from canonical weights, through the backend interface alone; here under the ``shared`` source of
randomness, in ``native`` under the framework's own. A gradient is what one step of plain gradient descent, at a rate so
large that the weights vanish beside it, has subtracted. So the ladder sees the very code that is benchmarked, and any
backend that is registered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import backends
from backends import reference
from backends import weights as canonical
from backends.early_stopping import EarlyStopping
from backends.inference import CHUNK, TAIL
from backends.interface import Backend, EpochLoss, Model, Weights
from backends.spec import Device, Precision
from bench.proof import lanes, native
from bench.proof.cases import Case, cases

INITIAL = "initial weights"
FORWARD = "forward pass"
LOSS = "loss"
GRADIENTS = "gradients"
STEPS = "optimiser steps"
EPOCH = "one epoch"
TRAINING_LOSSES = "training: losses"
TRAINING_WEIGHTS = "training: weights"
SCORING = "scores"
EXCHANGE = "exchanged weights"
AUC = "ROC AUC"
MANY = "many rows"
SAVED = "saved weights"
RUNGS = (
    INITIAL,
    FORWARD,
    LOSS,
    GRADIENTS,
    STEPS,
    EPOCH,
    TRAINING_LOSSES,
    TRAINING_WEIGHTS,
    SCORING,
    EXCHANGE,
    AUC,
    MANY,
    SAVED,
    *native.RUNGS,
    lanes.LANES,
)
ALONE = (SAVED, *native.RUNGS, lanes.LANES)
"""The rungs on which a climber is held against what follows from its own draws and weights, not against the others."""

REFERENCE = "reference"
"""The NumPy model's name among the climbers."""
DATA_FILE = "data.safetensors"

DESCENT_RATE = 2.0**20
"""Learning rate of the step that leaves the gradient; a power of two, so that it costs no digit."""
MANY_ROWS = 2 * CHUNK + TAIL + 7
"""Two full chunks, since what is taken of the first may be right of it alone, a full tail and a partial one."""
ANNEALED_EPOCH = 3
"""The epoch whose first batch gives loss and gradient: late enough for an annealed β not to be 0."""

Rows = NDArray[np.float32]
Data = Mapping[str, Rows]
"""``FAMILY/train``, ``FAMILY/validation``, ``FAMILY/test``: rows of shape (rows, features)."""
Observed = dict[str, dict[str, NDArray[Any]]]
"""Rung → what was observed, in the order in which it happened → the values."""


def climb(backend: Backend, case: Case, data: Data) -> tuple[Observed, Model]:
    """What one case shows, and the model at its end.

    ``optimiser steps`` holds what the steps changed. From the first epoch on float32 shows the loss alone: rounding,
    amplified, moves its parts and the weights along directions that the loss hardly feels.
    """
    observed: Observed = {rung: {} for rung in RUNGS}

    def note(rung: str, what: str, values: Any) -> None:
        observed[rung][f"{case.name} · {what}"] = np.array(values, dtype=np.float64, order="C")

    def note_all(rung: str, when: str, arrays: Weights) -> None:
        for name, array in arrays.items():
            note(rung, when + name, array)

    exact = case.settings.precision == "float64"

    def note_losses(rung: str, epoch: int, parts: list[float]) -> None:
        note(rung, f"epoch {epoch + 1}, loss", parts[0])
        if exact:
            note(rung, f"epoch {epoch + 1}, loss, reconstruction and KL", parts)

    train, validation = (data[f"{case.data}/{part}"][: case.rows] for part in ("train", "validation"))
    batch = train[: case.settings.batch_size]
    start = starting_weights(case, train)
    model = backend.build(case.spec, start, case.settings)
    note_all(INITIAL, "", model.export_weights())
    for name, rows in zip(("mu", "logvar"), model.encode(validation), strict=True):
        note(FORWARD, name, rows)
    note(FORWARD, "reconstruction", model.reconstruct(validation))
    note(FORWARD, "generated", model.generate(np.resize(validation, (len(validation), case.spec.latent))))
    note(LOSS, "validation rows", _parts(model.evaluate(validation)))

    for count in (MANY_ROWS, 3, 1) if case.many else ():
        rows = np.resize(data[f"{case.data}/train"], (MANY_ROWS, case.spec.features))[-count:]
        note(MANY, f"{count} rows, mu and logvar", model.encode(rows))
        note(MANY, f"{count} rows, reconstruction", model.reconstruct(rows))
        note(MANY, f"{count} rows, generated", model.generate(np.resize(rows, (count, case.spec.latent))))
        note(MANY, f"{count} rows, loss", _parts(model.evaluate(rows)))
        for kind in case.spec.scores:
            note(MANY, f"{count} rows, {kind}", model.score(rows, kind))

    if case.gradients:
        plain = replace(case.settings, optimizer="sgd", momentum=0.0, weight_decay=0.0, learning_rate=DESCENT_RATE)
        descent = backend.build(case.spec, start, plain)
        descent.load_data(batch)
        descent.run_epoch(ANNEALED_EPOCH)
        note(LOSS, "first training batch", _parts(descent.epoch_loss()))
        note_all(GRADIENTS, "", _change(descent, start, -1 / DESCENT_RATE))

    if case.steps:
        model.load_data(batch)
    for step in range(case.steps):
        model.run_epoch(step)
        note_all(STEPS, f"step {step + 1}, ", _change(model, start))

    model.load_data(train)
    stopping = EarlyStopping(case.patience)
    losses, validation_losses = [], []
    for epoch in range(case.epochs):
        model.run_epoch(case.steps + epoch)
        losses.append(_parts(model.epoch_loss()))
        if epoch == 0 or not case.whole:
            note_losses(EPOCH, epoch, losses[-1])
            if exact:
                note_all(EPOCH, f"epoch {epoch + 1}, ", model.export_weights())
        if case.patience:
            validation_losses.append(model.evaluate(validation).loss)
            if stopping.should_stop(epoch, validation_losses[-1], model):
                break
    if case.whole:
        stopping.restore(model)
        note(TRAINING_LOSSES, "epochs run, best epoch", [len(losses), stopping.best_epoch or 0])
        for epoch, parts in enumerate(losses):
            note_losses(TRAINING_LOSSES, epoch, parts)
        if case.patience:
            note(TRAINING_LOSSES, "validation losses", validation_losses)
        note_all(TRAINING_WEIGHTS, "", model.export_weights())
    for kind in case.scores:
        note(SCORING, f"{kind} of the validation rows", model.score(validation, kind))
    for kind in case.slopes:
        note(SCORING, f"{kind} of the validation rows, its gradient", model.slope(validation, kind))
    return observed, model


def starting_weights(case: Case, train: Rows) -> dict[str, NDArray[np.float64]]:
    """Canonical weights for these training rows; for all but a case that is trained as a user would, with biases and a
    log σ that are not 0, since zeros would hide one that is never loaded."""
    weights = canonical.initial_weights(case.spec, 0, train)
    if not case.whole:
        rng = np.random.default_rng(1)
        weights |= {name: rng.normal(0, 0.1, array.shape) for name, array in weights.items() if not array.any()}
    if canonical.LOG_SIGMA in weights:
        # far from what an epoch makes of it, so that what has changed is no difference of two near numbers
        weights[canonical.LOG_SIGMA] -= 1
    if case.name == "bce":
        # logits beyond ±16 too, where a cross-entropy on probabilities is no longer exact
        weights["output.bias"] *= 100
    return weights


def _change(model: Model, start: Weights, scale: float = 1.0) -> Weights:
    now = model.export_weights()
    return {name: scale * (np.asarray(now[name], dtype=np.float64) - start[name]) for name in start}


def _parts(loss: EpochLoss) -> list[float]:
    return [loss.loss, loss.reconstruction, loss.kl]


class Climber:
    """A backend on the ladder: it climbs once a precision, then scores with what the others have trained."""

    def __init__(self, name: str, data: Data) -> None:
        self.name, self.data = name, data
        self.backend = reference if name == REFERENCE else backends.load(name)

    def climb(
        self,
        found: Sequence[Case],
        native_cases: Sequence[native.Case] = (),
        lanes_cases: Sequence[lanes.Case] = (),
    ) -> Observed:
        """What all cases show; the first is trained to its end and scored. ``expected`` then holds what the rungs
        ``ALONE`` should show."""
        observed: Observed = {rung: {} for rung in RUNGS}
        self.expected: Observed = {rung: {} for rung in ALONE}
        for case in found:
            seen, model = climb(self.backend, case, self.data)
            for rung, values in seen.items():
                observed[rung] |= values
            if case is found[0]:
                self.case, self.model = case, model
                observed[SCORING] |= self.scores()
        for alone in native_cases:
            seen, right = native.climb(self.backend, alone, self.data)
            for rung in native.RUNGS:
                observed[rung] |= seen[rung]
                self.expected[rung] |= right[rung]
        for together in lanes_cases:
            shown, trained_alone = lanes.climb(self.backend, together, self.data)
            observed[lanes.LANES] |= shown
            self.expected[lanes.LANES] |= trained_alone
        return observed

    def exchange(self, trained: Mapping[str, Weights]) -> Observed:
        """What the first case scores with the weights of each of these climbers."""
        observed: dict[str, NDArray[Any]] = {}
        for owner, weights in trained.items():
            self.model.import_weights(weights)
            observed |= {f"weights of {owner} · {kind}": values for kind, values in self.scores().items()}
        return {EXCHANGE: observed}

    def scores(self) -> dict[str, NDArray[Any]]:
        """Every kind of score of the test rows, by name, each of shape (rows,)."""
        rows = self.data[f"{self.case.data}/test"]
        return {kind: np.asarray(self.model.score(rows, kind), dtype=np.float64) for kind in self.case.spec.scores}


class Worker:
    """A climber in a process of its own: arrays go through files in a folder that all of them share."""

    def __init__(self, name: str, folder: str) -> None:
        self.folder = Path(folder)
        self.climber = Climber(name, load_file(self.folder / DATA_FILE))

    def climb(self, precision: Precision, device: Device, mode: str, quick: bool) -> dict[str, Any]:
        """Leaves what was observed, and the weights that were trained, in the folder."""
        climber, name = self.climber, self.climber.name
        asked = precision, device, mode, quick
        alone = [] if name == REFERENCE else native.cases(*asked)
        together = [] if name == REFERENCE else lanes.cases(*asked)
        observed = climber.climb(cases(*asked), alone, together)
        trained = climber.model.export_weights()
        canonical.save(self.folder / _weights_file(name), trained, climber.case.spec)
        read_back = canonical.load(self.folder / _weights_file(name))[1]
        for side, weights in ((observed, read_back), (climber.expected, trained)):
            side[SAVED] = {tensor: np.array(values, np.float64, order="C") for tensor, values in weights.items()}
        write(self.folder / observed_file(name), observed)
        write(self.folder / expected_file(name), climber.expected)
        return {}

    def exchange(self, owners: Sequence[str]) -> dict[str, Any]:
        """Scores with the weights that each of these left in the folder."""
        trained = {owner: canonical.load(self.folder / _weights_file(owner))[1] for owner in owners}
        write(self.folder / exchanged_file(self.climber.name), self.climber.exchange(trained))
        return {}


def observed_file(name: str) -> str:
    """Where a climber's ``climb`` leaves what was observed."""
    return f"{name}-observed.safetensors"


def expected_file(name: str) -> str:
    """Where a climber's ``climb`` leaves what the rungs ``ALONE`` should show."""
    return f"{name}-expected.safetensors"


def exchanged_file(name: str) -> str:
    """Where a climber's ``exchange`` leaves what was observed."""
    return f"{name}-exchanged.safetensors"


def _weights_file(name: str) -> str:
    return f"{name}-weights.safetensors"


def write(path: Path, observed: Observed) -> None:
    """Keeps observations, in their order, for ``read``."""
    index = [(rung, what) for rung, values in observed.items() for what in values]
    arrays = {str(number): observed[rung][what] for number, (rung, what) in enumerate(index)}
    save_file(arrays, path, metadata={"index": json.dumps(index)})


def read(path: Path) -> Observed:
    """What ``write`` kept."""
    observed: Observed = {}
    with safe_open(path, framework="numpy") as file:
        for number, (rung, what) in enumerate(json.loads(file.metadata()["index"])):
            observed.setdefault(rung, {})[what] = file.get_tensor(str(number))
    return observed
