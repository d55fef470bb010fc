"""The headline says what the intervals allow, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from reports.sections.answer import answer
from reports.sections.headline import headline
from reports.tables.material import Material
from reports.writers import markdown


def told(records: list[dict[str, Any]]) -> str:
    return markdown.blocks(headline(Material(records))).replace("\u00a0", " ")


def best(records: list[dict[str, Any]]) -> str:
    """What stands before the details."""
    return markdown.blocks(answer(Material(records))).split("<details>")[0].replace("\u00a0", " ")


def test_a_clear_winner_is_named_with_its_lead(record: Any) -> None:
    text = told([record(auc=0.95), record(detector="knn", auc=0.70), record(detector="norm", auc=0.57)])
    assert "`vae` (`torch`) is best, ROC AUC 0.950 [0.940, 0.960], 0.25 ahead of `knn` at 0.700" in text
    assert "cannot be told apart" not in text


def test_overlapping_intervals_make_no_winner(record: Any) -> None:
    text = told([record(auc=0.95), record(detector="knn", auc=0.94), record(detector="norm", auc=0.57)])
    assert "is best" not in text
    assert "cannot be told apart from `knn` at 0.940" in text


def test_a_sanity_line_that_leads_is_not_kept_quiet(record: Any) -> None:
    text = told([record(auc=0.90), record(detector="mahalanobis", auc=0.99)])
    assert "`mahalanobis` is best" in text
    assert "no trained detector is shown to beat the sanity line `mahalanobis`" in text
    assert "(the best of them is `vae` (`torch`) at 0.900" in text


def test_a_trivial_data_set_is_called_trivial(record: Any) -> None:
    assert "**Trivial: `digits:4`.**" in told([record(auc=0.999), record(detector="norm", auc=0.998)])
    assert "Trivial" not in told([record(auc=0.999), record(detector="norm", auc=0.9)])


def test_results_at_chance_level_are_not_sold_as_a_ranking_or_as_trivial(record: Any) -> None:
    text = told([record(auc=0.505), record(detector="norm", auc=0.50)])
    assert "no detector is shown to beat guessing" in text
    assert "Trivial" not in text


@pytest.mark.parametrize("signs", [{"collapsed": True}, {"collapsed": None, "active_units": 0}])
def test_a_collapsed_posterior_is_warned_of(record: Any, signs: dict[str, Any]) -> None:
    assert "**Collapsed posterior: `vae` (`torch`) on `digits:4`.**" in told([record(**signs), record(detector="knn")])
    assert "Collapsed" not in told([record(), record(detector="knn", active_units=None)])


def test_the_fastest_backend_is_named_with_a_ratio_that_holds(run: Any) -> None:
    text = told(run(detectors=["vae"]))
    assert "**Fastest training** in mode `idiomatic` on `cpu`: `jax`, 2.0" in text
    assert "times as fast as `torch` (the interval excludes a tie)" in text


def test_a_lead_within_the_noise_is_not_claimed(record: Any) -> None:
    rates = {"torch": [100.0, 140.0, 90.0], "jax": [110.0, 95.0, 150.0]}
    text = told([record(backend=b, seed=s, speed=v) for b, found in rates.items() for s, v in enumerate(found)])
    assert "(the interval includes a tie)" in text
    assert "an interval that includes a tie" in text


def test_a_single_trial_claims_nothing_about_speed_or_seeds(run: Any) -> None:
    text = told(run(detectors=["vae"], seeds=[0]))
    assert "too few paired trials for an interval, so it may be chance" in text
    assert "Only one seed ran" in text


def test_marked_measurements_are_mentioned_beside_the_claim(run: Any) -> None:
    assert "are marked `noisy`" in told(run(detectors=["vae"], marks=["noisy"]))


def test_unfinished_trials_are_counted(record: Any) -> None:
    text = told([record(), record(seed=1, status="timeout"), record(seed=2, status="skipped", reason="no gpu")])
    assert "2 of 3 trials did not end well: 1 `skipped` and 1 `timeout`" in text


def test_without_any_finished_trial_or_record_it_says_so(record: Any) -> None:
    assert "No trial finished" in told([record(status="failed")])
    assert "no records" in told([])


def test_many_data_sets_are_summed_up(run: Any) -> None:
    text = told(run([f"set-{i}" for i in range(30)], ["vae", "knn"], ["torch"], [0]))
    assert "`vae` on 30 data sets" in text
    assert "18 more data sets" in text


def test_undecided_data_sets_are_not_counted_for_a_winner(record: Any) -> None:
    decided = [record("blobs", auc=0.95), record("blobs", "knn", auc=0.70)]
    open_one = [record("correlated", auc=0.95), record("correlated", "knn", auc=0.95)]
    assert "`vae` on `blobs`; on `correlated` no detector can be named best.**" in told(decided + open_one)


def test_each_environment_has_its_own_headline(record: Any) -> None:
    best_here = [record(auc=0.95), record(detector="knn", auc=0.70)]
    best_there = [record(auc=0.60, environment_hash="e2"), record(detector="knn", auc=0.90, environment_hash="e2")]
    here, there = told(best_here + best_there).split("**Environment B.**")
    assert "`vae` (`torch`) is best" in here
    assert "`knn` is best" in there


def two_modes(run: Any, rates: dict[str, list[float]], **more: Any) -> list[dict[str, Any]]:
    """Trials of PyTorch in each of these modes, a seed for each rate."""
    return [
        trial
        for mode, found in rates.items()
        for seed, speed in enumerate(found)
        for trial in run(
            detectors=["vae"], backends=["torch"], seeds=[seed], speed=speed, mode=mode, scenario_hash=mode, **more
        )
    ]


SLOW = {"idiomatic": [100.0, 110.0, 105.0], "tuned": [92.0, 103.0, 98.0]}


def test_a_mode_that_promises_speed_and_is_slower_stands_on_the_first_screen(run: Any) -> None:
    first = best(two_modes(run, SLOW))
    assert "**`tuned` is slower than `idiomatic` here: `torch` on `digits:4`, 0.93 [0.91, 0.95]" in first
    assert "`torch` on `digits:4` in scoring, 0.93" in first
    assert "**`tuned` is slower than `idiomatic` here: `torch` on `digits:4`, 0.93" in told(two_modes(run, SLOW))


@pytest.mark.parametrize(
    "rates",
    [
        {"idiomatic": [100.0, 110.0], "tuned": [200.0, 210.0]},
        {"idiomatic": [100.0, 110.0, 105.0], "tuned": [97.0, 107.0, 102.0]},
        {"idiomatic": [100.0, 110.0, 90.0], "tuned": [80.0, 120.0, 70.0]},
    ],
    ids=["faster", "slower by less than five in a hundred", "within the noise"],
)
def test_a_mode_is_not_called_slower_for_nothing(run: Any, rates: dict[str, list[float]]) -> None:
    assert "is slower than" not in told(two_modes(run, rates))


def test_a_slower_mode_tells_of_marks_and_of_what_tells_it_from_others(run: Any) -> None:
    one = two_modes(run, {"idiomatic": [100.0], "tuned": [50.0]}, marks=["disturbed"])
    other = two_modes(run, {"idiomatic": [100.0], "tuned": [40.0]}, threads=1)
    text = told([*one, *other])
    assert "`torch` on `digits:4`, 1 thread, 0.40; " in text
    assert "`torch` on `digits:4`, 2 threads, 0.50 (marked `disturbed`)" in text


def test_one_data_set_in_two_environments_is_not_counted_as_two_data_sets(record: Any) -> None:
    here = [record(auc=0.95), record(detector="knn", auc=0.70)]
    there = [one | {"environment_hash": "f" * 16} for one in here]
    assert "`vae` detects best on 2 of 2 pairs of data set and environment" in best(here + there)
    more = [record("blobs", auc=0.95), record("blobs", "knn", auc=0.70)]
    assert "`vae` detects best on 2 of 2 data sets" in best(here + more)
