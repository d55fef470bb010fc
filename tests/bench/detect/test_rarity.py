"""The sanity line of categories: what is rare in training is anomalous, by the sum of −log of its shares."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import datasets
from bench.detect import registry
from bench.detect.rarity import Rarity
from bench.suites import fits, suite

SHARED = Path(os.environ.get("BENCH_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def rarity(X: np.ndarray, groups: tuple[tuple[int, int], ...] = (), **parameters: object) -> Rarity:
    made = Rarity(**parameters)
    made.groups = groups
    return made.fit(np.asarray(X, dtype=np.float32))


def one_hot(places: list[int], size: int) -> np.ndarray:
    """Rows with the category at that place, none of them at −1."""
    return (np.array(places)[:, None] == np.arange(size)).astype(np.float32)


def test_a_category_scores_minus_the_log_of_its_smoothed_share():
    made = rarity(one_hot([0, 0, 0, 0, 0, 1, 1], 2), ((0, 2),))
    # seven rows, two categories and all unseen ones as a third: 6 / 10, 3 / 10, 1 / 10
    np.testing.assert_allclose(made.decision_function(one_hot([0, 1, -1], 2)), -np.log([0.6, 0.3, 0.1]))


def test_numbers_fall_into_bins_of_equal_rows_and_what_lies_beyond_was_never_seen():
    X = np.arange(100, dtype=np.float32)[:, None]
    made = rarity(X, bins=4)
    seen, unseen = -np.log(26 / 105), -np.log(1 / 105)
    rows = np.array([[0.0], [24.5], [99.0], [-0.1], [99.1]], dtype=np.float32)
    np.testing.assert_allclose(made.decision_function(rows), [seen, seen, seen, unseen, unseen])


def test_a_column_of_few_values_has_a_bin_for_each_however_rare():
    made = rarity(np.array([[0.0]] * 97 + [[1.0], [2.0], [2.0]]))
    expected = -np.log(np.array([98, 2, 3]) / 104)
    np.testing.assert_allclose(made.decision_function(np.array([[0.0], [1.0], [2.0]], dtype=np.float32)), expected)


def test_columns_add_up_and_together_the_combination_counts():
    both = np.hstack([one_hot([0, 0, 1, 1], 2), one_hot([0, 0, 1, 1], 2)])
    mixed = np.hstack([one_hot([0], 2), one_hot([1], 2)])
    groups = ((0, 2), (2, 4))
    apart, together = (rarity(both, groups, together=word) for word in (False, True))
    assert apart.decision_function(mixed)[0] == pytest.approx(-2 * np.log(3 / 7))
    assert together.decision_function(mixed)[0] == pytest.approx(-np.log(1 / 7))  # it was in no row of training
    assert together.decision_function(both)[0] == pytest.approx(-np.log(3 / 7))


@pytest.mark.parametrize("together", [False, True])
def test_the_shares_of_an_explanation_stand_at_the_categories_that_are_there(together):
    X = np.hstack([one_hot([0, 0, 0, 1], 2), np.array([[1.0], [1.0], [1.0], [2.0]], dtype=np.float32)])
    made = rarity(X, ((0, 2),), together=together)
    rows = np.array([[0, 1, 1.0], [0, 0, 1.0]], dtype=np.float32)
    shares, scores = made.explain(rows), made.decision_function(rows)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert shares[0, 0] == 0
    assert shares[0, 1] == pytest.approx(-np.log(2 / 7) / scores[0])
    assert shares[1, 0] == shares[1, 1] == pytest.approx(-np.log(1 / 7) / scores[1] / 2)
    np.testing.assert_array_equal(made.reconstruct(rows)[0], [1, 0, 1])


def test_bad_bins_and_no_categories_are_refused():
    with pytest.raises(ValueError, match="bins must be 0 or more"):
        Rarity(bins=-1)
    with pytest.raises(ValueError, match="needs a data set with categories"):
        rarity(np.ones((3, 2)), bins=0)


def test_the_groups_of_a_data_set_are_its_one_hot_columns():
    data = datasets.load("kdd-synthetic?rows=2000", seed=1)
    assert data.groups
    for start, stop in data.groups:
        assert len({name.partition("=")[0] for name in data.feature_names[start:stop]}) == 1
        assert set(data.X_train[:, start:stop].sum(axis=1)) == {1.0}
    named = [name for start, stop in data.groups for name in data.feature_names[start:stop]]
    assert named == [name for name in data.feature_names if "=" in name]
    assert datasets.load("blobs", seed=0).groups == ()


def test_it_joins_the_sanity_lines_of_data_with_categories_alone(tmp_path):
    path = tmp_path / "mixed.toml"
    path.write_text(
        '[[scenarios]]\ndatasets = ["blobs-2d", "kdd-synthetic?rows=2000"]\ndetectors = ["knn"]\n'
        '[[scenarios]]\ndatasets = ["digits:4"]\ndetectors = ["knn"]\n'
    )
    loaded = suite.load(str(path))
    before = {scenario.hash for scenario in loaded.scenarios(1)}
    joined = loaded.with_categories(fits.survey(loaded, None, 1).categorical)
    added = [scenario for scenario in joined.scenarios(1) if scenario.hash not in before]
    assert [(one.dataset, one.detector) for one in added] == [("kdd-synthetic?rows=2000", registry.OF_CATEGORIES)]
    assert before < {scenario.hash for scenario in joined.scenarios(1)}

    narrowed = loaded.vary(detectors=["knn"])
    assert narrowed.with_categories(["kdd-synthetic?rows=2000"]).scenarios(1) == narrowed.scenarios(1)


@pytest.mark.published
@pytest.mark.skipif(not (SHARED / "nsl-kdd").is_dir(), reason=f"the NSL-KDD files are not in {SHARED}")
def test_on_nsl_kdd_the_rarity_of_three_categories_ranks_as_was_measured():
    data = datasets.load("nsl-kdd", seed=0, data_dir=SHARED)
    wanted = {(0, True): 0.9598, (0, False): 0.9407, (10, False): 0.9545}
    for (bins, together), auc in wanted.items():
        scores = rarity(data.X_train, data.groups, bins=bins, together=together).decision_function(data.X_test)
        assert roc_auc_score(data.y_test, scores) == pytest.approx(auc, abs=5e-4), (bins, together)
