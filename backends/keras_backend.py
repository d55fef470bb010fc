"""The autoencoder in Keras 3, on the engine that ``KERAS_BACKEND`` names: TensorFlow, JAX or PyTorch.

``idiomatic``, as Keras's guides train: a Model with its own loss, and ``fit`` over batches. ``xla``: the same with
``jit_compile``. ``tuned``: data on the device, and an epoch as one compiled program. All here is written in Keras's own
operations; what it leaves to its engine is in ``keras_tensorflow``, ``keras_jax`` and ``keras_torch``.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, get_args

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# Keras and its engines import other frameworks where they find them, which costs time, and a process holds one only.
if hidden := {"jax", "tensorflow"} - {os.environ["KERAS_BACKEND"], *sys.modules}:
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # to import one now raises ImportError
    import keras

    for framework in hidden:
        del sys.modules[framework]

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import dtypes
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import SIZES, Inference, RowFunction, padded_chunks
from backends.interface import NO_TF32, BackendError, Capabilities, EpochLoss, Weights
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

engine: Any = importlib.import_module(f"backends.keras_{keras.backend.backend()}")

Array = Any  # a tensor of whichever engine Keras runs on
Arrays = dict[str, Any]  # by name: rows, or once more arrays by name
Masks = Mapping[str, Array]
NOTHING: Masks = {}
EPSILON, MASKS = "epsilon", "masks"


def capabilities() -> Capabilities:
    """What Keras and its engine report about themselves in this process."""
    devices, reasons = {"cpu": platform.machine()}, dict(engine.MISSING_MODES)
    if (gpu := engine.gpu_name()) is not None:
        devices["gpu"] = gpu
    else:
        reasons["gpu"] = engine.NO_GPU
    precisions = ["float32", "float64", "bfloat16"]
    if engine.compute_capability() >= 8:
        precisions.append("tf32")
    else:
        reasons["tf32"] = NO_TF32
    return Capabilities(
        versions={"keras": keras.__version__, **engine.VERSIONS},
        devices=devices,
        precisions=tuple(precisions),
        modes=tuple(mode for mode in MODES if mode not in engine.MISSING_MODES),
        threads=engine.threads(),
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    if (held := keras.backend.backend()) != (wanted := os.environ["KERAS_BACKEND"]):
        raise BackendError(
            f"Keras runs on {held} here, and a process holds one engine: start with KERAS_BACKEND={wanted}"
        )
    capabilities().check(settings)
    canonical.check(weights, spec)
    engine.set_precision(settings.precision)
    keras.config.set_floatx(settings.storage)
    # Outside TensorFlow, Keras rounds the results of its operations to 32 bits, whatever their precision.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = settings.storage
    keras.config.set_dtype_policy("mixed_bfloat16" if settings.precision == "bfloat16" else settings.storage)
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
        self.inner = keras.layers.Conv2D(layer.outputs, KERNEL, STRIDE, padding="valid", data_format="channels_last")
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
            layer.outputs, KERNEL, STRIDE, padding="valid", data_format="channels_last"
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
    nothing drops. ``merged`` heads are one layer with both kernels side by side.

    In bfloat16 that is what the layers compute in; the network around them, its loss included, stays in float32.
    """

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings, merged: bool = False) -> None:
        super().__init__(dtype=settings.storage)
        self.spec = spec
        self.dropout = settings.dropout
        layers, depth = spec.layers(), spec.depth
        heads = set(list(layers)[depth : -depth - 1]) if merged else set()
        self.names = [tuple(names) for _, names in groupby(layers, lambda name: name in heads or name)]
        self.all_layers = [
            LAYERS[layers[n].kind](replace(layers[n], outputs=len(names) * layers[n].outputs))
            for names in self.names
            for n in names[:1]
        ]
        named = [(names[0], layer) for names, layer in zip(self.names, self.all_layers, strict=True)]
        self.encoder, self.heads, self.decoder = named[:depth], named[depth : -depth - 1], named[-depth - 1 :]
        draws = randomness.scoring_noise(settings.seed, spec.latent)
        self.scoring_noise = ops.convert_to_tensor(draws, self.dtype)
        self.log_sigma = self.add_weight(name="log_sigma", shape=(1,), initializer="zeros", trainable=False)
        self.kl_weight = self.add_weight(name="kl_weight", initializer="ones", trainable=False)
        self.seeds = keras.random.SeedGenerator(settings.seed)
        self.trackers = [keras.metrics.Mean(name=name) for name in ("reconstruction", "kl")]
        self.built = True
        self.replace(weights)

    def export(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        for names, layer in zip(self.names, self.all_layers, strict=True):
            kernel, bias = layer.get_weights()
            for part, array in (("kernel", kernel.transpose(layer.canonical_axes)), ("bias", bias)):
                arrays |= zip((f"{n}.{part}" for n in names), np.split(array, len(names), axis=-1), strict=True)
        if self.spec.likelihood == "gaussian":
            arrays[canonical.LOG_SIGMA] = ops.convert_to_numpy(self.log_sigma)
        return {name: arrays[name] for name in canonical.shapes(self.spec)}

    def replace(self, weights: Weights) -> None:
        for names, layer in zip(self.names, self.all_layers, strict=True):
            kernel, bias = (np.concatenate([weights[f"{n}.{p}"] for n in names], axis=-1) for p in ("kernel", "bias"))
            layer.set_weights([kernel.transpose(layer.canonical_axes), bias])
        if self.spec.likelihood == "gaussian":
            self.log_sigma.assign(weights[canonical.LOG_SIGMA])

    def encode(self, x: Array, masks: Masks = NOTHING) -> tuple[Array, Array]:
        for name, layer in self.encoder:
            x = self.drop(name, ops.relu(layer(x)), masks)
        heads = [ops.cast(head(x), self.dtype) for _, head in self.heads]
        if self.spec.kind == "autoencoder":
            return heads[0], ops.zeros_like(heads[0])
        mu, logvar = heads if len(heads) == 2 else ops.split(heads[0], 2, axis=-1)
        return mu, logvar

    def drop(self, name: str, x: Array, masks: Masks) -> Array:
        return x * ops.cast(masks[name], x.dtype) / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Array, logvar: Array, epsilon: Array) -> Array:
        return mu + ops.exp(logvar / 2) * epsilon

    def decode(self, z: Array, masks: Masks = NOTHING) -> Array:
        *hidden, (_, output) = self.decoder
        for name, layer in hidden:
            z = self.drop(name, ops.relu(layer(z)), masks)
        return ops.cast(output(z), self.dtype)

    def mean(self, output: Array) -> Array:
        return ops.sigmoid(output) if self.spec.likelihood == "bce" else output

    def reconstruction(self, output: Array, x: Array) -> Array:
        if self.spec.likelihood == "bce":
            return ops.sum(ops.binary_crossentropy(x, output, from_logits=True), axis=-1)
        squares = ops.sum(ops.square(output - x), axis=-1)
        if self.spec.likelihood == "mse":
            return squares
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

    def kl(self, mu: Array, logvar: Array) -> Array:
        if self.spec.kind == "autoencoder":
            return ops.zeros_like(mu[:, 0])
        return -0.5 * ops.sum(1 + logvar - ops.square(mu) - ops.exp(logvar), axis=-1)

    def propagate(self, x: Array, epsilon: Array | None = None, masks: Masks = NOTHING) -> tuple[Array, Array]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.decode(z, masks), self.kl(mu, logvar)

    def terms(self, x: Array) -> tuple[Array, Array]:
        output, kl = self.propagate(x)
        return self.reconstruction(output, x), kl

    def batch_terms(self, x: Array, epsilon: Array | None, masks: Masks) -> tuple[Array, Array]:
        output, kl = self.propagate(x, epsilon, masks)
        return self.batch_reconstruction(output, x), ops.mean(kl)

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
        draws = len(self.scoring_noise)

        def add(draw: int, total: Array) -> Array:
            epsilon = ops.take(self.scoring_noise, draw, axis=0)
            return total + self.reconstruction(self.decode(self.sample(mu, logvar, epsilon)), x)

        return (ops.fori_loop(0, draws, add, ops.zeros_like(x[:, 0])) / draws,)

    def draw(self, *shape: int | Array) -> Arrays:
        """ε and dropout masks for rows of this shape."""
        draw, drawn = {"dtype": self.dtype, "seed": self.seeds}, {}
        if self.spec.kind == "vae":
            drawn[EPSILON] = keras.random.normal((*shape, self.spec.latent), **draw)
        widths = self.spec.dropped() if self.dropout else {}
        masks = {n: keras.random.uniform((*shape, width), **draw) >= self.dropout for n, width in widths.items()}
        return {**drawn, MASKS: masks}

    def call(self, batch: Arrays) -> tuple[Array, Array]:
        """``batch_terms`` of a training batch: rows ``x`` and, if not to be drawn, ``epsilon`` and ``masks``."""
        x = batch["x"]
        drawn = batch if MASKS in batch else self.draw(ops.shape(x)[0])
        return self.batch_terms(x, drawn.get(EPSILON), drawn[MASKS])

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

    jit_compile: bool | str = "auto"
    """Keras's default: XLA on JAX and on a GPU, but not for TensorFlow on the CPU, nor for PyTorch."""
    merged_heads = False

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = settings.device
        with keras.device(self.device):
            self.network = Network(spec, weights, settings, self.merged_heads)
            self.optimizer = make_optimizer(settings)
            self.optimizer.build(self.network.trainable_variables)
            self.network.compile(optimizer=self.optimizer, jit_compile=self.jit_compile)
            self.row_models = {function: RowModel(self.network, function) for function in get_args(RowFunction)}
            for model in self.row_models.values():
                model.compile(jit_compile=self.jit_compile)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = self.training_rows(X)
        self.batches = self.make_batches({"x": self.data}, shuffle=True)

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        variables = [*self.network.variables, *self.optimizer.variables]
        with keras.device(self.device):
            before = [ops.copy(variable) for variable in variables]
        self.first_step()
        for function in self.scoring_functions(scores):
            for size in SIZES:
                self.run_rows(function, np.zeros((size, self.spec.features), self.settings.storage))
        with keras.device(self.device):
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def first_step(self) -> None:
        shared = self.settings.random_source == "shared"
        arrays = self.in_order(self.shared_epoch(0)) if shared else {"x": self.data}
        first = keras.tree.map_structure(lambda array: array[: self.settings.batch_size], arrays)
        self.fit(self.make_batches(first, shuffle=not shared))

    def shared_epoch(self, epoch: int) -> Arrays:
        """An epoch's order, ε and masks from the source that every backend shares, by row visited."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, len(self.data))
        noise = {} if drawn.noise is None else {EPSILON: drawn.noise.astype(self.settings.storage)}
        return {"order": drawn.order, **noise, MASKS: drawn.masks}

    def in_order(self, epoch: Arrays) -> Arrays:
        """The same with the rows themselves for their order."""
        return {"x": self.data[epoch["order"]], **{name: epoch[name] for name in epoch if name != "order"}}

    def make_batches(self, arrays: Arrays, shuffle: bool) -> Any:
        with keras.device(self.device):
            return engine.batches(arrays, self.settings.batch_size, self.settings.seed if shuffle else None)

    def fit(self, batches: Any) -> dict[str, list[float]]:
        with keras.device(self.device):
            return self.network.fit(batches, verbose=0, shuffle=False).history

    def run_epoch(self, epoch: int) -> None:
        shared = self.settings.random_source == "shared"
        self.set_kl_weight(epoch)
        batches = self.make_batches(self.in_order(self.shared_epoch(epoch)), shuffle=False) if shared else self.batches
        self.history = self.fit(batches)
        with keras.device(self.device):
            self.network.fit_sigma(self.history["reconstruction"][0])

    def set_kl_weight(self, epoch: int) -> None:
        self.last_kl_weight = self.settings.kl_weight(epoch)
        with keras.device(self.device):
            self.network.kl_weight.assign(self.last_kl_weight)

    def synchronize(self) -> None:
        engine.synchronize([*self.network.variables, *self.optimizer.variables])

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = self.history["reconstruction"][0], self.history["kl"][0]
        return EpochLoss(reconstruction + self.last_kl_weight * kl, reconstruction, kl)

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        with keras.device(self.device):
            return padded_chunks(self.row_models[function].predict_on_batch, X)

    def device_memory_peak(self) -> int | None:
        return engine.memory_peak() if self.settings.device == "gpu" else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        with keras.device(self.device):
            self.network.replace(weights)


class XlaModel(IdiomaticModel):
    """The guides' loop with every step compiled by XLA."""

    jit_compile = True


class TunedModel(IdiomaticModel):
    """Data on the device, and an epoch as one program of the engine's compiler, merged heads in it.

    ε and masks are drawn at once and outside, where the engine's generators are many times as fast as XLA's; NumPy
    draws the order, for which Keras would sort.
    """

    merged_heads = True

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, weights, settings)
        self.train_steps = engine.compiled_epoch(self.network, self.optimizer)
        self.row_functions = {function: engine.compiled(model) for function, model in self.row_models.items()}

    def load_data(self, X: NDArray[Any]) -> None:
        with keras.device(self.device):
            self.data = ops.convert_to_tensor(self.training_rows(X))
        self.steps = len(X) // self.settings.batch_size

    def draw_epoch(self, epoch: int) -> Arrays:
        """The order, ε and masks of an epoch, each of shape (steps, batch, ...)."""
        shape = self.steps, self.settings.batch_size

        def by_step(array: NDArray[Any]) -> Array:
            used = np.asarray(array)[: shape[0] * shape[1]]
            return ops.convert_to_tensor(used.reshape(*shape, *used.shape[1:]))

        if self.settings.random_source == "shared":
            return keras.tree.map_structure(by_step, self.shared_epoch(epoch))
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.data))
        return {"order": by_step(order), **self.network.draw(*shape)}

    def first_step(self) -> None:
        self.run_steps(0, 1)

    def run_epoch(self, epoch: int) -> None:
        self.set_kl_weight(epoch)
        self.totals = self.run_steps(epoch, self.steps)
        with keras.device(self.device):
            self.network.fit_sigma(self.totals[0] / self.steps)

    def run_steps(self, epoch: int, steps: int) -> Array:
        with keras.device(self.device):
            return self.train_steps(self.data, self.draw_epoch(epoch), ops.convert_to_tensor(steps, "int32"))

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = (ops.convert_to_numpy(self.totals) / self.steps).tolist()
        return EpochLoss(reconstruction + self.last_kl_weight * kl, reconstruction, kl)

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        def fetch(results: tuple[Array, ...]) -> tuple[NDArray[Any], ...]:
            return tuple(map(ops.convert_to_numpy, results))

        with keras.device(self.device):
            return padded_chunks(lambda x: self.row_functions[function](ops.convert_to_tensor(x)), X, fetch)


MODES = {"idiomatic": IdiomaticModel, "xla": XlaModel, "tuned": TunedModel}
