"""Where the rows of a data set lie: in RAM, or, where they are many, in a memory-mapped file without a name."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAPPED_ABOVE = 1 << 28
"""Bytes of a matrix up to which it lies in RAM."""
BLOCK_BYTES = 1 << 24


class NoRoom(OSError):
    """A matrix that fits nowhere; one line says what it wants."""


def empty(rows: int, features: int) -> NDArray[np.float32]:
    """A matrix to be filled. Above ``MAPPED_ABOVE`` it lies in a file in the folder for temporary ones (``TMPDIR``),
    which has no name and so is gone with the process, however that ends.

    Raises `NoRoom` where it does not fit there.
    """
    shape, size = (rows, features), 4 * rows * features
    if size <= MAPPED_ABOVE:
        return np.empty(shape, dtype=np.float32)
    try:
        with tempfile.TemporaryFile() as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and not by a signal later
            return np.asarray(np.memmap(file, np.float32, "r+", 0, shape))
    except OSError as error:
        wanted = f"{rows:,} rows of {features} features want {size >> 20:,} MiB in {tempfile.gettempdir()}"
        raise NoRoom(f"{wanted}: {error.strerror}; TMPDIR names another folder") from error


def taken(X: NDArray[np.float32], rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The rows that a mask tells, in a matrix of their own; the matrix itself where it tells all of them."""
    if rows.all():
        return X
    found = empty(int(rows.sum()), X.shape[1])
    np.take(X, np.flatnonzero(rows), axis=0, out=found, mode="clip")  # under another mode NumPy copies them first
    return found


def by_blocks(X: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The rows, some at a time; those of a mapped matrix leave this process's memory again."""
    step = max(1, BLOCK_BYTES // max(1, X.itemsize * X.shape[1]))
    for start in range(0, len(X), step):
        yield X[start : start + step]
        release(X)


def release(X: Any) -> None:
    """Lets go of the memory in which a mapped matrix was read or written; its rows stay in its file."""
    while isinstance(X, np.ndarray):
        base: Any = X.base
        if isinstance(X, np.memmap) and isinstance(base, mmap.mmap):
            if hasattr(mmap, "MADV_DONTNEED"):
                base.madvise(mmap.MADV_DONTNEED)
            return
        X = base
