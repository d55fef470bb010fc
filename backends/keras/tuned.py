"""Training in the faster ways: steps compiled by XLA, and an epoch as one program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from backends.inference import RowFunction, padded_chunks, tracing_rows
from backends.interface import EpochLoss, Weights
from backends.keras import layers
from backends.keras.engines import engine
from backends.keras.idiomatic import IdiomaticModel
from backends.keras.layers import Array
from backends.keras.network import Arrays
from backends.spec import NetworkSpec, TrainingSettings


class XlaModel(IdiomaticModel):
    """The guides' loop with every step compiled by XLA."""

    jit_compile = True

    @property
    def jit_rows(self) -> bool | str:
        return layers.scored_by_products(self.spec, self.settings) or super().jit_rows


class TunedModel(IdiomaticModel):
    """Data on the device, and an epoch as one program of the engine's compiler, merged heads in it.

    ε and masks are drawn at once and outside, where the engine's generators are many times as fast as XLA's; NumPy
    draws the order, for which Keras would sort.
    """

    merged_heads = True

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, weights, settings)
        self.train_steps = engine.compiled_epoch(self.network, self.optimizer)
        self.score_by_products = layers.scored_by_products(spec, settings)
        self.row_functions: dict[RowFunction, Callable[[Array], tuple[Array, ...]]] = {}

    def load_data(self, X: NDArray[Any]) -> None:
        with keras.device(self.device):
            self.data = ops.convert_to_tensor(self.training_rows(X))
        self.keep_interval()
        self.steps = len(X) // self.settings.batch_size
        self.keep_origin()

    def draw_epoch(self, epoch: int) -> Arrays:
        """The order and all else that an epoch draws, each of shape (steps, batch, ...)."""
        shape = self.steps, self.settings.batch_size

        def by_step(array: NDArray[Any]) -> Array:
            used = np.asarray(array)[: shape[0] * shape[1]]
            return ops.convert_to_tensor(used.reshape(*shape, *used.shape[1:]))

        if self.settings.random_source == "shared":
            return keras.tree.map_structure(by_step, self.shared_epoch(epoch))
        return {"order": by_step(self.draw_order(epoch)), **self.network.draw(*shape)}

    def draw_order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.data))

    def orders(self, epochs: Sequence[int]) -> Iterator[NDArray[np.int64]]:
        for epoch in epochs:
            yield self.draw_order(epoch)[: self.steps * self.settings.batch_size]

    def redraw(self) -> Arrays:
        drawn = self.network.draw(self.steps, self.settings.batch_size)
        return keras.tree.map_structure(lambda array: ops.reshape(array, (-1, array.shape[-1])), drawn)

    def first_step(self) -> None:
        self.run_steps(0, 1)

    def run_epoch(self, epoch: int) -> None:
        self.set_kl_weight(epoch)
        self.totals = self.run_steps(epoch, self.steps)
        with keras.device(self.device):
            self.network.fit_sigma(self.totals[0] / self.steps)

    def run_steps(self, epoch: int, steps: int) -> Array:
        with keras.device(self.device):
            return self.train_steps(self.data, self.draw_epoch(epoch), ops.convert_to_tensor(steps, "int32"))

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = (ops.convert_to_numpy(self.totals) / self.steps).tolist()
        return EpochLoss(reconstruction + self.last_kl_weight * kl, reconstruction, kl)

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        def fetch(results: tuple[Array, ...]) -> tuple[NDArray[Any], ...]:
            return tuple(map(ops.convert_to_numpy, results))

        with keras.device(self.device), nullcontext() if self.score_by_products else tracing_rows():
            if function not in self.row_functions:
                self.row_functions[function] = engine.compiled(self.row_model(function), self.score_by_products)
            run = self.row_functions[function]
            return padded_chunks(lambda x: run(ops.convert_to_tensor(x)), X, self.sizes, fetch)
