"""The classical detectors: three of scikit-learn's.

Each uses all its threads where scikit-learn can: isolation forest and kNN in fit and scores, the one-class SVM in its
scores alone, since the exact solver runs on one core.
scikit-learn is what they require, so that its import is timed as such and not as the first fit, and whoever only asks
what there is does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Self

import numpy as np

from bench import DISTRIBUTION
from bench.detect.detector import Rows

SHARED_ROWS = 1_000
"""Rows from which threads are worth starting, after scikit-learn's own measurement for the isolation forest."""


class IsolationForest:
    """scikit-learn's isolation forest (Liu et al. 2008).

    Parameters
    ----------
    n_estimators : int, default 100
        Trees.
    """

    requires: ClassVar[tuple[str, ...]] = ("sklearn.ensemble",)
    install: ClassVar[str] = DISTRIBUTION

    def __init__(self, *, seed: int = 0, threads: int = 1, n_estimators: int = 100) -> None:
        _at_least_one(n_estimators=n_estimators)
        self.seed, self.threads, self.n_estimators = seed, threads, n_estimators
        self.notes: list[str] = []

    def fit(self, X: Rows) -> Self:
        from sklearn import ensemble

        self.forest_ = ensemble.IsolationForest(
            n_estimators=self.n_estimators, random_state=self.seed, n_jobs=self.threads
        ).fit(X)
        return self

    def decision_function(self, X: Rows) -> Rows:
        return -_shared(self.forest_.score_samples, X, self.threads)


class OneClassSVM:
    """One-class SVM with an RBF kernel (Schölkopf et al. 2001), γ = 1 / (features · variance).

    The exact solver is quadratic in the rows. Above ``exact_rows`` training rows the same kernel is approximated by
    ``n_components`` Nystroem features under a linear one-class SVM, and ``notes`` says so.

    Parameters
    ----------
    nu : float in (0, 1], default 0.1
        Upper bound on the share of training rows outside.
    exact_rows : int, default 10,000
    n_components : int, default 300
    """

    requires: ClassVar[tuple[str, ...]] = (
        "sklearn.svm",
        "sklearn.kernel_approximation",
        "sklearn.linear_model",
        "sklearn.pipeline",
    )
    install: ClassVar[str] = DISTRIBUTION

    def __init__(
        self, *, seed: int = 0, threads: int = 1, nu: float = 0.1, exact_rows: int = 10_000, n_components: int = 300
    ) -> None:
        if not 0.0 < nu <= 1.0:
            raise ValueError(f"nu must lie in (0, 1], not {nu}")
        _at_least_one(exact_rows=exact_rows, n_components=n_components)
        self.seed, self.threads = seed, threads
        self.nu, self.exact_rows, self.n_components = nu, exact_rows, n_components
        self.notes: list[str] = []

    def fit(self, X: Rows) -> Self:
        from sklearn import svm
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import SGDOneClassSVM
        from sklearn.pipeline import make_pipeline

        # Nystroem divides by the square roots of its landmarks' singular values, and duplicated rows make these nearly
        # nothing: in float32 the kernel's rounding errors would come out larger than the features
        X = np.asarray(X, dtype=np.float64)
        if len(X) <= self.exact_rows:
            self.model_ = svm.OneClassSVM(kernel="rbf", gamma="scale", nu=self.nu).fit(X)
            return self
        components = min(self.n_components, len(X))
        variance = float(np.var(X))
        gamma = 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0
        self.model_ = make_pipeline(
            Nystroem(gamma=gamma, n_components=components, random_state=self.seed),
            SGDOneClassSVM(nu=self.nu, random_state=self.seed, average=True),
        ).fit(X)
        self.notes = [
            f"one-class SVM ran on {components} Nystroem features with a linear one-class SVM: "
            f"there are more training rows than the {self.exact_rows:,} that the exact solver gets"
        ]
        return self

    def decision_function(self, X: Rows) -> Rows:
        return -_shared(self.model_.decision_function, np.asarray(X, dtype=np.float64), self.threads)


class NearestNeighbours:
    """Distance to the k-th nearest training row (Ramaswamy et al. 2000).

    Above ``reference_rows`` training rows a seeded sample of that size is searched, and ``notes`` says so: brute force
    costs rows × rows.

    Parameters
    ----------
    n_neighbors : int, default 5
    reference_rows : int, default 50,000
    """

    requires: ClassVar[tuple[str, ...]] = ("sklearn.neighbors",)
    install: ClassVar[str] = DISTRIBUTION

    def __init__(self, *, seed: int = 0, threads: int = 1, n_neighbors: int = 5, reference_rows: int = 50_000) -> None:
        _at_least_one(n_neighbors=n_neighbors, reference_rows=reference_rows)
        self.seed, self.threads, self.n_neighbors, self.reference_rows = seed, threads, n_neighbors, reference_rows
        self.notes: list[str] = []

    def fit(self, X: Rows) -> Self:
        from sklearn import neighbors

        if len(X) < self.n_neighbors:
            raise ValueError(f"knn needs at least n_neighbors = {self.n_neighbors} training rows, not {len(X)}")
        if len(X) > self.reference_rows:
            self.notes = [f"knn searched a seeded sample of {self.reference_rows:,} training rows"]
            chosen = np.random.default_rng(self.seed).choice(len(X), self.reference_rows, replace=False)
            X = X[np.sort(chosen)]
        self.index_ = neighbors.NearestNeighbors(n_neighbors=self.n_neighbors, n_jobs=self.threads).fit(X)
        return self

    def decision_function(self, X: Rows) -> Rows:
        distances, _ = self.index_.kneighbors(X)
        return np.asarray(distances[:, -1])


def _shared(score: Callable[[Rows], Rows], X: Rows, threads: int) -> Rows:
    """Scores rows in as many parts as there are threads. Every row's score is its own, so it comes out the same;
    scikit-learn's own parallel forest adds its trees up in whatever order they end."""
    if threads == 1 or len(X) < SHARED_ROWS:
        return np.asarray(score(X))
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(score, np.array_split(X, threads))))


def _at_least_one(**parameters: int) -> None:
    for name, value in parameters.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, not {value!r}")
