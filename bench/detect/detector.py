"""What a detector is: ``fit(X)``, then ``decision_function(X)``; larger = more anomalous, which is PyOD's sign."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]


class DetectorError(ValueError):
    """A detector that is not there, or one of another distribution that does not do what a detector does; one line."""


class Detector(Protocol):
    """What is benchmarked. ``notes`` holds what a reader of its results must know, one sentence each, after ``fit``.

    A network may have a ``companion``, the class that takes the suite's ``parameters`` for the part of it that is no
    network, and ``parts``, which tells the other detectors that it is made of. ``options`` are the keywords of a
    constructor whose signature does not tell them.

    One whose score has a gradient may have ``slope(X)``, that gradient for each row, of the shape of X: it can then be
    asked how far anomalies have to be moved to look normal.

    A detector that treats categories as such has ``groups``, the columns (start, stop) that one-hot encode one each,
    which are set before ``fit``.

    Over another library a detector may also have: ``requires``, the modules that it needs, and ``install``, what pip is
    given to bring them; ``prepare(X)``, which ends before the first epoch and is not timed as training;
    ``rows_per_fit``, the rows that ``fit`` visits where it goes through them several times; and ``peer``, what the
    record says of that library.
    """

    notes: list[str]

    def fit(self, X: Rows) -> Self:
        """Learns from rows of shape (rows, features), all of them taken as normal."""

    def decision_function(self, X: Rows) -> Rows:
        """One score a row, shape (rows,); the same rows score the same at every call."""


def one_a_row(found: object, rows: int) -> NDArray[np.float64]:
    """The scores as numbers of shape (rows,); DetectorError where a detector gave something else."""
    scores = np.asarray(found)
    if scores.shape != (rows,) or scores.dtype.kind in "cOSUMm":
        raise DetectorError(
            f"the detector gave scores of shape {scores.shape} and type {scores.dtype}, not numbers of shape ({rows},)"
        )
    return scores.astype(np.float64, copy=False)
