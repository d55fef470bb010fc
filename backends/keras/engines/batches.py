"""The data pipeline that Keras itself brings, for the engines that have none that ``fit`` is shown with; and what a
fit visits, whatever the pipeline."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class Batches(keras.utils.PyDataset):
    """Full batches of equally long arrays: in their order, or shuffled anew for each pass where there is a seed.

    The order is NumPy's, whatever the engine.
    """

    def __init__(self, arrays: dict[str, Any], size: int, seed: int | None) -> None:
        super().__init__()
        self.arrays, self.size = arrays, size
        self.order = np.arange(len(arrays["x"]))
        self.generator = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.order) // self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        rows = self.order[index * self.size : (index + 1) * self.size]
        return keras.tree.map_structure(lambda array: array[rows], self.arrays)

    def on_epoch_end(self) -> None:
        if self.generator is not None:
            self.generator.shuffle(self.order)


class Recorder(keras.Model):
    """Trains nothing, and keeps what ``fit`` gives it. How often ``fit`` begins a pass over its data, and so moves the
    order on, is a matter of Keras and its version; so it is ``fit`` that is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.built = True
        self.compile(optimizer=keras.optimizers.SGD(), run_eagerly=True)
        self.optimizer.build([])
        self.seen: list[np.ndarray] = []

    def train_step(self, *arguments: Any) -> Any:
        """Keras gives the data alone, but on JAX the state before them, and takes it back."""
        *state, data = arguments
        self.seen.append(keras.ops.convert_to_numpy(data["x"]))
        logs = {"loss": keras.ops.zeros(())}
        return (logs, *state) if state else logs

    def visited(self, batches: Any) -> np.ndarray:
        """The rows ``x`` of one ``fit``, in their order."""
        self.seen = []
        self.fit(batches, verbose=0, shuffle=False)
        return np.concatenate(self.seen)
