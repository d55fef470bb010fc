"""The network, the terms of its loss, and the gradient derived by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.interface import Weights
from backends.reference.layers import Array, activate, backward, forward, logistic, slope
from backends.spec import LOG_TAU, NORMAL_ENTROPY, VARIANCE_FLOOR, NetworkSpec, TrainingSettings

Masks = Mapping[str, NDArray[np.bool_]]


def row_sums(terms: Array) -> Array:
    sums: Array = terms.sum(axis=-1)
    return sums


class Network:
    """The layers and their gradient; ``arrays`` holds the parameters under their canonical names."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        self.spec = spec
        self.dropout = settings.dropout
        self.input_noise = settings.input_noise
        self.importance_samples = settings.importance_samples
        self.free_bits = settings.free_bits
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
        if self.spec.likelihood == "diagonal_gaussian":
            variances = self.variances()
            return row_sums((output - x) ** 2 / variances + np.log(variances) + LOG_TAU) / 2.0
        log_sigma = self.arrays[canonical.LOG_SIGMA]
        return squares * np.exp(-2.0 * log_sigma) / 2.0 + self.spec.features * (log_sigma + NORMAL_ENTROPY - 0.5)

    def variances(self) -> Array:
        """σ² of every feature under the ``diagonal_gaussian`` likelihood."""
        return np.exp(self.arrays[canonical.LOG_VARIANCE]) + VARIANCE_FLOOR

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

    def unit_kl(self, mu: Array, logvar: Array) -> Array:
        """Each latent unit's part of the KL, of the shape of both."""
        return -0.5 * (1.0 + logvar - mu**2 - np.exp(logvar))

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return np.zeros(len(mu))
        if self.spec.prior != "normal":
            draws = [self.log_ratio(self.sample(mu, logvar, e), logvar, e) for e in self.scoring_noise]
            return np.asarray(np.mean(draws, axis=0))
        return row_sums(self.unit_kl(mu, logvar))

    def batch_kl(self, mu: Array, logvar: Array) -> float:
        """The mean over a training batch, less what is free of it."""
        if self.free_bits:
            return float(np.maximum(self.unit_kl(mu, logvar).mean(axis=0), self.free_bits).sum())
        return float(np.mean(self.kl(mu, logvar)))

    def log_ratio(self, z: Array, logvar: Array, epsilon: Array) -> Array:
        """log q(z|x) − log p(z) of draws z = mu + exp(logvar / 2) ε."""
        if self.spec.prior == "normal":
            return row_sums(z**2 - epsilon**2 - logvar) / 2.0
        log_p: Array = np.logaddexp.reduce(self.log_components(z), axis=-1)
        return -row_sums(epsilon**2 + logvar + LOG_TAU) / 2.0 - log_p

    def prior(self) -> tuple[Array, Array, Array]:
        """m and s of the components of a prior that is a mixture, and the logits of their shares."""
        if self.spec.prior == "vamp":
            return *self.encode(self.arrays[canonical.INPUTS]), np.zeros(self.spec.components)
        means, logvars, logits = (self.arrays[name] for name in canonical.PRIOR)
        return means, logvars, logits

    def log_components(self, z: Array) -> Array:
        """log π_j N(z; m_j, exp(s_j)) of every component of the mixture, shape (rows, components)."""
        means, logvars, logits = self.prior()
        shares: Array = logits - np.logaddexp.reduce(logits)
        return shares - row_sums((z[:, None] - means) ** 2 / np.exp(logvars) + logvars + LOG_TAU) / 2.0

    def prior_gradient(self, z: Array, weights: Array, gradients: dict[str, Array]) -> Array:
        """The derivative of −log p(z) for z; those for m, s and logits, weighed and summed over rows, go to
        ``gradients``, under the names that they have where they are trained themselves."""
        if self.spec.prior == "normal":
            return z
        means, logvars, logits = self.prior()
        logs = self.log_components(z)
        held = np.exp(logs - np.logaddexp.reduce(logs, axis=-1, keepdims=True))[..., None]
        away, counted = (z[:, None] - means) / np.exp(logvars), weights[:, None, None] * held
        gradients[canonical.MEANS] = -(counted * away).sum(axis=0)
        gradients[canonical.LOGVARS] = -(counted * (away**2 * np.exp(logvars) - 1.0)).sum(axis=0) / 2.0
        shares = np.exp(logits - np.logaddexp.reduce(logits))
        gradients[canonical.LOGITS] = (weights[:, None] * (shares - held[..., 0])).sum(axis=0)
        return row_sums(np.swapaxes(held * away, 1, 2))

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

    def importance_weights(self, reconstruction: Array, ratio: Array, kl_weight: float) -> tuple[Array, Array]:
        """The bound of every row, and the normalised weights of all draws."""
        log_weights = -(reconstruction + kl_weight * ratio).reshape(-1, self.importance_samples)
        total = np.logaddexp.reduce(log_weights, axis=1)
        return np.log(self.importance_samples) - total, np.exp(log_weights - total[:, None]).ravel()

    def importance_bound(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        draws = [(self.sample(mu, logvar, e), e) for e in self.scoring_noise]
        log_weights = [-self.reconstruction(self.decode(z), x) - self.log_ratio(z, logvar, e) for z, e in draws]
        return (np.log(len(draws)) - np.logaddexp.reduce(log_weights, axis=0),)

    def gradient(
        self,
        x: Array,
        epsilon: Array | None,
        masks: Masks,
        kl_weight: float,
        corruption: Array | None = None,
        target: Array | None = None,
    ) -> tuple[float, float, dict[str, Array]]:
        """Mean reconstruction, mean KL, and the loss's gradient for every parameter.

        x and corruption have shape (B, features), epsilon (B, draws · latent); None, as for an autoencoder, means
        z = mu. ``masks`` holds the dropout of the layers it names, each (B, width), the same for all draws of a row.
        ``target`` is what x is to be reconstructed to; without one, x itself.
        """
        return self.backpropagate(x, epsilon, masks, kl_weight, corruption, x if target is None else target)[:3]

    def backpropagate(
        self,
        x: Array,
        epsilon: Array | None,
        masks: Masks,
        kl_weight: float,
        corruption: Array | None,
        target: Array,
    ) -> tuple[float, float, dict[str, Array], Array]:
        """As ``gradient``, and the gradient for x, the target being a constant."""
        gradients: dict[str, Array] = {}
        draws = self.importance_samples
        masks = {n: np.repeat(mask, draws, axis=0) if n in self.decoder else mask for n, mask in masks.items()}

        def climb(names: list[str], h: Array, masks: Masks) -> tuple[list[Array], list[Array]]:
            """What goes into each of these layers, and out of the last; and each one's a."""
            sums, outputs = [], [h]
            for name in names:
                sums.append(self.apply(name, outputs[-1]))
                outputs.append(drop(name, activate(self.spec.activation, sums[-1]), masks))
            return outputs, sums

        def drop(name: str, h: Array, masks: Masks) -> Array:
            return h * masks[name] / (1.0 - self.dropout) if name in masks else h

        def descend(name: str, h: Array, da: Array) -> Array:
            """Adds up a layer's gradients, since pseudo-inputs go through the encoder too."""
            *found, dh = backward(self.layers[name], h, self.arrays[f"{name}.kernel"], da)
            for part, gradient in zip((f"{name}.kernel", f"{name}.bias"), found, strict=True):
                gradients[part] = gradients[part] + gradient if part in gradients else gradient
            return dh

        def fall(names: list[str], outputs: list[Array], sums: list[Array], d: Array, masks: Masks) -> Array:
            """From the derivative for what comes out of the last of these layers, that for what goes into the first."""
            for name, h, a in reversed(list(zip(names, outputs, sums, strict=False))):
                d = descend(name, h, drop(name, d * slope(self.spec.activation, a), masks))
            return d

        seen = x if corruption is None else x + self.input_noise * corruption
        encoded, encoder_sums = climb(self.encoder, seen, masks)
        mu = self.apply(self.heads[0], encoded[-1])
        logvar = self.apply(self.heads[1], encoded[-1]) if self.spec.kind == "vae" else np.zeros_like(mu)
        clean, mus, logvars = (np.repeat(array, draws, axis=0) for array in (target, mu, logvar))
        at_draws = draws > 1 or self.spec.prior != "normal"
        epsilon = np.zeros_like(mus) if epsilon is None else epsilon.reshape(mus.shape)
        z = self.sample(mus, logvars, epsilon)
        decoded, decoder_sums = climb(self.decoder, z, masks)
        output = self.apply("output", decoded[-1])

        weights = np.ones(len(x))
        if draws > 1:
            ratio = self.log_ratio(z, logvars, epsilon)
            bounds, weights = self.importance_weights(self.reconstruction(output, clean), ratio, kl_weight)
            kl = float((weights * ratio).sum() / len(x))
            reconstruction = float(np.mean(bounds)) - kl_weight * kl
        else:
            reconstruction = self.batch_reconstruction(output, target)
            kl = float(np.mean(self.log_ratio(z, logvar, epsilon))) if at_draws else self.batch_kl(mu, logvar)

        residual = weights[:, None] * (self.mean(output) - clean) / len(x)
        if self.spec.likelihood == "mse":
            residual = 2.0 * residual
        elif self.spec.likelihood == "gaussian":
            residual = residual / self.variance(output, target)
        elif self.spec.likelihood == "diagonal_gaussian":
            v = self.variances()
            slopes = weights[:, None] * (1.0 / v - (output - clean) ** 2 / v**2) / 2.0
            gradients[canonical.LOG_VARIANCE] = (slopes * (v - VARIANCE_FLOOR)).sum(axis=0) / len(x)
            residual = residual / v
        d = descend("output", decoded[-1], residual)
        d = fall(self.decoder, decoded, decoder_sums, d, masks)

        if self.spec.kind == "autoencoder":
            d = descend(self.heads[0], encoded[-1], d)
        else:
            if at_draws:
                counted = kl_weight * weights / len(x)
                d = d + counted[:, None] * self.prior_gradient(z, counted, gradients)
                d_mu, d_logvar = np.zeros_like(mu), np.full_like(mu, -0.5 * kl_weight / len(x))
            else:
                above = self.unit_kl(mu, logvar).mean(axis=0) > self.free_bits
                weight = np.where(above, kl_weight, 0.0) if self.free_bits else kl_weight
                d_mu, d_logvar = weight * mu / len(x), 0.5 * weight * (np.exp(logvar) - 1.0) / len(x)
            through = 0.5 * d * np.exp(logvars / 2) * epsilon
            d_mu = d_mu + d.reshape(len(x), draws, -1).sum(axis=1)
            d_logvar = d_logvar + through.reshape(len(x), draws, -1).sum(axis=1)
            d = descend(self.heads[0], encoded[-1], d_mu) + descend(self.heads[1], encoded[-1], d_logvar)
        d = fall(self.encoder, encoded, encoder_sums, d, masks)

        if self.spec.prior == "vamp":
            inputs, sums = climb(self.encoder, self.arrays[canonical.INPUTS], {})
            d_means, d_logvars, _ = (gradients.pop(name) for name in canonical.PRIOR)
            du = descend(self.heads[0], inputs[-1], d_means) + descend(self.heads[1], inputs[-1], d_logvars)
            gradients[canonical.INPUTS] = fall(self.encoder, inputs, sums, du, {})
        return reconstruction, kl, gradients, d
