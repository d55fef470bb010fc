"""The autoencoder in Keras 3, trained as its guide trains: a Model with its own loss, and ``fit`` over tf.data.

All but the last section is written in Keras's own operations; that section holds what Keras leaves to its engine.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Mapping, Sequence
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
from backends.inference import SIZES, Inference, RowFunction, padded_chunks
from backends.interface import BackendError, Capabilities, EpochLoss, Weights
from backends.spec import KERNEL, PADDING, STRIDE, Layer, NetworkSpec, Score, TrainingSettings

Array = Any  # a tensor of whichever engine Keras runs on
Arrays = dict[str, Any]  # by name: rows, or once more arrays by name
Masks = Mapping[str, Array]
NOTHING: Masks = {}


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


class Dense(keras.layers.Layer):
    """A dense layer that starts from a canonical kernel."""

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.inner = keras.layers.Dense(layer.outputs)
        self.inner.build((None, layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        return self.inner(x)


class Convolution(keras.layers.Layer):
    """A convolution of rows. Keras's ``same`` pads an even side at its end only, so the zeros are put there by hand."""

    canonical_axes = (0, 1, 2, 3)

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.images = (-1, *layer.before, layer.inputs)
        self.inner = keras.layers.Conv2D(
            layer.outputs, KERNEL, STRIDE, padding="valid", data_format="channels_last", name="convolution"
        )
        self.inner.build((None, *(side + 2 * PADDING for side in layer.before), layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        around = (PADDING, PADDING)
        images = ops.pad(ops.reshape(x, self.images), ((0, 0), around, around, (0, 0)))
        return ops.reshape(self.inner(images), (ops.shape(x)[0], -1))


class Transposed(keras.layers.Layer):
    """A convolution's adjoint, of rows: all that it gives, less what lies outside the image."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.images, self.after = (-1, *layer.before, layer.inputs), layer.after
        self.inner = keras.layers.Conv2DTranspose(
            layer.outputs, KERNEL, STRIDE, padding="valid", data_format="channels_last", name="transposed"
        )
        self.inner.build((None, *layer.before, layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        height, width = self.after
        images = self.inner(ops.reshape(x, self.images))
        inside = images[:, PADDING : PADDING + height, PADDING : PADDING + width]
        return ops.reshape(inside, (ops.shape(x)[0], -1))


LAYERS: dict[str, Any] = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}


class Network(keras.Model):
    """The layers; every method but Keras's own maps rows to rows. Where ε is None, z = mu; where there are no masks,
    nothing drops."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__()
        self.spec = spec
        self.dropout = settings.dropout
        self.all_layers = [LAYERS[layer.kind](layer) for layer in spec.layers().values()]
        named, depth = list(zip(spec.layers(), self.all_layers, strict=True)), spec.depth
        self.encoder, self.heads, self.decoder = named[:depth], named[depth : -depth - 1], named[-depth - 1 :]
        draws = randomness.scoring_noise(settings.seed, spec.latent)
        self.scoring_noise = ops.convert_to_tensor(draws, self.compute_dtype)
        self.kl_weight = self.add_weight(name="kl_weight", initializer="ones", trainable=False)
        self.seeds = keras.random.SeedGenerator(settings.seed)
        self.trackers = [keras.metrics.Mean(name=name) for name in ("reconstruction", "kl")]
        self.built = True
        self.replace(weights)

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        for name, layer in zip(self.spec.layers(), self.all_layers, strict=True):
            kernel, arrays[f"{name}.bias"] = layer.get_weights()
            arrays[f"{name}.kernel"] = kernel.transpose(layer.canonical_axes)
        return {name: arrays[name] for name in canonical.shapes(self.spec)}

    def replace(self, weights: Weights) -> None:
        for name, layer in zip(self.spec.layers(), self.all_layers, strict=True):
            layer.set_weights([weights[f"{name}.kernel"].transpose(layer.canonical_axes), weights[f"{name}.bias"]])

    def encode(self, x: Array, masks: Masks = NOTHING) -> tuple[Array, Array]:
        for name, layer in self.encoder:
            x = self.drop(name, ops.relu(layer(x)), masks)
        mu, *logvar = (head(x) for _, head in self.heads)
        return mu, logvar[0] if logvar else ops.zeros_like(mu)

    def drop(self, name: str, x: Array, masks: Masks) -> Array:
        return x * ops.cast(masks[name], x.dtype) / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + ops.exp(logvar / 2) * epsilon

    def decode(self, z: Array, masks: Masks = NOTHING) -> Array:
        *hidden, (_, output) = self.decoder
        for name, layer in hidden:
            z = self.drop(name, ops.relu(layer(z)), masks)
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

    def terms(self, x: Array, epsilon: Array | None = None, masks: Masks = NOTHING) -> tuple[Array, Array]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.reconstruction(self.decode(z, masks), x), self.kl(mu, logvar)

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

    def draw(self, x: Array) -> tuple[Array | None, Masks]:
        """A batch's ε and dropout masks."""
        rows, draw = ops.shape(x)[0], {"dtype": x.dtype, "seed": self.seeds}
        epsilon = keras.random.normal((rows, self.spec.latent), **draw) if self.spec.kind == "vae" else None
        if self.dropout == 0:
            return epsilon, NOTHING
        widths = self.spec.dropped()
        return epsilon, {n: keras.random.uniform((rows, w), **draw) >= self.dropout for n, w in widths.items()}

    def call(self, batch: dict[str, Any]) -> tuple[Array, Array]:
        """The loss's terms for a training batch: rows ``x``, and from the shared source ``epsilon`` and ``masks``."""
        x = batch["x"]
        epsilon, masks = self.draw(x) if "masks" not in batch else (batch.get("epsilon"), batch["masks"])
        return self.terms(x, epsilon, masks)

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


class Decay(keras.optimizers.Optimizer):
    """Weight decay by the definition: coupled, g ← g + λ θ, or decoupled, θ ← θ − lr · λ θ.

    Keras's own is decoupled in every optimiser, and takes λ through float32, whatever the precision.
    """

    coupled = 0.0
    decoupled = 0.0

    def update_step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        if self.coupled:
            gradient = gradient + self.coupled * variable
        if self.decoupled:
            self.assign_sub(variable, learning_rate * self.decoupled * variable)
        self.step(gradient, variable, learning_rate)


class Adam(Decay, keras.optimizers.Adam):
    """Adam with ε outside the root, as in the paper's algorithm 1.

    θ ← θ − lr · m̂ / (√v̂ + ε) with m̂ = m / (1 − β1ᵗ) and v̂ = v / (1 − β2ᵗ). Keras computes the paper's rearranged form,
    θ ← θ − lr · √(1 − β2ᵗ) / (1 − β1ᵗ) · m / (√v + ε̂), with a constant ε̂; the two are equal where
    ε̂ = ε · √(1 − β2ᵗ), which is what this class uses.
    """

    def step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
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


class RMSprop(Decay, keras.optimizers.RMSprop):
    """RMSprop with ε outside the root: v ← ρ v + (1 − ρ) g², θ ← θ − lr · g / (√v + ε).

    Keras divides by √(v + ε), and takes ρ through float32.
    """

    def step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        v = self._velocities[self._get_variable_index(variable)]
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.rho))
        self.assign_sub(variable, learning_rate * gradient / (ops.sqrt(v) + self.epsilon))


class SGD(Decay, keras.optimizers.SGD):
    """Momentum by the definition: b ← μ b + g, θ ← θ − lr · b.

    Keras keeps −lr · b, which at a constant rate is the same, but takes μ through float32.
    """

    def step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        if self.momentum:
            b = self.momentums[self._get_variable_index(variable)]
            self.assign(b, b * self.momentum + gradient)
            gradient = b
        self.assign_sub(variable, learning_rate * gradient)


def make_optimizer(settings: TrainingSettings) -> keras.optimizers.Optimizer:
    """Keras's own four, each with its deviation from the definitions corrected above."""
    s = settings
    optimizer: Any
    if s.optimizer == "sgd":
        optimizer = SGD(s.learning_rate, s.momentum)
    elif s.optimizer == "rmsprop":
        optimizer = RMSprop(s.learning_rate, s.rho, epsilon=s.epsilon)
    else:
        optimizer = Adam(s.learning_rate, s.beta1, s.beta2, s.epsilon)
    setattr(optimizer, "decoupled" if s.optimizer == "adamw" else "coupled", s.weight_decay)
    return optimizer


class IdiomaticModel(Inference):
    """``backends.interface.Model`` with the training loop of the Keras guides: ``compile`` and ``fit``."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = f"{settings.device}:0"
        with keras.device(self.device):
            self.network = Network(spec, weights, settings)
            self.optimizer = make_optimizer(settings)
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
        first = keras.tree.map_structure(lambda array: array[: self.settings.batch_size], arrays)
        self.fit(self.make_batches(first, shuffle=not shared))
        for function in self.scoring_functions(scores):
            for size in SIZES:
                self.run_rows(function, np.zeros((size, self.spec.features), self.settings.precision))
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)

    def shared_epoch(self, epoch: int) -> Arrays:
        """An epoch's rows in the order, and with the ε and the masks, that every backend shares."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, len(self.data))
        arrays = {"x": self.data[drawn.order], "masks": drawn.masks}
        if drawn.noise is not None:
            arrays["epsilon"] = drawn.noise.astype(self.settings.precision)
        return arrays

    def make_batches(self, arrays: Arrays, shuffle: bool) -> tf.data.Dataset:
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

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.replace(weights)


MODES = {"idiomatic": IdiomaticModel}

# What Keras leaves to its engine, here TensorFlow.

# TensorFlow counts traces per source line, so that the few row functions, each traced once, look to it like retracing.
logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())


def batches(arrays: Arrays, size: int, seed: int | None) -> tf.data.Dataset:
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
