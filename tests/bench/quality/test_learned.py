"""What pictures of a network keep: reconstructions of rows of both classes, the prior, a walk, the decision surface."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import datasets
from bench.quality import pictures


class Network:
    """A linear network of three latent units, of which the second varies most and the third not at all."""

    def __init__(self, features, kind="vae"):
        rng = np.random.default_rng(0)
        self.kind, self.spec = kind, SimpleNamespace(latent=3)
        self.into = rng.normal(size=(features, 3)) * [1.0, 5.0, 0.0]
        self.out = rng.normal(size=(3, features))

    def encode(self, X):
        return X @ self.into, np.zeros((len(X), 3))

    def draw_prior(self, count, rng):
        return rng.standard_normal((count, 3))

    def generate(self, Z):
        return Z @ self.out

    def reconstruct(self, X):
        return self.generate(self.encode(X)[0])

    def decision_function(self, X):
        return np.abs(X).max(axis=1)


@pytest.fixture(scope="module")
def data():
    return datasets.load("blobs-2d")


def test_rows_of_both_classes_come_with_their_reconstructions_the_normal_ones_first(data):
    network = Network(2)
    found = pictures.learned(network, data, seed=3)
    labels = data.y_test[found["seen_rows"]]
    assert labels.tolist() == [0] * pictures.SEEN + [1] * pictures.SEEN
    np.testing.assert_array_equal(found["seen_inputs"], data.X_test[found["seen_rows"]])
    np.testing.assert_allclose(found["seen_reconstructions"], network.reconstruct(found["seen_inputs"]), rtol=1e-5)


def test_the_prior_is_drawn_by_the_seed_and_only_where_there_is_one(data):
    drawn = pictures.learned(Network(2), data, seed=3)["drawn"]
    np.testing.assert_array_equal(drawn, pictures.learned(Network(2), data, seed=3)["drawn"])
    points = drawn @ np.linalg.pinv(Network(2).out)
    assert points.shape == (pictures.DRAWN, 3)
    assert "drawn" not in pictures.learned(Network(2, "autoencoder"), data, seed=3)


def test_a_walk_goes_along_the_two_units_that_differ_most_with_the_others_at_their_mean(data):
    network = Network(2)
    found = pictures.learned(network, data, seed=3)
    assert found["walk_axes"].tolist() == [1, 0]
    mu = network.encode(data.X_test)[0]
    low, high = np.percentile(mu[:, [1, 0]], [5, 95], axis=0)
    np.testing.assert_allclose([found["walk_low"], found["walk_high"]], [low, high], rtol=1e-4)
    first, last = mu.mean(axis=0), mu.mean(axis=0)
    first[[1, 0]], last[[1, 0]] = low, high
    np.testing.assert_allclose(found["walk"][0, 0], network.generate(first), rtol=1e-3)
    np.testing.assert_allclose(found["walk"][-1, -1], network.generate(last), rtol=1e-3)
    first[1] = high[0]
    np.testing.assert_allclose(found["walk"][-1, 0], network.generate(first), rtol=1e-3)


def test_the_surface_has_the_scores_of_a_plane_that_holds_every_row(data):
    found = pictures.surface(Network(2), data)
    low, high = found["surface_low"], found["surface_high"]
    assert (low < data.X_test.min(axis=0)).all()
    assert (high > data.X_test.max(axis=0)).all()
    size = pictures.SURFACE
    x, y = (np.linspace(low[axis], high[axis], size) for axis in (0, 1))
    for row, column in ((0, 0), (3, 60), (size - 1, 7)):
        expected = max(abs(x[column]), abs(y[row]))
        assert found["surface"][row, column] == pytest.approx(expected, rel=1e-5)


def test_draws_of_the_prior_are_standard_normal(data, monkeypatch):
    monkeypatch.setattr(pictures, "DRAWN", 2_000)
    network = Network(2)
    network.out = np.eye(3)[:, :2]
    drawn = pictures.learned(network, data, seed=0)["drawn"]
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 0.001
