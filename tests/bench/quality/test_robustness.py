"""Anomalies that are moved to look normal: no further than ε, never out of the data, and never to look worse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bench.detect.sanity import Mahalanobis, Norm
from bench.quality import robustness as hiding
from bench.quality.robustness import hidden, robustness

RNG = np.random.default_rng(0)
TRAIN = RNG.normal(size=(400, 3)).astype(np.float32)
ANOMALIES = RNG.normal(size=(50, 3)).astype(np.float32) * 3
EVERYWHERE = np.array([-100.0, 100.0], dtype=np.float32)


def made(normal: np.ndarray, anomalies: np.ndarray) -> SimpleNamespace:
    labels = np.repeat([0, 1], [len(normal), len(anomalies)])
    return SimpleNamespace(X_train=TRAIN, X_test=np.concatenate([normal, anomalies]), y_test=labels)


@pytest.mark.parametrize("detector", [Norm(), Mahalanobis()], ids=["norm", "mahalanobis"])
def test_slopes_equal_finite_differences_of_the_distance(detector):
    detector.fit(TRAIN)
    X, step = ANOMALIES[:5].astype(np.float64), 1e-6
    for feature in range(3):
        moved = [X.copy(), X.copy()]
        for at, side in zip(moved, (step, -step), strict=True):
            at[:, feature] += side
        above, below = map(detector.decision_function, moved)
        np.testing.assert_allclose(detector.slope(X)[:, feature], (above - below) / (2 * step), rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(detector.slope(detector.mean_[None]), 0.0)


def test_an_anomaly_comes_as_near_as_epsilon_lets_it():
    """To the mean, a row comes nearest by ε in every column."""
    detector = Norm().fit(TRAIN)
    for epsilon in (0.1, 1.0):
        away = np.maximum(np.abs(ANOMALIES - detector.mean_) - epsilon, 0.0)
        lowest = hidden(detector, ANOMALIES, epsilon, EVERYWHERE)
        assert (lowest >= np.linalg.norm(away, axis=1) - 1e-5).all()
        # steps have a length: about the mean they go to and fro
        np.testing.assert_allclose(lowest, np.linalg.norm(away, axis=1), atol=epsilon / 2)


class Fleeing:
    """Tells where it was asked, and wants all values higher."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def slope(self, X: np.ndarray) -> np.ndarray:
        return -np.ones_like(X)

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        self.asked.append(X)
        return -X.sum(axis=1, dtype=np.float64)


def test_no_value_goes_further_than_epsilon_nor_out_of_what_training_rows_have():
    detector, X = Fleeing(), np.array([[0.0, 0.95, 2.0]], dtype=np.float32)
    lowest = hidden(detector, X, 0.1, np.array([-1.0, 1.0], dtype=np.float32))
    # the last value lies outside already, and goes no further out
    np.testing.assert_allclose(detector.asked[-1], [[0.1, 1.0, 2.0]], rtol=1e-6)
    assert lowest[0] == pytest.approx(-3.1)
    assert len(detector.asked) == hiding.STEPS
    steps = np.diff([at[0, 0] for at in detector.asked[:3]])
    np.testing.assert_allclose(steps, 2.5 * 0.1 / hiding.STEPS, rtol=1e-4)


def test_the_curve_begins_with_the_scores_as_they_are_and_never_rises():
    detector, data = Norm().fit(TRAIN), made(RNG.normal(size=(200, 3)).astype(np.float32), ANOMALIES)
    scores = detector.decision_function(data.X_test)
    found = robustness(detector, data, scores, (1.0, 0.2), seed=0)
    assert found["epsilons"] == [0.0, 0.2, 1.0]
    assert found["anomalies"] == len(ANOMALIES)
    expected = (scores[:200, None] < scores[None, 200:]).mean()
    assert found["roc_auc"][0] == pytest.approx(expected)
    assert found["roc_auc"] == sorted(found["roc_auc"], reverse=True)
    assert found["roc_auc"][-1] < found["roc_auc"][0] - 0.05


def test_of_very_many_anomalies_a_seeded_sample_is_moved(monkeypatch):
    monkeypatch.setattr(hiding, "MOST_ANOMALIES", 10)
    detector, data = Norm().fit(TRAIN), made(TRAIN, ANOMALIES)
    scores = detector.decision_function(data.X_test)
    first, again, other = (robustness(detector, data, scores, (0.5,), seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first["anomalies"] == 10
    assert first["roc_auc"] != other["roc_auc"]
