"""The network in Keras: encoder, heads, decoder, and the terms of the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import RowFunction
from backends.interface import Weights
from backends.keras.adversarial import attacked
from backends.keras.engines import engine
from backends.keras.layers import ACTIVATIONS, Array, layers_of
from backends.randomness import CORRUPTION, EPSILON
from backends.spec import LOG_TAU, NORMAL_ENTROPY, VARIANCE_FLOOR, NetworkSpec, TrainingSettings

Arrays = dict[str, Any]  # by name: rows, or once more arrays by name
Masks = Mapping[str, Array]
NOTHING: Masks = {}
MASKS = "masks"


class Network(keras.Model):
    """The layers; every method but Keras's own maps rows to rows. Where ε is None, z = mu; where there are no masks,
    nothing drops. ``merged`` heads are one layer with both kernels side by side.

    In bfloat16 that is what the layers compute in; the network around them, its loss included, stays in float32.
    """

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings, merged: bool = False) -> None:
        super().__init__(dtype=settings.storage)
        self.spec = spec
        self.dropout = settings.dropout
        self.input_noise = settings.input_noise
        self.importance_samples = settings.importance_samples
        self.free_bits = settings.free_bits
        layers = spec.layers()
        heads = set(list(layers)[spec.parts[1]]) if merged else set()
        self.names = [tuple(names) for _, names in groupby(layers, lambda name: name in heads or name)]
        kinds = layers_of(spec, settings)
        self.all_layers = [
            kinds[layers[n].kind](replace(layers[n], outputs=len(names) * layers[n].outputs))
            for names in self.names
            for n in names[:1]
        ]
        named = [(names[0], layer) for names, layer in zip(self.names, self.all_layers, strict=True)]
        encoder, decoder = (spec.parts[part] for part in (0, 2))
        absent = len(layers) - len(named)  # of merged heads all but one
        self.encoder, self.decoder = named[encoder], named[decoder.start - absent :]
        self.heads = named[encoder.stop : decoder.start - absent]
        self.beside = {
            name: self.add_weight(name=name.replace(".", "_"), shape=shape, initializer="zeros")
            for name, shape in canonical.beside(spec).items()
        }
        shape = randomness.SCORING_SAMPLES, spec.latent
        self.scoring_noise = self.add_weight(name="scoring_noise", shape=shape, initializer="zeros", trainable=False)
        self.log_sigma = self.add_weight(name="log_sigma", shape=(1,), initializer="zeros", trainable=False)
        self.kl_weight = self.add_weight(name="kl_weight", initializer="ones", trainable=False)
        self.adversarial = settings.adversarial
        if self.adversarial:
            self.interval = self.add_weight(name="interval", shape=(2,), initializer="zeros", trainable=False)
        self.seeds = keras.random.SeedGenerator(engine.seed(settings.seed))
        self.trackers = [keras.metrics.Mean(name=name) for name in ("reconstruction", "kl")]
        self.built = True
        self.restart(weights, settings.seed)

    def restart(self, weights: Weights, seed: int) -> None:
        """Starts from these weights, with the draws of this seed."""
        self.replace(weights)
        self.scoring_noise.assign(randomness.scoring_noise(seed, self.spec.latent))
        self.seeds.state.assign(keras.random.SeedGenerator(engine.seed(seed)).state)

    def export(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        for names, layer in zip(self.names, self.all_layers, strict=True):
            kernel, bias = layer.get_weights()
            for part, array in (("kernel", kernel.transpose(layer.canonical_axes)), ("bias", bias)):
                arrays |= zip((f"{n}.{part}" for n in names), np.split(array, len(names), axis=-1), strict=True)
        arrays |= {name: ops.convert_to_numpy(weight) for name, weight in self.beside.items()}
        if self.spec.likelihood == "gaussian":
            arrays[canonical.LOG_SIGMA] = ops.convert_to_numpy(self.log_sigma)
        return {name: arrays[name] for name in canonical.shapes(self.spec)}

    def replace(self, weights: Weights) -> None:
        for names, layer in zip(self.names, self.all_layers, strict=True):
            kernel, bias = (np.concatenate([weights[f"{n}.{p}"] for n in names], axis=-1) for p in ("kernel", "bias"))
            layer.set_weights([kernel.transpose(layer.canonical_axes), bias])
        for name, weight in self.beside.items():
            weight.assign(weights[name])
        if self.spec.likelihood == "gaussian":
            self.log_sigma.assign(weights[canonical.LOG_SIGMA])

    def encode(self, x: Array, masks: Masks = NOTHING) -> tuple[Array, Array]:
        for name, layer in self.encoder:
            x = self.drop(name, self.activate(layer(x)), masks)
        heads = [ops.cast(head(x), self.dtype) for _, head in self.heads]
        if self.spec.kind == "autoencoder":
            return heads[0], ops.zeros_like(heads[0])
        mu, logvar = heads if len(heads) == 2 else ops.split(heads[0], 2, axis=-1)
        return mu, logvar

    def activate(self, x: Array) -> Array:
        return ACTIVATIONS[self.spec.activation](x)

    def drop(self, name: str, x: Array, masks: Masks) -> Array:
        return x * ops.cast(masks[name], x.dtype) / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + ops.exp(logvar / 2) * epsilon

    def decode(self, z: Array, masks: Masks = NOTHING) -> Array:
        *hidden, (_, output) = self.decoder
        for name, layer in hidden:
            z = self.drop(name, self.activate(layer(z)), masks)
        return ops.cast(output(z), self.dtype)

    def mean(self, output: Array) -> Array:
        return ops.sigmoid(output) if self.spec.likelihood == "bce" else output

    def reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "bce":
            return ops.sum(ops.binary_crossentropy(x, output, from_logits=True), axis=-1)
        squares = ops.sum(ops.square(output - x), axis=-1)
        if self.spec.likelihood == "mse":
            return squares
        if self.spec.likelihood == "diagonal_gaussian":
            variances = ops.exp(self.beside[canonical.LOG_VARIANCE]) + VARIANCE_FLOOR
            return ops.sum(ops.square(output - x) / variances + ops.log(variances) + LOG_TAU, axis=-1) / 2
        return squares * ops.exp(-2 * self.log_sigma) / 2 + self.spec.features * (self.log_sigma + NORMAL_ENTROPY - 0.5)

    def batch_reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "gaussian":
            variance = ops.mean(ops.square(output - x)) + VARIANCE_FLOOR
            return self.spec.features * (ops.log(variance) / 2 + NORMAL_ENTROPY)
        return ops.mean(self.reconstruction(output, x))

    def fit_sigma(self, reconstruction: float | Array) -> None:
        if self.spec.likelihood == "gaussian":
            value = reconstruction / self.spec.features - NORMAL_ENTROPY
            self.log_sigma.assign(ops.reshape(ops.convert_to_tensor(value, self.dtype), (1,)))

    def unit_kl(self, mu: Array, logvar: Array) -> Array:
        return -0.5 * (1 + logvar - ops.square(mu) - ops.exp(logvar))

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return ops.zeros_like(mu[:, 0])
        if self.spec.prior != "normal":
            prior, draws = self.prior(), self.scoring_noise.shape[0]

            def add(draw: int, total: Array) -> Array:
                epsilon = ops.take(self.scoring_noise, draw, axis=0)
                return total + self.log_ratio(self.sample(mu, logvar, epsilon), logvar, epsilon, prior)

            return ops.fori_loop(0, draws, add, ops.zeros_like(mu[:, 0])) / draws
        return ops.sum(self.unit_kl(mu, logvar), axis=-1)

    def batch_kl(self, mu: Array, logvar: Array) -> Array:
        if self.free_bits:
            return ops.sum(ops.maximum(ops.mean(self.unit_kl(mu, logvar), axis=0), self.free_bits))
        return ops.mean(self.kl(mu, logvar))

    def prior(self) -> Sequence[Array]:
        """Means, log variances and logits of the prior's components; nothing of the normal one."""
        if self.spec.prior == "normal":
            return ()
        if self.spec.prior == "vamp":
            means, logvars = self.encode(ops.convert_to_tensor(self.beside[canonical.INPUTS]))
            return means, logvars, ops.zeros_like(means[:, 0])
        return [ops.convert_to_tensor(self.beside[name]) for name in canonical.PRIOR]

    def log_ratio(self, z: Array, logvar: Array, epsilon: Array, prior: Sequence[Array]) -> Array:
        if not prior:
            return ops.sum(ops.square(z) - ops.square(epsilon) - logvar, axis=-1) / 2
        means, logvars, logits = prior
        squares = ops.square(z[..., None, :] - means) / ops.exp(logvars)
        log_p = ops.logsumexp(ops.log_softmax(logits) - ops.sum(squares + logvars + LOG_TAU, axis=-1) / 2, axis=-1)
        return -ops.sum(ops.square(epsilon) + logvar + LOG_TAU, axis=-1) / 2 - log_p

    def propagate(self, x: Array, epsilon: Array | None = None, masks: Masks = NOTHING) -> tuple[Array, Array, Array]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.decode(z, masks), mu, logvar

    def terms(self, x: Array) -> tuple[Array, Array]:
        output, mu, logvar = self.propagate(x)
        return self.reconstruction(output, x), self.kl(mu, logvar)

    def corrupted(self, x: Array, drawn: Arrays) -> Array:
        return x + self.input_noise * drawn[CORRUPTION] if self.input_noise else x

    def batch_terms(self, x: Array, drawn: Arrays, target: Array | None = None) -> tuple[Array, Array]:
        """``target`` is what x is to be reconstructed to; without one, x itself."""
        target = x if target is None else target
        if self.importance_samples > 1:
            return self.importance_terms(x, drawn, target)
        output, mu, logvar = self.propagate(self.corrupted(x, drawn), drawn.get(EPSILON), drawn[MASKS])
        if self.spec.prior != "normal":
            ratio = self.log_ratio(self.sample(mu, logvar, drawn[EPSILON]), logvar, drawn[EPSILON], self.prior())
            return self.batch_reconstruction(output, target), ops.mean(ratio)
        return self.batch_reconstruction(output, target), self.batch_kl(mu, logvar)

    def importance_terms(self, x: Array, drawn: Arrays, target: Array) -> tuple[Array, Array]:
        draws, latent = self.importance_samples, self.spec.latent
        mu, logvar = (part[:, None] for part in self.encode(self.corrupted(x, drawn), drawn[MASKS]))
        epsilon = ops.reshape(drawn[EPSILON], (-1, draws, latent))
        z = self.sample(mu, logvar, epsilon)
        masks = {n: ops.repeat(mask, draws, 0) for n, mask in drawn[MASKS].items() if n.startswith("decoder")}
        output = self.decode(ops.reshape(z, (-1, latent)), masks)
        reconstruction = ops.reshape(self.reconstruction(output, ops.repeat(target, draws, 0)), (-1, draws))
        ratio = self.log_ratio(z, logvar, epsilon, self.prior())
        log_weights = -reconstruction - self.kl_weight * ratio
        kl = ops.stop_gradient(ops.mean(ops.sum(ops.softmax(log_weights) * ratio, axis=-1)))
        return math.log(draws) - ops.mean(ops.logsumexp(log_weights, axis=-1)) - self.kl_weight * kl, kl

    def generate(self, z: Array) -> tuple[Array]:
        return (self.mean(self.decode(z)),)

    def reconstruct(self, x: Array) -> tuple[Array]:
        return self.generate(self.encode(x)[0])

    def squared_error(self, x: Array) -> tuple[Array]:
        return (ops.sum(ops.square(self.reconstruct(x)[0] - x), axis=-1),)

    def absolute_error(self, x: Array) -> tuple[Array]:
        return (ops.sum(ops.abs(self.reconstruct(x)[0] - x), axis=-1),)

    def expected_reconstruction(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        if self.spec.kind == "autoencoder":
            return (self.reconstruction(self.decode(mu), x),)
        draws = self.scoring_noise.shape[0]

        def add(draw: int, total: Array) -> Array:
            epsilon = ops.take(self.scoring_noise, draw, axis=0)
            return total + self.reconstruction(self.decode(self.sample(mu, logvar, epsilon)), x)

        return (ops.fori_loop(0, draws, add, ops.zeros_like(x[:, 0])) / draws,)

    def importance_bound(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        prior, draws = self.prior(), self.scoring_noise.shape[0]

        def add(draw: int, total: Array) -> Array:
            epsilon = ops.take(self.scoring_noise, draw, axis=0)
            z = self.sample(mu, logvar, epsilon)
            log_weight = -self.reconstruction(self.decode(z), x) - self.log_ratio(z, logvar, epsilon, prior)
            return ops.logaddexp(total, log_weight)

        return (math.log(draws) - ops.fori_loop(0, draws, add, ops.full_like(x[:, 0], -math.inf)),)

    def draw(self, *shape: int | Array) -> Arrays:
        """ε, η and dropout masks for rows of this shape."""
        draw, drawn = {"dtype": self.dtype, "seed": self.seeds}, {}
        if self.spec.kind == "vae":
            width = self.spec.latent * self.importance_samples
            drawn[EPSILON] = keras.random.normal((*shape, width), **draw)
        if self.input_noise:
            drawn[CORRUPTION] = keras.random.normal((*shape, self.spec.features), **draw)
        widths = self.spec.dropped() if self.dropout else {}
        masks = {n: keras.random.uniform((*shape, width), **draw) >= self.dropout for n, width in widths.items()}
        return {**drawn, MASKS: masks}

    def call(self, batch: Arrays) -> tuple[Array, Array]:
        """``batch_terms`` of a training batch: rows ``x`` and, if it is not to be drawn, what ``draw`` gives."""
        x = batch["x"]
        drawn = batch if MASKS in batch else self.draw(ops.shape(x)[0])

        def loss(at: Array) -> Array:
            reconstruction, kl = self.batch_terms(at, drawn, x)
            return reconstruction + self.kl_weight * kl

        return self.batch_terms(attacked(loss, x, self.adversarial, self.interval) if self.adversarial else x, drawn, x)

    def batch_loss(self, batch: Arrays) -> tuple[Array, Array]:
        """The loss of a training batch, and its mean reconstruction and KL, shape (2,)."""
        reconstruction, kl = self.call(batch)
        return reconstruction + self.kl_weight * kl, ops.stack((reconstruction, kl))

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any) -> Array:
        reconstruction, kl = y_pred
        for tracker, term in zip(self.trackers, (reconstruction, kl), strict=True):
            tracker.update_state(term)
        return reconstruction + self.kl_weight * kl


class RowModel(keras.Model):
    """One row-wise function of a network, for ``predict_on_batch`` to compile."""

    def __init__(self, network: Network, function: RowFunction) -> None:
        super().__init__(dtype=network.dtype)
        self.network = network
        self.function = function
        self.built = True

    def call(self, x: Array) -> tuple[Array, ...]:
        return getattr(self.network, self.function)(x)


class SlopeModel(RowModel):
    """The gradient of a row-wise function's results, each times its part and added up."""

    def __init__(self, network: Network, function: RowFunction, parts: tuple[float, ...]) -> None:
        super().__init__(network, function)
        self.parts = parts

    def call(self, x: Array) -> tuple[Array, ...]:
        def total(x: Array) -> Array:
            results = getattr(self.network, self.function)(x)
            return sum(part * ops.sum(result) for part, result in zip(self.parts, results, strict=False))

        return (engine.gradient(total, x),)
