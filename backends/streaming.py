"""Training rows that do not fit: they stay where they lie, and come onto the device a part at a time."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends import randomness


class Stream:
    """The rows of an epoch, part by part in the order of ``randomness.parts``.

    Parameters
    ----------
    X : float array of shape (rows, features)
        In RAM, or memory-mapped: then no more of it counts as this process's memory than a part touches.
    size : int
        Rows of a part, a multiple of the batch.
    batch : int
    seed : int
        Of the order.
    dtype : str
        In which the rows are given.
    """

    def __init__(self, X: NDArray[Any], size: int, batch: int, seed: int, dtype: str) -> None:
        self.X, self.size, self.batch, self.seed, self.dtype = X, size, batch, seed, dtype

    @property
    def room(self) -> NDArray[Any]:
        """A part's array, without rows."""
        return np.zeros((self.size, self.X.shape[1]), self.dtype)

    @property
    def steps(self) -> list[int]:
        """Batches of each part; the last partial batch of all is left out."""
        used = len(self.X) - len(self.X) % self.batch
        return [min(self.size, used - start) // self.batch for start in range(0, used, self.size)]

    def order(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The row numbers of each part, as they are visited."""
        parts = randomness.parts(self.seed, epoch, len(self.X), self.size)
        for steps, rows in zip(self.steps, parts, strict=False):
            yield rows[: steps * self.batch]

    def parts(self, epoch: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Of each part its batches and its rows in the order in which they are visited, always of shape (size,
        features): the last part ends with zeros."""
        for steps, rows in zip(self.steps, self.order(epoch), strict=True):
            part = self.room if len(rows) < self.size else np.empty_like(self.room)
            part[: len(rows)] = self.X[rows]
            release(self.X)
            yield steps, part

    def visited(self, epoch: int) -> NDArray[np.int64]:
        """The row numbers of a whole epoch."""
        return np.concatenate(list(self.order(epoch)))


def release(X: Any) -> None:
    """Lets go of the memory in which a memory-mapped array was read; what is read again is mapped again."""
    while isinstance(X, np.ndarray):
        # what was written to a private copy (mode "c") is nowhere else
        base: Any = X.base
        if isinstance(X, np.memmap) and X.mode != "c" and isinstance(base, mmap.mmap):
            if hasattr(mmap, "MADV_DONTNEED"):
                base.madvise(mmap.MADV_DONTNEED)
            return
        X = base
