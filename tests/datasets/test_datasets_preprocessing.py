"""Laws of scaling, encoding and splitting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets import preprocessing
from datasets.preprocessing import CLIP, encode, standardise, stretch
from datasets.splitting import generator, row_keys, split

TABLES = arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6, width=32))


@given(train=TABLES, test=TABLES)
@settings(deadline=None, max_examples=40)
def test_test_rows_do_not_move_the_scaling(train: np.ndarray, test: np.ndarray) -> None:
    for scale in (standardise, stretch):
        np.testing.assert_array_equal(scale(train)[0], scale(train, test)[0])
        np.testing.assert_array_equal(scale(train, train)[1], scale(train)[0])


@given(train=TABLES, test=TABLES)
@settings(deadline=None, max_examples=40)
def test_standardised_values_are_finite_and_cut(train: np.ndarray, test: np.ndarray) -> None:
    for part in standardise(train, test):
        assert np.isfinite(part).all()
        assert np.abs(part).max() <= CLIP


def test_standardising_gives_mean_0_and_deviation_1_and_stretching_0_to_1() -> None:
    train = np.random.default_rng(0).normal(5, 3, (1000, 2))
    scaled, stretched = standardise(train)[0].astype(np.float64), stretch(train)[0]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal([stretched.min(axis=0), stretched.max(axis=0)], [[0, 0], [1, 1]])


def test_scaling_by_blocks_changes_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(5, 3, (1000, 3))
    whole = [part for scale in (standardise, stretch) for part in scale(rows[:700], rows[700:])]
    monkeypatch.setattr(preprocessing, "BLOCK", 64)
    blocked = [part for scale in (standardise, stretch) for part in scale(rows[:700], rows[700:])]
    for expected, found in zip(whole, blocked, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_every_kind_of_column_is_encoded_as_documented() -> None:
    train = pd.DataFrame(
        {
            "bytes": [0.0, 1.0, np.nan, 3.0],
            "constant": [2.0] * 4,
            "flag": [0, 1, 0, 1],
            "kind": ["b", "a", None, "a"],
            "same": ["x"] * 4,
        }
    )
    test = pd.DataFrame({"bytes": [1.0], "constant": [9.0], "flag": [1], "kind": ["unseen"], "same": ["y"]})
    encoded = encode(train, test, categorical=("kind", "same"), flags=("flag",), heavy_tailed=("bytes",))
    assert encoded.feature_names == ("bytes", "flag", "kind=a", "kind=b", "kind=missing")
    logs = np.log1p([0.0, 1.0, 1.0, 3.0])
    np.testing.assert_allclose(encoded.parts[0][:, 0], (logs - logs.mean()) / logs.std(), rtol=1e-6)
    np.testing.assert_array_equal(encoded.parts[0][:, 1], [0, 1, 0, 1])
    np.testing.assert_array_equal(encoded.parts[0][:, 2:], [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(encoded.parts[1][0, 2:], [0, 0, 0])
    assert encoded.notes == (
        "Missing values were replaced by the training median: bytes.",
        "Dropped as constant in the training rows: constant, same.",
    )


def test_a_column_without_any_training_value_is_dropped_and_not_guessed() -> None:
    train = pd.DataFrame({"a": [1.0, 2.0], "void": [np.nan, np.nan]})
    test = pd.DataFrame({"a": [np.nan], "void": [5.0]})
    encoded = encode(train, test)
    assert encoded.feature_names == ("a",)
    np.testing.assert_array_equal(encoded.parts[1], [[0.0]])


def test_rows_that_become_identical_do_not_straddle_the_parts() -> None:
    train = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
    encoded = encode(train, pd.DataFrame({"a": [1.0, 9.0]}), pd.DataFrame({"a": [3.0, 9.0]})).apart()
    assert [len(part) for part in encoded.parts] == [2, 1, 2]
    assert encoded.notes[-1].startswith("3 training or validation rows were dropped")


@given(count=st.integers(10, 500), seed=st.integers(0, 2**32), validation=st.sampled_from([0.0, 0.1, 0.2]))
@settings(deadline=None, max_examples=40)
def test_a_split_is_a_partition_of_the_promised_sizes(count: int, seed: int, validation: float) -> None:
    train, val, test = split(count, seed, validation=validation, test=0.2)
    assert sorted(np.concatenate([train, val, test])) == list(range(count))
    assert (len(val), len(test)) == (round(count * validation), round(count * 0.2))


def test_draws_for_one_purpose_do_not_follow_from_another() -> None:
    first = generator(0, "a").random(4)
    np.testing.assert_array_equal(first, generator(0, "a").random(4))
    assert not np.isin(first, [generator(0, "b").random(4), generator(1, "a").random(4)]).any()


def test_the_generators_are_the_same_on_every_platform() -> None:
    assert generator(7, "split").integers(0, 1000, 6).tolist() == [295, 685, 120, 726, 625, 816]


@pytest.mark.parametrize("other", [["u", 1.0], [None, 2.0]])
def test_row_keys_tell_different_rows_apart_and_join_equal_ones(other: list[object]) -> None:
    keys = row_keys(pd.DataFrame([[None, 1.0], [np.nan, 1.0], other], columns=["a", "b"]))
    assert keys[0] == keys[1] != keys[2]
