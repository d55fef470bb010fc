"""Explanations: what each feature's share of a row's score is.

Where a score is a sum over the features, its terms are the explanation. Where it is not, a feature's part is what the
score falls by when that feature alone is set to a typical value (occlusion, after Zeiler and Fergus 2014).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.detect.detector import Rows


def shares(parts: Rows) -> Rows:
    """Parts that are 0 or more, of shape (rows, features), divided by their row's sum; of nothing, equal shares."""
    total = parts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(parts, total, out=np.full_like(parts, 1.0 / parts.shape[1]), where=total > 0))


def squared_error(reconstruction: Rows, X: Rows) -> Rows:
    """(x̂ − x)² per feature, the terms of ``mse`` and, times a factor, of a Gaussian with one variance."""
    return np.asarray((reconstruction - X) ** 2)


def absolute_error(reconstruction: Rows, X: Rows) -> Rows:
    """|x̂ − x| per feature."""
    return np.abs(reconstruction - X)


def excess_cross_entropy(reconstruction: Rows, X: Rows) -> Rows:
    """x log(x / x̂) + (1 − x) log((1 − x) / (1 − x̂)) per feature: the cross-entropy less what x itself would have.

    The entropy of a grey pixel is no error, and is the same for every reconstruction; without it no part is negative.
    """
    from scipy.special import rel_entr

    tiny = np.finfo(np.float32).tiny
    parts = rel_entr(X, np.maximum(reconstruction, tiny)) + rel_entr(1.0 - X, np.maximum(1.0 - reconstruction, tiny))
    return np.asarray(np.maximum(parts, 0.0))


def occlusion(score: Callable[[Rows], Rows], X: Rows, typical: Rows) -> Rows:
    """By how much each row's score falls when one feature is set to its typical value, and 0 where it rises.

    Parameters
    ----------
    score : callable
        One score a row.
    X : float array of shape (rows, features)
        Each row is scored once for every feature.
    typical : float array of shape (features,)

    Returns
    -------
    float array of shape (rows, features)
    """
    features = X.shape[1]
    falls = np.empty((len(X), features))
    for place, row in enumerate(X):
        variants = np.repeat(row[np.newaxis], features + 1, axis=0)
        np.fill_diagonal(variants, typical)
        scores = np.asarray(score(variants), dtype=np.float64)
        falls[place] = scores[-1] - scores[:-1]
    return np.maximum(falls, 0.0)
