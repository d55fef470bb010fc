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
    ============================================  ======================================================
    """
    found: Arrays = {}
    X = data.X_test
    if data.features == 2:
        found["X_plane"] = X
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
    return found


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
