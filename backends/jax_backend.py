"""The autoencoder in Flax nnx and optax. Both modes keep the data on the device.

``idiomatic``, as its guide trains: one jitted step a batch. ``tuned``: one jitted scan over a whole epoch.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import SIZES, Inference, RowFunction, padded_chunks
from backends.interface import NO_TF32, Capabilities, EpochLoss, Weights
from backends.spec import (
    KERNEL,
    NORMAL_ENTROPY,
    PADDING,
    STRIDE,
    VARIANCE_FLOOR,
    Layer,
    NetworkSpec,
    Score,
    TrainingSettings,
)

Masks = Mapping[str, Array]
Draws = tuple[Array | None, Masks]
NOTHING: Masks = {}


def capabilities() -> Capabilities:
    """What JAX reports about itself in this process."""
    devices, reasons = {"cpu": platform.machine()}, {}
    precisions = ["float32", "float64", "bfloat16"]
    try:
        gpu = jax.devices("gpu")[0]
        devices["gpu"] = gpu.device_kind
    except RuntimeError:
        gpu = None
        reasons["gpu"] = "JAX finds no GPU, or its CUDA plugin is not installed"
    if gpu is not None and float(getattr(gpu, "compute_capability", 0)) >= 8:
        precisions.append("tf32")
    else:
        reasons["tf32"] = NO_TF32
    return Capabilities(
        versions={"jax": jax.__version__, "flax": flax.__version__, "optax": optax.__version__},
        devices=devices,
        precisions=tuple(precisions),
        modes=tuple(MODES),
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if settings.precision == "tf32" else "highest")
    jax.config.update("jax_enable_x64", settings.precision == "float64")
    return MODES[settings.mode](spec, weights, settings)


def blank(settings: TrainingSettings) -> dict[str, Any]:
    """What a layer is told that gets its weights later: nothing is drawn for it."""
    return {
        "dtype": jnp.bfloat16 if settings.precision == "bfloat16" else settings.storage,
        "param_dtype": settings.storage,
        "kernel_init": nnx.initializers.zeros,
        "rngs": nnx.Rngs(0),
    }


@jax.custom_vjp
def narrowing_product(x: Array, kernel: Array) -> Array:
    """``x @ kernel`` for a kernel with fewer columns than rows, whose gradient is computed as (gᵀ x)ᵀ.

    XLA takes xᵀ g on the CPU, and in it needs up to 2.5 times as long; the barrier keeps it from going back to that.
    """
    return x @ kernel


def narrowing_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def narrowing_backward(kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return g @ kernel.T, jax.lax.optimization_barrier(g.T @ x).T


narrowing_product.defvjp(narrowing_forward, narrowing_backward)


class Dense(nnx.Linear):
    """A dense layer that starts from a canonical kernel."""

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        super().__init__(layer.inputs, layer.outputs, **blank(settings))
        if settings.mode == "tuned" and settings.device == "cpu" and layer.outputs < layer.inputs:
            self.dot_general = lambda x, kernel, *_, **__: narrowing_product(x, kernel)


class Convolution(nnx.Conv):
    """A convolution of rows. XLA's ``SAME`` pads an even side at its end only, so the padding is given in numbers."""

    canonical_axes = (0, 1, 2, 3)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        around = (PADDING, PADDING)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=(around, around), **blank(settings))
        self.images = (*layer.before, layer.inputs)

    def __call__(self, x: Array) -> Array:
        return super().__call__(x.reshape(len(x), *self.images)).reshape(len(x), -1)


class Transposed(nnx.ConvTranspose):
    """A convolution's adjoint, of rows: the kernel is the convolution's, and the padding what that one leaves over."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        low = KERNEL - 1 - PADDING
        sides = zip(layer.before, layer.after, strict=True)
        padding = tuple((low, low + large - STRIDE * (small - 1) - 1) for small, large in sides)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=padding, transpose_kernel=True, **blank(settings))
        self.images = (*layer.before, layer.inputs)

    def __call__(self, x: Array) -> Array:
        return super().__call__(x.reshape(len(x), *self.images)).reshape(len(x), -1)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}


class Network(nnx.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu; where there are no masks, nothing drops."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        self.spec = spec
        self.dropout = settings.dropout
        self.dtype = jnp.dtype(settings.storage)
        layers, depth = [LAYERS[layer.kind](layer, settings) for layer in spec.layers().values()], spec.depth
        # Sequential serves as the list of layers: its form is the same before and after Flax had a list of its own.
        self.encoder = nnx.Sequential(*layers[:depth])
        self.heads = nnx.Sequential(*layers[depth : -depth - 1])
        self.decoder = nnx.Sequential(*layers[-depth - 1 :])
        self.scoring_noise = nnx.Variable(jnp.asarray(randomness.scoring_noise(settings.seed, spec.latent), self.dtype))
        self.log_sigma = nnx.Variable(jnp.zeros(1, self.dtype))
        self.replace(weights)

    def named(self) -> dict[str, nnx.Module]:
        layers = (*self.encoder.layers, *self.heads.layers, *self.decoder.layers)
        return dict(zip(self.spec.layers(), layers, strict=True))

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        for name, layer in self.named().items():
            arrays[f"{name}.kernel"] = np.array(layer.kernel[...]).transpose(layer.canonical_axes)
            arrays[f"{name}.bias"] = np.array(layer.bias[...])
        if self.spec.likelihood == "gaussian":
            arrays[canonical.LOG_SIGMA] = np.array(self.log_sigma[...])
        return arrays

    def replace(self, weights: Weights) -> None:
        pairs = []
        for name, layer in self.named().items():
            kernel = weights[f"{name}.kernel"].transpose(layer.canonical_axes)
            pairs += [(layer.kernel, kernel), (layer.bias, weights[f"{name}.bias"])]
        if self.spec.likelihood == "gaussian":
            pairs.append((self.log_sigma, weights[canonical.LOG_SIGMA]))
        for variable, array in pairs:
            variable[...] = jax.device_put(array.astype(variable.dtype), variable[...].sharding)

    def encode(self, x: Array, masks: Masks = NOTHING) -> tuple[Array, Array]:
        for number, layer in enumerate(self.encoder.layers):
            x = self.drop(f"encoder.{number}", nnx.relu(layer(x)), masks)
        mu, *logvar = (head(x).astype(self.dtype) for head in self.heads.layers)
        return mu, logvar[0] if logvar else jnp.zeros_like(mu)

    def drop(self, name: str, x: Array, masks: Masks) -> Array:
        return x * masks[name] / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + jnp.exp(logvar / 2) * epsilon

    def decode(self, z: Array, masks: Masks = NOTHING) -> Array:
        *hidden, output = self.decoder.layers
        for number, layer in enumerate(hidden):
            z = self.drop(f"decoder.{number}", nnx.relu(layer(z)), masks)
        return output(z).astype(self.dtype)

    def mean(self, output: Array) -> Array:
        return nnx.sigmoid(output) if self.spec.likelihood == "bce" else output

    def reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "bce":
            return optax.sigmoid_binary_cross_entropy(output, x).sum(-1)
        squares = optax.squared_error(output, x).sum(-1)
        if self.spec.likelihood == "mse":
            return squares
        log_sigma = self.log_sigma[...]
        return squares * jnp.exp(-2 * log_sigma) / 2 + self.spec.features * (log_sigma + NORMAL_ENTROPY - 0.5)

    def batch_reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "gaussian":
            variance = optax.squared_error(output, x).mean() + VARIANCE_FLOOR
            return self.spec.features * (jnp.log(variance) / 2 + NORMAL_ENTROPY)
        return self.reconstruction(output, x).mean()

    def fit_sigma(self, reconstruction: Array) -> None:
        if self.spec.likelihood == "gaussian":
            self.log_sigma[...] = (reconstruction / self.spec.features - NORMAL_ENTROPY).reshape(1)

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return jnp.zeros(len(mu), mu.dtype)
        return -0.5 * (1 + logvar - jnp.square(mu) - jnp.exp(logvar)).sum(-1)

    def propagate(self, x: Array, epsilon: Array | None = None, masks: Masks = NOTHING) -> tuple[Array, Array]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.decode(z, masks), self.kl(mu, logvar)

    def terms(self, x: Array) -> tuple[Array, Array]:
        output, kl = self.propagate(x)
        return self.reconstruction(output, x), kl

    def batch_terms(self, x: Array, epsilon: Array | None, masks: Masks) -> tuple[Array, Array]:
        output, kl = self.propagate(x, epsilon, masks)
        return self.batch_reconstruction(output, x), kl.mean()

    def generate(self, z: Array) -> tuple[Array]:
        return (self.mean(self.decode(z)),)

    def reconstruct(self, x: Array) -> tuple[Array]:
        return self.generate(self.encode(x)[0])

    def squared_error(self, x: Array) -> tuple[Array]:
        return (jnp.square(self.reconstruct(x)[0] - x).sum(-1),)

    def absolute_error(self, x: Array) -> tuple[Array]:
        return (jnp.abs(self.reconstruct(x)[0] - x).sum(-1),)

    def expected_reconstruction(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        if self.spec.kind == "autoencoder":
            return (self.reconstruction(self.decode(mu), x),)
        draws = self.scoring_noise[...]

        def add(draw: int, total: Array) -> Array:
            return total + self.reconstruction(self.decode(self.sample(mu, logvar, draws[draw])), x)

        return (jax.lax.fori_loop(0, len(draws), add, jnp.zeros(len(x), x.dtype)) / len(draws),)


def make_optimizer(settings: TrainingSettings) -> optax.GradientTransformation:
    """Optax's own four, which all follow the definitions once RMSprop's ε is told to stand outside the root and coupled
    weight decay is put in front."""
    s = settings
    if s.optimizer == "adamw":
        return optax.adamw(s.learning_rate, s.beta1, s.beta2, s.epsilon, weight_decay=s.weight_decay)
    if s.optimizer == "sgd":
        optimizer = optax.sgd(s.learning_rate, s.momentum)
    elif s.optimizer == "rmsprop":
        optimizer = optax.rmsprop(s.learning_rate, s.rho, s.epsilon, eps_in_sqrt=False)
    else:
        optimizer = optax.adam(s.learning_rate, s.beta1, s.beta2, s.epsilon)
    return optax.chain(optax.add_decayed_weights(s.weight_decay), optimizer) if s.weight_decay else optimizer


def draw(key: Array, network: Network, rows: int) -> Draws:
    """ε and dropout masks for so many rows."""
    noise, dropout = jax.random.split(key)
    vae = network.spec.kind == "vae"
    epsilon = jax.random.normal(noise, (rows, network.spec.latent), network.dtype) if vae else None
    if network.dropout == 0:
        return epsilon, NOTHING
    keep, widths = 1 - network.dropout, network.spec.dropped()
    return epsilon, {
        name: jax.random.bernoulli(jax.random.fold_in(dropout, number), keep, (rows, width))
        for number, (name, width) in enumerate(widths.items())
    }


def update(network: Network, optimizer: nnx.Optimizer, x: Array, drawn: Draws, kl_weight: Array) -> Array:
    """One step of the optimiser; returns the batch's mean reconstruction and KL."""

    def loss(network: Network) -> tuple[Array, Array]:
        reconstruction, kl = network.batch_terms(x, *drawn)
        return reconstruction + kl_weight * kl, jnp.stack((reconstruction, kl))

    gradients, parts = nnx.grad(loss, has_aux=True)(network)
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

    ``order`` holds the epoch's batches of row numbers, shape (steps, batch); ``draws`` their ε and dropout masks, each
    of shape (steps, batch, width), or the key to draw them with.
    """
    x = data[order[step]]
    if isinstance(draws, tuple):
        drawn = jax.tree.map(lambda array: array[step], draws)
    else:
        drawn = draw(jax.random.fold_in(draws, step), network, len(x))
    return totals + update(network, optimizer, x, drawn, kl_weight)


def train_epoch(
    graph: nnx.GraphDef[tuple[Network, nnx.Optimizer]],
    state: nnx.State,
    data: Array,
    order: Array,
    draws: Draws,
    kl_weight: Array,
) -> tuple[nnx.State, Array]:
    """A whole epoch without a round trip to Python; returns the new state and the sums of mean reconstruction and KL.

    ``order`` and ``draws`` as in ``train_step``, the draws themselves.
    """

    def step(carried: tuple[nnx.State, Array], batch: tuple[Array, Draws]) -> tuple[tuple[nnx.State, Array], None]:
        (state, totals), (rows, drawn) = carried, batch
        network, optimizer = nnx.merge(graph, state)
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


@partial(nnx.jit, static_argnames="function")
def row_function(network: Network, x: Array, function: RowFunction) -> tuple[Array, ...]:
    return getattr(network, function)(x)


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
        self.key = jax.device_put(jax.random.key(settings.seed), self.device)
        self.train_step = nnx.cached_partial(train_step, self.network, self.optimizer)
        self.row_function = nnx.cached_partial(row_function, self.network)

    def make_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.settings)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = jax.device_put(self.training_rows(X), self.device)
        self.steps = len(X) // self.settings.batch_size

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        self.compile_training()
        for function in self.scoring_functions(scores):
            for size in SIZES:
                self.run_rows(function, np.zeros((size, self.spec.features), self.dtype))

    def compile_training(self) -> None:
        before = jax.tree.map(jnp.copy, nnx.state((self.network, self.optimizer)))
        self.run_steps(epoch=0, steps=1)
        nnx.update((self.network, self.optimizer), before)

    def draw_epoch(self, epoch: int) -> tuple[Array, Array]:
        """The epoch's batches of row numbers, shape (steps, batch), and the key to draw ε and masks with."""
        order, draws = jax.random.split(jax.random.fold_in(self.key, epoch))
        rows = jax.random.permutation(order, len(self.data))[: self.steps * self.settings.batch_size]
        return rows.reshape(self.steps, -1), draws

    def shared_epoch(self, epoch: int) -> tuple[Array, Draws]:
        """The same from the source that every backend shares: ε and masks themselves, shape (steps, batch, width)."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, len(self.data))

        def batches(array: NDArray[Any]) -> NDArray[Any]:
            used = self.steps * self.settings.batch_size
            return array[:used].reshape(self.steps, self.settings.batch_size, *array.shape[1:])

        noise = None if drawn.noise is None else batches(drawn.noise).astype(self.dtype)
        masks = {name: batches(mask) for name, mask in drawn.masks.items()}
        return jax.device_put((batches(drawn.order), (noise, masks)), self.device)

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
            lambda x: self.row_function(jax.device_put(x, self.device), function=function), X, jax.device_get
        )

    def device_memory_peak(self) -> int | None:
        statistics = self.device.memory_stats() if self.settings.device == "gpu" else None
        return statistics["peak_bytes_in_use"] if statistics else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.replace(weights)


class TunedModel(IdiomaticModel):
    """The same, but an epoch's order, ε and masks are drawn at once, and its steps are one compiled scan.

    Between epochs the state stays outside the modules, which get it back when they are asked for something.
    """

    moved = False
    """Whether the state has gone on from what the modules hold."""

    def make_optimizer(self) -> optax.GradientTransformation:
        return optax.flatten(super().make_optimizer())  # all weights in one vector: one loop, where each had its own

    def load_data(self, X: NDArray[Any]) -> None:
        super().load_data(X)
        self.settle()
        graph, self.state = nnx.split((self.network, self.optimizer))
        self.train_epoch = jax.jit(partial(train_epoch, graph), donate_argnums=0)
        self.draw_all = jax.jit(self.trace_draws)

    def trace_draws(self, epoch: Array) -> tuple[Array, Draws]:
        """A random word for every row, and ε and masks, each of shape (steps, batch, width)."""
        order, draws = jax.random.split(jax.random.fold_in(self.key, epoch))
        drawn = draw(draws, self.network, self.steps * self.settings.batch_size)
        batches = jax.tree.map(lambda array: array.reshape(self.steps, -1, array.shape[-1]), drawn)
        return jax.random.bits(order, (len(self.data),)), batches

    def draw_batches(self, epoch: int) -> tuple[Array, Draws]:
        """As ``shared_epoch``, from JAX's own generator."""
        words, draws = self.draw_all(np.uint32(epoch))
        with jax.enable_x64(True):
            return batches_by_rank(words, self.steps, self.settings.batch_size), draws

    def arguments(self, epoch: int) -> tuple[Any, ...]:
        shared = self.settings.random_source == "shared"
        order, draws = (self.shared_epoch if shared else self.draw_batches)(epoch)
        return self.state, self.data, order, draws, np.asarray(self.settings.kl_weight(epoch), self.dtype)

    def compile_training(self) -> None:
        self.train_epoch = self.train_epoch.lower(*self.arguments(0)).compile()

    def run_epoch(self, epoch: int) -> None:
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.state, self.totals = self.train_epoch(*self.arguments(epoch))
        self.queued, self.moved = self.totals, True

    def settle(self) -> None:
        """Gives the modules the state, if they have not got it."""
        if self.moved:
            nnx.update((self.network, self.optimizer), self.state)
            self.moved = False

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        self.settle()
        return super().run_rows(function, X)

    def export_weights(self) -> dict[str, NDArray[Any]]:
        self.settle()
        return super().export_weights()

    def import_weights(self, weights: Weights) -> None:
        self.settle()
        super().import_weights(weights)
        self.state = nnx.state((self.network, self.optimizer))


MODES = {"idiomatic": IdiomaticModel, "tuned": TunedModel}
