"""Training in the fastest way: one jitted scan over a whole epoch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from backends.inference import RowFunction, tracing_rows
from backends.interface import Weights
from backends.jax.idiomatic import Draws, draw, update
from backends.jax.network import Network
from backends.jax.streaming import StreamingModel
from backends.spec import TrainingSettings


def train_epoch(
    graph: nnx.GraphDef[tuple[Network, nnx.Optimizer]],
    state: nnx.State,
    data: Array,
    order: Array,
    draws: Draws,
    kl_weight: Array,
    adapt: Callable[[Network, nnx.Optimizer], None] = lambda network, optimizer: None,
) -> tuple[nnx.State, Array]:
    """A whole epoch without a round trip to Python; returns the new state and the sums of mean reconstruction and KL.

    ``order`` and ``draws`` as in ``train_step``, the draws themselves. ``adapt`` is given what is trained before every
    step.
    """

    def step(carried: tuple[nnx.State, Array], batch: tuple[Array, Draws]) -> tuple[tuple[nnx.State, Array], None]:
        (state, totals), (rows, drawn) = carried, batch
        network, optimizer = nnx.merge(graph, state)
        adapt(network, optimizer)
        totals += update(network, optimizer, data[rows], drawn, kl_weight)
        return (nnx.state((network, optimizer)), totals), None

    start = state, jnp.zeros(2, data.dtype)
    state, totals = jax.lax.scan(step, start, (order, draws))[0]
    network, optimizer = nnx.merge(graph, state)
    network.fit_sigma(totals[0] / len(order))
    return nnx.state((network, optimizer)), totals


@partial(jax.jit, static_argnums=(1, 2))
def batches_by_rank(words: Array, steps: int, size: int) -> Array:
    """The rows in the order of their random words, shape (steps, size): a permutation.

    Word and row are sorted as one 64-bit number, which takes a tenth of the time of ``jax.random.permutation``.
    """
    keys = jnp.sort(words.astype(jnp.uint64) << 32 | jnp.arange(len(words), dtype=jnp.uint64))
    return keys[: steps * size].astype(jnp.uint32).reshape(steps, size)


class TunedModel(StreamingModel):
    """The same, but all that an epoch draws is drawn at once, and its steps are one compiled scan; of rows that are
    streamed, all that a part draws, and its steps.

    Between epochs the state stays outside the modules, which get it back when they are asked for something.
    """

    moved = False
    """Whether the state has gone on from what the modules hold."""
    compiled = False
    """Whether what is compiled fits the rows."""

    def make_optimizer(self) -> optax.GradientTransformation:
        return optax.flatten(super().make_optimizer())  # all weights in one vector: one loop, where each had its own

    def load_data(self, X: NDArray[Any]) -> None:
        shape = (self.data.shape, self.stream is None) if self.compiled else None
        self.settle()
        super().load_data(X)
        graph, self.state = nnx.split((self.network, self.optimizer))
        if shape != (self.data.shape, self.stream is None):
            self.train_epoch = jax.jit(partial(train_epoch, graph), donate_argnums=0)
            self.draw_all = jax.jit(self.trace_draws)
            self.prepare_parts(graph)
            self.compiled = False

    def trace_draws(self, key: Array, epoch: Array) -> tuple[Array, Draws]:
        """A random word for every row, and all else that is drawn, each of shape (steps, batch, width)."""
        order, draws = jax.random.split(jax.random.fold_in(key, epoch))
        drawn = draw(draws, self.network, self.steps * self.settings.batch_size)
        batches = jax.tree.map(lambda array: array.reshape(self.steps, -1, array.shape[-1]), drawn)
        return jax.random.bits(order, (self.count,)), batches

    def draw_batches(self, epoch: int) -> tuple[Array, Draws]:
        """As ``shared_epoch``, from JAX's own generator."""
        words, draws = self.draw_all(self.key, np.uint32(epoch))
        with jax.enable_x64(True):
            return batches_by_rank(words, self.steps, self.settings.batch_size), draws

    def redraw(self, epoch: int) -> tuple[Any, Any]:
        return self.draw_batches(epoch) if self.stream is None else self.redraw_parts(epoch)

    def arguments(self, epoch: int) -> tuple[Any, ...]:
        shared = self.settings.random_source == "shared"
        order, draws = (self.shared_epoch if shared else self.draw_batches)(epoch)
        return self.state, self.data, order, draws, np.asarray(self.settings.kl_weight(epoch), self.dtype)

    def compile_training(self) -> None:
        if not self.compiled:
            if self.stream is None:
                self.train_epoch = self.train_epoch.lower(*self.arguments(0)).compile()
            else:
                self.compile_parts()
            self.compiled = True

    def run_epoch(self, epoch: int) -> None:
        self.last_kl_weight = self.settings.kl_weight(epoch)
        if self.stream is not None:
            self.totals = self.run_parts(epoch)
        else:
            self.state, self.totals = self.train_epoch(*self.arguments(epoch))
        self.queued, self.moved = self.totals, True

    def settle(self) -> None:
        """Gives the modules the state, if they have not got it."""
        if self.moved:
            nnx.update((self.network, self.optimizer), self.state)
            self.moved = False

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        self.settle()
        with tracing_rows():
            return super().run_rows(function, X)

    def run_slopes(self, function: RowFunction, parts: tuple[float, ...], X: NDArray[Any]) -> NDArray[Any]:
        self.settle()
        with tracing_rows():
            return super().run_slopes(function, parts, X)

    def export_weights(self) -> dict[str, NDArray[Any]]:
        self.settle()
        return super().export_weights()

    def import_weights(self, weights: Weights) -> None:
        self.settle()
        super().import_weights(weights)
        self.state = nnx.state((self.network, self.optimizer))

    def restart(self, weights: Weights, settings: TrainingSettings) -> None:
        self.settle()
        super().restart(weights, settings)
