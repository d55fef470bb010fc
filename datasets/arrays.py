"""Arrays in ``.npy`` and ``.npz`` files: whole within bounds, or some rows at a time. Nothing is ever unpickled."""

from __future__ import annotations

import io
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import DatasetError, require
from datasets.storage import check_size, first_line

_LIES = (
    *(ValueError, EOFError, MemoryError, TypeError, OverflowError, RecursionError),
    *(tokenize.TokenError, SyntaxError, KeyError, IndexError, struct.error),
)
"""What NumPy raises for a header that promises what cannot be, or that its parser cannot even take apart."""


def read_npy(content: bytes, path: str) -> NDArray[Any]:
    """The array of shape (rows, features) that a file's bytes hold."""
    try:
        X = _array(io.BytesIO(content), len(content))
    except _LIES as error:
        raise _no_npy(path, error) from error
    return _checked(X, path)


def stream_npy(place: Path, path: str, rows: int) -> Iterator[NDArray[Any]]:
    """So many rows of the array at a time."""
    try:
        with place.open("rb") as file:
            shape, _, dtype = _header(file)
            if not dtype.hasobject:
                _measured(shape, dtype, os.fstat(file.fileno()).st_size - file.tell())
        X = np.load(place, mmap_mode="r", allow_pickle=False)
        require(isinstance(X, np.ndarray), f"{path}: is an archive of arrays, whose name ends in .npz")
    except DatasetError:
        raise
    except _LIES as error:
        raise _no_npy(path, error) from error
    _checked(X, path)
    for start in range(0, len(X), rows):
        yield np.array(X[start : start + rows])


def read_npz(content: bytes, path: str, limit: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The arrays X, of shape (rows, features), and y, of shape (rows,), of an archive."""
    arrays = {}
    with _opened(io.BytesIO(content), path) as archive:
        for name in ("X", "y"):
            require(f"{name}.npy" in archive.namelist(), f"{path}: wants the arrays X and y; there is no array {name}")
            _once(archive, name, path)
            arrays[name] = _member(archive, name, path, limit)
    X, y = arrays["X"], arrays["y"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column, as files converted from Matlab hold it
    require(
        X.ndim == 2 and X.shape[1] > 0 and y.shape == X.shape[:1] and X.dtype.kind in "fiub",
        f"{path}: X has shape {X.shape} of {X.dtype}, y {y.shape}; wants X (rows, features) of numbers, y (rows,)",
    )
    return X, y


def stream_npz(place: Path, path: str, rows: int, limit: int) -> Iterator[NDArray[Any]]:
    """So many rows of the array X at a time, as long as they lie one behind the other in the archive."""
    with place.open("rb") as file, _opened(file, path) as archive:
        require("X.npy" in archive.namelist(), f"{path}: wants the array X; there are: {', '.join(archive.namelist())}")
        _once(archive, "X", path)
        with archive.open("X.npy") as member:
            shape, by_columns, dtype = _header(member)
            if not dtype.hasobject:
                _measured(shape, dtype, archive.getinfo("X.npy").file_size - member.tell())
        if by_columns or dtype.hasobject or len(shape) != 2:
            X = _checked(_member(archive, "X", path, limit), path)
            for start in range(0, len(X), rows):
                yield X[start : start + rows]
            return
        _checked(np.empty((0, shape[1]), dtype), path)
        check_size(shape[1] * dtype.itemsize * rows, f"{path}: a chunk of X", limit)
        with archive.open("X.npy") as member:
            _header(member)
            for start in range(0, shape[0], rows):
                count = min(rows, shape[0] - start)
                part = member.read(count * shape[1] * dtype.itemsize)
                yield np.frombuffer(part, dtype, count * shape[1]).reshape(count, shape[1])


class _opened:  # noqa: N801  it is used as a function is
    """A zip archive whose every fault is one line."""

    def __init__(self, file: IO[bytes], path: str) -> None:
        self.file, self.path = file, path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.file)
        except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, *_LIES) as error:
            raise self._fault(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        faults = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, *_LIES)
        if isinstance(error, faults) and not isinstance(error, DatasetError):
            raise self._fault(error) from error

    def _fault(self, error: BaseException) -> DatasetError:
        return DatasetError(f"{self.path}: not an intact .npz of plain arrays ({first_line(error)})")


def _no_npy(path: str, error: BaseException) -> DatasetError:
    return DatasetError(f"{path}: not an intact .npy of a plain array ({first_line(error)})")


def _once(archive: zipfile.ZipFile, name: str, path: str) -> None:
    require(archive.namelist().count(f"{name}.npy") == 1, f"{path}: holds the array {name} more than once")


def _member(archive: zipfile.ZipFile, name: str, path: str, limit: int) -> NDArray[Any]:
    """A whole array of an archive, within bounds."""
    check_size(archive.getinfo(f"{name}.npy").file_size, path, limit)
    with archive.open(f"{name}.npy") as member:
        content = member.read(limit)
    return _array(io.BytesIO(content), len(content))


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array of a file of so many bytes."""
    shape, _, dtype = _header(file)
    if not dtype.hasobject:
        _measured(shape, dtype, size - file.tell())
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return found


def _measured(shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> None:
    """ValueError where a header promises anything but the bytes that follow it.

    For more NumPy would set the memory aside; with fewer it would leave out what is a second array, or read numbers of
    another type or width than were written.
    """
    promised = dtype.itemsize
    for length in shape:
        promised *= length
    if promised != size:
        raise ValueError(f"its header promises {promised:,} bytes, and {size:,} follow")


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it lies by columns, and type of the array that begins here."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy advises whoever wrote the file
        shape, by_columns, dtype = read(member)
    if any(type(length) is not int or length < 0 for length in shape):  # True is an int to NumPy
        raise ValueError(f"its header tells of the shape {shape}")
    return shape, by_columns, dtype


def _checked(X: NDArray[Any], path: str) -> NDArray[Any]:
    require(
        X.ndim == 2 and X.shape[1] > 0 and X.dtype.kind in "fiub",
        f"{path}: holds an array of shape {X.shape} of {X.dtype}; wants (rows, features) of numbers",
    )
    return X
