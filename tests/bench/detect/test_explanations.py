"""Explanations: shares that are 0 or more and sum to 1, and that come from the score they explain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import inv, sqrtm
from scipy.special import entr

import datasets
from backends import reference
from backends.spec import NetworkSpec, TrainingSettings
from bench.detect import registry
from bench.detect.autoencoder import SCORES
from bench.detect.explanations import excess_cross_entropy, occlusion, shares

KINDS = tuple(kind for kind in SCORES if kind != "bce")  # that one needs rows in [0, 1], and these are not
CLASSICAL = ("norm", "mahalanobis")
HYBRIDS = ("latent_isolation_forest", "latent_one_class_svm", "latent_knn", "rank_average")


@pytest.fixture(scope="module")
def data():
    return datasets.load("correlated?rows=1500", seed=3)


def network(name: str, data, *, likelihood: str = "mse", **more: Any):
    spec = NetworkSpec(features=data.features, hidden=(16,), latent=3, kind="vae", likelihood=likelihood)
    settings = TrainingSettings(precision="float64", batch_size=64)
    return registry.load(name)(backend=reference, spec=spec, settings=settings, epochs=3, **more).fit(data.X_train)


@pytest.fixture(scope="module")
def explaining(data):
    """Every detector that explains, trained, and the VAE once for each score that it can be given here."""
    found = {kind: network("vae", data, score=kind) for kind in KINDS}
    found |= {name: network(name, data) for name in HYBRIDS}
    return found | {name: registry.load(name)().fit(data.X_train) for name in CLASSICAL}


@pytest.mark.parametrize("name", [*KINDS, *HYBRIDS, *CLASSICAL])
def test_every_share_is_0_or_more_and_every_row_sums_to_1(name, explaining, data):
    found = explaining[name].explain(data.X_test[:20])
    assert found.shape == (20, data.features)
    assert found.min() >= 0.0
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-9)


@pytest.mark.parametrize("name", [*KINDS, *HYBRIDS, *CLASSICAL])
def test_a_feature_that_alone_is_wild_has_the_largest_share(name, explaining, data):
    wild = np.repeat(data.X_train[:1], 5, axis=0)
    np.fill_diagonal(wild[:, :5], 40.0)
    assert (explaining[name].explain(wild).argmax(axis=1) == np.arange(5)).mean() >= 0.8


@pytest.mark.parametrize(("kind", "power"), [("reconstruction", 2), ("mae", 1)])
def test_the_shares_of_a_reconstruction_score_are_its_own_terms(kind, power, explaining, data):
    detector, X = explaining[kind], data.X_test[:20].astype(np.float64)
    parts = detector.explain(X) * detector.decision_function(X)[:, None]
    np.testing.assert_allclose(parts, np.abs(detector.reconstruct(X) - X) ** power, rtol=1e-5)


def test_a_feature_of_a_large_variance_of_its_own_explains_less_of_a_score_by_likelihood(data):
    log_variance = np.linspace(-2.0, 2.0, data.features)
    for kind, scale in (("reconstruction", np.exp(log_variance) + np.exp(-12)), ("mse", 1.0), ("sampled", 1.0)):
        detector = network("vae", data, likelihood="diagonal_gaussian", score=kind)
        detector.model.import_weights(detector.model.export_weights() | {"output.log_variance": log_variance})
        X = data.X_test[:20].astype(np.float64)
        terms = (detector.reconstruct(X) - X) ** 2 / scale
        np.testing.assert_allclose(detector.explain(X), terms / terms.sum(axis=1, keepdims=True), rtol=1e-6)


def test_the_parts_of_a_cross_entropy_are_it_without_the_entropy_of_the_row():
    digits = datasets.load("digits:4", seed=0)
    detector, X = network("vae", digits, likelihood="bce"), digits.X_test[:20].astype(np.float64)
    parts = excess_cross_entropy(detector.reconstruct(X), X)
    assert parts.min() >= 0.0
    entropy = (entr(X) + entr(1.0 - X)).sum(axis=1)
    np.testing.assert_allclose(parts.sum(axis=1) + entropy, detector.decision_function(X), rtol=1e-6)
    np.testing.assert_allclose(detector.explain(X), shares(parts), rtol=1e-6)


def test_occlusion_of_a_weighted_sum_gives_its_terms():
    weights, typical = np.array([1.0, 2.0, -3.0]), np.array([0.5, 0.5, 0.5])
    X = np.array([[1.5, 1.5, 1.5], [0.5, 2.5, -0.5]])
    np.testing.assert_allclose(occlusion(lambda rows: rows @ weights, X, typical), [[1, 2, 0], [0, 4, 3]])


def test_a_row_that_nothing_explains_has_equal_shares():
    np.testing.assert_array_equal(shares(np.array([[0.0, 0.0], [1.0, 3.0]])), [[0.5, 0.5], [0.25, 0.75]])


def test_mahalanobis_explains_by_the_whitening_that_keeps_to_the_features(data):
    detector = registry.load("mahalanobis")().fit(data.X_train)
    deviation = np.sqrt(np.diag(detector.covariance_))
    root = sqrtm(inv(detector.covariance_ / np.outer(deviation, deviation))).real
    whitened = (data.X_test[:50].astype(np.float64) - detector.mean_) / deviation @ root
    np.testing.assert_allclose((whitened**2).sum(axis=1), detector.decision_function(data.X_test[:50]) ** 2, rtol=1e-9)
    np.testing.assert_allclose(detector.explain(data.X_test[:50]), shares(whitened**2), rtol=1e-6)
