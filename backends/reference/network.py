"""The network, the terms of its loss, and the gradient derived by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.interface import Weights
from backends.reference.layers import Array, activate, backward, forward, logistic, slope
from backends.spec import NORMAL_ENTROPY, VARIANCE_FLOOR, NetworkSpec, TrainingSettings

Masks = Mapping[str, NDArray[np.bool_]]


def row_sums(terms: Array) -> Array:
    sums: Array = terms.sum(axis=-1)
    return sums


class Network:
    """The layers and their gradient; ``arrays`` holds the parameters under their canonical names."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        self.spec = spec
        self.dropout = settings.dropout
        self.arrays = {name: np.array(weights[name], dtype=np.float64) for name in canonical.shapes(spec)}
        self.layers = spec.layers()
        names = list(self.layers)
        self.encoder, self.heads, (*self.decoder, _) = (names[part] for part in spec.parts)
        self.scoring_noise = randomness.scoring_noise(settings.seed, spec.latent)

    def apply(self, name: str, h: Array) -> Array:
        return forward(self.layers[name], h, self.arrays[f"{name}.kernel"], self.arrays[f"{name}.bias"])

    def encode(self, x: Array) -> tuple[Array, Array]:
        for name in self.encoder:
            x = activate(self.spec.activation, self.apply(name, x))
        mu = self.apply(self.heads[0], x)
        return mu, self.apply(self.heads[1], x) if self.spec.kind == "vae" else np.zeros_like(mu)

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + np.exp(logvar / 2) * epsilon

    def decode(self, z: Array) -> Array:
        for name in self.decoder:
            z = activate(self.spec.activation, self.apply(name, z))
        return self.apply("output", z)

    def mean(self, output: Array) -> Array:
        """x̂: the output itself, but its logistic function for ``bce``."""
        return logistic(output) if self.spec.likelihood == "bce" else output

    def reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "bce":
            return row_sums(np.maximum(output, 0.0) - output * x + np.log1p(np.exp(-np.abs(output))))
        squares = row_sums((output - x) ** 2)
        if self.spec.likelihood == "mse":
            return squares
        log_sigma = self.arrays[canonical.LOG_SIGMA]
        return squares * np.exp(-2.0 * log_sigma) / 2.0 + self.spec.features * (log_sigma + NORMAL_ENTROPY - 0.5)

    def variance(self, output: Array, x: Array) -> float:
        """σ² of the ``gaussian`` likelihood for a training batch."""
        return float(np.mean((output - x) ** 2)) + VARIANCE_FLOOR

    def batch_reconstruction(self, output: Array, x: Array) -> float:
        """The mean over a training batch, whose Gaussian has the batch's own σ."""
        if self.spec.likelihood == "gaussian":
            return float(self.spec.features * (np.log(self.variance(output, x)) / 2.0 + NORMAL_ENTROPY))
        return float(np.mean(self.reconstruction(output, x)))

    def fit_sigma(self, reconstruction: float) -> None:
        """After an epoch, from the mean reconstruction of its batches."""
        if self.spec.likelihood == "gaussian":
            self.arrays[canonical.LOG_SIGMA] = np.array([reconstruction / self.spec.features - NORMAL_ENTROPY])

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return np.zeros(len(mu))
        return -0.5 * row_sums(1.0 + logvar - mu**2 - np.exp(logvar))

    def terms(self, x: Array) -> tuple[Array, Array]:
        mu, logvar = self.encode(x)
        return self.reconstruction(self.decode(mu), x), self.kl(mu, logvar)

    def generate(self, z: Array) -> tuple[Array]:
        return (self.mean(self.decode(z)),)

    def reconstruct(self, x: Array) -> tuple[Array]:
        return self.generate(self.encode(x)[0])

    def squared_error(self, x: Array) -> tuple[Array]:
        return (row_sums((self.reconstruct(x)[0] - x) ** 2),)

    def absolute_error(self, x: Array) -> tuple[Array]:
        return (row_sums(np.abs(self.reconstruct(x)[0] - x)),)

    def expected_reconstruction(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        if self.spec.kind == "autoencoder":
            return (self.reconstruction(self.decode(mu), x),)
        draws = [self.reconstruction(self.decode(self.sample(mu, logvar, e)), x) for e in self.scoring_noise]
        return (np.mean(draws, axis=0),)

    def gradient(
        self, x: Array, epsilon: Array | None, masks: Masks, kl_weight: float
    ) -> tuple[float, float, dict[str, Array]]:
        """Mean reconstruction, mean KL, and the loss's gradient for every parameter.

        x has shape (B, features), epsilon (B, latent); None, as for an autoencoder, means z = mu. ``masks`` holds the
        dropout of the layers it names, each (B, width).
        """
        gradients: dict[str, Array] = {}

        def climb(names: list[str], h: Array) -> tuple[list[Array], list[Array]]:
            """What goes into each of these layers, and out of the last; and each one's a."""
            sums, outputs = [], [h]
            for name in names:
                sums.append(self.apply(name, outputs[-1]))
                outputs.append(drop(name, activate(self.spec.activation, sums[-1])))
            return outputs, sums

        def drop(name: str, h: Array) -> Array:
            return h * masks[name] / (1.0 - self.dropout) if name in masks else h

        def descend(name: str, h: Array, da: Array) -> Array:
            kernel = self.arrays[f"{name}.kernel"]
            gradients[f"{name}.kernel"], gradients[f"{name}.bias"], dh = backward(self.layers[name], h, kernel, da)
            return dh

        encoded, encoder_sums = climb(self.encoder, x)
        mu = self.apply(self.heads[0], encoded[-1])
        logvar = self.apply(self.heads[1], encoded[-1]) if self.spec.kind == "vae" else np.zeros_like(mu)
        decoded, decoder_sums = climb(self.decoder, mu if epsilon is None else self.sample(mu, logvar, epsilon))
        output = self.apply("output", decoded[-1])

        residual = (self.mean(output) - x) / len(x)
        if self.spec.likelihood == "mse":
            residual = 2.0 * residual
        elif self.spec.likelihood == "gaussian":
            residual = residual / self.variance(output, x)
        d = descend("output", decoded[-1], residual)
        for name, h, a in reversed(list(zip(self.decoder, decoded, decoder_sums, strict=False))):
            d = descend(name, h, drop(name, d * slope(self.spec.activation, a)))

        if self.spec.kind == "autoencoder":
            d = descend(self.heads[0], encoded[-1], d)
        else:
            d_mu = d + kl_weight * mu / len(x)
            d_logvar = 0.5 * kl_weight * (np.exp(logvar) - 1.0) / len(x)
            if epsilon is not None:
                d_logvar = d_logvar + 0.5 * d * np.exp(logvar / 2) * epsilon
            d = descend(self.heads[0], encoded[-1], d_mu) + descend(self.heads[1], encoded[-1], d_logvar)
        for name, h, a in reversed(list(zip(self.encoder, encoded, encoder_sums, strict=False))):
            d = descend(name, h, drop(name, d * slope(self.spec.activation, a)))

        return self.batch_reconstruction(output, x), float(np.mean(self.kl(mu, logvar))), gradients
