"""Laws of scaling, encoding and splitting."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler

from datasets import DatasetError, scaling
from datasets.preprocessing import Preprocessing, encode
from datasets.scaling import CLIP, SCALES, Matrix, Scale, Scaler, blocks
from datasets.splitting import generator, row_keys, split

TABLES = arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6, width=32))


def scaled(kind: Scale, train: np.ndarray, *others: np.ndarray) -> list[Matrix]:
    scaler = Scaler.fit(kind, lambda: blocks(train), train.shape[1])
    return [scaler.matrix(part) for part in (train, *others)]


@given(train=TABLES, test=TABLES, kind=st.sampled_from(SCALES))
@settings(deadline=None, max_examples=60)
def test_scaling_gives_finite_values_within_its_bounds(train: np.ndarray, test: np.ndarray, kind: Scale) -> None:
    for part in scaled(kind, train, test):
        assert np.isfinite(part).all()
        if kind in ("standard", "robust"):
            assert np.abs(part).max() <= CLIP
        if kind == "quantile":
            assert part.min() >= 0
            assert part.max() <= 1


def test_standardising_gives_mean_0_and_deviation_1_and_stretching_0_to_1_or_both_ways() -> None:
    train = np.random.default_rng(0).normal(5, 3, (1000, 2))
    standard, stretched = scaled("standard", train)[0].astype(np.float64), scaled("minmax", train)[0]
    both = scaled("minmax-symmetric", train)[0]
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal([stretched.min(axis=0), stretched.max(axis=0)], [[0, 0], [1, 1]])
    np.testing.assert_array_equal([both.min(axis=0), both.max(axis=0)], [[-1, -1], [1, 1]])


@pytest.mark.parametrize(
    ("kind", "peer"),
    [
        ("standard", StandardScaler()),
        ("minmax", MinMaxScaler()),
        ("minmax-symmetric", MinMaxScaler((-1, 1))),
        ("robust", RobustScaler()),
        ("quantile", QuantileTransformer(n_quantiles=600)),
    ],
)
def test_every_scale_is_what_scikit_learn_means_by_it(kind: Scale, peer: Any) -> None:
    rows = np.random.default_rng(0).normal(5, 3, (1000, 3))
    rows[:, 1] = rows[:, 1].round()
    train, test = rows[:600], rows[600:]
    expected = peer.fit(train).transform(test)
    np.testing.assert_allclose(scaled(kind, train, test)[1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SCALES)
def test_scaling_by_blocks_changes_no_digit(kind: Scale, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(5, 3, (1000, 3))
    whole = scaled(kind, rows[:700], rows[700:])
    monkeypatch.setattr(scaling, "BLOCK", 64)
    for expected, found in zip(whole, scaled(kind, rows[:700], rows[700:]), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_quantiles_of_very_many_rows_come_from_a_seeded_sample_and_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(5_000, 2))
    monkeypatch.setattr(scaling, "SAMPLED_CELLS", 4_000)
    first, again, other = (Scaler.fit("robust", lambda: blocks(rows), 2, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.shift, again.shift)
    assert (first.shift != other.shift).any()
    np.testing.assert_allclose(first.shift, np.median(rows, axis=0), atol=0.1)
    assert first.notes == ("The scaler was fitted on a seeded sample of 2,000 of its 5,000 rows.",)


TABLE = st.integers(0, 2**32 - 1).map(lambda seed: mixed(np.random.default_rng(seed)))


def mixed(rng: np.random.Generator) -> pd.DataFrame:
    """A table of every kind of column, with gaps."""
    frame = pd.DataFrame(
        {
            "amount": rng.normal(size=40) * 10.0 ** rng.integers(-3, 6),
            "bytes": rng.integers(0, 10_000, 40).astype(float),
            "flag": rng.integers(0, 2, 40),
            "kind": rng.choice(np.array(["a", "b", "c=d", None], dtype=object), 40),
        }
    )
    return frame.mask(pd.DataFrame({"amount": rng.random(40) < 0.2}).reindex(columns=frame.columns, fill_value=False))


@given(frame=TABLE, scale=st.sampled_from(SCALES), indicate=st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_preprocessing_saved_and_restored_gives_the_same_bits(
    frame: pd.DataFrame, scale: Scale, indicate: bool
) -> None:
    train, test = frame[:30], frame[30:]
    encoded = encode(
        train, test, categorical=("kind",), flags=("flag",), heavy_tailed=("bytes",), scale=scale, indicate=indicate
    )
    words, arrays = encoded.preprocessing.saved()
    restored = Preprocessing.restored(json.loads(json.dumps(words)), arrays)
    assert restored.feature_names == encoded.feature_names
    for part, expected in zip((train, test), encoded.parts, strict=True):
        assert restored(part).tobytes() == expected.tobytes()
        one_by_one = [restored(part.iloc[row : row + 1]) for row in range(len(part))]
        assert np.concatenate(one_by_one).tobytes() == expected.tobytes()


@given(frame=TABLE, other=TABLE, scale=st.sampled_from(SCALES))
@settings(deadline=None, max_examples=30)
def test_what_is_fitted_depends_on_the_training_rows_alone(
    frame: pd.DataFrame, other: pd.DataFrame, scale: Scale
) -> None:
    alone, beside = (
        encode(frame, scale=scale, categorical=("kind",)),
        encode(frame, other, scale=scale, categorical=("kind",)),
    )
    assert alone.feature_names == beside.feature_names
    assert alone.parts[0].tobytes() == beside.parts[0].tobytes()


@pytest.mark.parametrize("strategy", ["median", "mean", "most_frequent"])
def test_missing_values_become_what_scikit_learn_would_put_in(strategy: Any) -> None:
    train = pd.DataFrame({"a": [1.0, 1.0, 2.0, 7.0, np.nan], "b": [np.nan, 5.0, 3.0, 3.0, 5.0]})
    test = pd.DataFrame({"a": [np.nan], "b": [np.nan]})
    expected = SimpleImputer(strategy=strategy).fit(train.to_numpy()).transform(test.to_numpy())
    np.testing.assert_allclose(encode(train, test, scale="none", impute=strategy).parts[1], expected)


def test_gaps_are_told_by_a_column_of_their_own_where_training_rows_have_some() -> None:
    train = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [1.0, 2.0, 3.0]})
    encoded = encode(train, pd.DataFrame({"a": [np.nan, 1.0], "b": [np.nan, 1.0]}), indicate=True)
    assert encoded.feature_names == ("a", "b", "a missing")
    np.testing.assert_array_equal(encoded.parts[0][:, 2], [0, 1, 0])
    np.testing.assert_array_equal(encoded.parts[1][:, 2], [1, 0])


def fitted() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    frame = mixed(np.random.default_rng(0))
    return encode(frame, categorical=("kind",), flags=("flag",)).preprocessing.saved()


@pytest.mark.parametrize(
    "damage",
    [
        {"scale": "standart"},
        {"numeric": ["amount", "amount"]},
        {"numeric": ["amount"]},
        {"numeric": "amount"},
        {"categories": [["kind", "a"]]},
        {"categories": [["kind", ["a"]], ["kind", ["b"]]]},
        {"indicated": ["elsewhere"]},
        {"scale": "quantile"},
        {"shift": np.zeros(7)},
        {"shift": np.full(2, np.nan)},
        {"divisor": np.zeros(2)},
        {"fill": np.zeros(3, np.float32)},
        {"quantiles": np.zeros((3, 2))},
        {"quantiles": None},
    ],
)
def test_a_damaged_preprocessing_is_refused_in_one_line(damage: dict[str, Any]) -> None:
    words, arrays = fitted()
    for name, value in damage.items():
        if name in words:
            words[name] = value
        elif value is None:
            del arrays[name]
        else:
            arrays[name] = value
    with pytest.raises(DatasetError, match="preprocessing: ") as failure:
        Preprocessing.restored(words, arrays)
    assert "\n" not in str(failure.value)


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
    val, test = pd.DataFrame({"a": [1.0, 9.0]}), pd.DataFrame({"a": [3.0, 9.0]})
    encoded = encode(train, val, test).apart()
    assert [len(part) for part in encoded.parts] == [2, 1, 2]
    assert encoded.notes[-1].startswith("3 training or validation rows were dropped")


def test_anomalies_that_train_stay_and_their_twins_leave_the_other_parts() -> None:
    train = pd.DataFrame({"a": [0.0, 2.0, 4.0, 6.0, 8.0, 1.0]})  # the last is an anomaly
    val, test = pd.DataFrame({"a": [1.0, 9.0]}), pd.DataFrame({"a": [1.0, 7.0]})
    encoded = encode(train, val, test).apart(contaminants=1, share=1 / 6)
    assert [len(part) for part in encoded.parts] == [6, 1, 1]
    assert encoded.tested.tolist() == [False, True]
    whole = encode(train, val, test).apart(contaminants=1, share=1 / 6, whole=True)
    assert [len(part) for part in whole.parts] == [5, 1, 2]


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
