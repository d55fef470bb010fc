"""Lanes: trainings of one network in one program, each with its own weights, rows, draws and settings.

A backend that can train so offers ``build_lanes(spec, weights, settings)``, with one of each for every lane. Lanes
differ in what changes no shape: the settings in ``OWN``. Each lane ends where the same training ends alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backends.interface import EpochLoss, Weights
from backends.randomness import part_rows
from backends.reusing import FREE, program
from backends.spec import NetworkSpec, TrainingSettings
from backends.weights import shapes

Rows = NDArray[np.float32]
SLOTS = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 1}
"""Arrays that an optimiser keeps beside the weights."""


class Lanes(Protocol):
    """Models of one network that are trained together. What is a sequence has one entry for each lane."""

    def restart(self, weights: Sequence[Weights], settings: Sequence[TrainingSettings]) -> None:
        """Other trainings in the same program, as if newly built; rows have to be loaded anew."""

    def load_data(self, X: Sequence[Rows]) -> None:
        """Takes each lane's training rows, all of one shape (rows, features), onto the device.

        Raises ValueError for rows of another shape and BackendError for fewer rows than one batch needs."""

    def compile(self) -> None:
        """Compiles what an epoch needs, and leaves the lanes as they are."""

    def run_epoch(self, epoch: int, going: Sequence[bool]) -> None:
        """Trains each lane that is still ``going`` for one epoch, counted from 0; the others stay as they are. May
        return before the device is done."""

    def synchronize(self) -> None:
        """Returns when every queued computation has ended on the device."""

    def epoch_losses(self) -> list[EpochLoss]:
        """The last epoch's training losses; of a lane that was not going they say nothing."""

    def evaluate(self, X: Sequence[Rows]) -> list[EpochLoss]:
        """The loss on other rows of each lane, as ``Model.evaluate``; each lane has as many."""

    def keep(self, lanes: Sequence[bool]) -> None:
        """Sets the present weights of these lanes aside, in the place of those that were set aside before."""

    def export_weights(self, lane: int, kept: bool = False) -> Weights:
        """A lane's weights under their canonical names, on the host: those of now, or those set aside."""


def alike(settings: Any) -> Any:
    """What the settings of lanes have to have in common; a rate of dropout or decay above 0 only that it is one. Of the
    backends' settings, or any with fields named alike."""
    some = {"dropout": 0.5 * (settings.dropout > 0), "weight_decay": float(settings.weight_decay > 0)}
    return replace(program(settings), **some, learning_rate=1.0)


OWN = (*FREE, "learning_rate", "dropout", "weight_decay")
"""The settings that each lane has for itself, the last two of them above 0 in all lanes or in none."""


def lane_bytes(spec: NetworkSpec, settings: TrainingSettings, rows: int) -> int:
    """Bytes on the device that one more lane of so many training rows takes, nearly.

    Its rows, an epoch's draws, the weights with the optimiser's arrays, before the epoch and after it, a gradient and
    the weights set aside, and what a step keeps of each layer for the gradient.
    """
    item = 8 if settings.storage == "float64" else 4
    weights = sum(map(prod, shapes(spec).values()))
    masks = sum(spec.dropped().values()) if settings.dropout else 0
    noise = (spec.latent * settings.importance_samples if spec.kind == "vae" else 0) + (
        spec.features if settings.input_noise else 0
    )
    drawn = 8 + masks + noise * item
    outputs = sum(prod(layer.after) * layer.outputs for layer in spec.layers().values())
    state = weights * (2 * (1 + SLOTS[settings.optimizer]) + 2)
    activations = 4 * settings.batch_size * settings.importance_samples * outputs
    return item * (rows * spec.features + state + activations) + rows * drawn


def refusal(backend: Any, spec: NetworkSpec, settings: TrainingSettings, rows: int) -> str | None:
    """Why a backend does not train such networks on so many rows in lanes, in one line; None where it does."""
    if not hasattr(backend, "build_lanes"):
        return "the backend has no lanes"
    if spec.filters:
        return "lanes are for dense networks"
    if settings.adversarial:
        return "lanes train on rows as they are, and adversarial training moves them"
    if part_rows(settings, rows, spec.features):
        return "rows that are streamed are those of one training"
    return None
