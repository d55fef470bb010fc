"""The two sanity lines that every table carries: distances from the training mean, in NumPy alone.

Both explain a row exactly, since a squared distance is a sum over the features; what they hold a row against, their
"reconstruction" of it, is the training mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np

from bench.detect.detector import Rows
from bench.detect.explanations import shares

BLOCK = 1 << 14
"""Rows taken at a time: in float64 all rows at once would be many times the data."""


def _blocks(X: Rows) -> Iterator[Rows]:
    """At most ``BLOCK`` rows at a time, in float64."""
    return (np.asarray(X[start : start + BLOCK], dtype=np.float64) for start in range(0, len(X), BLOCK))


def _not_zero(distances: Rows) -> Rows:
    """As a column to divide by."""
    return np.where(distances > 0, distances, 1.0)[:, None]


class Norm:
    """Distance from the training mean, ‖x − mean‖: the sanity line. Where it scores as well as the rest, the data set
    is trivial."""

    def __init__(self, *, seed: int = 0, threads: int = 1) -> None:
        self.notes: list[str] = []

    def fit(self, X: Rows) -> Self:
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        return self

    def decision_function(self, X: Rows) -> Rows:
        return np.concatenate([np.linalg.norm(block - self.mean_, axis=1) for block in _blocks(X)])

    def slope(self, X: Rows) -> Rows:
        """The gradient of the distance, (x − mean) / ‖x − mean‖; 0 at the mean."""
        away: Rows = np.asarray(X, dtype=np.float64) - self.mean_
        away /= _not_zero(np.linalg.norm(away, axis=1))
        return away

    def explain(self, X: Rows) -> Rows:
        """Each feature's share of the squared distance, shape (rows, features); every row sums to 1."""
        return shares((np.asarray(X, dtype=np.float64) - self.mean_) ** 2)

    def reconstruct(self, X: Rows) -> Rows:
        """The training mean, once for each row."""
        return np.broadcast_to(self.mean_, X.shape)


class Mahalanobis:
    """Mahalanobis distance with the covariance shrunk after Ledoit and Wolf (2004): the linear sanity line."""

    def __init__(self, *, seed: int = 0, threads: int = 1) -> None:
        self.notes: list[str] = []

    def fit(self, X: Rows) -> Self:
        rows, features = X.shape
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        products, squares = np.zeros((features, features)), np.zeros((features, features))
        for block in _blocks(X):
            centred = block - self.mean_
            products += centred.T @ centred
            centred *= centred
            squares += centred.T @ centred
        covariance = products / rows
        # how far the covariance is from the nearest multiple of the identity, and how much of that is sampling error
        scale = np.trace(covariance) / features
        distance = float(np.sum(covariance**2) - features * scale**2)
        error = float(np.sum(squares / rows - covariance**2)) / rows
        self.shrinkage_ = min(1.0, error / distance) if distance > 0 else 0.0
        self.covariance_ = (1.0 - self.shrinkage_) * covariance + self.shrinkage_ * scale * np.eye(features)
        self.precision_ = np.linalg.pinv(self.covariance_, hermitian=True)
        return self

    def decision_function(self, X: Rows) -> Rows:
        def distances(block: Rows) -> Rows:
            centred = block - self.mean_
            return np.asarray(np.sqrt(np.einsum("ij,ij->i", centred @ self.precision_, centred)))

        return np.concatenate([distances(block) for block in _blocks(X)])

    def slope(self, X: Rows) -> Rows:
        """The gradient of the distance d, P (x − mean) / d with P the precision; 0 at the mean."""
        away: Rows = (np.asarray(X, dtype=np.float64) - self.mean_) @ self.precision_
        away /= _not_zero(self.decision_function(X))
        return away

    def explain(self, X: Rows) -> Rows:
        """Each feature's share of the squared distance, shape (rows, features); every row sums to 1.

        With D the standard deviations and R the correlations, the distance is ‖w‖ with w = R^(−1/2) D^(−1) (x − mean),
        and of all whitenings this one keeps each w closest to its own feature (Garthwaite and Koch 2016): where the
        features are uncorrelated, the shares are those of the standardised squares.
        """
        deviation = np.sqrt(np.diag(self.covariance_))
        deviation = np.where(deviation > 0, deviation, 1.0)
        values, vectors = np.linalg.eigh(self.covariance_ / np.outer(deviation, deviation))
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        roots = 1.0 / np.sqrt(np.where(kept, values, np.inf))
        standardised = (np.asarray(X, dtype=np.float64) - self.mean_) / deviation
        return shares((standardised @ (vectors * roots) @ vectors.T) ** 2)

    def reconstruct(self, X: Rows) -> Rows:
        """The training mean, once for each row."""
        return np.broadcast_to(self.mean_, X.shape)
