"""The bootstrap over test rows, for what a record holds no interval of: bands of ROC curves, differences of AUCs.

As in the harness a resample weighs every row by an independent Poisson(1) count (Hanley and MacGibbon 2006). Detectors
that scored the same rows are given the same weights, so that their difference is that of pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]
Weights = NDArray[np.float32]

GRID = np.linspace(0.0, 1.0, 201)
"""False positive rates at which a band is known."""


def weights(labels: Labels, resamples: int, seed: int = 0) -> Weights:
    """Counts of shape (resamples, rows); every resample has both classes."""
    rng = np.random.default_rng(seed)
    drawn = rng.poisson(1.0, (resamples, len(labels))).astype(np.float32)
    for kind in (labels, ~labels):
        drawn[np.ix_(~drawn[:, kind].any(axis=1), kind)] = 1.0
    return drawn


def aucs(scores: Scores, labels: Labels, weights: Weights) -> Scores:
    """The ROC AUC of each resample; a tie counts one half (Hanley and McNeil 1982)."""
    places = np.flatnonzero(~labels)
    places = places[np.argsort(scores[places], kind="stable")]
    below = np.zeros((len(weights), len(places) + 1))  # how many normal rows each number of the first of them weighs
    np.cumsum(weights[:, places], axis=1, out=below[:, 1:])
    less, no_more = (np.searchsorted(scores[places], scores[labels], side) for side in ("left", "right"))
    drawn = weights[:, labels].astype(np.float64)
    above = np.einsum("ij,ij->i", drawn, below[:, less]) + np.einsum("ij,ij->i", drawn, below[:, no_more])
    return np.asarray(0.5 * above / (drawn.sum(axis=1) * below[:, -1]))


def roc_band(scores: Scores, labels: Labels, weights: Weights) -> tuple[Scores, Scores]:
    """The 2.5th and the 97.5th percentile of the true positive rates on ``GRID``."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order]) != 0), len(scores) - 1)
    drawn, anomalous = weights[:, order], labels[order]
    true = np.cumsum(drawn * anomalous, axis=1, dtype=np.float64)[:, ends]
    false = np.cumsum(drawn * ~anomalous, axis=1, dtype=np.float64)[:, ends]
    curves = [
        np.interp(GRID, np.append(0.0, f / f[-1]), np.append(0.0, t / t[-1])) for t, f in zip(true, false, strict=True)
    ]
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return low, high
