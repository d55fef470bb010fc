"""The golden copy: the autoencoder in NumPy float64, gradients derived by hand, to be read beside the formulas.

It is no benchmarked backend, so it is not registered; its randomness is always the ``shared`` source.

For one batch of B rows, with h the layers' outputs and 1 the indicator:

- dense: a = h W + b;  dW = hᵀ da,  db = Σ_rows da,  dh = da Wᵀ
- convolution: a = gather(h) W + b, where gather lays out each output pixel's 3×3 window;  dW = gather(h)ᵀ da,
  dh = scatter(da Wᵀ), where scatter, gather's adjoint, adds each window's values up where they came from
- transposed: a = scatter(h W) + b;  dW = hᵀ gather(da),  dh = gather(da) Wᵀ
- ReLU and dropout: h' = max(0, a) ∘ mask / (1 − p);  da = d' ∘ 1[a > 0] ∘ mask / (1 − p)
- heads: mu = h W_mu + b_mu, logvar = h W_lv + b_lv, z = mu + exp(logvar / 2) ∘ ε
- loss = 1/B Σ_rows [ reconstruction + β_t · KL ]
- ``mse``: reconstruction = Σ (x̂ − x)², d x̂ = 2 (x̂ − x) / B
- ``bce`` on logits a: reconstruction = Σ max(a, 0) − a x + log(1 + exp(−|a|)), d a = (σ(a) − x) / B
- ``gaussian`` of D features: σ² = 1/(B D) Σ_rows Σ (x̂ − x)² + e⁻¹², mean reconstruction = D (log σ + h) with
  h = ½ log 2πe, d x̂ = D/(2 σ²) · dσ²/dx̂ = (x̂ − x) / (σ² B); after an epoch, log σ is the mean over its batches
- KL = −½ Σ (1 + logvar − mu² − exp(logvar))
- d mu = dz + β_t mu / B,  d logvar = ½ dz ∘ exp(logvar / 2) ∘ ε + ½ β_t (exp(logvar) − 1) / B
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import CHUNK, Inference, RowFunction
from backends.interface import Capabilities, EpochLoss, Weights
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

Array = NDArray[np.float64]
Masks = Mapping[str, NDArray[np.bool_]]

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


def logistic(a: Array) -> Array:
    e = np.exp(-np.abs(a))  # never overflows, and keeps the digits of probabilities near 0
    found: Array = np.where(a < 0.0, e, 1.0) / (1.0 + e)
    return found


def gather(rows: Array, layer: Layer) -> Array:
    """The windows of a layer's larger image under each pixel of its smaller one, shape (B, height, width, c, 3, 3)."""
    large = max(layer.before, layer.after)
    images = rows.reshape(len(rows), *large, -1)
    padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), axis=(1, 2))
    return windows[:, ::STRIDE, ::STRIDE]


def scatter(windows: Array, layer: Layer) -> Array:
    """The adjoint of ``gather``: windows of shape (B, height, width, 3, 3, c), added up into rows of larger images."""
    (height, width), (below, right) = max(layer.before, layer.after), windows.shape[1:3]
    rows, channels = len(windows), windows.shape[-1]
    padded = np.zeros((rows, height + 2 * PADDING, width + 2 * PADDING, channels))
    for k, j in np.ndindex(KERNEL, KERNEL):
        padded[:, k : k + STRIDE * below : STRIDE, j : j + STRIDE * right : STRIDE] += windows[:, :, :, k, j]
    return padded[:, PADDING : PADDING + height, PADDING : PADDING + width].reshape(rows, -1)


def forward(layer: Layer, h: Array, kernel: Array, bias: Array) -> Array:
    """a from h, both rows."""
    if layer.kind == "dense":
        return h @ kernel + bias
    if layer.kind == "convolution":
        a: Array = np.tensordot(gather(h, layer), kernel, ((4, 5, 3), (0, 1, 2))) + bias
        return a.reshape(len(h), -1)
    small = h.reshape(len(h), *layer.before, layer.inputs)
    a = scatter(np.tensordot(small, kernel, ((3,), (2,))), layer)
    return (a.reshape(len(h), -1, layer.outputs) + bias).reshape(len(h), -1)


def backward(layer: Layer, h: Array, kernel: Array, da: Array) -> tuple[Array, Array, Array]:
    """dW, db and dh from da."""
    db = da.reshape(-1, layer.outputs).sum(axis=0)
    if layer.kind == "dense":
        return h.T @ da, db, da @ kernel.T
    if layer.kind == "convolution":
        small = da.reshape(len(h), *layer.after, layer.outputs)
        d_kernel = np.tensordot(gather(h, layer), small, ((0, 1, 2), (0, 1, 2))).transpose(1, 2, 0, 3)
        return d_kernel, db, scatter(np.tensordot(small, kernel, ((3,), (3,))), layer)
    small, windows = h.reshape(len(h), *layer.before, layer.inputs), gather(da, layer)
    d_kernel = np.tensordot(windows, small, ((0, 1, 2), (0, 1, 2))).transpose(1, 2, 3, 0)
    return d_kernel, db, np.tensordot(windows, kernel, ((4, 5, 3), (0, 1, 3))).reshape(len(h), -1)


class Network:
    """The layers and their gradient; ``arrays`` holds the parameters under their canonical names."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        self.spec = spec
        self.dropout = settings.dropout
        self.arrays = {name: np.array(weights[name], dtype=np.float64) for name in canonical.shapes(spec)}
        self.layers = spec.layers()
        names, depth = list(self.layers), spec.depth
        self.encoder, self.heads, self.decoder = names[:depth], names[depth : -depth - 1], names[-depth - 1 : -1]
        self.scoring_noise = randomness.scoring_noise(settings.seed, spec.latent)

    def apply(self, name: str, h: Array) -> Array:
        return forward(self.layers[name], h, self.arrays[f"{name}.kernel"], self.arrays[f"{name}.bias"])

    def encode(self, x: Array) -> tuple[Array, Array]:
        for name in self.encoder:
            x = np.maximum(self.apply(name, x), 0.0)
        mu = self.apply(self.heads[0], x)
        return mu, self.apply(self.heads[1], x) if self.spec.kind == "vae" else np.zeros_like(mu)

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + np.exp(logvar / 2) * epsilon

    def decode(self, z: Array) -> Array:
        for name in self.decoder:
            z = np.maximum(self.apply(name, z), 0.0)
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

        def slope(name: str, output: Array) -> Array:
            """The derivative of ReLU and dropout where they gave this output."""
            kept: Array = np.asarray(output > 0.0, dtype=np.float64)
            return kept / (1.0 - self.dropout) if name in masks else kept

        def climb(names: list[str], h: Array) -> list[Array]:
            outputs = [h]
            for name in names:
                h = np.maximum(self.apply(name, outputs[-1]), 0.0)
                outputs.append(h * masks[name] / (1.0 - self.dropout) if name in masks else h)
            return outputs

        def descend(name: str, h: Array, da: Array) -> Array:
            kernel = self.arrays[f"{name}.kernel"]
            gradients[f"{name}.kernel"], gradients[f"{name}.bias"], dh = backward(self.layers[name], h, kernel, da)
            return dh

        encoded = climb(self.encoder, x)
        mu = self.apply(self.heads[0], encoded[-1])
        logvar = self.apply(self.heads[1], encoded[-1]) if self.spec.kind == "vae" else np.zeros_like(mu)
        decoded = climb(self.decoder, mu if epsilon is None else self.sample(mu, logvar, epsilon))
        output = self.apply("output", decoded[-1])

        residual = (self.mean(output) - x) / len(x)
        if self.spec.likelihood == "mse":
            residual = 2.0 * residual
        elif self.spec.likelihood == "gaussian":
            residual = residual / self.variance(output, x)
        d = descend("output", decoded[-1], residual)
        for name, inputs, outputs in reversed(list(zip(self.decoder, decoded, decoded[1:], strict=False))):
            d = descend(name, inputs, d * slope(name, outputs))

        if self.spec.kind == "autoencoder":
            d = descend(self.heads[0], encoded[-1], d)
        else:
            d_mu = d + kl_weight * mu / len(x)
            d_logvar = 0.5 * kl_weight * (np.exp(logvar) - 1.0) / len(x)
            if epsilon is not None:
                d_logvar = d_logvar + 0.5 * d * np.exp(logvar / 2) * epsilon
            d = descend(self.heads[0], encoded[-1], d_mu) + descend(self.heads[1], encoded[-1], d_logvar)
        for name, inputs, outputs in reversed(list(zip(self.encoder, encoded, encoded[1:], strict=False))):
            d = descend(name, inputs, d * slope(name, outputs))

        return self.batch_reconstruction(output, x), float(np.mean(self.kl(mu, logvar))), gradients


class Optimizer:
    """The four optimisers, each in the words of ``TrainingSettings``; ``moments`` holds m, v and b by parameter."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.steps = 0
        self.moments: dict[tuple[str, str], Array] = {}

    def update(self, arrays: dict[str, Array], gradients: dict[str, Array]) -> None:
        s = self.settings
        self.steps += 1
        for name, gradient in gradients.items():
            theta = arrays[name]
            decoupled = s.optimizer == "adamw"
            g = gradient if decoupled else gradient + s.weight_decay * theta
            step = s.learning_rate * self.direction(name, g)
            arrays[name] = theta - step - (s.learning_rate * s.weight_decay * theta if decoupled else 0.0)

    def direction(self, name: str, g: Array) -> Array:
        """What the learning rate is multiplied with."""
        s = self.settings
        if s.optimizer == "sgd":
            return self.moment("b", name, s.momentum, g)
        if s.optimizer == "rmsprop":
            return g / (np.sqrt(self.moment("v", name, s.rho, (1.0 - s.rho) * g**2)) + s.epsilon)
        m_hat = self.moment("m", name, s.beta1, (1.0 - s.beta1) * g) / (1.0 - s.beta1**self.steps)
        v_hat = self.moment("v", name, s.beta2, (1.0 - s.beta2) * g**2) / (1.0 - s.beta2**self.steps)
        return m_hat / (np.sqrt(v_hat) + s.epsilon)

    def moment(self, kind: str, name: str, decay: float, new: Array) -> Array:
        """A running sum: old · decay + new."""
        self.moments[kind, name] = decay * self.moments.get((kind, name), np.zeros_like(new)) + new
        return self.moments[kind, name]


class ReferenceModel(Inference):
    """``backends.interface.Model`` in NumPy."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.network = Network(spec, weights, settings)
        self.optimizer = Optimizer(settings)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = self.training_rows(X)

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        """NumPy compiles nothing."""

    def run_epoch(self, epoch: int) -> None:
        self.follow(epoch, randomness.shared_epoch(self.spec, self.settings, epoch, len(self.data)))

    def follow(self, epoch: int, drawn: randomness.Epoch, steps: int | None = None) -> None:
        """Trains one epoch on draws from anywhere; given ``steps``, on its first batches alone. ``batch_losses`` then
        holds each batch's mean reconstruction and KL, shape (steps, 2).

        Raises ValueError where the draws do not fit the network and the rows.
        """
        settings = self.settings
        randomness.check(drawn, self.spec, settings, len(self.data))
        kl_weight = settings.kl_weight(epoch)
        losses = []
        for start in range(0, len(drawn.order) - settings.batch_size + 1, settings.batch_size)[:steps]:
            batch = slice(start, start + settings.batch_size)
            epsilon = None if drawn.noise is None else drawn.noise[batch].astype(np.float64)
            masks = {name: mask[batch] for name, mask in drawn.masks.items()}
            reconstruction, kl, gradients = self.network.gradient(
                self.data[drawn.order[batch]], epsilon, masks, kl_weight
            )
            self.optimizer.update(self.network.arrays, gradients)
            losses.append((reconstruction, kl))
        self.batch_losses = np.array(losses)
        reconstruction, kl = np.mean(losses, axis=0).tolist()
        self.network.fit_sigma(reconstruction)
        self.last_loss = EpochLoss(reconstruction + kl_weight * kl, reconstruction, kl)

    def native_draws(self, epochs: Sequence[int]) -> Iterator[randomness.Epoch]:
        """Those of the ``shared`` source: it has no other."""
        return self.shared_draws(epochs)

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

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.arrays = {name: np.array(weights[name], dtype=np.float64) for name in self.network.arrays}
