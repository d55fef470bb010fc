"""What pictures of single test rows need, kept beside a record: latent means in the plane, and what scores highest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.detect.detector import Rows
from bench.records.arrays import Arrays

if TYPE_CHECKING:
    from datasets.dataset import Dataset

PICTURED_ROWS = 1_000
"""Test rows whose latent means are kept: enough for a picture, few enough for t-SNE."""
TOP_PICTURED = 8
"""Highest-scoring test rows that are kept with their reconstructions."""
SURFACE, MARGIN = 80, 0.15
"""Places along each side of a decision surface, and how far it goes beyond the rows, as a share of their extent."""
SEEN = 8
"""Test rows of each class that are shown beside their reconstructions."""
DRAWN = 16
"""Rows drawn from the prior."""
STEPS, WALKED = 9, 5.0
"""Places along a latent dimension, and the percentile of the latent means, from both ends, at which a walk begins."""
MOST_FEATURES = 4_096
"""Of a row that is shown."""
PERPLEXITY = 30.0
"""Of t-SNE, the default of its authors' code; a third of the rows where these are few."""


def highest(scores: Rows, count: int) -> NDArray[np.intp]:
    """The places of the highest scores, the highest first, and of equal ones the first first."""
    return np.argsort(-np.asarray(scores), kind="stable")[:count]


def pictures(detector: Any, data: Dataset, scores: Rows, *, seed: int) -> Arrays:
    """What pictures of single test rows need, as far as the data and the detector have it.

    ============================================  ======================================================
    ``X_plane``, (n, 2)                           all test rows, of data with two features
    ``mu``, (m, latent); ``mu_rows``, (m,)        latent means of at most ``PICTURED_ROWS`` test rows, a
                                                  sample by the seed, and which rows these are
    ``mu_pca``, ``mu_tsne``, (m, 2)               their principal components, and t-SNE (van der Maaten
                                                  and Hinton 2008); the latter from four rows on
    ``top_rows``, (k,); ``top_inputs``,           the test rows that score highest, at most
    ``top_reconstructions``, (k, features)        ``TOP_PICTURED``
    ``surface``, (s, s); ``surface_low``,         scores over the plane, of data with two features, row by
    ``surface_high``, (2,)                        row from the lowest corner to the highest
    ============================================  ======================================================

    and of a network what ``learned`` gives.
    """
    found: Arrays = {}
    X = data.X_test
    if data.features == 2:
        found |= {"X_plane": X, **surface(detector, data)}
    if hasattr(detector, "encode"):
        sample = np.random.default_rng(seed).choice(len(X), min(PICTURED_ROWS, len(X)), replace=False)
        sample.sort()
        mu = np.asarray(detector.encode(X[sample])[0], dtype=np.float32)
        found |= {"mu": mu, "mu_rows": sample.astype(np.int32), **_planes(mu, seed)}
    if hasattr(detector, "reconstruct"):
        top = highest(scores, TOP_PICTURED)
        found["top_rows"] = top.astype(np.int32)
        found["top_inputs"] = X[top]
        found["top_reconstructions"] = np.asarray(detector.reconstruct(X[top]), dtype=np.float32)
    if hasattr(detector, "generate"):
        found |= learned(detector, data, seed=seed)
    return found


def surface(detector: Any, data: Dataset) -> Arrays:
    """The scores over the plane that holds all rows, with a margin: the decision surface of two features."""
    every = np.concatenate([data.X_train, data.X_val, data.X_test])
    low, high = every.min(axis=0), every.max(axis=0)
    margin = MARGIN * (high - low)
    low, high = low - margin, high + margin
    x, y = (np.linspace(low[axis], high[axis], SURFACE, dtype=np.float32) for axis in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    scores = np.asarray(detector.decision_function(np.ascontiguousarray(grid)), dtype=np.float64)
    limits = np.finfo(np.float32)
    known = np.nan_to_num(scores, nan=float(limits.max)).clip(limits.min, limits.max).astype(np.float32)
    return {
        "surface": known.reshape(SURFACE, SURFACE),
        "surface_low": low.astype(np.float32),
        "surface_high": high.astype(np.float32),
    }


def learned(detector: Any, data: Dataset, *, seed: int) -> Arrays:
    """What a network has learned: rows and their reconstructions, rows drawn from the prior, and a walk.

    ============================================  ======================================================
    ``seen_rows``, (k,); ``seen_inputs``,         ``SEEN`` test rows of each class, drawn by the seed,
    ``seen_reconstructions``, (k, features)       the normal ones first
    ``drawn``, (``DRAWN``, features)              the decoder's output at latent points drawn from the
                                                  network's prior; of a variational network alone
    ``walk``, (w, w, features); ``walk_axes``,    its output along two latent dimensions, those whose
    (2,); ``walk_low``, ``walk_high``, (2,)       means differ most between test rows, from the lowest to
                                                  the highest of both, all others at their mean; with one
                                                  latent dimension the second axis has one place
    ============================================  ======================================================
    """
    if data.features > MOST_FEATURES:
        return {}
    rng = np.random.default_rng(seed)
    X, anomalous = data.X_test, data.y_test == 1
    rows = np.concatenate([_some(np.flatnonzero(kind), rng) for kind in (~anomalous, anomalous)])
    found: Arrays = {
        "seen_rows": rows.astype(np.int32),
        "seen_inputs": X[rows],
        "seen_reconstructions": np.asarray(detector.reconstruct(X[rows]), dtype=np.float32),
    }
    if detector.kind == "vae":
        found["drawn"] = np.asarray(detector.generate(detector.draw_prior(DRAWN, rng)), dtype=np.float32)
    sample = np.sort(rng.choice(len(X), min(PICTURED_ROWS, len(X)), replace=False))
    mu = np.asarray(detector.encode(X[sample])[0], dtype=np.float64)
    axes = np.argsort(-mu.std(axis=0), kind="stable")[:2]
    low, high = (np.percentile(mu[:, axes], share, axis=0) for share in (WALKED, 100 - WALKED))
    places = [np.linspace(low[k], high[k], STEPS) for k in range(len(axes))]
    points = np.tile(mu.mean(axis=0), (STEPS, STEPS if len(axes) > 1 else 1, 1))
    points[:, :, axes[0]] = places[0][:, None]
    if len(axes) > 1:
        points[:, :, axes[1]] = places[1][None, :]
    walk = np.asarray(detector.generate(points.reshape(-1, mu.shape[1])), dtype=np.float32)
    return found | {
        "walk": walk.reshape(*points.shape[:2], -1),
        "walk_axes": axes.astype(np.int32),
        "walk_low": low.astype(np.float32),
        "walk_high": high.astype(np.float32),
    }


def _some(rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    return np.sort(rng.choice(rows, min(SEEN, len(rows)), replace=False))


def _planes(mu: NDArray[np.float32], seed: int) -> Arrays:
    """The latent means brought into the plane in two ways."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    rows, latent = mu.shape
    found = {"mu_pca": np.zeros((rows, 2), dtype=np.float32)}
    components = min(2, latent, rows)
    spread = mu.std(axis=0).max() > 0  # of a posterior that has collapsed altogether all means may be one point
    if spread:
        found["mu_pca"][:, :components] = PCA(components, svd_solver="full").fit_transform(mu)
    if rows >= 4:
        found["mu_tsne"] = np.zeros((rows, 2), dtype=np.float32)
        if spread:
            start = "pca" if latent > 1 else "random"
            tsne = TSNE(perplexity=min(PERPLEXITY, (rows - 1) / 3), init=start, random_state=seed)
            found["mu_tsne"] = tsne.fit_transform(mu).astype(np.float32)
    return found
