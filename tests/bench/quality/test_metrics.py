"""Metrics equal scikit-learn's, and bootstrap intervals cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bench.quality.metrics import CURVE_POINTS, METRICS, quality, resamples_for


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=4, max_size=80), st.integers(0, 8))
@settings(deadline=None, max_examples=150)
def test_every_metric_equals_scikit_learns_also_with_ties(rows, threshold):
    scores = np.array([score for score, _ in rows], dtype=float)
    labels = np.array([int(label) for _, label in rows])
    assume(0 < labels.sum() < len(labels))
    found = quality(scores, labels, [threshold], resamples=2)
    flagged = scores > threshold
    expected = {
        "roc_auc": sk.roc_auc_score(labels, scores),
        "average_precision": sk.average_precision_score(labels, scores),
        "precision": sk.precision_score(labels, flagged, zero_division=0),
        "recall": sk.recall_score(labels, flagged),
        "f1": sk.f1_score(labels, flagged, zero_division=0),
        "accuracy": sk.accuracy_score(labels, flagged),
        "threshold": threshold,
    }
    assert found.metrics == pytest.approx(expected, abs=1e-12)
    tn, fp, fn, tp = sk.confusion_matrix(labels, flagged, labels=[0, 1]).ravel()
    assert found.confusion == {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
    histogram = found.histogram
    assert sum(histogram["normal"]) == (labels == 0).sum()
    assert sum(histogram["anomaly"]) == labels.sum()
    fpr, tpr = found.roc_curve["fpr"], found.roc_curve["tpr"]
    assert np.trapezoid(tpr, fpr) == pytest.approx(found.metrics["roc_auc"], abs=1e-3)


def draw(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    labels = (np.arange(rows) < rows // 4).astype(int)
    return rng.normal(size=rows) + labels, labels


def test_the_auc_interval_covers_the_true_value_about_as_often_as_it_claims():
    true = 0.7602  # P(N(1, 1) > N(0, 1)) = Φ(1 / √2)
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        low, high = quality(*draw(rng, 200), [0.5], resamples=200).intervals["roc_auc"]
        covered += low <= true <= high
    # 95 % of 200 is 190; a wrong percentile (90 %, say) would give about 180
    assert 182 <= covered <= 200


def test_the_interval_of_each_metric_agrees_with_a_plain_bootstrap():
    rng = np.random.default_rng(1)
    scores, labels = draw(rng, 300)
    found = quality(scores, labels, [0.8], resamples=1000)
    values = []
    for _ in range(1000):
        chosen = rng.integers(0, 300, 300)
        s, y = scores[chosen], labels[chosen]
        flagged = s > 0.8
        hits = (flagged & (y == 1)).sum()
        precision, recall = hits / flagged.sum(), hits / y.sum()
        f1 = 2 * precision * recall / (precision + recall)
        accuracy = (flagged == y).mean()
        values.append([sk.roc_auc_score(y, s), sk.average_precision_score(y, s), precision, recall, f1, accuracy])
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    for i, name in enumerate(METRICS):
        width = high[i] - low[i]
        assert found.intervals[name] == pytest.approx((low[i], high[i]), abs=0.15 * width), name


def test_a_long_curve_is_thinned_without_changing_its_area():
    scores, labels = draw(np.random.default_rng(2), 20_000)
    found = quality(scores, labels, [1.0], resamples=2)
    assert len(found.roc_curve["fpr"]) <= CURVE_POINTS
    assert found.roc_curve["fpr"][0] == found.roc_curve["tpr"][0] == 0.0
    assert found.roc_curve["fpr"][-1] == found.roc_curve["tpr"][-1] == 1.0
    area = np.trapezoid(found.roc_curve["tpr"], found.roc_curve["fpr"])
    assert area == pytest.approx(found.metrics["roc_auc"], abs=2e-3)


def test_one_extreme_score_does_not_flatten_the_histogram():
    scores, labels = draw(np.random.default_rng(3), 1000)
    scores[0] = 1e9
    histogram = quality(scores, labels, [1.0], resamples=2).histogram
    assert histogram["edges"][-1] < 10
    assert histogram["clipped"] >= 1
    assert np.count_nonzero(histogram["normal"]) > 10


def test_many_rows_get_fewer_resamples_and_the_result_tells_how_many():
    assert [resamples_for(rows) for rows in (10, 200_000, 400_000, 10_000_000)] == [1000, 1000, 500, 200]
    scores, labels = draw(np.random.default_rng(4), 100)
    assert quality(scores, labels, [1.0]).resamples == 1000


def test_a_resample_without_one_of_the_classes_is_drawn_again():
    scores, labels = np.arange(6.0), np.array([0, 0, 0, 0, 0, 1])
    # a third of all resamples has no anomaly, and one in 150 no normal row
    found = quality(scores, labels, [4.5], resamples=500)
    assert found.intervals["roc_auc"] == (1.0, 1.0)
    assert found.intervals["recall"] == (1.0, 1.0)
