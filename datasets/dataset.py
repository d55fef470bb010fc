"""The one type every data set comes as: arrays ready for a detector, the test labels, and where they came from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # this module is imported by `bench --help`, which has no time for NumPy
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


LONGEST_LINE = 1_000
"""Characters of an error's line at most."""


class DatasetError(ValueError):
    """What was asked for cannot become a data set; one line says what is wrong, where, and what would be right."""

    def __init__(self, message: str) -> None:
        # messages quote what files hold: a column's name may bring a line break or a terminal's escape code
        line = "".join(character if character.isprintable() else " " for character in message[: LONGEST_LINE + 1])
        super().__init__(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…")


def require(condition: bool, message: str) -> None:
    """Raise `DatasetError` with the one-line message unless the condition holds."""
    if not condition:
        raise DatasetError(message)


@dataclass(frozen=True)
class Request:
    """What every loader is given: the reference as the user wrote it, the seed, and where the files lie."""

    name: str
    seed: int
    data_dir: Path


@dataclass(frozen=True)
class SourceFile:
    """A file that was read: its name below the data directory (or as the user gave it) and its SHA-256 in hex."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """Where the rows come from and how they were split; it goes into every record."""

    source: str
    """One sentence: the publisher or the generator, with its settings."""
    protocol: str
    """One sentence: which rows train, validate and test, and what counts as the anomaly."""
    files: tuple[SourceFile, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader of results must know, one sentence each (dropped duplicates, imputed columns, ...)."""


class Preprocessor(Protocol):
    """What makes a detector's rows of raw columns; `datasets.preprocessing.Preprocessing` is one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that are read."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the matrix's columns."""

    def __call__(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """The matrix, of shape (rows, features), of a table that has all `columns`."""

    def saved(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """What there is to keep, from which `Preprocessing.restored` makes the same again."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """A stretch of a series in which no other part of the data set lies, and the windows of it that are rows.

    ``starts``, int64 of shape (windows,), are the first steps of the windows, rising, counted from 0 at the stretch's
    own beginning; ``steps`` is how long it is.
    """

    starts: NDArray[np.int64]
    steps: int


@dataclass(frozen=True, eq=False)
class Series:
    """How rows that are windows of one series lie in time.

    Attributes
    ----------
    window : int
        Steps of a window; a row holds them one after another, each with all channels.
    channels : tuple of str
    train, val, test : Stretch
        In this order in time.
    labels : bool array of shape (test steps,)
        Which steps of the test part are anomalous; a window is where one of its steps is.
    values : float32 array of shape (test steps, channels)
        The test part as its windows have it.
    events : tuple of (first step, step after the last, kind)
        The anomalies of the test part, in order; the kind is empty where nothing tells of any.
    """

    window: int
    channels: tuple[str, ...]
    train: Stretch
    val: Stretch
    test: Stretch
    labels: NDArray[np.bool_]
    values: NDArray[np.float32]
    events: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test rows of one anomaly-detection task.

    Attributes
    ----------
    name : str
        The reference it was loaded by, for example ``digits:4``.
    X_train, X_val, X_test : float32 arrays of shape (rows, features), C-contiguous and finite
        Preprocessed; every scaler, encoder and imputer was fitted on the training rows alone. ``X_train`` and
        ``X_val`` hold normal rows only, and no row is in two parts. Both rules are broken only where the reference asks
        for it, by contaminating the training rows or by a flawed protocol, and then the provenance says so.
    y_test : int8 array of shape (test rows,)
        1 = anomaly, 0 = normal; both occur.
    feature_names : tuple of str, one per column
    provenance : Provenance
    image_shape : (height, width) where the columns are the pixels of an image, row by row; otherwise None
    preprocessing : what makes such rows of raw columns, so that a detector can score new ones; None where a loader
        tells of none
    series : where in time the rows lie that are windows of a series; otherwise None
    """

    name: str
    X_train: NDArray[np.float32]
    X_val: NDArray[np.float32]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int8]
    feature_names: tuple[str, ...]
    provenance: Provenance
    image_shape: tuple[int, int] | None = None
    preprocessing: Preprocessor | None = None
    series: Series | None = None

    def __post_init__(self) -> None:
        """Hold every loader, ours or not, to the contract above; raises `DatasetError` naming what is broken."""
        import numpy as np

        from datasets.matrices import by_blocks

        require(
            isinstance(self.name, str) and isinstance(self.provenance, Provenance),
            f"data set {self.name!r}: its name wants to be text, and its provenance a Provenance",
        )
        require(
            isinstance(self.feature_names, tuple) and all(isinstance(name, str) for name in self.feature_names),
            f"data set '{self.name}': feature_names wants a tuple of texts",
        )
        require(
            self.image_shape is None or math.prod(self.image_shape) == len(self.feature_names),
            f"data set '{self.name}': images of {self.image_shape} are not its {len(self.feature_names)} columns",
        )
        for part in ("X_train", "X_val", "X_test"):
            X = getattr(self, part)
            broken = (
                f"has shape {X.shape}, not (rows >= 1, {len(self.feature_names)} features)"
                if X.ndim != 2 or not len(X) or X.shape[1] != len(self.feature_names) or not X.shape[1]
                else f"is {X.dtype}, not float32"
                if X.dtype != np.float32
                else "is not C-contiguous"
                if not X.flags.c_contiguous
                else "holds values that are not finite"
                if not all(np.isfinite(block).all() for block in by_blocks(X))
                else None
            )
            require(broken is None, f"data set '{self.name}': {part} {broken}")
        require(
            self.preprocessing is None or self.preprocessing.feature_names == self.feature_names,
            f"data set '{self.name}': its preprocessing makes other features",
        )
        require(
            self.y_test.dtype == np.int8 and self.y_test.shape == self.X_test.shape[:1],
            f"data set '{self.name}': y_test wants one int8 label per test row",
        )
        require(
            np.array_equal(np.unique(self.y_test), [0, 1]),
            f"data set '{self.name}': y_test wants both 0 (normal) and 1 (anomaly) and nothing else",
        )
        require(
            len(set(self.feature_names)) == len(self.feature_names),
            f"data set '{self.name}': two features have the same name",
        )
        if self.series is not None:
            stretches = (self.series.train, self.series.val, self.series.test)
            counted = [len(stretch.starts) for stretch in stretches]
            require(
                counted == [len(self.X_train), len(self.X_val), len(self.X_test)],
                f"data set '{self.name}': its series tells of {counted} windows, which are not its rows",
            )

    @property
    def features(self) -> int:
        return len(self.feature_names)

    @property
    def grid(self) -> tuple[int, ...] | None:
        """What convolutions run over: (height, width) of an image, (steps,) of a window; None of neither."""
        return self.image_shape or (None if self.series is None else (self.series.window,))

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """The columns that one-hot encode one category each, as (start, stop); none where nothing tells of any."""
        found: tuple[tuple[int, int], ...] = getattr(self.preprocessing, "groups", ())
        return found

    @cached_property
    def unit_interval(self) -> bool:
        """Whether every value lies in [0, 1], which the Bernoulli likelihood (``bce``) asks for."""
        from datasets.matrices import by_blocks

        parts = (self.X_train, self.X_val, self.X_test)
        return all(block.min() >= 0.0 and block.max() <= 1.0 for part in parts for block in by_blocks(part))

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over shapes and bytes of all four arrays, in hex: equal checksums mean equal tasks."""
        from datasets.matrices import by_blocks

        digest = hashlib.sha256()
        for part in (self.X_train, self.X_val, self.X_test, self.y_test):
            digest.update(repr((part.dtype.str, part.shape)).encode())
            for block in by_blocks(part.reshape(len(part), -1)):
                digest.update(block.data)
        return digest.hexdigest()
