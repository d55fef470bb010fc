"""The autoencoder in Keras 3, trained as its guide trains: a Model with its own loss, and ``fit`` over tf.data.

All but the last section is written in Keras's own operations; that section holds what Keras leaves to its engine.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any, get_args

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# TensorFlow's converters import JAX where they find it, which costs time, and a process holds one framework only.
if "jax" not in sys.modules:
    sys.modules["jax"] = None  # type: ignore[assignment]  # to import it now raises ImportError
    import tensorflow  # noqa: F401

    del sys.modules["jax"]

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import CHUNK, TAIL, Inference, RowFunction, padded_chunks
from backends.interface import BackendError, Capabilities, EpochLoss, Weights
from backends.spec import NetworkSpec, Score, TrainingSettings

Array = Any  # a tensor of whichever engine Keras runs on


def capabilities() -> Capabilities:
    """What Keras and its engine report about themselves in this process."""
    devices, reasons = {"cpu": platform.machine()}, {}
    if (gpu := gpu_name()) is not None:
        devices["gpu"] = gpu
    else:
        reasons["gpu"] = "TensorFlow finds no GPU"
    return Capabilities(
        versions={"keras": keras.__version__, "tensorflow": tf.__version__},
        devices=devices,
        precisions=("float32", "float64"),
        modes=tuple(MODES),
        threads=threads(),
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    if keras.backend.backend() != "tensorflow":
        raise BackendError(f"Keras runs on {keras.backend.backend()} here: start with KERAS_BACKEND=tensorflow")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    keras.config.set_floatx(settings.precision)
    keras.config.set_dtype_policy(settings.precision)
    return MODES[settings.mode](spec, weights, settings)


class Network(keras.Model):
    """The layers; every method but Keras's own maps rows to rows. Where ε is None, z = mu."""

    def __init__(self, spec: NetworkSpec, weights: Weights, seed: int) -> None:
        super().__init__()
        self.spec = spec
        dense = []
        for name, (inputs, outputs) in canonical.layers(spec).items():
            layer = keras.layers.Dense(outputs, name=name.replace(".", "_"))
            layer.build((None, inputs))
            layer.set_weights([weights[f"{name}.kernel"], weights[f"{name}.bias"]])
            dense.append(layer)
        depth = len(spec.hidden)
        self.encoder = dense[:depth]
        self.heads = dense[depth : -depth - 1]
        self.decoder = dense[-depth - 1 :]
        self.scoring_noise = ops.convert_to_tensor(randomness.scoring_noise(seed, spec.latent), self.compute_dtype)
        self.kl_weight = self.add_weight(name="kl_weight", initializer="ones", trainable=False)
        self.seeds = keras.random.SeedGenerator(seed)
        self.trackers = [keras.metrics.Mean(name=name) for name in ("reconstruction", "kl")]
        self.built = True

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        dense = [*self.encoder, *self.heads, *self.decoder]
        for name, layer in zip(canonical.layers(self.spec), dense, strict=True):
            arrays[f"{name}.kernel"], arrays[f"{name}.bias"] = layer.get_weights()
        return arrays

    def encode(self, x: Array) -> tuple[Array, Array]:
        for layer in self.encoder:
            x = ops.relu(layer(x))
        mu = self.heads[0](x)
        return mu, self.heads[1](x) if self.spec.kind == "vae" else ops.zeros_like(mu)

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + ops.exp(logvar / 2) * epsilon

    def decode(self, z: Array) -> Array:
        *hidden, output = self.decoder
        for layer in hidden:
            z = ops.relu(layer(z))
        return output(z)

    def mean(self, output: Array) -> Array:
        return output if self.spec.likelihood == "mse" else ops.sigmoid(output)

    def reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "mse":
            return ops.sum(ops.square(output - x), axis=-1)
        return ops.sum(ops.binary_crossentropy(x, output, from_logits=True), axis=-1)

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return ops.zeros_like(mu[:, 0])
        return -0.5 * ops.sum(1 + logvar - ops.square(mu) - ops.exp(logvar), axis=-1)

    def terms(self, x: Array, epsilon: Array | None = None) -> tuple[Array, Array]:
        mu, logvar = self.encode(x)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.reconstruction(self.decode(z), x), self.kl(mu, logvar)

    def reconstruct(self, x: Array) -> tuple[Array]:
        return (self.mean(self.decode(self.encode(x)[0])),)

    def absolute_error(self, x: Array) -> tuple[Array]:
        return (ops.sum(ops.abs(self.reconstruct(x)[0] - x), axis=-1),)

    def expected_reconstruction(self, x: Array) -> tuple[Array]:
        mu, logvar = self.encode(x)
        if self.spec.kind == "autoencoder":
            return (self.reconstruction(self.decode(mu), x),)
        draws = len(self.scoring_noise)

        def add(draw: int, total: Array) -> Array:
            epsilon = ops.take(self.scoring_noise, draw, axis=0)
            return total + self.reconstruction(self.decode(self.sample(mu, logvar, epsilon)), x)

        return (ops.fori_loop(0, draws, add, ops.zeros_like(x[:, 0])) / draws,)

    def call(self, batch: dict[str, Array]) -> tuple[Array, Array]:
        """The loss's terms for a training batch: rows ``x`` and, where the harness draws it, their ``epsilon``."""
        x, epsilon = batch["x"], batch.get("epsilon")
        if epsilon is None and self.spec.kind == "vae":
            epsilon = keras.random.normal((ops.shape(x)[0], self.spec.latent), dtype=x.dtype, seed=self.seeds)
        return self.terms(x, epsilon)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any) -> Array:
        reconstruction, kl = (ops.mean(term) for term in y_pred)
        for tracker, term in zip(self.trackers, (reconstruction, kl), strict=True):
            tracker.update_state(term)
        return reconstruction + self.kl_weight * kl


class RowModel(keras.Model):
    """One row-wise function of a network, for ``predict_on_batch`` to compile."""

    def __init__(self, network: Network, function: RowFunction) -> None:
        super().__init__()
        self.network = network
        self.function = function
        self.built = True

    def call(self, x: Array) -> tuple[Array, ...]:
        return getattr(self.network, self.function)(x)


class Adam(keras.optimizers.Adam):
    """Adam with ε outside the root, as in the paper's algorithm 1.

    θ ← θ − lr · m̂ / (√v̂ + ε) with m̂ = m / (1 − β1ᵗ) and v̂ = v / (1 − β2ᵗ). Keras computes the paper's rearranged form,
    θ ← θ − lr · √(1 − β2ᵗ) / (1 − β1ᵗ) · m / (√v + ε̂), with a constant ε̂; the two are equal where
    ε̂ = ε · √(1 − β2ᵗ), which is what this class uses.
    """

    def update_step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        step = ops.cast(self.iterations + 1, variable.dtype)
        # Not ops.cast, as in Keras's own Adam: it takes a Python float through float32, whatever the precision.
        beta_1, beta_2 = (ops.convert_to_tensor(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        root = ops.sqrt(1 - ops.power(beta_2, step))
        rate = learning_rate * root / (1 - ops.power(beta_1, step))
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        self.assign_sub(variable, rate * m / (ops.sqrt(v) + self.epsilon * root))


class IdiomaticModel(Inference):
    """``backends.interface.Model`` with the training loop of the Keras guides: ``compile`` and ``fit``."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = f"{settings.device}:0"
        with keras.device(self.device):
            self.network = Network(spec, weights, settings.seed)
            self.optimizer = Adam(settings.learning_rate, settings.beta1, settings.beta2, settings.epsilon)
            self.optimizer.build(self.network.trainable_variables)
            self.network.compile(optimizer=self.optimizer)
            self.row_models = {function: RowModel(self.network, function) for function in get_args(RowFunction)}

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = self.training_rows(X)
        self.batches = self.make_batches({"x": self.data}, shuffle=True)

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        variables = [*self.network.variables, *self.optimizer.variables]
        before = [ops.copy(variable) for variable in variables]
        shared = self.settings.random_source == "shared"
        arrays = self.shared_epoch(0) if shared else {"x": self.data}
        first = {name: array[: self.settings.batch_size] for name, array in arrays.items()}
        self.fit(self.make_batches(first, shuffle=not shared))
        for function in self.scoring_functions(scores):
            for size in (CHUNK, TAIL):
                self.run_rows(function, np.zeros((size, self.spec.features), self.settings.precision))
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)

    def shared_epoch(self, epoch: int) -> dict[str, NDArray[Any]]:
        """An epoch's rows in the order, and with the ε, that every backend shares."""
        seed, rows = self.settings.seed, len(self.data)
        arrays = {"x": self.data[randomness.permutation(seed, epoch, rows)]}
        if self.spec.kind == "vae":
            noise = randomness.noise(seed, epoch, rows, self.spec.latent)
            arrays["epsilon"] = noise.astype(self.settings.precision)
        return arrays

    def make_batches(self, arrays: dict[str, NDArray[Any]], shuffle: bool) -> tf.data.Dataset:
        with keras.device(self.device):
            return batches(arrays, self.settings.batch_size, self.settings.seed if shuffle else None)

    def fit(self, batches: tf.data.Dataset) -> dict[str, list[float]]:
        with keras.device(self.device):
            return self.network.fit(batches, verbose=0, shuffle=False).history

    def run_epoch(self, epoch: int) -> None:
        shared = self.settings.random_source == "shared"
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.network.kl_weight.assign(self.last_kl_weight)
        self.history = self.fit(self.make_batches(self.shared_epoch(epoch), shuffle=False) if shared else self.batches)

    def synchronize(self) -> None:
        if self.settings.device == "gpu":
            synchronize()

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = self.history["reconstruction"][0], self.history["kl"][0]
        return EpochLoss(reconstruction + self.last_kl_weight * kl, reconstruction, kl)

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        with keras.device(self.device):
            return padded_chunks(self.row_models[function].predict_on_batch, X)

    def device_memory_peak(self) -> int | None:
        return memory_peak() if self.settings.device == "gpu" else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()


MODES = {"idiomatic": IdiomaticModel}

# What Keras leaves to its engine, here TensorFlow.

# TensorFlow counts traces per source line, so that the few row functions, each traced once, look to it like retracing.
logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())


def batches(arrays: dict[str, NDArray[Any]], size: int, seed: int | None) -> tf.data.Dataset:
    """Full batches of equally long arrays: in their order, or shuffled anew at each pass where there is a seed."""
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    if seed is not None:
        dataset = dataset.shuffle(len(arrays["x"]), seed=seed, reshuffle_each_iteration=True)
    return dataset.batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def gpu_name() -> str | None:
    """The first GPU's name, or None where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else None


def threads() -> int | None:
    """Threads within one operation; None where TensorFlow takes what the machine has.

    TensorFlow reports 0 unless the number was set in the program, and then obeys its environment variable."""
    return (
        tf.config.threading.get_intra_op_parallelism_threads()
        or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0))
        or None
    )


def synchronize() -> None:
    """Waits for all that is queued on the device."""
    tf.test.experimental.sync_devices()


def memory_peak() -> int:
    """The most bytes held on the first GPU."""
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
