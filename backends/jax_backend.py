"""The autoencoder in Flax nnx and optax, trained as its guide trains: one jitted step, data on the device."""

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
from backends.interface import Capabilities, EpochLoss, Weights
from backends.spec import KERNEL, PADDING, STRIDE, Layer, NetworkSpec, Score, TrainingSettings

Masks = Mapping[str, Array]
Draws = tuple[Array | None, Masks]
NOTHING: Masks = {}


def capabilities() -> Capabilities:
    """What JAX reports about itself in this process."""
    devices, reasons = {"cpu": platform.machine()}, {}
    try:
        devices["gpu"] = jax.devices("gpu")[0].device_kind
    except RuntimeError:
        reasons["gpu"] = "JAX finds no GPU, or its CUDA plugin is not installed"
    return Capabilities(
        versions={"jax": jax.__version__, "flax": flax.__version__, "optax": optax.__version__},
        devices=devices,
        precisions=("float32", "float64"),
        modes=tuple(MODES),
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_enable_x64", settings.precision == "float64")
    return MODES[settings.mode](spec, weights, settings)


def blank(dtype: jnp.dtype) -> dict[str, Any]:
    """What a layer is told that gets its weights later: nothing is drawn for it."""
    return {"dtype": dtype, "param_dtype": dtype, "kernel_init": nnx.initializers.zeros, "rngs": nnx.Rngs(0)}


class Dense(nnx.Linear):
    """A dense layer that starts from a canonical kernel."""

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer, dtype: jnp.dtype) -> None:
        super().__init__(layer.inputs, layer.outputs, **blank(dtype))


class Convolution(nnx.Conv):
    """A convolution of rows. XLA's ``SAME`` pads an even side at its end only, so the padding is given in numbers."""

    canonical_axes = (0, 1, 2, 3)

    def __init__(self, layer: Layer, dtype: jnp.dtype) -> None:
        around = (PADDING, PADDING)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=(around, around), **blank(dtype))
        self.images = (*layer.before, layer.inputs)

    def __call__(self, x: Array) -> Array:
        return super().__call__(x.reshape(len(x), *self.images)).reshape(len(x), -1)


class Transposed(nnx.ConvTranspose):
    """A convolution's adjoint, of rows: the kernel is the convolution's, and the padding what that one leaves over."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer, dtype: jnp.dtype) -> None:
        low = KERNEL - 1 - PADDING
        sides = zip(layer.before, layer.after, strict=True)
        padding = tuple((low, low + large - STRIDE * (small - 1) - 1) for small, large in sides)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=padding, transpose_kernel=True, **blank(dtype))
        self.images = (*layer.before, layer.inputs)

    def __call__(self, x: Array) -> Array:
        return super().__call__(x.reshape(len(x), *self.images)).reshape(len(x), -1)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}


class Network(nnx.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu; where there are no masks, nothing drops."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings, dtype: jnp.dtype) -> None:
        self.spec = spec
        self.dropout = settings.dropout
        layers, depth = [LAYERS[layer.kind](layer, dtype) for layer in spec.layers().values()], spec.depth
        # Sequential serves as the list of layers: its form is the same before and after Flax had a list of its own.
        self.encoder = nnx.Sequential(*layers[:depth])
        self.heads = nnx.Sequential(*layers[depth : -depth - 1])
        self.decoder = nnx.Sequential(*layers[-depth - 1 :])
        self.scoring_noise = nnx.Variable(jnp.asarray(randomness.scoring_noise(settings.seed, spec.latent), dtype))
        self.replace(weights)

    def named(self) -> dict[str, nnx.Module]:
        layers = (*self.encoder.layers, *self.heads.layers, *self.decoder.layers)
        return dict(zip(self.spec.layers(), layers, strict=True))

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        for name, layer in self.named().items():
            arrays[f"{name}.kernel"] = np.array(layer.kernel[...]).transpose(layer.canonical_axes)
            arrays[f"{name}.bias"] = np.array(layer.bias[...])
        return arrays

    def replace(self, weights: Weights) -> None:
        for name, layer in self.named().items():
            kernel = weights[f"{name}.kernel"].transpose(layer.canonical_axes)
            for variable, array in ((layer.kernel, kernel), (layer.bias, weights[f"{name}.bias"])):
                variable[...] = jax.device_put(array.astype(variable.dtype), variable[...].sharding)

    def encode(self, x: Array, masks: Masks = NOTHING) -> tuple[Array, Array]:
        for number, layer in enumerate(self.encoder.layers):
            x = self.drop(f"encoder.{number}", nnx.relu(layer(x)), masks)
        mu, *logvar = (head(x) for head in self.heads.layers)
        return mu, logvar[0] if logvar else jnp.zeros_like(mu)

    def drop(self, name: str, x: Array, masks: Masks) -> Array:
        return x * masks[name] / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + jnp.exp(logvar / 2) * epsilon

    def decode(self, z: Array, masks: Masks = NOTHING) -> Array:
        *hidden, output = self.decoder.layers
        for number, layer in enumerate(hidden):
            z = self.drop(f"decoder.{number}", nnx.relu(layer(z)), masks)
        return output(z)

    def mean(self, output: Array) -> Array:
        return output if self.spec.likelihood == "mse" else nnx.sigmoid(output)

    def reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "mse":
            return optax.squared_error(output, x).sum(-1)
        return optax.sigmoid_binary_cross_entropy(output, x).sum(-1)

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return jnp.zeros(len(mu), mu.dtype)
        return -0.5 * (1 + logvar - jnp.square(mu) - jnp.exp(logvar)).sum(-1)

    def terms(self, x: Array, epsilon: Array | None = None, masks: Masks = NOTHING) -> tuple[Array, Array]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.reconstruction(self.decode(z, masks), x), self.kl(mu, logvar)

    def reconstruct(self, x: Array) -> tuple[Array]:
        return (self.mean(self.decode(self.encode(x)[0])),)

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


def draw(key: Array, network: Network, rows: int, dtype: jnp.dtype) -> Draws:
    """A batch's ε and dropout masks."""
    noise, dropout = jax.random.split(key)
    epsilon = jax.random.normal(noise, (rows, network.spec.latent), dtype) if network.spec.kind == "vae" else None
    if network.dropout == 0:
        return epsilon, NOTHING
    keep, widths = 1 - network.dropout, network.spec.dropped()
    return epsilon, {
        name: jax.random.bernoulli(jax.random.fold_in(dropout, number), keep, (rows, width))
        for number, (name, width) in enumerate(widths.items())
    }


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
        epsilon, masks = jax.tree.map(lambda array: array[step], draws)
    else:
        epsilon, masks = draw(jax.random.fold_in(draws, step), network, len(x), x.dtype)

    def loss(network: Network) -> tuple[Array, Array]:
        reconstruction, kl = (term.mean() for term in network.terms(x, epsilon, masks))
        return reconstruction + kl_weight * kl, jnp.stack((reconstruction, kl))

    gradients, parts = nnx.grad(loss, has_aux=True)(network)
    optimizer.update(network, gradients)
    return totals + parts


@partial(nnx.jit, static_argnames="function")
def row_function(network: Network, x: Array, function: RowFunction) -> tuple[Array, ...]:
    return getattr(network, function)(x)


class IdiomaticModel(Inference):
    """``backends.interface.Model`` with the training loop of the Flax guides."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = jax.devices(settings.device)[0]
        self.dtype = jnp.dtype(settings.precision)
        with jax.default_device(self.device):
            self.network = Network(spec, weights, settings, self.dtype)
            self.optimizer = nnx.Optimizer(self.network, make_optimizer(settings), wrt=nnx.Param)
        # Arrays bound to their device: jit compiles anew when unbound ones come back bound after the first step.
        state = nnx.state((self.network, self.optimizer))
        nnx.update((self.network, self.optimizer), jax.device_put(state, self.device))
        self.key = jax.device_put(jax.random.key(settings.seed), self.device)
        self.train_step = nnx.cached_partial(train_step, self.network, self.optimizer)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = jax.device_put(self.training_rows(X), self.device)
        self.steps = len(X) // self.settings.batch_size

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        before = jax.tree.map(jnp.copy, nnx.state((self.network, self.optimizer)))
        self.run_steps(epoch=0, steps=1)
        for function in self.scoring_functions(scores):
            for size in SIZES:
                self.run_rows(function, np.zeros((size, self.spec.features), self.dtype))
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
        self.totals = self.run_steps(epoch, self.steps)

    def synchronize(self) -> None:
        jax.block_until_ready(nnx.state((self.network, self.optimizer)))

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = (np.asarray(self.totals) / self.steps).tolist()
        return EpochLoss(reconstruction + self.last_kl_weight * kl, reconstruction, kl)

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return padded_chunks(
            lambda x: row_function(self.network, jax.device_put(x, self.device), function), X, jax.device_get
        )

    def device_memory_peak(self) -> int | None:
        statistics = self.device.memory_stats() if self.settings.device == "gpu" else None
        return statistics["peak_bytes_in_use"] if statistics else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.replace(weights)


MODES = {"idiomatic": IdiomaticModel}
