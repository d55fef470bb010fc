"""The autoencoder in Flax nnx and optax, trained as its guide trains: one jitted step, data on the device."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
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
from backends.inference import CHUNK, TAIL, Inference, RowFunction, padded_chunks
from backends.interface import Capabilities, EpochLoss, Weights
from backends.spec import NetworkSpec, Score, TrainingSettings


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


class Network(nnx.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu."""

    def __init__(self, spec: NetworkSpec, weights: Weights, seed: int, dtype: jnp.dtype) -> None:
        self.spec = spec
        shapes = canonical.layers(spec)
        dense = [
            nnx.Linear(
                *shape,
                dtype=dtype,
                param_dtype=dtype,
                kernel_init=partial(given, weights[f"{name}.kernel"]),
                bias_init=partial(given, weights[f"{name}.bias"]),
                rngs=nnx.Rngs(0),
            )
            for name, shape in shapes.items()
        ]
        depth = len(spec.hidden)
        # Sequential serves as the list of layers: its form is the same before and after Flax had a list of its own.
        self.encoder = nnx.Sequential(*dense[:depth])
        self.heads = nnx.Sequential(*dense[depth : -depth - 1])
        self.decoder = nnx.Sequential(*dense[-depth - 1 :])
        self.scoring_noise = nnx.Variable(jnp.asarray(randomness.scoring_noise(seed, spec.latent), dtype))

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        dense = [*self.encoder.layers, *self.heads.layers, *self.decoder.layers]
        for name, layer in zip(canonical.layers(self.spec), dense, strict=True):
            arrays[f"{name}.kernel"] = np.array(layer.kernel[...])
            arrays[f"{name}.bias"] = np.array(layer.bias[...])
        return arrays

    def encode(self, x: Array) -> tuple[Array, Array]:
        for layer in self.encoder.layers:
            x = nnx.relu(layer(x))
        mu = self.heads.layers[0](x)
        return mu, self.heads.layers[1](x) if self.spec.kind == "vae" else jnp.zeros_like(mu)

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + jnp.exp(logvar / 2) * epsilon

    def decode(self, z: Array) -> Array:
        *hidden, output = self.decoder.layers
        for layer in hidden:
            z = nnx.relu(layer(z))
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

    def terms(self, x: Array, epsilon: Array | None = None) -> tuple[Array, Array]:
        mu, logvar = self.encode(x)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.reconstruction(self.decode(z), x), self.kl(mu, logvar)

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


def given(array: NDArray[Any], key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """An initialiser that gives the canonical array."""
    return jnp.asarray(array, dtype)


@nnx.jit
def train_step(
    network: Network,
    optimizer: nnx.Optimizer,
    totals: Array,
    data: Array,
    order: Array,
    noise: Array | None,
    step: int,
    kl_weight: Array,
) -> Array:
    """One update; returns the running sums of mean reconstruction and KL.

    ``order`` holds the epoch's batches of row numbers, shape (steps, batch); ``noise`` their ε, shape
    (steps, batch, latent), or the key to draw it with.
    """
    x = data[order[step]]
    if noise is not None and jnp.issubdtype(noise.dtype, jax.dtypes.prng_key):
        epsilon = jax.random.normal(jax.random.fold_in(noise, step), (len(x), network.spec.latent), x.dtype)
    else:
        epsilon = None if noise is None else noise[step]

    def loss(network: Network) -> tuple[Array, Array]:
        reconstruction, kl = (term.mean() for term in network.terms(x, epsilon))
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
            self.network = Network(spec, weights, settings.seed, self.dtype)
            adam = optax.adam(settings.learning_rate, settings.beta1, settings.beta2, settings.epsilon)
            self.optimizer = nnx.Optimizer(self.network, adam, wrt=nnx.Param)
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
            for size in (CHUNK, TAIL):
                self.run_rows(function, np.zeros((size, self.spec.features), self.dtype))
        nnx.update((self.network, self.optimizer), before)

    def draw_epoch(self, epoch: int) -> tuple[Array, Array | None]:
        """The epoch's batches of row numbers, shape (steps, batch), and the key of its ε."""
        order, noise = jax.random.split(jax.random.fold_in(self.key, epoch))
        rows = jax.random.permutation(order, len(self.data))[: self.steps * self.settings.batch_size]
        return rows.reshape(self.steps, -1), noise if self.spec.kind == "vae" else None

    def shared_epoch(self, epoch: int) -> tuple[Array, Array | None]:
        """The same from the source that every backend shares: the ε themselves, shape (steps, batch, latent)."""
        seed, rows, used = self.settings.seed, len(self.data), self.steps * self.settings.batch_size
        order = randomness.permutation(seed, epoch, rows)[:used].reshape(self.steps, -1)
        if self.spec.kind == "autoencoder":
            return jax.device_put(order, self.device), None
        noise = randomness.noise(seed, epoch, rows, self.spec.latent)[:used]
        noise = noise.reshape(self.steps, -1, self.spec.latent).astype(self.dtype)
        return jax.device_put((order, noise), self.device)

    def run_steps(self, epoch: int, steps: int) -> Array:
        order, noise = (self.shared_epoch if self.settings.random_source == "shared" else self.draw_epoch)(epoch)
        kl_weight = np.asarray(self.settings.kl_weight(epoch), self.dtype)
        totals = jax.device_put(np.zeros(2, self.dtype), self.device)
        for step in range(steps):
            totals = self.train_step(totals, self.data, order, noise, step, kl_weight)
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


MODES = {"idiomatic": IdiomaticModel}
