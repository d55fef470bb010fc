"""Threshold rules: each flags the share it promises, and none sees a label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.thresholds import Threshold

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


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("percentile", 0),
        ("percentile", 101),
        ("contamination", 0.6),
        ("std", -1),
        ("top_fraction", 1.0),
        ("best_f1", 1),
    ],
)
def test_a_value_outside_its_rule_is_refused(rule, value):
    with pytest.raises(ValueError, match="threshold"):
        Threshold(rule, value)
