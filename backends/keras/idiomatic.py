"""Training as the Keras guides show it: ``compile`` and ``fit``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import Inference, RowFunction, padded_chunks
from backends.interface import EpochLoss, Weights
from backends.keras.engines import engine
from backends.keras.engines.batches import Recorder
from backends.keras.network import MASKS, Arrays, Network, RowModel, SlopeModel
from backends.keras.optimizers import make_optimizer
from backends.spec import NetworkSpec, Score, TrainingSettings


class IdiomaticModel(Inference):
    """``backends.interface.Model`` with the training loop of the Keras guides: ``compile`` and ``fit``."""

    jit_compile: bool | str = "auto"
    """Keras's default: XLA on JAX and on a GPU, but not for TensorFlow on the CPU, nor for PyTorch."""
    merged_heads = False

    @property
    def jit_rows(self) -> bool | str:
        """The same for what takes rows and trains on none: on the CPU the engine's own is mostly the faster."""
        return "auto"

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = settings.device
        with keras.device(self.device):
            self.network = Network(spec, weights, settings, self.merged_heads)
            self.optimizer = make_optimizer(settings)
            self.optimizer.build(self.network.trainable_variables)
            self.network.compile(optimizer=self.optimizer, jit_compile=self.jit_compile)
        self.row_models: dict[RowFunction, RowModel] = {}
        self.slope_models: dict[tuple[RowFunction, tuple[float, ...]], SlopeModel] = {}

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = self.training_rows(X)
        self.keep_interval()
        self.batches = self.make_batches({"x": self.data}, shuffle=True)
        self.keep_origin()

    def keep_interval(self) -> None:
        if self.interval is not None:
            with keras.device(self.device):
                self.network.interval.assign(self.interval)

    def keep_origin(self) -> None:
        """Remembers the generator as the first epoch over these rows finds it."""
        self.origin = ops.convert_to_numpy(self.network.seeds.state)

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        variables = [*self.network.variables, *self.optimizer.variables]
        with keras.device(self.device):
            before = [ops.copy(variable) for variable in variables]
        self.first_step()
        for function in self.scoring_functions(scores):
            for size in self.sizes:
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
        """An epoch's order and draws from the source that every backend shares, by row visited."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, self.count)
        noise = {n: a.astype(self.settings.storage) for n, a in drawn.arrays.items() if n not in drawn.masks}
        return {"order": drawn.order, **noise, MASKS: drawn.masks}

    def in_order(self, epoch: Arrays) -> Arrays:
        """The same with the rows themselves for their order."""
        return {"x": self.data[epoch["order"]], **{name: epoch[name] for name in epoch if name != "order"}}

    def native_draws(self, epochs: Sequence[int]) -> Iterator[randomness.Epoch]:
        seeds, past, orders = self.network.seeds.state, self.origin, self.orders(epochs)
        for order in orders:
            with keras.device(self.device):
                now = ops.convert_to_numpy(seeds)
                seeds.assign(past)
                drawn = keras.tree.map_structure(ops.convert_to_numpy, self.redraw())
                past = ops.convert_to_numpy(seeds)
                seeds.assign(now)
            masks = drawn.pop(MASKS)
            yield randomness.Epoch.of(order, drawn | masks)

    def orders(self, epochs: Sequence[int]) -> Iterator[NDArray[np.int64]]:
        """The rows that each of these epochs visits."""
        recorder, rows = Recorder(), {"x": np.arange(self.count)}
        with keras.device(self.device):
            # in one batch: rows are shuffled before they are parted
            batches = engine.batches(rows, self.count, self.settings.seed)
        for _ in epochs:
            with keras.device(self.device):
                visited = recorder.visited(batches)
            yield visited

    @cached_property
    def draw_batch(self) -> Callable[[], Arrays]:
        return engine.drawing(self.network, self.settings.batch_size)

    def redraw(self) -> Arrays:
        """An epoch's draws, batch by batch from the generator as it is."""
        batches = [self.draw_batch() for _ in range(self.count // self.settings.batch_size)]
        return keras.tree.map_structure(lambda *arrays: ops.concatenate(arrays), *batches)

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

    def row_model(self, function: RowFunction) -> RowModel:
        """Made when it is asked for: most networks are asked for few."""
        if function not in self.row_models:
            self.row_models[function] = model = RowModel(self.network, function)
            model.compile(jit_compile=self.jit_rows)
        return self.row_models[function]

    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        with keras.device(self.device):
            return padded_chunks(self.row_model(function).predict_on_batch, X, self.sizes)

    def run_slopes(self, function: RowFunction, parts: tuple[float, ...], X: NDArray[Any]) -> NDArray[Any]:
        with keras.device(self.device):
            if (function, parts) not in self.slope_models:
                self.slope_models[function, parts] = model = SlopeModel(self.network, function, parts)
                model.compile(jit_compile=self.jit_rows)
            return padded_chunks(self.slope_models[function, parts].predict_on_batch, X, self.sizes)[0]

    def device_memory_peak(self) -> int | None:
        return engine.memory_peak() if self.settings.device == "gpu" else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        with keras.device(self.device):
            self.network.replace(weights)

    def restart(self, weights: Weights, settings: TrainingSettings) -> None:
        canonical.check(weights, self.spec)
        self.settings = settings
        with keras.device(self.device):
            self.network.restart(weights, settings.seed)
            for variable in self.optimizer.variables:
                if variable.name != "learning_rate":
                    variable.assign(ops.zeros_like(variable))
