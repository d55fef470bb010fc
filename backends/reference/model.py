"""The model: training on the shared draws, or on those of another backend, and scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends import randomness
from backends import weights as canonical
from backends.inference import CHUNK, Inference, RowFunction
from backends.interface import EpochLoss, Weights
from backends.reference.adversarial import attacked
from backends.reference.layers import Array
from backends.reference.network import Masks, Network
from backends.reference.optimizers import Optimizer
from backends.reference.slopes import slope
from backends.spec import NetworkSpec, Score, TrainingSettings


class ReferenceModel(Inference):
    """``backends.interface.Model`` in NumPy. Training rows stay as they come; batches become float64."""

    streams = True

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.network = Network(spec, weights, settings)
        self.optimizer = Optimizer(settings)

    def load_data(self, X: NDArray[Any]) -> None:
        self.training_rows(X)
        self.data, self.stream = X, None  # a batch is taken wherever it lies

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        """NumPy compiles nothing."""

    def run_epoch(self, epoch: int) -> None:
        self.follow(epoch, randomness.shared_epoch(self.spec, self.settings, epoch, self.count))

    def follow(self, epoch: int, drawn: randomness.Epoch, steps: int | None = None) -> None:
        """Trains one epoch on draws from anywhere; given ``steps``, on its first batches alone. ``batch_losses`` then
        holds each batch's mean reconstruction and KL, shape (steps, 2).

        Raises ValueError where the draws do not fit the network and the rows.
        """
        settings = self.settings
        randomness.check(drawn, self.spec, settings, self.count)
        kl_weight = settings.kl_weight(epoch)
        losses = []
        for start in range(0, len(drawn.order) - settings.batch_size + 1, settings.batch_size)[:steps]:
            batch = slice(start, start + settings.batch_size)
            noise, corruption = (
                None if array is None else array[batch].astype(np.float64) for array in (drawn.noise, drawn.corruption)
            )
            masks = {name: mask[batch] for name, mask in drawn.masks.items()}
            x = self.data[drawn.order[batch]].astype(np.float64)
            moved = self.moved(x, noise, masks, kl_weight, corruption)
            reconstruction, kl, gradients = self.network.gradient(moved, noise, masks, kl_weight, corruption, x)
            self.optimizer.update(self.network.arrays, gradients)
            losses.append((reconstruction, kl))
        self.batch_losses = np.array(losses)
        reconstruction, kl = np.mean(losses, axis=0).tolist()
        self.network.fit_sigma(reconstruction)
        self.last_loss = EpochLoss(reconstruction + kl_weight * kl, reconstruction, kl)

    def moved(
        self, x: Array, epsilon: Array | None, masks: Masks, kl_weight: float, corruption: Array | None = None
    ) -> Array:
        """The rows as they are trained on: where training is adversarial, moved."""
        if self.settings.adversarial is None or self.interval is None:
            return x
        return attacked(
            lambda at: self.network.backpropagate(at, epsilon, masks, kl_weight, corruption, x)[-1],
            x,
            self.settings.adversarial,
            self.interval,
        )

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

    def run_slopes(self, function: RowFunction, parts: tuple[float, ...], X: NDArray[Any]) -> NDArray[Any]:
        starts = range(0, max(len(X), 1), CHUNK)
        return np.concatenate([slope(self.network, function, parts, X[start : start + CHUNK]) for start in starts])

    def device_memory_peak(self) -> None:
        """The CPU keeps no such count."""

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return dict(self.network.arrays)

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.arrays = {name: np.array(weights[name], dtype=np.float64) for name in self.network.arrays}
