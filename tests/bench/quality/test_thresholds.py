"""Threshold rules: each flags the share it promises, and none sees a label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.quality.thresholds import RULES, Threshold

SCORES = arrays(np.float64, st.integers(20, 200), elements=st.floats(-1e6, 1e6, width=32), unique=True)


@given(SCORES, st.floats(1, 99))
@settings(deadline=None, max_examples=50)
def test_percentile_leaves_its_share_of_validation_scores_below(scores, q):
    threshold = Threshold("percentile", q)(scores, np.zeros(1))
    assert abs((scores <= threshold).mean() - q / 100) <= 1.0 / len(scores) + 1e-12


@given(SCORES, st.floats(0.05, 0.5))
@settings(deadline=None, max_examples=50)
def test_contamination_is_the_share_of_validation_scores_above(scores, rate):
    threshold = Threshold("contamination", rate)(scores, np.zeros(1))
    assert abs((scores > threshold).mean() - rate) <= 1.0 / len(scores) + 1e-12


@given(SCORES, st.floats(0.05, 0.9))
@settings(deadline=None, max_examples=50)
def test_top_fraction_flags_its_share_of_the_test_rows(scores, fraction):
    threshold = Threshold("top_fraction", fraction)(np.zeros(1), scores)
    assert abs((scores > threshold).mean() - fraction) <= 1.0 / len(scores) + 1e-12


def test_std_is_mean_plus_k_standard_deviations():
    assert Threshold("std", 2.0)(np.array([1.0, 3.0]), np.zeros(1)) == pytest.approx(2.0 + 2.0 * 1.0)


def test_mad_estimates_the_deviation_of_normal_scores_and_forgets_a_few_wild_ones():
    scores = np.random.default_rng(0).normal(5.0, 2.0, 100_000)
    scores[:100] = 1e9
    assert Threshold("mad", 3.0)(scores, np.zeros(1)) == pytest.approx(5.0 + 3.0 * 2.0, rel=0.01)


@pytest.mark.parametrize("q", [1e-1, 1e-2, 1e-3, 1e-4])
def test_evt_finds_the_level_of_a_probability_beyond_the_scores_it_has_seen(q):
    rng = np.random.default_rng(0)
    found = [Threshold("evt", q)(rng.exponential(2.0, 5_000), np.zeros(1)) for _ in range(10)]
    assert np.median(found) == pytest.approx(-2.0 * np.log(q), rel=0.06)


@given(st.floats(1e-3, 1e6), st.floats(-1e3, 1e3), st.sampled_from([("mad", 3.0), ("std", 3.0), ("evt", 0.01)]))
@settings(deadline=None, max_examples=20)
def test_a_threshold_moves_and_scales_with_the_scores(scale, shift, rule):
    scores = np.random.default_rng(1).gamma(2.0, size=500)
    threshold = Threshold(*rule)
    moved = threshold(scale * scores + shift, np.zeros(1))
    assert moved == pytest.approx(scale * threshold(scores, np.zeros(1)) + shift, rel=1e-3, abs=1e-3 * scale)


def test_evt_says_that_a_tail_is_too_short_to_be_fitted():
    with pytest.raises(ValueError, match=r"evt: 5 of 50 scores form the tail; it takes 10"):
        Threshold("evt", 0.01)(np.arange(50.0), np.zeros(1))


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("percentile", 0),
        ("percentile", 101),
        ("contamination", 0.6),
        ("std", -1),
        ("mad", 0),
        ("evt", 0.2),
        ("top_fraction", 1.0),
        ("best_f1", 1),
    ],
)
def test_a_value_outside_its_rule_is_refused(rule, value):
    with pytest.raises(ValueError, match="threshold"):
        Threshold(rule, value)


LABELLED = st.integers(0, 2**32 - 1)


def labelled(seed):
    """Scores with ties, and labels of both classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 40)
    labels[:2] = [0, 1]
    return rng.integers(0, 12, 40) + rng.integers(0, 5, 40) * labels + 0.5, labels


def f1(flags, labels):
    return 2 * (flags & labels).sum() / (flags.sum() + labels.sum())


def youden(flags, labels):
    return flags[labels == 1].mean() - flags[labels == 0].mean()


@pytest.mark.parametrize(("rule", "criterion"), [("oracle_f1", f1), ("oracle_youden", youden)])
@given(seed=LABELLED)
@settings(deadline=None, max_examples=50)
def test_no_threshold_beats_the_oracle_at_its_own_criterion(rule, criterion, seed):
    scores, labels = labelled(seed)
    best = criterion(scores > Threshold(rule)(None, scores, labels=labels), labels)
    assert best == pytest.approx(max(criterion(scores > level, labels) for level in (*scores, -np.inf)))


def test_only_the_oracles_read_labels_and_say_so():
    assert [rule for rule in RULES if Threshold(rule, VALUES.get(rule)).oracle] == ["oracle_youden", "oracle_f1"]
    for rule in RULES:
        if Threshold(rule, VALUES.get(rule)).oracle:
            assert str(Threshold(rule)).startswith("oracle: ")
            with pytest.raises(ValueError, match="needs the labels"):
                Threshold(rule)(None, np.arange(50.0))


VALUES = {"std": 3.0, "mad": 3.0, "contamination": 0.05, "evt": 0.01, "top_fraction": 0.2, "percentile": 90.0}


@pytest.mark.parametrize("rule", ["percentile", "std", "mad", "contamination", "evt"])
def test_a_rule_reads_the_rows_that_it_was_told_to(rule):
    rng = np.random.default_rng(3)
    parts = {"validation": rng.normal(0, 1, 500), "train": rng.normal(10, 1, 500), "test": rng.normal(20, 1, 500)}
    for rows, scores in parts.items():
        alone = {name: values if name == rows else None for name, values in parts.items()}
        found = Threshold(rule, VALUES[rule], rows)(alone["validation"], alone["test"], train=alone["train"])
        assert scores.mean() < found < scores.mean() + 6
        with pytest.raises(ValueError, match=f"the scores of the {rows} rows"):
            Threshold(rule, VALUES[rule], rows)(None, None)


def apart_from_the_test_rows(rule: str) -> bool:
    """Whether a threshold of validation scores stays where it is, whatever the test rows score."""
    rng = np.random.default_rng(4)
    validation = rng.normal(0, 1, 500)
    levels = [Threshold(rule, VALUES[rule])(validation, rng.normal(mean, 1, 200)) for mean in (0, 5, 50)]
    return len(set(levels)) == 1


@pytest.mark.parametrize("rule", ["percentile", "std", "mad", "contamination", "evt"])
def test_no_rule_peeks_at_the_test_rows_and_one_that_did_would_be_found(rule, monkeypatch):
    assert apart_from_the_test_rows(rule)
    real = Threshold.__call__

    def peeking(self, validation, test, **more):
        return real(self, np.concatenate([validation, test]), test, **more)

    monkeypatch.setattr(Threshold, "__call__", peeking)
    assert not apart_from_the_test_rows(rule)


def test_what_was_left_out_is_put_in_so_that_equal_rules_are_equal():
    assert Threshold() == Threshold("percentile", 95.0, "validation")
    assert Threshold("top_fraction", 0.2) == Threshold("top_fraction", 0.2, "test")
