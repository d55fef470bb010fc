"""Test rows that are taken out, with their labels, to choose between settings by."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.quality.evaluation import evaluate, taken_out
from bench.quality.thresholds import Threshold
from datasets.dataset import Dataset, Provenance


def test_the_share_of_each_class_is_taken_alike_for_every_detector_and_anew_for_every_seed():
    labels = np.repeat([0, 1], [100, 20])
    taken = taken_out(labels, 0.2, 3)
    assert (taken[labels == 0].sum(), taken[labels == 1].sum()) == (20, 4)
    assert np.array_equal(taken, taken_out(labels, 0.2, 3))
    assert not np.array_equal(taken, taken_out(labels, 0.2, 4))


@pytest.mark.parametrize(("anomalies", "expected"), [(1, 0), (2, 1), (3, 1)])
def test_a_class_keeps_at_least_one_row_and_gives_one_where_it_has_two(anomalies, expected):
    labels = np.repeat([0, 1], [50, anomalies])
    for share in (0.01, 0.5, 0.99):
        taken = taken_out(labels, share, 0)
        assert anomalies - taken[labels == 1].sum() >= 1
        assert taken[labels == 1].sum() >= expected


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2)).astype(np.float32)
    y = (rng.random(300) < 0.3).astype(np.int8)
    X[y == 1] += 1
    return Dataset("made", X[:50], X[50:100], X, y, ("a", "b"), Provenance("made", "made"))


def test_every_figure_is_of_the_rows_that_are_left_and_the_choice_of_those_taken_out(data):
    detector = SimpleNamespace(decision_function=lambda X: X.sum(axis=1))
    scores = data.X_test.sum(axis=1).astype(np.float64)
    found, arrays = evaluate(
        detector, data, scores, kinds=(), thresholds=(Threshold(),), pictured=False, labelled=0.25, seed=1
    )
    taken = taken_out(data.y_test, 0.25, 1)
    left = ~taken
    assert found["metrics"]["roc_auc"] == pytest.approx(roc_auc_score(data.y_test[left], scores[left]))
    assert sum(found["confusion"].values()) == left.sum() == len(arrays["y_test"])
    told = found["labelled_validation"]
    assert (told["rows"], told["anomalies"]) == (taken.sum(), data.y_test[taken].sum())
    assert told["metrics"]["decision"] == pytest.approx(
        {
            "roc_auc": roc_auc_score(data.y_test[taken], scores[taken]),
            "average_precision": average_precision_score(data.y_test[taken], scores[taken]),
        }
    )


def test_without_a_share_nothing_is_taken_out(data):
    detector = SimpleNamespace(decision_function=lambda X: X.sum(axis=1))
    scores = data.X_test.sum(axis=1).astype(np.float64)
    found, arrays = evaluate(detector, data, scores, kinds=(), thresholds=(Threshold(),), pictured=False, seed=1)
    assert "labelled_validation" not in found
    assert len(arrays["y_test"]) == 300
