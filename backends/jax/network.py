"""The network in Flax: encoder, heads, decoder, and the terms of the loss."""

from __future__ import annotations

from collections.abc import Mapping
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
from backends.interface import Weights
from backends.jax.layers import ACTIVATIONS, LAYERS
from backends.spec import NORMAL_ENTROPY, VARIANCE_FLOOR, NetworkSpec, TrainingSettings

Masks = Mapping[str, Array]
NOTHING: Masks = {}


class Network(nnx.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu; where there are no masks, nothing drops."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        self.spec = spec
        self.dropout = settings.dropout
        self.dtype = jnp.dtype(settings.storage)
        layers = [LAYERS[layer.kind](layer, settings) for layer in spec.layers().values()]
        # Sequential serves as the list of layers: its form is the same before and after Flax had a list of its own.
        self.encoder, self.heads, self.decoder = (nnx.Sequential(*layers[part]) for part in spec.parts)
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
            x = self.drop(f"encoder.{number}", self.activate(layer(x)), masks)
        mu, *logvar = (head(x).astype(self.dtype) for head in self.heads.layers)
        return mu, logvar[0] if logvar else jnp.zeros_like(mu)

    def activate(self, x: Array) -> Array:
        return ACTIVATIONS[self.spec.activation](x)

    def drop(self, name: str, x: Array, masks: Masks) -> Array:
        return x * masks[name] / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + jnp.exp(logvar / 2) * epsilon

    def decode(self, z: Array, masks: Masks = NOTHING) -> Array:
        *hidden, output = self.decoder.layers
        for number, layer in enumerate(hidden):
            z = self.drop(f"decoder.{number}", self.activate(layer(z)), masks)
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
