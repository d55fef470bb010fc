"""Metrics over time: worked examples, what the authors' own code gives, and what each metric is there to tell apart."""

from __future__ import annotations

import numpy as np
import pytest

import datasets
from bench.quality import series
from bench.quality.evaluation import evaluate
from bench.quality.steps import step_scores
from bench.quality.thresholds import Threshold
from datasets.dataset import Stretch


def steps(spans, count):
    flags = np.zeros(count, dtype=bool)
    for start, stop in spans:
        flags[start:stop] = True
    return flags


def test_spans_are_the_stretches_of_flagged_steps_up_to_both_ends():
    assert series.spans(steps([(0, 2), (5, 6), (9, 10)], 10)).tolist() == [[0, 2], [5, 6], [9, 10]]
    assert series.spans(np.zeros(3, dtype=bool)).shape == (0, 2)


@pytest.mark.parametrize(
    ("alarms", "events", "count", "precision", "recall"),
    [
        # the first is the example of the authors' tests, one step earlier; all values are those of their code
        (
            [(0, 2), (5, 17), (24, 25)],
            [(0, 7), (15, 16), (24, 27), (28, 30)],
            30,
            0.7278338945005611,
            0.697195165945166,
        ),
        ([(3, 5), (40, 44), (60, 61)], [(10, 14), (40, 48)], 64, 0.6145145145145146, 0.7137137137137137),
        ([(63, 64)], [(0, 4)], 64, 0.0078125, 0.015625),
        ([(4, 9)], [(4, 9)], 20, 1.0, 1.0),
    ],
)
def test_affiliation_is_that_of_its_authors(alarms, events, count, precision, recall):
    found = series.affiliation(steps(alarms, count), steps(events, count))
    assert found == pytest.approx((precision, recall), rel=1e-12)


def test_an_alarm_is_worth_more_the_nearer_it_is_and_alarms_at_random_half():
    events = steps([(480, 520)], 1000)
    near, far = (series.affiliation(steps([(start, start + 5)], 1000), events)[0] for start in (470, 200))
    assert 1 > near > 0.9 > 0.45 > far > 0
    everywhere = np.zeros(100_000, dtype=bool)
    everywhere[::97] = True
    assert series.affiliation(everywhere, steps([(50_000, 50_010)], 100_000))[0] == pytest.approx(0.5, abs=0.01)


def test_range_metrics_count_events_alike_and_alarms_in_pieces_for_less():
    # by hand: of the first event 3 of 4 steps by two alarms, (3/4) / 2; the second is missed; of three alarms two lie
    # wholly in an event, and one not at all
    events, alarms = steps([(10, 14), (20, 40)], 50), steps([(10, 12), (13, 14), (45, 50)], 50)
    assert series.range_based(alarms, events) == pytest.approx(((1 + 1 + 0) / 3, (0.375 + 0) / 2))
    # an alarm that began before the event goes on in it, and another begins there: 5 of 10 steps in two pieces
    assert series.range_based(steps([(5, 12), (15, 18)], 30), steps([(10, 20)], 30))[1] == pytest.approx(0.25)
    # an alarm that spans both events: 24 of 40 steps, in two pieces
    long = steps([(5, 45)], 50)
    assert series.range_based(long, events) == pytest.approx((24 / 40 / 2, 1.0))


@pytest.mark.parametrize(
    ("window", "roc", "pr"),
    [
        (0, 0.7736842105263159, 0.5060606060606061),
        (3, 0.8092767897787565, 0.5669864860889118),
        (8, 0.8932730757389657, 0.7398699546862622),
    ],
)
def test_the_volume_is_that_of_its_authors(window, roc, pr):
    labels = steps([(4, 8), (15, 16)], 24)
    scores = (7 * np.arange(24) % 24) / 24 + 0.5 * labels
    assert series.vus(scores, labels, window, thresholds=24) == pytest.approx((roc, pr), rel=1e-12)


def test_an_alarm_a_little_late_costs_the_volume_less_than_the_plain_area():
    labels, late = steps([(500, 510)], 1000), np.zeros(1000)
    late[512:520] = 1.0 + np.arange(8) / 100
    plain, volume = (series.vus(late, labels, window, thresholds=1000)[0] for window in (0, 60))
    assert plain < 0.55
    assert volume > plain + 0.15


def test_random_flags_look_good_by_point_adjusted_f1_and_by_nothing_else():
    labels = steps([(start, start + 200) for start in range(300, 10_000, 1_000)], 10_000)
    flags = np.random.default_rng(0).random(10_000) < 0.02
    found = series.at_threshold(flags, labels)
    assert found["point_adjusted_f1"] > 0.9
    assert found["event_recall"] > 0.9
    assert found["range_f1"] < 0.1
    assert found["affiliation_precision"] == pytest.approx(0.6, abs=0.05)  # 0.2 of the steps are anomalous


def test_without_an_alarm_precision_is_not_told_and_all_else_is_zero():
    found = series.at_threshold(np.zeros(20, dtype=bool), steps([(3, 5)], 20))
    assert found == {
        "range_recall": 0.0,
        "range_f1": 0.0,
        "affiliation_recall": 0.0,
        "affiliation_f1": 0.0,
        "event_recall": 0.0,
        "point_adjusted_f1": 0.0,
    }


def test_a_step_has_the_mean_of_the_windows_that_hold_it():
    found = step_scores(np.array([1.0, 3.0, 8.0]), Stretch(np.array([0, 2, 5]), 9), 3)
    np.testing.assert_array_equal(found, [1, 1, 2, 3, 3, 8, 8, 8, np.nan])


class Distance:
    """Larger where a window is farther from the mean of training."""

    def __init__(self, X):
        self.mean = X.mean(axis=0)

    def decision_function(self, X):
        return ((X - self.mean) ** 2).sum(axis=1)


def test_a_trial_tells_metrics_of_steps_with_a_threshold_of_steps_and_keeps_what_a_picture_needs():
    data = datasets.load("sensors?steps=8000&anomalies=1&window=8&stride=4", seed=1)
    detector = Distance(data.X_train)
    scores = detector.decision_function(data.X_test)
    rule = Threshold(rule="percentile", value=99.0)
    record, arrays = evaluate(detector, data, scores, kinds=(), thresholds=[rule], pictured=False, seed=0)
    told = record["series"]
    validation = step_scores(detector.decision_function(data.X_val), data.series.val, 8)
    assert told["threshold"] == pytest.approx(np.percentile(validation, 99))
    assert told["threshold"] < record["metrics"]["threshold"]
    flags = arrays["series.scores"] > told["threshold"]
    labels = arrays["series.labels"] == 1
    assert told["metrics"]["event_recall"] == pytest.approx(series.detected(flags, series.spans(labels)).mean())
    assert told["kinds"].keys() == {"point", "level shift", "stuck", "broken correlation", "drift"}
    assert sum(hit for hit, _ in told["kinds"].values()) == round(5 * told["metrics"]["event_recall"])
    edges, low, high = (arrays[f"series.{name}"] for name in ("edges", "low", "high"))
    assert low.shape == high.shape == (len(edges) - 1, 5)
    np.testing.assert_array_equal(low.min(axis=0), data.series.values.min(axis=0))
    np.testing.assert_array_equal(high.max(axis=0), data.series.values.max(axis=0))
