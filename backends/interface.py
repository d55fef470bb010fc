"""The backend interface: what a framework has to offer to be trained, timed and scored here.

A backend is a module with two functions, ``capabilities()`` and ``build(...)``. It never looks at a clock and never
computes a metric: the harness owns the clock and synchronises the device on both edges of every timed phase.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from backends.randomness import Epoch
from backends.spec import NetworkSpec, RandomSource, Score, TrainingSettings

NO_TF32 = "TF32 needs an NVIDIA GPU of compute capability 8.0 or more"
"""Why the precision ``tf32`` is not offered, in whichever framework."""

Weights = Mapping[str, NDArray[np.floating]]
"""Arrays under canonical names; see ``backends.weights``."""


class BackendError(RuntimeError):
    """What was asked for does not work here (no such device, precision or mode). The message is one line."""


@dataclass(frozen=True)
class Capabilities:
    """What works in this process, as the framework itself reports it."""

    versions: Mapping[str, str]
    """Distribution name to version, for example ``{"torch": "2.13.0"}``."""
    devices: Mapping[str, str]
    """``cpu`` and, where one is usable, ``gpu``, each with the device's name."""
    precisions: tuple[str, ...]
    modes: tuple[str, ...]
    threads: int | None
    """Compute threads the framework reports it will use; None where it does not tell."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """For what does not work here (``gpu``, a precision, a mode): why not."""

    def check(self, settings: TrainingSettings) -> None:
        """Raises BackendError, in one line, where the settings ask for what does not work here."""
        for what, asked, offered in (
            ("mode", settings.mode, self.modes),
            ("device", settings.device, tuple(self.devices)),
            ("precision", settings.precision, self.precisions),
            ("random_source", settings.random_source, get_args(RandomSource)),
        ):
            if asked not in offered:
                reason = f" ({self.reasons[asked]})" if asked in self.reasons else ""
                raise BackendError(f"{what} {asked!r} does not work here{reason}: choose from {', '.join(offered)}")


@dataclass(frozen=True)
class EpochLoss:
    """Means over the rows an epoch visited: loss = reconstruction + β_t · kl. Plain floats, already on the host."""

    loss: float
    reconstruction: float
    kl: float


class DeviceTimer(Protocol):
    """A stretch of the device's own time, between two events in its queue."""

    def start(self) -> None:
        """Queues the first event."""

    def stop(self) -> None:
        """Queues the second."""

    def seconds(self) -> float:
        """Waits for the second event; the seconds that the device counted between the two."""


@runtime_checkable
class Model(Protocol):
    """A network on its device, with its optimiser. Arrays in and out are NumPy, rows first."""

    def load_data(self, X: NDArray[np.float32]) -> None:
        """Takes the training rows, shape (rows, features), onto the device, in the model's storage type.

        Raises ValueError for rows of another width and BackendError for fewer rows than one batch needs."""

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        """Traces and compiles all that an epoch, ``evaluate`` and ``score`` of these kinds need, by running one
        training step and one scoring batch, then puts weights, optimiser and random state back as they were before."""

    def run_epoch(self, epoch: int) -> None:
        """Trains on one permutation of the rows, epochs counted from 0. May return before the device is done."""

    def synchronize(self) -> None:
        """Returns when every queued computation, the last epoch's included, has ended on the device."""

    def device_timer(self) -> DeviceTimer | None:
        """A timer by the device's own events; None where there are none to be had."""

    def draws(self, epochs: Sequence[int]) -> Iterator[Epoch]:
        """What epochs of these numbers drew if they were the first since ``load_data``, in this order: row numbers, ε
        and dropout masks of the rows that were used, drawn once more from the state that ``load_data`` found.

        Training, before and after, is left as it is. Raises BackendError for a model that cannot tell."""

    def epoch_loss(self) -> EpochLoss:
        """The last epoch's training loss and its parts."""

    def evaluate(self, X: NDArray[np.float32]) -> EpochLoss:
        """The loss on other rows, deterministic: z = mu, and the full β."""

    def encode(self, X: NDArray[np.float32]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """mu and logvar, each of shape (rows, latent); for an autoencoder logvar is all zeros."""

    def reconstruct(self, X: NDArray[np.float32]) -> NDArray[np.floating]:
        """The decoder's output at z = mu, shape (rows, features); for ``bce`` the probabilities, not the logits."""

    def generate(self, Z: NDArray[np.floating]) -> NDArray[np.floating]:
        """The decoder's output at any z of shape (rows, latent), else as ``reconstruct``. Raises ValueError for rows of
        another width."""

    def score(self, X: NDArray[np.float32], kind: Score = "reconstruction") -> NDArray[np.floating]:
        """One score a row, larger = more anomalous, shape (rows,); deterministic, and independent of how rows are
        batched. ``reconstruction`` (the loss's own reconstruction term), ``elbo`` (reconstruction + β · KL), ``kl``
        (KL alone), ``mse`` and ``mae`` (sums of (x̂ − x)² and |x̂ − x|, whatever the likelihood), ``bce`` (sum of the
        binary cross-entropies), ``reconstruction_probability`` (An and Cho 2015: minus the Monte Carlo mean of
        log p(x|z) over z ~ q(z|x), up to the likelihood's constants, with seeded noise), ``iwae`` (Burda et al. 2016:
        minus the logarithm of the mean of p(x|z) p(z) / q(z|x) over the same draws).

        Raises ValueError, in one line, for a kind that the network has not (``NetworkSpec.scores``)."""

    def slope(self, X: NDArray[np.float32], kind: Score = "reconstruction") -> NDArray[np.floating]:
        """The gradient of ``score`` for what each row holds, shape (rows, features). Raises ValueError as ``score``
        does, and BackendError for a model that does not differentiate its scores."""

    def device_memory_peak(self) -> int | None:
        """The most bytes this process has held on the device; None on the CPU."""

    def export_weights(self) -> dict[str, NDArray[np.floating]]:
        """The current weights under their canonical names, on the host."""

    def import_weights(self, weights: Weights) -> None:
        """Replaces the weights and leaves the optimiser as it is. Raises ValueError where they do not fit."""


class Backend(Protocol):
    """What a backend module holds; a module satisfies it by defining these two functions."""

    def capabilities(self) -> Capabilities:
        """What works here. Importing the module may raise ImportError; calling this does not raise."""

    def build(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> Model:
        """A model that starts from these weights. Raises BackendError where the settings do not work here."""
