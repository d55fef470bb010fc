"""What every backend does with new rows, in terms of the one thing that differs: running a row-wise function.

Row-wise functions of a network, each from rows of shape (n, features) to a tuple of arrays whose first axis is n:
``encode`` (mu, logvar) · ``reconstruct`` (x̂,) · ``terms`` (reconstruction, kl) · ``squared_error`` (error,) ·
``absolute_error`` (error,) · ``expected_reconstruction`` (the Monte Carlo mean,) · ``importance_bound`` (the bound,);
``generate`` (x̂,) has rows of z.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backends.adversarial import interval
from backends.interface import BackendError, DeviceTimer, EpochLoss
from backends.randomness import Epoch, part_rows, shared_epoch, used
from backends.spec import SCORES, NetworkSpec, Score, TrainingSettings, contradiction, no_score
from backends.streaming import Stream, release

RowFunction = Literal[
    "encode",
    "reconstruct",
    "generate",
    "terms",
    "squared_error",
    "absolute_error",
    "expected_reconstruction",
    "importance_bound",
]
SCORING: dict[Score, RowFunction] = {
    "reconstruction": "terms",
    "elbo": "terms",
    "kl": "terms",
    "mse": "squared_error",
    "mae": "absolute_error",
    "bce": "terms",
    "reconstruction_probability": "expected_reconstruction",
    "iwae": "importance_bound",
}
"""The function that each score is made from."""

CHUNK = 4096
"""Rows a scoring step: enough to keep a device busy, few enough for 16 draws of a decoder's layers to fit in memory."""
TAIL = 256
"""Rows a step for what is left below one chunk, so that few rows are not padded to many."""
CHUNK_PIXELS = 1 << 18
"""Up to which a CPU takes a whole chunk through convolutions. On one core images of 28×28 pixels are scored 1.6 times
as fast in PyTorch, and 1.8 times in JAX, in steps of a tail as in chunks; those of 8×8 are not."""
SIZES = (CHUNK, TAIL, 1)
"""Rows of every step there is; a single row, which somebody waits for, is one by itself."""


rows_alone = False
"""Whether what a framework traces now takes rows and trains on none."""


@contextmanager
def tracing_rows() -> Iterator[None]:
    """What is traced inside is not part of a loop over steps, where XLA's own convolutions are slow."""
    global rows_alone
    rows_alone = True
    try:
        yield
    finally:
        rows_alone = False


def padded_chunks(
    function: Callable[[NDArray[Any]], tuple[Any, ...]],
    X: NDArray[Any],
    sizes: Sequence[int],
    fetch: Callable[[Any], Any] = tuple,
) -> tuple[NDArray[Any], ...]:
    """Runs a row-wise function over rows in steps of these few sizes, for frameworks that compile per shape.

    The last step is filled with zeros and its results are cut off. ``fetch`` brings all results to the host at the end,
    so that no step waits for the one before it.
    """
    most, *_, tail, one = sizes[0], *sizes
    full = len(X) - len(X) % most
    starts = [(start, most) for start in range(0, full, most)]
    tail = one if len(X) == 1 else tail
    starts += [(start, tail) for start in range(full, max(len(X), 1), tail)]
    results = []
    for start, size in starts:
        chunk = X[start : start + size]
        if len(chunk) < size:
            chunk = np.concatenate([chunk, np.zeros((size - len(chunk), X.shape[1]), X.dtype)])
        results.append(function(chunk))
    return tuple(np.concatenate(parts)[: len(X)] for parts in zip(*map(fetch, results), strict=True))


class Inference(ABC):
    """The half of ``backends.interface.Model`` that no framework has a say in."""

    count: int
    """Of the training rows, from ``load_data`` on."""
    data: Any
    """What is held of them: all, or of those that are streamed a part."""
    streams = False
    """Whether rows that are too many are streamed."""
    stream: Stream | None = None
    """Where they are."""
    interval: NDArray[Any] | None = None
    """Where training is adversarial, what no value of its inputs leaves, shape (2,), from ``load_data`` on."""

    def __init__(self, spec: NetworkSpec, settings: TrainingSettings) -> None:
        if (reason := contradiction(spec, settings)) is not None:
            raise BackendError(reason)
        self.spec = spec
        self.settings = settings

    @abstractmethod
    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Runs a row-wise function over any number of rows, in the model's storage type, and fetches the results."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of every scoring step: the most at once, then a tail, then one by itself. What convolutions make of a
        chunk of large images is beyond a CPU's caches, so that there they have no more than a tail."""
        large = self.spec.image and CHUNK * math.prod(self.spec.image) > CHUNK_PIXELS
        return SIZES[1:] if large and self.settings.device == "cpu" else SIZES

    def scoring_functions(self, scores: Sequence[Score]) -> list[RowFunction]:
        """What ``evaluate`` and these scores run, and ``compile`` therefore prepares."""
        return list(dict.fromkeys(["terms", *(SCORING[kind] for kind in scores)]))

    def device_timer(self) -> DeviceTimer | None:
        """None on a CPU, and in JAX and TensorFlow, which let no program put events into the device's queue."""
        return None

    def rows(self, X: NDArray[Any]) -> NDArray[Any]:
        """X in the model's storage type. Raises ValueError where its shape is not (rows, features)."""
        if X.ndim != 2 or X.shape[1] != self.spec.features:
            raise ValueError(f"rows must have shape (rows, {self.spec.features}), not {X.shape}")
        return np.ascontiguousarray(X, dtype=self.settings.storage)

    def training_rows(self, X: NDArray[Any]) -> NDArray[Any]:
        """What is held of the training rows: all of them, or, where they are streamed, room for a part.

        Raises BackendError where they do not fill one batch, or this mode streams none and the settings ask for it."""
        if len(X) < self.settings.batch_size:
            raise BackendError(
                f"{len(X)} training rows do not fill one batch of {self.settings.batch_size}: choose a smaller batch"
            )
        self.count, self.stream = len(X), None
        if part := part_rows(self.settings, *X.shape) if X.ndim == 2 else 0:
            if self.streams:
                self.stream = Stream(X, part, self.settings.batch_size, self.settings.seed, self.settings.storage)
            elif self.settings.stream_rows:
                raise BackendError(
                    f"stream_rows is {self.settings.stream_rows}, but the mode {self.settings.mode!r} holds all "
                    f"{len(X)} training rows on the device: choose the mode 'tuned'"
                )
        held = self.rows(X if self.stream is None else self.stream.room)
        if self.settings.adversarial:
            self.interval = interval(X).astype(self.settings.storage)
            release(X)
        return held

    def draws(self, epochs: Sequence[int]) -> Iterator[Epoch]:
        found = (self.shared_draws if self.settings.random_source == "shared" else self.native_draws)(epochs)
        for epoch in found:
            yield used(epoch, self.settings.batch_size)

    def shared_draws(self, epochs: Sequence[int]) -> Iterator[Epoch]:
        """``draws`` from the source that every backend shares."""
        for epoch in epochs:
            yield shared_epoch(self.spec, self.settings, epoch, self.count)

    def native_draws(self, epochs: Sequence[int]) -> Iterator[Epoch]:
        """``draws`` from the framework's own generator."""
        raise BackendError(f"{type(self).__module__} does not tell what its epochs draw: it has no native_draws")

    def encode(self, X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        mu, logvar = self.run_rows("encode", self.rows(X))
        return mu, logvar

    def reconstruct(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.run_rows("reconstruct", self.rows(X))[0]

    def generate(self, Z: NDArray[Any]) -> NDArray[Any]:
        if Z.ndim != 2 or Z.shape[1] != self.spec.latent:
            raise ValueError(f"latent rows must have shape (rows, {self.spec.latent}), not {Z.shape}")
        return self.run_rows("generate", np.ascontiguousarray(Z, dtype=self.settings.storage))[0]

    def evaluate(self, X: NDArray[Any]) -> EpochLoss:
        reconstruction, kl = (float(np.mean(term, dtype=np.float64)) for term in self.run_rows("terms", self.rows(X)))
        return EpochLoss(reconstruction + self.settings.beta * kl, reconstruction, kl)

    def check_score(self, kind: Score) -> None:
        if kind not in SCORING:
            raise ValueError(f"unknown score {kind!r}: choose from {', '.join(SCORES)}")
        if (reason := no_score(kind, self.spec.kind, self.spec.likelihood)) is not None:
            raise ValueError(reason)

    def slope(self, X: NDArray[Any], kind: Score = "reconstruction") -> NDArray[Any]:
        self.check_score(kind)
        parts = {"elbo": (1.0, self.settings.beta), "kl": (0.0, 1.0)}.get(kind, (1.0,))
        return self.run_slopes(SCORING[kind], parts, self.rows(X))

    def run_slopes(self, function: RowFunction, parts: tuple[float, ...], X: NDArray[Any]) -> NDArray[Any]:
        """The gradient, for rows in the model's storage type, of a row-wise function's results, each times its part
        and added up; shape (rows, features)."""
        raise BackendError(f"{type(self).__module__} does not differentiate its scores: it has no run_slopes")

    def score(self, X: NDArray[Any], kind: Score = "reconstruction") -> NDArray[Any]:
        self.check_score(kind)
        results = self.run_rows(SCORING[kind], self.rows(X))
        if kind == "elbo":
            reconstruction, kl = results
            return reconstruction + self.settings.beta * kl
        return results[1] if kind == "kl" else results[0]
