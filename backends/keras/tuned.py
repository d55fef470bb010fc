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
    draws the order, for which Keras would sort. Of rows that are streamed a part is on the device, and its steps are
    one program: the rows lie in the order in which they are visited, and are drawn for when they have come.
    """

    merged_heads = True
    streams = True

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, weights, settings)
        self.train_steps = engine.compiled_epoch(self.network, self.optimizer)
        self.score_by_products = layers.scored_by_products(spec, settings)
        self.row_functions: dict[RowFunction, Callable[[Array], tuple[Array, ...]]] = {}

    def load_data(self, X: NDArray[Any]) -> None:
        with keras.device(self.device):
            self.data = ops.convert_to_tensor(self.training_rows(X))
        self.keep_interval()
        self.steps = self.count // self.settings.batch_size
        self.keep_origin()

    def draw_epoch(self, epoch: int) -> Arrays:
        """The order and all else that an epoch draws, each of shape (steps, batch, ...)."""
        if self.settings.random_source == "shared":
            return keras.tree.map_structure(self.by_step, self.shared_epoch(epoch))
        drawn = self.network.draw(self.steps, self.settings.batch_size)
        return {"order": self.by_step(self.draw_order(epoch)), **drawn}

    def by_step(self, array: NDArray[Any]) -> Array:
        """An array of rows, or of those that are used, batch by batch."""
        size = self.settings.batch_size
        used = np.asarray(array)[: len(array) // size * size]
        return ops.convert_to_tensor(used.reshape(-1, size, *used.shape[1:]))

    def draw_order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.settings.seed, epoch)).permutation(self.count)

    def orders(self, epochs: Sequence[int]) -> Iterator[NDArray[np.int64]]:
        for epoch in epochs:
            if self.stream is None:
                yield self.draw_order(epoch)[: self.steps * self.settings.batch_size]
            else:
                yield self.stream.visited(epoch)

    def redraw(self) -> Arrays:
        def flat(*parts: Array) -> NDArray[Any]:
            rows = [ops.convert_to_numpy(part) for part in parts]
            return np.concatenate([part.reshape(-1, part.shape[-1]) for part in rows])

        if self.stream is None:
            return keras.tree.map_structure(flat, self.network.draw(self.steps, self.settings.batch_size))
        parts = [
            keras.tree.map_structure(lambda array: array[:steps], self.draw_part())  # noqa: B023  it is called here
            for steps in self.stream.steps
        ]
        return keras.tree.map_structure(flat, *parts)

    def draw_part(self) -> Arrays:
        """For a part of rows that are streamed: the last draws for as many as the others, and leaves the rest."""
        return self.network.draw(len(self.data) // self.settings.batch_size, self.settings.batch_size)

    def parts(self, epoch: int) -> Iterator[tuple[int, Array, Arrays]]:
        """Steps, rows and draws: of rows that are held all, of others part by part, always of the same shapes."""
        if self.stream is None:
            yield self.steps, self.data, self.draw_epoch(epoch)
            return
        order = self.by_step(np.arange(len(self.data)))
        for steps, rows in self.stream.parts(epoch):
            yield steps, ops.convert_to_tensor(rows), {"order": order, **self.draw_part()}

    def first_step(self) -> None:
        with keras.device(self.device):
            _, rows, drawn = next(self.parts(0))
            self.run_part(1, rows, drawn)

    def run_epoch(self, epoch: int) -> None:
        self.set_kl_weight(epoch)
        with keras.device(self.device):
            self.totals = sum(self.run_part(*part) for part in self.parts(epoch))
            self.network.fit_sigma(self.totals[0] / self.steps)

    def run_part(self, steps: int, rows: Array, drawn: Arrays) -> Array:
        totals = self.train_steps(rows, drawn, ops.convert_to_tensor(steps, "int32"))
        # else all parts would wait on the device at once
        return totals if self.stream is None else ops.convert_to_numpy(totals)

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
