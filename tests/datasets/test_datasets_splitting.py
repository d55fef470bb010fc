"""Which rows train, validate and test: laws of the protocols, of contamination and of duplicates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import datasets
from datasets import DatasetError, Request
from datasets.splitting import TrainingPart, contaminants, moved, parts, split_together


def request(seed: int = 0) -> Request:
    return Request("rows", seed, Path())


@given(
    normal=st.integers(20, 400),
    anomalous=st.integers(150, 300),
    share=st.floats(0, 0.2),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=60)
def test_contamination_is_exact_to_one_row_and_no_row_is_in_two_parts(
    normal: int, anomalous: int, share: float, seed: int
) -> None:
    found = parts(request(seed), normal, anomalous, "held-out", TrainingPart(share))
    together = np.concatenate([found.train, found.val, found.test])
    assert sorted(together) == list(range(normal + anomalous))
    count = int((found.train >= normal).sum())
    assert abs(count - share * len(found.train)) <= 1
    assert (found.val < normal).all()
    np.testing.assert_array_equal(found.fitted, found.train)
    assert bool(found.notes) == (count > 0)


@given(
    fewest=st.integers(10, 60),
    more=st.integers(0, 60),
    share=st.floats(0, 0.2),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=40)
def test_fewer_training_rows_are_as_many_as_asked_for_and_among_those_of_a_larger_number(
    fewest: int, more: int, share: float, seed: int
) -> None:
    every = parts(request(seed), 300, 100, "held-out", TrainingPart())
    few, many = (parts(request(seed), 300, 100, "held-out", TrainingPart(share, n)) for n in (fewest, fewest + more))
    for found, rows in ((few, fewest), (many, fewest + more)):
        assert abs(len(found.train) - rows) <= 1
        assert abs((found.train >= 300).sum() - share * rows) <= 1
        assert set(found.train[found.train < 300]) <= set(every.train)
        np.testing.assert_array_equal(found.val, every.val)
        np.testing.assert_array_equal(found.test[found.test < 300], every.test[every.test < 300])
        assert found.notes[0].startswith("Fewer rows on purpose")
    assert set(few.train[few.train < 300]) <= set(many.train)


@given(normal=st.integers(100, 400), anomalous=st.integers(100, 200), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_every_protocol_is_what_it_says(normal: int, anomalous: int, seed: int) -> None:
    every, rows = list(range(normal + anomalous)), list(range(normal))
    plain = parts(request(seed), normal, anomalous, "held-out", TrainingPart())
    assert (np.concatenate([plain.train, plain.val]) < normal).all()
    same = parts(request(seed), normal, anomalous, "same-rows", TrainingPart())
    assert (same.train.tolist(), same.val.tolist(), same.test.tolist()) == (rows, rows, every)
    leaking = parts(request(seed), normal, anomalous, "all-rows", TrainingPart())
    assert all(part.tolist() == every for part in (leaking.train, leaking.val, leaking.test, leaking.fitted))
    mixed = parts(request(seed), normal, anomalous, "mixed-split", TrainingPart())
    assert sorted(np.concatenate([mixed.train, mixed.val, mixed.test])) == every
    assert mixed.fitted.tolist() == every


@given(
    values=st.lists(st.integers(0, 60), min_size=80, max_size=160),
    seed=st.integers(0, 1000),
    share=st.floats(0.01, 0.1),
)
@settings(deadline=None, max_examples=60)
def test_contaminating_duplicated_rows_leaves_none_of_them_in_the_test_part(
    values: list[int], seed: int, share: float
) -> None:
    keys = np.array(values, dtype=np.uint64)
    anomalous = keys % 3 == 0
    train, _, test = split_together(keys, anomalous, seed)
    try:
        chosen = contaminants(request(seed), share, len(train), test[anomalous[test]], keys)
    except DatasetError:  # fewer distinct anomalies than that
        reject()
    contaminated, left, notes = moved(chosen, train, test, keys)
    assert len(np.unique(keys[chosen])) == len(chosen)
    assert anomalous[chosen].all()
    assert not np.isin(keys[left], keys[contaminated]).any()
    assert abs(len(chosen) - share * len(contaminated)) <= 1
    assert bool(notes) == (len(left) + len(chosen) < len(test))


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("blobs?train_contamination=0.21", "train_contamination is 0.21; it wants a share from 0 to 0.2"),
        ("digits:4?train_contamination=-0.1", "train_contamination is -0.1; it wants a share from 0 to 0.2"),
        ("kdd-synthetic?train_contamination=1", "train_contamination is 1; it wants a share from 0 to 0.2"),
        ("blobs?rows=1000&train_contamination=0.1", "takes 63 anomalies and leaves one to test; there are 50 distinct"),
        ("digits:4?train_contamination=0.2", "takes 242 anomalies and leaves one to test; there are 181 distinct"),
        ("blobs-2d?protocol=all-rows&train_contamination=0.1", "train_contamination goes with protocol=held-out"),
        ("shifted?rows=10&anomalies=1&protocol=mixed-split", "the test part got no anomalies"),
        ("blobs?train_rows=9", "train_rows is 9; it wants at least 10, or 0 for all of them"),
        ("kdd-synthetic?train_rows=-1", "train_rows is -1; it wants at least 10, or 0 for all of them"),
        ("digits:4?train_rows=2000", "train_rows=2000 wants 2,000 normal training rows; there are 970"),
        ("digits:4?protocol=mixed-split&train_rows=100", "train_rows goes with protocol=held-out, not with protocol=m"),
    ],
)
def test_a_training_part_that_cannot_be_is_refused_in_one_line(reference: str, told: str) -> None:
    with pytest.raises(DatasetError) as failure:
        datasets.load(reference)
    assert told in str(failure.value)
    assert f"data set '{reference}'" in str(failure.value)


def test_contaminated_rows_are_anomalies_that_left_the_test_part() -> None:
    clean = datasets.load("blobs?rows=2000&scale=none")
    data = datasets.load("blobs?rows=2000&scale=none&train_contamination=0.05")
    anomalies = {row.tobytes() for row in clean.X_test[clean.y_test == 1]}
    trained = {row.tobytes() for row in data.X_train} - {row.tobytes() for row in clean.X_train}
    tested = {row.tobytes() for row in data.X_test[data.y_test == 1]}
    assert len(trained) == round(0.05 * len(data.X_train))
    assert trained <= anomalies
    assert tested == anomalies - trained
    np.testing.assert_array_equal(data.X_val, clean.X_val)


def test_scalers_see_the_contaminated_rows_and_leaking_protocols_all() -> None:
    reference = "shifted?rows=500&anomalies=200"
    clean = datasets.load(reference).preprocessing
    dirty = datasets.load(f"{reference}&train_contamination=0.2").preprocessing
    every = datasets.load(f"{reference}&protocol=mixed-split")
    assert clean is not None
    assert dirty is not None
    np.testing.assert_allclose(clean.scaler.shift, 0.0, atol=0.3)
    np.testing.assert_allclose(dirty.scaler.shift, 0.2 * 3, atol=0.3)
    rows = np.concatenate([every.X_train, every.X_val, every.X_test], dtype=np.float64)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-6)
    assert np.abs(every.X_train.mean(axis=0)).max() > 1e-3
