"""Training on rows that come to the device in parts: the steps of a part are one compiled loop."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from backends.jax.idiomatic import Draws, IdiomaticModel, draw, update
from backends.jax.network import Network


def train_part(
    graph: nnx.GraphDef[tuple[Network, nnx.Optimizer]],
    state: nnx.State,
    totals: Array,
    rows: Array,
    draws: Draws,
    steps: Array,
    kl_weight: Array,
) -> tuple[nnx.State, Array]:
    """The first steps of a part; returns the new state and the running sums of mean reconstruction and KL.

    ``rows`` and ``draws`` lie by batch, in the order in which they are visited, each of shape (batches, batch, width).
    """

    def step(number: Array, carried: tuple[nnx.State, Array]) -> tuple[nnx.State, Array]:
        state, totals = carried
        network, optimizer = nnx.merge(graph, state)
        drawn = jax.tree.map(lambda array: array[number], draws)
        totals += update(network, optimizer, rows[number], drawn, kl_weight)
        return nnx.state((network, optimizer)), totals

    trained: tuple[nnx.State, Array] = jax.lax.fori_loop(0, steps, step, (state, totals))
    return trained


def fit_sigma(graph: nnx.GraphDef[tuple[Network, nnx.Optimizer]], state: nnx.State, reconstruction: Array) -> nnx.State:
    """The state after an epoch of this mean reconstruction."""
    network, optimizer = nnx.merge(graph, state)
    network.fit_sigma(reconstruction)
    return nnx.state((network, optimizer))


class StreamingModel(IdiomaticModel):
    """The epochs of a model whose rows are streamed, and whose ``state`` stays outside its modules."""

    streams = True
    state: nnx.State

    def prepare_parts(self, graph: nnx.GraphDef[tuple[Network, nnx.Optimizer]]) -> None:
        """What compiles for the rows that were loaded."""
        self.train_part: Any = jax.jit(partial(train_part, graph), donate_argnums=0)
        self.fit_sigma = jax.jit(partial(fit_sigma, graph), donate_argnums=0)
        self.draw_part = jax.jit(self.trace_part)

    def trace_part(self, key: Array, epoch: Array, part: Array) -> Draws:
        """What a part draws, always for as many rows."""
        key = jax.random.fold_in(jax.random.fold_in(key, epoch), part)
        return jax.tree.map(self.by_batch, draw(key, self.network, len(self.data)))

    def by_batch(self, array: Any) -> Any:
        return array.reshape(-1, self.settings.batch_size, array.shape[-1])

    def parts(self, epoch: int) -> Iterator[tuple[int, Array, Draws]]:
        """Steps, rows and draws of each part, the two always of the same shapes."""
        assert self.stream is not None
        for number, (steps, rows) in enumerate(self.stream.parts(epoch)):
            drawn = self.draw_part(self.key, np.uint32(epoch), np.uint32(number))
            yield steps, jax.device_put(self.by_batch(rows), self.device), drawn

    def part_arguments(self, epoch: int, totals: Array, part: tuple[int, Array, Draws]) -> tuple[Any, ...]:
        steps, rows, draws = part
        weight = np.asarray(self.settings.kl_weight(epoch), self.dtype)
        return self.state, totals, rows, draws, np.int32(steps), weight

    @property
    def no_totals(self) -> Array:
        return jax.device_put(np.zeros(2, self.dtype), self.device)

    def compile_parts(self) -> None:
        arguments = self.part_arguments(0, self.no_totals, next(self.parts(0)))
        self.train_part = self.train_part.lower(*arguments).compile()

    def run_parts(self, epoch: int) -> Array:
        """Trains one epoch; returns the sums of mean reconstruction and KL."""
        totals = self.no_totals
        for part in self.parts(epoch):
            before = totals
            self.state, totals = self.train_part(*self.part_arguments(epoch, totals, part))
            jax.block_until_ready(before)  # else all parts would wait on the device at once
        self.state = self.fit_sigma(self.state, totals[0] / self.steps)
        return totals

    def redraw_parts(self, epoch: int) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """An epoch's row numbers and draws, by batch."""
        assert self.stream is not None
        order, drawn = self.stream.visited(epoch), []
        for number, steps in enumerate(self.stream.steps):
            part = self.draw_part(self.key, np.uint32(epoch), np.uint32(number))
            drawn.append({name: np.asarray(array)[:steps] for name, array in part.items()})
        return order.reshape(self.steps, -1), {n: np.concatenate([part[n] for part in drawn]) for n in drawn[0]}
