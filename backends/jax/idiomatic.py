"""Training as the Flax guides show it: one jitted step a batch, over data on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import Inference, RowFunction, padded_chunks
from backends.interface import EpochLoss, Weights
from backends.jax.adversarial import attacked
from backends.jax.network import Network
from backends.jax.optimizers import make_optimizer
from backends.randomness import CORRUPTION, EPSILON
from backends.spec import NetworkSpec, Score, TrainingSettings

Draws = dict[str, Array]
"""The arrays of a ``randomness.Epoch`` by their names."""


def draw(key: Array, network: Network | Drawing, rows: int, keep: Array | None = None) -> Draws:
    """ε, η and dropout masks for so many rows; ``keep`` stands for one minus the network's own rate."""
    noise, others = jax.random.split(key)
    drawn, spec, widths = {}, network.spec, network.spec.dropped()
    if spec.kind == "vae":
        drawn[EPSILON] = jax.random.normal(noise, (rows, spec.latent * network.importance_samples), network.dtype)
    if network.input_noise:
        corruption = jax.random.fold_in(others, len(widths))
        drawn[CORRUPTION] = jax.random.normal(corruption, (rows, spec.features), network.dtype)
    if network.dropout:
        for number, (name, width) in enumerate(widths.items()):
            mask = jax.random.fold_in(others, number)
            drawn[name] = jax.random.bernoulli(mask, 1 - network.dropout if keep is None else keep, (rows, width))
    return drawn


@dataclass(frozen=True)
class Drawing:
    """What ``draw`` asks of a network, and nothing that is on a device: the same for all that draw alike."""

    spec: NetworkSpec
    dropout: float
    input_noise: float
    importance_samples: int
    dtype: Any


@partial(jax.jit, static_argnums=(2, 3), compiler_options={"xla_backend_optimization_level": 1})
def draw_step(key: Array, step: int, kind: Drawing, rows: int) -> Draws:
    """What ``train_step`` draws in this step; the same values, for two thirds of the compiler's time."""
    return draw(jax.random.fold_in(key, step), kind, rows)


def update(network: Network, optimizer: nnx.Optimizer, x: Array, drawn: Draws, kl_weight: Array) -> Array:
    """One step of the optimiser; returns the batch's mean reconstruction and KL."""

    def loss(network: Network, at: Array) -> tuple[Array, Array]:
        reconstruction, kl = network.batch_terms(at, drawn, kl_weight, x)
        return reconstruction + kl_weight * kl, jnp.stack((reconstruction, kl))

    at = x
    if network.adversarial:
        at = attacked(lambda at: loss(network, at)[0], x, network.adversarial, network.interval[...])
    gradients, parts = nnx.grad(loss, has_aux=True)(network, at)
    optimizer.update(network, gradients)
    return parts


@nnx.jit
def train_step(
    network: Network,
    optimizer: nnx.Optimizer,
    totals: Array,
    data: Array,
    order: Array,
    draws: Draws | Array,
    step: int,
    kl_weight: Array,
) -> Array:
    """One update; returns the running sums of mean reconstruction and KL.

    ``order`` holds the epoch's batches of row numbers, shape (steps, batch); ``draws`` what else is drawn, each of
    shape (steps, batch, width), or the key to draw it with.
    """
    x = data[order[step]]
    if isinstance(draws, dict):
        drawn = jax.tree.map(lambda array: array[step], draws)
    else:
        drawn = draw(jax.random.fold_in(draws, step), network, len(x))
    return totals + update(network, optimizer, x, drawn, kl_weight)


@partial(nnx.jit, static_argnames="function")
def row_function(network: Network, x: Array, function: RowFunction) -> tuple[Array, ...]:
    return getattr(network, function)(x)


@partial(nnx.jit, static_argnames=("function", "parts"))
def row_slopes(network: Network, x: Array, function: RowFunction, parts: tuple[float, ...]) -> tuple[Array]:
    def total(x: Array) -> Array:
        return sum(part * result.sum() for part, result in zip(parts, getattr(network, function)(x), strict=False))

    return (jax.grad(total)(x),)


class IdiomaticModel(Inference):
    """``backends.interface.Model`` with the training loop of the Flax guides."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = jax.devices(settings.device)[0]
        self.dtype = jnp.dtype(settings.storage)
        with jax.default_device(self.device):
            self.network = Network(spec, weights, settings)
            self.optimizer = nnx.Optimizer(self.network, self.make_optimizer(), wrt=nnx.Param)
        # Arrays bound to their device: jit compiles anew when unbound ones come back bound after the first step.
        state = nnx.state((self.network, self.optimizer))
        self.queued = jax.device_put(state, self.device)
        nnx.update((self.network, self.optimizer), self.queued)
        self.make_key()
        self.train_step = nnx.cached_partial(train_step, self.network, self.optimizer)
        self.row_function = nnx.cached_partial(row_function, self.network)

    def make_key(self) -> None:
        self.key = jax.device_put(jax.random.key(self.settings.seed), self.device)

    def make_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.settings)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = jax.device_put(self.training_rows(X), self.device)
        if self.interval is not None:
            self.network.interval[...] = jax.device_put(self.interval, self.device)
        self.steps = self.count // self.settings.batch_size

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        self.compile_training()
        for function in self.scoring_functions(scores):
            for size in self.sizes:
                self.run_rows(function, np.zeros((size, self.spec.features), self.dtype))

    def compile_training(self) -> None:
        before = jax.tree.map(jnp.copy, nnx.state((self.network, self.optimizer)))
        self.run_steps(epoch=0, steps=1)
        nnx.update((self.network, self.optimizer), before)

    def draw_epoch(self, epoch: int) -> tuple[Array, Array]:
        """The epoch's batches of row numbers, shape (steps, batch), and the key to draw all else with."""
        order, draws = jax.random.split(jax.random.fold_in(self.key, epoch))
        rows = jax.random.permutation(order, self.count)[: self.steps * self.settings.batch_size]
        return rows.reshape(self.steps, -1), draws

    def shared_epoch(self, epoch: int) -> tuple[Array, Draws]:
        """The same from the source that every backend shares: the draws themselves, shape (steps, batch, width)."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, self.count)

        def batches(array: NDArray[Any]) -> NDArray[Any]:
            used = self.steps * self.settings.batch_size
            found = array[:used].reshape(self.steps, self.settings.batch_size, *array.shape[1:])
            return found.astype(self.dtype) if np.issubdtype(array.dtype, np.floating) else found

        draws = {name: batches(array) for name, array in drawn.arrays.items()}
        return jax.device_put((batches(drawn.order), draws), self.device)

    def native_draws(self, epochs: Sequence[int]) -> Iterator[randomness.Epoch]:
        for epoch in epochs:
            order, draws = jax.device_get(self.redraw(epoch))
            arrays = {name: array.reshape(-1, array.shape[-1]) for name, array in draws.items()}
            yield randomness.Epoch.of(order.reshape(-1).astype(np.int64), arrays)

    def redraw(self, epoch: int) -> tuple[Array, Draws]:
        """An epoch's draws as ``shared_epoch`` gives them."""
        order, key = self.draw_epoch(epoch)
        s = self.settings
        kind = Drawing(self.spec, s.dropout, s.input_noise, s.importance_samples, self.dtype)
        drawn = [draw_step(key, step, kind, self.settings.batch_size) for step in range(self.steps)]
        return order, jax.tree.map(lambda *arrays: np.stack(arrays), *jax.device_get(drawn))

    def run_steps(self, epoch: int, steps: int) -> Array:
        order, draws = (self.shared_epoch if self.settings.random_source == "shared" else self.draw_epoch)(epoch)
        kl_weight = np.asarray(self.settings.kl_weight(epoch), self.dtype)
        totals = jax.device_put(np.zeros(2, self.dtype), self.device)
        for step in range(steps):
            totals = self.train_step(totals, self.data, order, draws, step, kl_weight)
        return totals

    def run_epoch(self, epoch: int) -> None:
        self.last_kl_weight = self.settings.kl_weight(epoch)
        # the last step's sums need those of every step before it
        self.totals = self.queued = self.run_steps(epoch, self.steps)
        self.network.fit_sigma(self.totals[0] / self.steps)

    def synchronize(self) -> None:
        jax.block_until_ready(self.queued)

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = (np.asarray(self.totals) / self.steps).tolist()
        return EpochLoss(reconstruction + self.last_kl_weight * kl, reconstruction, kl)

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return padded_chunks(
            lambda x: self.row_function(jax.device_put(x, self.device), function=function),
            X,
            self.sizes,
            jax.device_get,
        )

    def run_slopes(self, function: RowFunction, parts: tuple[float, ...], X: NDArray[Any]) -> NDArray[Any]:
        return padded_chunks(
            lambda x: row_slopes(self.network, jax.device_put(x, self.device), function=function, parts=parts),
            X,
            self.sizes,
            jax.device_get,
        )[0]

    def device_memory_peak(self) -> int | None:
        statistics = self.device.memory_stats() if self.settings.device == "gpu" else None
        return statistics["peak_bytes_in_use"] if statistics else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.replace(weights)

    def restart(self, weights: Weights, settings: TrainingSettings) -> None:
        canonical.check(weights, self.spec)
        self.settings = settings
        self.network.restart(weights, settings.seed)
        # every state of an optimiser begins with zeros
        zeros = jax.tree.map(lambda array: np.zeros(array.shape, array.dtype), nnx.state(self.optimizer))
        nnx.update(self.optimizer, jax.device_put(zeros, self.device))
        self.make_key()
