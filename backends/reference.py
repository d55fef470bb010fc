"""The golden copy: the autoencoder in NumPy float64, gradients derived by hand, to be read beside the formulas.

It is no benchmarked backend, so it is not registered; its randomness is always the ``shared`` source.

For one batch of B rows, with h the layers' outputs and 1 the indicator:

- dense with ReLU: h' = max(0, h W + b);  dW = hᵀ (d' ∘ 1[h' > 0]),  dh = (d' ∘ 1[h' > 0]) Wᵀ
- heads: mu = h W_mu + b_mu, logvar = h W_lv + b_lv, z = mu + exp(logvar / 2) ∘ ε
- loss = 1/B Σ_rows [ reconstruction + β_t · KL ]
- ``mse``: reconstruction = Σ (x̂ − x)², d x̂ = 2 (x̂ − x) / B
- ``bce`` on logits a: reconstruction = Σ max(a, 0) − a x + log(1 + exp(−|a|)), d a = (σ(a) − x) / B
- KL = −½ Σ (1 + logvar − mu² − exp(logvar))
- d mu = dz + β_t mu / B,  d logvar = ½ dz ∘ exp(logvar / 2) ∘ ε + ½ β_t (exp(logvar) − 1) / B
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import CHUNK, Inference, RowFunction
from backends.interface import Capabilities, EpochLoss, Weights
from backends.spec import NetworkSpec, Score, TrainingSettings

Array = NDArray[np.float64]

MODES = ("idiomatic",)


def capabilities() -> Capabilities:
    """NumPy on the CPU, in float64."""
    return Capabilities(
        versions={"numpy": np.__version__},
        devices={"cpu": platform.machine()},
        precisions=("float64",),
        modes=MODES,
        threads=None,
        reasons={"gpu": "the reference runs in NumPy", "float32": "the reference is float64"},
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> ReferenceModel:
    """The reference model, starting from these weights. Raises BackendError for what it does not do."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    return ReferenceModel(spec, weights, settings)


def row_sums(terms: Array) -> Array:
    sums: Array = terms.sum(axis=-1)
    return sums


class Network:
    """The layers and their gradient; ``arrays`` holds the parameters under their canonical names."""

    def __init__(self, spec: NetworkSpec, weights: Weights, seed: int) -> None:
        self.spec = spec
        self.arrays = {name: np.array(weights[name], dtype=np.float64) for name in canonical.shapes(spec)}
        names = list(canonical.layers(spec))
        depth = len(spec.hidden)
        self.encoder, self.heads, self.decoder = names[:depth], names[depth : -depth - 1], names[-depth - 1 : -1]
        self.scoring_noise = randomness.scoring_noise(seed, spec.latent)

    def dense(self, name: str, inputs: Array) -> Array:
        return inputs @ self.arrays[f"{name}.kernel"] + self.arrays[f"{name}.bias"]

    def encode(self, x: Array) -> tuple[Array, Array]:
        for name in self.encoder:
            x = np.maximum(self.dense(name, x), 0.0)
        mu = self.dense(self.heads[0], x)
        return mu, self.dense(self.heads[1], x) if self.spec.kind == "vae" else np.zeros_like(mu)

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + np.exp(logvar / 2) * epsilon

    def decode(self, z: Array) -> Array:
        for name in self.decoder:
            z = np.maximum(self.dense(name, z), 0.0)
        return self.dense("output", z)

    def mean(self, output: Array) -> Array:
        """x̂: the output itself for ``mse``, its logistic function for ``bce``."""
        return output if self.spec.likelihood == "mse" else 0.5 * (1.0 + np.tanh(output / 2))

    def reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "mse":
            return row_sums((output - x) ** 2)
        return row_sums(np.maximum(output, 0.0) - output * x + np.log1p(np.exp(-np.abs(output))))

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return np.zeros(len(mu))
        return -0.5 * row_sums(1.0 + logvar - mu**2 - np.exp(logvar))

    def terms(self, x: Array) -> tuple[Array, Array]:
        mu, logvar = self.encode(x)
        return self.reconstruction(self.decode(mu), x), self.kl(mu, logvar)

    def reconstruct(self, x: Array) -> tuple[Array]:
        return (self.mean(self.decode(self.encode(x)[0])),)

    def absolute_error(self, x: Array) -> tuple[Array]:
        return (row_sums(np.abs(self.reconstruct(x)[0] - x)),)

    def expected_reconstruction(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        if self.spec.kind == "autoencoder":
            return (self.reconstruction(self.decode(mu), x),)
        draws = [self.reconstruction(self.decode(self.sample(mu, logvar, e)), x) for e in self.scoring_noise]
        return (np.mean(draws, axis=0),)

    def gradient(self, x: Array, epsilon: Array | None, kl_weight: float) -> tuple[float, float, dict[str, Array]]:
        """Mean reconstruction, mean KL, and the loss's gradient for every parameter.

        x has shape (B, features), epsilon (B, latent); None, as for an autoencoder, means z = mu.
        """
        gradients: dict[str, Array] = {}

        def forward(names: list[str], h: Array) -> list[Array]:
            outputs = [h]
            for name in names:
                outputs.append(np.maximum(self.dense(name, outputs[-1]), 0.0))
            return outputs

        def backward(name: str, inputs: Array, d: Array) -> Array:
            gradients[f"{name}.kernel"] = inputs.T @ d
            gradients[f"{name}.bias"] = d.sum(axis=0)
            return d @ self.arrays[f"{name}.kernel"].T

        encoded = forward(self.encoder, x)
        mu = self.dense(self.heads[0], encoded[-1])
        logvar = self.dense(self.heads[1], encoded[-1]) if self.spec.kind == "vae" else np.zeros_like(mu)
        decoded = forward(self.decoder, mu if epsilon is None else self.sample(mu, logvar, epsilon))
        output = self.dense("output", decoded[-1])

        residual = 2.0 * (output - x) if self.spec.likelihood == "mse" else self.mean(output) - x
        d = backward("output", decoded[-1], residual / len(x))
        for name, inputs, outputs in reversed(list(zip(self.decoder, decoded, decoded[1:], strict=False))):
            d = backward(name, inputs, d * (outputs > 0.0))

        if self.spec.kind == "autoencoder":
            d = backward(self.heads[0], encoded[-1], d)
        else:
            d_mu = d + kl_weight * mu / len(x)
            d_logvar = 0.5 * kl_weight * (np.exp(logvar) - 1.0) / len(x)
            if epsilon is not None:
                d_logvar = d_logvar + 0.5 * d * np.exp(logvar / 2) * epsilon
            d = backward(self.heads[0], encoded[-1], d_mu) + backward(self.heads[1], encoded[-1], d_logvar)
        for name, inputs, outputs in reversed(list(zip(self.encoder, encoded, encoded[1:], strict=False))):
            d = backward(name, inputs, d * (outputs > 0.0))

        reconstruction = float(np.mean(self.reconstruction(output, x)))
        return reconstruction, float(np.mean(self.kl(mu, logvar))), gradients


class Adam:
    """Kingma and Ba 2015, algorithm 1, in its own words.

    m ← β1 m + (1 − β1) g,  v ← β2 v + (1 − β2) g²,  m̂ = m / (1 − β1ᵗ),  v̂ = v / (1 − β2ᵗ),
    θ ← θ − lr · m̂ / (√v̂ + ε), with t counted from 1.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.steps = 0
        self.m: dict[str, Array] = {}
        self.v: dict[str, Array] = {}

    def update(self, arrays: dict[str, Array], gradients: dict[str, Array]) -> None:
        s = self.settings
        self.steps += 1
        for name, g in gradients.items():
            self.m[name] = s.beta1 * self.m.get(name, 0.0) + (1.0 - s.beta1) * g
            self.v[name] = s.beta2 * self.v.get(name, 0.0) + (1.0 - s.beta2) * g**2
            m_hat = self.m[name] / (1.0 - s.beta1**self.steps)
            v_hat = self.v[name] / (1.0 - s.beta2**self.steps)
            arrays[name] = arrays[name] - s.learning_rate * m_hat / (np.sqrt(v_hat) + s.epsilon)


class ReferenceModel(Inference):
    """``backends.interface.Model`` in NumPy."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.network = Network(spec, weights, settings.seed)
        self.optimizer = Adam(settings)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = self.training_rows(X)

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        """NumPy compiles nothing."""

    def run_epoch(self, epoch: int) -> None:
        settings, rows = self.settings, len(self.data)
        order = randomness.permutation(settings.seed, epoch, rows)
        noise = randomness.noise(settings.seed, epoch, rows, self.spec.latent) if self.spec.kind == "vae" else None
        kl_weight = settings.kl_weight(epoch)
        losses = []
        for start in range(0, rows - settings.batch_size + 1, settings.batch_size):
            batch = slice(start, start + settings.batch_size)
            epsilon = None if noise is None else noise[batch]
            reconstruction, kl, gradients = self.network.gradient(self.data[order[batch]], epsilon, kl_weight)
            self.optimizer.update(self.network.arrays, gradients)
            losses.append((reconstruction, kl))
        reconstruction, kl = np.mean(losses, axis=0).tolist()
        self.last_loss = EpochLoss(reconstruction + kl_weight * kl, reconstruction, kl)

    def synchronize(self) -> None:
        """NumPy has finished when it returns."""

    def epoch_loss(self) -> EpochLoss:
        return self.last_loss

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        row_function = getattr(self.network, function)
        results = [row_function(X[start : start + CHUNK]) for start in range(0, max(len(X), 1), CHUNK)]
        return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))

    def device_memory_peak(self) -> None:
        """The CPU keeps no such count."""

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return dict(self.network.arrays)
