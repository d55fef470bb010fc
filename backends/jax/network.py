"""The network in Flax: encoder, heads, decoder, and the terms of the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from backends.randomness import CORRUPTION, EPSILON
from backends.spec import LOG_TAU, NORMAL_ENTROPY, VARIANCE_FLOOR, NetworkSpec, TrainingSettings

Masks = Mapping[str, Array]
NOTHING: Masks = {}


class Network(nnx.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu; where there are no masks, nothing drops."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        self.spec = spec
        self.dropout = settings.dropout
        self.input_noise = settings.input_noise
        self.importance_samples = settings.importance_samples
        self.free_bits = settings.free_bits
        self.dtype = jnp.dtype(settings.storage)
        layers = [LAYERS[layer.kind](layer, settings) for layer in spec.layers().values()]
        # Sequential serves as the list of layers: its form is the same before and after Flax had a list of its own.
        self.encoder, self.heads, self.decoder = (nnx.Sequential(*layers[part]) for part in spec.parts)
        self.beside = nnx.Dict(
            {name: nnx.Param(jnp.zeros(shape, self.dtype)) for name, shape in canonical.beside(spec).items()}
        )
        self.scoring_noise = nnx.Variable(jnp.zeros((randomness.SCORING_SAMPLES, spec.latent), self.dtype))
        self.log_sigma = nnx.Variable(jnp.zeros(1, self.dtype))
        self.adversarial = settings.adversarial
        if self.adversarial:
            self.interval = nnx.Variable(jnp.zeros(2, self.dtype))
        self.restart(weights, settings.seed)

    def restart(self, weights: Weights, seed: int) -> None:
        """Starts from these weights, with the scoring noise of this seed."""
        self.replace(weights)
        self.put(self.scoring_noise, randomness.scoring_noise(seed, self.spec.latent))

    def put(self, variable: nnx.Variable[Array], array: NDArray[Any]) -> None:
        """Gives a variable a value, on the device that it is on."""
        variable[...] = jax.device_put(array.astype(variable.dtype), variable[...].sharding)

    def named(self) -> dict[str, nnx.Module]:
        layers = (*self.encoder.layers, *self.heads.layers, *self.decoder.layers)
        return dict(zip(self.spec.layers(), layers, strict=True))

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        for name, layer in self.named().items():
            arrays[f"{name}.kernel"] = np.array(layer.kernel[...]).transpose(layer.canonical_axes)
            arrays[f"{name}.bias"] = np.array(layer.bias[...])
        arrays |= {name: np.array(self.beside[name][...]) for name in canonical.beside(self.spec)}
        if self.spec.likelihood == "gaussian":
            arrays[canonical.LOG_SIGMA] = np.array(self.log_sigma[...])
        return arrays

    def replace(self, weights: Weights) -> None:
        pairs = []
        for name, layer in self.named().items():
            kernel = weights[f"{name}.kernel"].transpose(layer.canonical_axes)
            pairs += [(layer.kernel, kernel), (layer.bias, weights[f"{name}.bias"])]
        pairs += [(self.beside[name], weights[name]) for name in canonical.beside(self.spec)]
        if self.spec.likelihood == "gaussian":
            pairs.append((self.log_sigma, weights[canonical.LOG_SIGMA]))
        for variable, array in pairs:
            self.put(variable, array)

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
        if self.spec.likelihood == "diagonal_gaussian":
            variances = jnp.exp(self.beside[canonical.LOG_VARIANCE][...]) + VARIANCE_FLOOR
            return (jnp.square(output - x) / variances + jnp.log(variances) + LOG_TAU).sum(-1) / 2
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

    def unit_kl(self, mu: Array, logvar: Array) -> Array:
        return -0.5 * (1 + logvar - jnp.square(mu) - jnp.exp(logvar))

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return jnp.zeros(len(mu), mu.dtype)
        if self.spec.prior != "normal":
            prior, draws = self.prior(), self.scoring_noise[...]

            def add(draw: int, total: Array) -> Array:
                return total + self.log_ratio(self.sample(mu, logvar, draws[draw]), logvar, draws[draw], prior)

            return jax.lax.fori_loop(0, len(draws), add, jnp.zeros(len(mu), mu.dtype)) / len(draws)
        return self.unit_kl(mu, logvar).sum(-1)

    def batch_kl(self, mu: Array, logvar: Array) -> Array:
        if self.free_bits:
            return jnp.maximum(self.unit_kl(mu, logvar).mean(0), self.free_bits).sum()
        return self.kl(mu, logvar).mean()

    def prior(self) -> Sequence[Array]:
        """Means, log variances and logits of the prior's components; nothing of the normal one."""
        if self.spec.prior == "normal":
            return ()
        if self.spec.prior == "vamp":
            means, logvars = self.encode(self.beside[canonical.INPUTS][...])
            return means, logvars, jnp.zeros(len(means), means.dtype)
        return [self.beside[name][...] for name in canonical.PRIOR]

    def log_ratio(self, z: Array, logvar: Array, epsilon: Array, prior: Sequence[Array]) -> Array:
        if not prior:
            return (jnp.square(z) - jnp.square(epsilon) - logvar).sum(-1) / 2
        means, logvars, logits = prior
        squares = jnp.square(z[..., None, :] - means) / jnp.exp(logvars)
        log_p = nnx.logsumexp(nnx.log_softmax(logits) - (squares + logvars + LOG_TAU).sum(-1) / 2, -1)
        return -(jnp.square(epsilon) + logvar + LOG_TAU).sum(-1) / 2 - log_p

    def propagate(self, x: Array, epsilon: Array | None = None, masks: Masks = NOTHING) -> tuple[Array, Array, Array]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.decode(z, masks), mu, logvar

    def terms(self, x: Array) -> tuple[Array, Array]:
        output, mu, logvar = self.propagate(x)
        return self.reconstruction(output, x), self.kl(mu, logvar)

    def corrupted(self, x: Array, drawn: Mapping[str, Array]) -> Array:
        return x + self.input_noise * drawn[CORRUPTION] if self.input_noise else x

    def batch_terms(
        self, x: Array, drawn: Mapping[str, Array], kl_weight: Array, target: Array | None = None
    ) -> tuple[Array, Array]:
        """``target`` is what x is to be reconstructed to; without one, x itself."""
        target = x if target is None else target
        if self.importance_samples > 1:
            return self.importance_terms(x, drawn, kl_weight, target)
        output, mu, logvar = self.propagate(self.corrupted(x, drawn), drawn.get(EPSILON), drawn)
        if self.spec.prior != "normal":
            ratio = self.log_ratio(self.sample(mu, logvar, drawn[EPSILON]), logvar, drawn[EPSILON], self.prior())
            return self.batch_reconstruction(output, target), ratio.mean()
        return self.batch_reconstruction(output, target), self.batch_kl(mu, logvar)

    def importance_terms(
        self, x: Array, drawn: Mapping[str, Array], kl_weight: Array, target: Array
    ) -> tuple[Array, Array]:
        rows, draws = len(x), self.importance_samples
        mu, logvar = (part[:, None] for part in self.encode(self.corrupted(x, drawn), drawn))
        epsilon = drawn[EPSILON].reshape(rows, draws, -1)
        z = self.sample(mu, logvar, epsilon)
        masks = {n: jnp.repeat(mask, draws, 0) for n, mask in drawn.items() if n.startswith("decoder")}
        output = self.decode(z.reshape(rows * draws, -1), masks)
        reconstruction = self.reconstruction(output, jnp.repeat(target, draws, 0)).reshape(rows, draws)
        ratio = self.log_ratio(z, logvar, epsilon, self.prior())
        log_weights = -reconstruction - kl_weight * ratio
        kl = jax.lax.stop_gradient((nnx.softmax(log_weights) * ratio).sum(-1).mean())
        return math.log(draws) - nnx.logsumexp(log_weights, -1).mean() - kl_weight * kl, kl

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

    def importance_bound(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        prior, draws = self.prior(), self.scoring_noise[...]

        def add(draw: int, total: Array) -> Array:
            z = self.sample(mu, logvar, draws[draw])
            log_weight = -self.reconstruction(self.decode(z), x) - self.log_ratio(z, logvar, draws[draw], prior)
            return jnp.logaddexp(total, log_weight)

        return (math.log(len(draws)) - jax.lax.fori_loop(0, len(draws), add, jnp.full(len(x), -jnp.inf, x.dtype)),)
