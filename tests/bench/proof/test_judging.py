"""Differences are measured as they are named, and a ladder fails where it should."""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bench.proof import judging, ladder
from bench.proof.ladder import REFERENCE

MEASURES = get_args(judging.Measure)
RELATIVE = MEASURES[1:4]
SHAPES = array_shapes(max_dims=2, max_side=4)
PLAIN = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
"""No two of them are closer than 1e-6, but for equal ones."""
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[arrays(np.float64, shape, elements=PLAIN)] * 2))
ANY = SHAPES.flatmap(lambda shape: st.tuples(*[arrays(np.float64, shape, elements=st.floats(width=64))] * 2))

measures = pytest.mark.parametrize("measure", MEASURES)


# ------------------------------------------------------------------------------------------------------ differences


@measures
@given(pair=PAIRS)
def test_a_difference_is_zero_where_and_only_where_nothing_differs(measure, pair):
    a, b = pair
    assert judging.difference(measure, a, a.copy()) == 0.0
    assert (judging.difference(measure, a, b) == 0.0) == np.array_equal(a, b)


@measures
@given(pair=ANY)
def test_no_values_make_a_difference_that_no_bound_catches(measure, pair):
    error = judging.difference(measure, *pair)
    assert error >= 0.0, "not a number, or negative"
    assert error > 0.0 or np.isfinite(pair[0]).all()


@measures
@given(pair=PAIRS, exponent=st.integers(-10, 10))
def test_a_relative_difference_does_not_depend_on_the_unit(measure, pair, exponent):
    error = judging.difference(measure, *pair)
    scaled = judging.difference(measure, *(2.0**exponent * array for array in pair))
    assert scaled == pytest.approx(error if measure in RELATIVE else 2.0**exponent * error, rel=1e-12)


@pytest.mark.parametrize(
    ("measure", "expected"), list(zip(MEASURES, [0.4, 0.4 / 4.0, 0.5 / np.sqrt(17.25), 0.3 / 0.5, 0.4], strict=True))
)
def test_each_measure_is_what_its_name_says(measure, expected):
    a, b = np.array([1.0, 4.4, 0.8]), np.array([1.0, 4.0, 0.5])
    assert judging.difference(measure, a, b) == pytest.approx(expected)


@measures
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones(3), np.ones((3, 1))),
        (np.ones(2), np.ones(3)),
        (np.array([np.nan]), np.array([np.nan])),
        (np.array([np.inf]), np.array([np.inf])),
        (np.array([0.0]), np.array([-np.inf])),
    ],
)
def test_what_cannot_be_compared_is_infinitely_far_apart(measure, a, b):
    assert judging.difference(measure, a, b) == judging.difference(measure, b, a) == np.inf


@pytest.mark.parametrize("measure", RELATIVE)
def test_anything_is_infinitely_far_from_zero_in_relation_to_it(measure):
    assert judging.difference(measure, np.array([1e-300]), np.array([0.0])) == np.inf
    assert judging.difference(measure, np.zeros(2), np.zeros(2)) == 0.0


# ---------------------------------------------------------------------------------------------------------- judging

RUNG = ladder.TRAINING_WEIGHTS
"""Judged by the largest difference: at most 1e-9 in float64, not at all in float32."""
BOUND = 1e-9


def seen(*values: float, rung: str = RUNG) -> ladder.Observed:
    return {rung: {f"case · tensor {number}": np.array([value]) for number, value in enumerate(values)}}


def between(ladder_: dict[str, Any]) -> list[list[str]]:
    return [comparison["between"] for comparison in ladder_["rungs"][0]["comparisons"]]


def test_a_ladder_passes_where_no_error_is_over_its_bound_and_tells_the_largest():
    found = judging.judge({"torch": seen(1.0, BOUND / 2, 0.0), REFERENCE: seen(1.0, 0.0, 0.0)}, "float64")
    assert (found["precision"], found["passed"], found["first_failure"]) == ("float64", True, None)
    (rung,) = found["rungs"]
    assert (rung["name"], rung["bound"], rung["passed"]) == (RUNG, BOUND, True)
    (comparison,) = rung["comparisons"]
    assert comparison == {
        "between": ["torch", REFERENCE],
        "error": BOUND / 2,
        "where": "case · tensor 1",
        "passed": True,
    }


def test_a_failure_is_placed_where_the_models_part_and_not_where_they_are_furthest_apart():
    found = judging.judge({"torch": seen(0.0, 1e-6, 1.0), REFERENCE: seen(0.0, 0.0, 0.0)}, "float64")
    assert not found["passed"]
    assert found["first_failure"] == {
        "rung": RUNG,
        "between": ["torch", REFERENCE],
        "where": "case · tensor 1",
        "error": 1.0,
        "bound": BOUND,
    }


def test_the_first_failure_is_on_the_lowest_rung_that_fails():
    low, high = seen(1.0, rung=ladder.GRADIENTS), seen(1.0, rung=ladder.AUC)
    wrong = {ladder.GRADIENTS: low[ladder.GRADIENTS], ladder.AUC: {"case · tensor 0": np.array([0.5])}}
    right = low | high
    assert judging.judge({"torch": wrong, REFERENCE: right}, "float64")["first_failure"]["rung"] == ladder.AUC
    wrong = {**wrong, ladder.GRADIENTS: {"case · tensor 0": np.array([0.5])}}
    found = judging.judge({"torch": wrong, REFERENCE: right}, "float64")
    assert found["first_failure"]["rung"] == ladder.GRADIENTS
    assert [rung["passed"] for rung in found["rungs"]] == [False, False]


def test_two_backends_can_be_too_far_apart_though_each_is_near_enough_to_the_reference():
    sides = {"torch": seen(0.9 * BOUND), "jax": seen(-0.9 * BOUND), REFERENCE: seen(0.0)}
    found = judging.judge(sides, "float64")
    assert between(found) == [["torch", REFERENCE], ["jax", REFERENCE], ["torch", "jax"]]
    assert [c["passed"] for c in found["rungs"][0]["comparisons"]] == [True, True, False]
    assert found["first_failure"]["between"] == ["torch", "jax"]


def test_a_rung_without_a_bound_is_reported_and_never_fails():
    found = judging.judge({"torch": seen(np.nan, 7.0), REFERENCE: seen(0.0, 0.0)}, "float32")
    (rung,) = found["rungs"]
    assert (found["passed"], rung["passed"], rung["bound"]) == (True, True, None)
    assert rung["comparisons"][0]["error"] is None
    assert judging.judge({"torch": seen(7.0), REFERENCE: seen(0.0)}, "float32")["rungs"][0]["comparisons"][0]["error"]


@pytest.mark.parametrize("values", [(np.nan, 0.0), (0.0, np.nan), (0.0, np.inf)])
def test_a_value_that_is_not_finite_fails_and_is_plain_json(values):
    found = judging.judge({"torch": seen(*values), REFERENCE: seen(0.0, 0.0)}, "float64")
    assert found["first_failure"]["error"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("short", ["torch", "jax", REFERENCE])
def test_what_only_one_side_shows_fails(short):
    sides = {name: seen(0.0) if name == short else seen(0.0, 0.0) for name in ("torch", "jax", REFERENCE)}
    found = judging.judge(sides, "float64")
    for comparison in found["rungs"][0]["comparisons"]:
        assert comparison["passed"] == (short not in comparison["between"])
    assert found["first_failure"]["where"] == "case · tensor 1"


def test_in_float32_the_reference_may_show_more_but_no_backend_more_than_another():
    rung = ladder.GRADIENTS
    more, less = seen(1.0, 1.0, rung=rung), seen(1.0, rung=rung)
    assert judging.judge({"torch": less, "jax": less, REFERENCE: more}, "float32")["passed"]
    found = judging.judge({"torch": less, "jax": more, REFERENCE: more}, "float32")
    assert found["first_failure"]["between"] == ["torch", "jax"]


def test_a_backend_that_shows_nothing_of_a_rung_fails_it():
    rung = ladder.GRADIENTS
    for precision in ("float64", "float32"):
        found = judging.judge({"torch": {}, "jax": {}, REFERENCE: seen(0.0, rung=rung)}, precision)
        assert [comparison["passed"] for comparison in found["rungs"][0]["comparisons"]] == [False] * 3


def test_a_rung_that_nobody_saw_is_left_out():
    assert [rung["name"] for rung in judging.judge({"torch": seen(0.0), REFERENCE: seen(0.0)}, "float64")["rungs"]] == [
        RUNG
    ]
    empty: ladder.Observed = {rung: {} for rung in ladder.RUNGS} | seen(0.0)
    assert len(judging.judge({"torch": empty, REFERENCE: empty}, "float64")["rungs"]) == 1


def test_one_backend_is_compared_with_the_reference_alone():
    assert between(judging.judge({"jax": seen(0.0), REFERENCE: seen(0.0)}, "float64")) == [["jax", REFERENCE]]


def test_scores_that_are_not_numbers_have_no_area_and_perfect_ones_have_1():
    labels = np.array([0, 0, 1], dtype=np.int8)
    kinds = dict.fromkeys(judging.SCORES, np.array([1.0, 2.0, 3.0]))
    kinds["mae"] = np.array([1.0, np.nan, 3.0])
    kinds["elbo"] = np.array([3.0, 1.0, 2.0])
    seen = {ladder.SCORING: kinds | {"dense · elbo of the validation rows": np.zeros(7)}}
    found = judging.areas(seen, labels, "float64")
    assert set(found) == set(judging.SCORES)
    assert set(judging.areas(seen, labels, "float32")) == set(judging.SCORES) - {"kl"}
    assert (found["reconstruction"], found["elbo"]) == (1.0, 0.5)
    assert np.isnan(found["mae"])
