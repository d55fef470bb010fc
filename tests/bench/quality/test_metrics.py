"""Metrics equal scikit-learn's, and bootstrap intervals cover what they should."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bench.quality import intervals
from bench.quality.metrics import CURVE_POINTS, METRICS, _Ranking, quality, resamples_for


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=4, max_size=80), st.integers(0, 8))
@settings(deadline=None, max_examples=60)
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


MEASURED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"))


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
    for _ in range(600):
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
    low, high = found.intervals["average_precision"]
    assert 0 < low < 0.5
    assert high == 1.0


def test_a_perfect_score_of_few_rows_is_no_proof_of_perfection():
    def perfect(anomalies: int, normals: int) -> dict[str, tuple[float, float]]:
        labels = np.arange(anomalies + normals) < anomalies
        return quality(labels.astype(float), labels.astype(int), [0.5], resamples=20).intervals

    # at 1 the bound solves (1 − θ)² = z² V(θ), with Newcombe's variance of two and two rows
    low = perfect(2, 2)["roc_auc"][0]
    variance = low * (1 - low) * (1 + (1 - low) / (2 - low) + low / (1 + low)) / 4
    assert (1 - low) ** 2 == pytest.approx(1.959964**2 * variance)
    assert low == pytest.approx(0.3856, abs=5e-5)
    z2 = 1.959964**2
    wanted = {"recall": 2, "precision": 2, "average_precision": 2, "accuracy": 4}
    for name, rows in wanted.items():
        assert perfect(2, 2)[name] == (pytest.approx(rows / (rows + z2)), 1.0), name  # Wilson's, of nothing but hits
    share = 2 / (2 + z2)
    assert perfect(2, 2)["f1"] == (pytest.approx(2 * share / (1 + share)), 1.0)
    widths = [1 - perfect(rows, rows)["roc_auc"][0] for rows in (2, 5, 20, 50, 500)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.01


@pytest.mark.parametrize(
    ("hits", "rows", "expected"), [(0, 10, (0.0, 0.2775)), (81, 263, (0.2553, 0.3662)), (0, 0, (0, 1))]
)
def test_an_interval_of_a_share_is_wilsons(hits, rows, expected):
    # 81 of 263 is Newcombe's (1998) own example of the method; 0 of n has the upper bound z² / (n + z²)
    assert intervals.share(hits, rows) == pytest.approx(expected, abs=5e-5)


def test_the_variance_of_an_auc_is_delongs():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 12, 60) / 4.0, (np.arange(60) < 20).astype(int)
    scores[labels == 1] += 0.5
    x, y = scores[labels == 1], scores[labels == 0]
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    expected = wins.mean(axis=1).var(ddof=1) / len(x) + wins.mean(axis=0).var(ddof=1) / len(y)
    assert _Ranking(scores, labels, []).auc_variance() == pytest.approx(expected)
    assert np.isnan(_Ranking(np.arange(3.0), np.array([0, 0, 1]), []).auc_variance())


def test_the_interval_of_an_auc_comes_to_delongs_with_the_rows():
    labels = (np.arange(40_000) < 20_000).astype(int)
    scores = np.random.default_rng(1).normal(size=40_000) * (1 + 2 * labels) + 2 * labels
    found = quality(scores, labels, [1.0], resamples=2)
    half = 1.959964 * np.sqrt(_Ranking(scores, labels, []).auc_variance())
    auc = found.metrics["roc_auc"]
    assert found.intervals["roc_auc"] == pytest.approx((auc - half, auc + half), abs=0.01 * half)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_every_interval_lies_within_0_and_1_holds_its_value_and_has_a_width(anomalies, normals, seed):
    labels = (np.arange(anomalies + normals) < anomalies).astype(int)
    scores = np.random.default_rng(seed).integers(0, 4, len(labels)) + 2.0 * labels
    found = quality(scores, labels, [2.0], resamples=10)
    for name, (low, high) in found.intervals.items():
        assert 0 <= low <= found.metrics[name] <= high <= 1, name
        assert high - low > 0.05, name


@pytest.mark.parametrize(("anomalies", "normals"), [(2, 2), (5, 20), (50, 50)])
@pytest.mark.parametrize("auc", [0.5, 0.9, 0.97])
def test_the_interval_of_an_auc_covers_the_true_value_with_few_rows_and_near_1(anomalies, normals, auc):
    covered, width = MEASURED["of_auc"](anomalies, normals, auc, "alike", 400)
    assert covered >= 0.92  # 95 % less two standard errors, and what a discrete AUC cannot help
    assert width < 1


def test_resamples_that_are_weighed_together_have_the_average_precision_that_each_has_alone() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(50) % 7 == 0).astype(np.int8)
    ranking = _Ranking(rng.integers(0, 20, 50) + labels, labels, [10.0])
    weights = rng.poisson(1.0, (6, 50)).astype(np.int8)
    weights[2, ranking.labels] = 0
    weights[4, ~ranking.labels] = 0
    alone = [ranking.metrics(weights[place])[1] for place in (0, 1, 3, 5)]
    assert ranking.average_precisions(weights).tolist() == alone
