"""The statistics behind the report, against figures worked out by other means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports import tables
from reports.tables import frames
from reports.tables import ratios as pairs


def quality_of(records: list[dict[str, Any]]) -> list[frames.Row]:
    return frames.rows(tables.quality(tables.trials(records)))


def throughput_of(records: list[dict[str, Any]]) -> list[frames.Row]:
    return frames.rows(tables.throughput(tables.trials(records)))


def test_one_seeds_interval_is_its_own_bootstrap_interval(record: Any) -> None:
    (row,) = quality_of([record(intervals={"roc_auc": [0.90, 0.95]}, auc=0.93)])
    assert (row["roc_auc_low"], row["roc_auc"], row["roc_auc_high"]) == pytest.approx((0.90, 0.93, 0.95))
    assert math.isnan(row["roc_auc_sd"])
    assert math.isnan(row["f1_low"]), "a metric without an interval got one"


def test_the_spread_over_seeds_and_the_interval_over_test_rows_stay_apart(record: Any) -> None:
    values, halves = [0.90, 0.92, 0.97], [0.01, 0.02, 0.03]
    found = [record(seed=s, auc=v, half_width=h) for s, (v, h) in enumerate(zip(values, halves, strict=True))]
    (row,) = quality_of(found)
    assert row["roc_auc"] == pytest.approx(0.93)
    assert row["roc_auc_sd"] == pytest.approx(np.std(values, ddof=1))
    assert (row["roc_auc_low"], row["roc_auc_high"]) == pytest.approx((0.93 - 0.02, 0.93 + 0.02))


@pytest.mark.parametrize(("worst", "sole"), [(0.94, True), (0.84, False)])
def test_a_lead_that_one_seed_turns_around_is_no_lead(record: Any, worst: float, sole: bool) -> None:
    leader = [record(seed=s, auc=auc, half_width=0.001) for s, auc in enumerate((0.99, worst))]
    rival = [record(detector="knn", seed=s, auc=0.85, half_width=0.001) for s in (0, 1)]
    best, other = quality_of(leader + rival)
    assert best["detector"] == "vae"
    assert (best["roc_auc_sole"], other["roc_auc_top"]) == (sole, not sole)


def test_rounds_of_one_seed_are_one_seed(record: Any) -> None:
    first = [record(seed=0, round=r, auc=auc) for r, auc in enumerate((0.7, 0.9, 0.8))]
    (row,) = quality_of([*first, record(seed=1, auc=0.9)])
    assert row["roc_auc"] == pytest.approx((0.8 + 0.9) / 2)
    assert row["seeds"] == 2


def test_of_two_records_of_one_trial_the_later_counts(record: Any) -> None:
    (row,) = quality_of([record(status="failed"), record(auc=0.8), record(auc=0.9)])
    assert row["roc_auc"] == 0.9
    assert (row["seeds"], row["asked"]) == (1, 1)
    assert tables.failures(tables.trials([record(status="failed"), record()])).empty


def test_environments_are_never_averaged(record: Any) -> None:
    found = quality_of([record(auc=0.6), record(seed=1, auc=0.8, environment_hash="e2")])
    assert [(r["environment"], r["roc_auc"]) for r in found] == [("A", 0.6), ("B", 0.8)]


def test_scenarios_with_other_settings_are_apart_and_say_what_differs(record: Any) -> None:
    small = record(auc=0.6, settings={"latent": 2, "epochs": 5}, scenario_hash="s2")
    large = record(auc=0.8, settings={"latent": 16, "epochs": 5}, scenario_hash="s16")
    assert [(r["variant"], r["roc_auc"]) for r in quality_of([small, large])] == [("latent 16", 0.8), ("latent 2", 0.6)]


def test_a_setting_that_a_record_does_not_hold_is_at_its_default(record):
    plain, other = record(), record(settings={"activation": "gelu"}, scenario_hash="b" * 16)
    attacked = record(settings={"adversarial": {"method": "pgd", "epsilon": 0.1}}, scenario_hash="c" * 16)
    plain["settings"] = {}
    assert {r["variant"] for r in quality_of([other, attacked])} == {
        "activation gelu, no adversarial",
        "default activation, adversarial pgd-0.1",
    }
    # what most of them have goes without saying
    found = {r["variant"] for r in quality_of([plain, other, attacked])}
    assert found == {"", "activation gelu", "adversarial pgd-0.1"}


def test_scenarios_that_nothing_visible_tells_apart_are_still_apart(record: Any) -> None:
    found = quality_of([record(scenario_hash="aaaaaaaaaa"), record(scenario_hash="bbbbbbbbbb")])
    assert {r["variant"] for r in found} == {"scenario aaaaaaaa", "scenario bbbbbbbb"}


interval = st.tuples(st.floats(0, 1), st.floats(0, 0.2))


@given(st.dictionaries(st.sampled_from(["vae", "knn", "norm", "autoencoder"]), interval, min_size=1))
@settings(deadline=None, max_examples=20)
def test_a_sole_best_is_above_every_other_detectors_interval(
    record: Any, found: dict[str, tuple[float, float]]
) -> None:
    table = quality_of([record(detector=d, auc=value, half_width=half) for d, (value, half) in found.items()])
    for row in table:
        others = [r for r in table if r["detector"] != row["detector"]]
        if row["roc_auc_sole"]:
            assert others
            assert all(r["roc_auc_high"] < row["roc_auc_low"] for r in others)
        elif row["roc_auc"] == max(r["roc_auc"] for r in table) and others:
            assert any(r["roc_auc_high"] >= row["roc_auc_low"] for r in others)


def test_backends_of_the_best_detector_do_not_deny_it_the_lead(record: Any) -> None:
    records = [record(backend=b, auc=0.95) for b in ("torch", "jax")] + [record(detector="knn", auc=0.7)]
    assert [r["roc_auc_sole"] for r in quality_of(records)] == [True, True, False]


def test_an_unknown_interval_allows_no_claim(record: Any) -> None:
    records = [record(auc=0.95), record(detector="knn", auc=0.5, intervals=None)]
    assert [r["roc_auc_top"] for r in quality_of(records)] == [True, True]


def test_a_threshold_tuned_on_test_labels_takes_part_in_no_contest_of_f1(record: Any) -> None:
    found = {
        r["detector"]: r
        for r in quality_of(
            [record(auc=0.95, oracle=True), record(detector="knn", auc=0.8), record(detector="norm", auc=0.6)]
        )
    }
    assert not found["vae"]["f1_top"]
    assert found["knn"]["f1_sole"]
    assert found["vae"]["roc_auc_sole"]


@pytest.mark.parametrize(("norm", "trivial"), [(0.985, True), (0.95, False)])
def test_a_data_set_is_trivial_where_norm_comes_near_the_best(record: Any, norm: float, trivial: bool) -> None:
    trials = tables.trials([record(auc=0.99), record(detector="norm", auc=norm)])
    (standing,) = tables.standings(tables.quality(trials))
    assert standing.trivial is trivial


def timed(record: Any, backend: str, rates: list[float]) -> list[dict[str, Any]]:
    return [
        record(backend=backend, seed=seed, samples={"train": [1000 / rate] * 5}, train_rows_per_sample=1000)
        for seed, rate in enumerate(rates)
    ]


def test_a_rate_has_the_t_interval_of_its_trials_logarithms(record: Any) -> None:
    rates = [900.0, 1000.0, 1300.0]
    (row,) = throughput_of(timed(record, "torch", rates))
    low, high = stats.t.interval(0.95, 2, np.mean(np.log(rates)), stats.sem(np.log(rates)))
    assert row["train"] == pytest.approx(stats.gmean(rates))
    assert (row["train_low"], row["train_high"]) == pytest.approx((math.exp(low), math.exp(high)))
    assert (row["trials"], row["samples"]) == (3, 15)


def test_the_spread_of_few_trials_is_pooled_over_the_rows_of_a_backend(record: Any) -> None:
    rates = {"blobs": [900.0, 1100.0], "correlated": [500.0, 510.0], "digits:4": [2000.0, 2400.0, 2100.0]}
    found = [
        record(name, backend=backend, seed=seed, samples={"train": [1000 / rate]}, train_rows_per_sample=1000)
        for backend in ("torch", "jax")
        for name, series in rates.items()
        for seed, rate in enumerate(series if backend == "torch" else [77.0, 770.0])
    ]
    logs = [np.log(series) for series in rates.values()]
    df = sum(len(series) - 1 for series in logs)
    sd = math.sqrt(sum(((series - series.mean()) ** 2).sum() for series in logs) / df)
    table = {(r["dataset"], r["backend"]): r for r in throughput_of(found)}
    for name, series in zip(rates, logs, strict=True):
        half = stats.t.ppf(0.975, df) * sd / math.sqrt(len(series))
        row = table[name, "torch"]
        assert (row["train_low"], row["train_high"]) == pytest.approx(
            (math.exp(series.mean() - half), math.exp(series.mean() + half))
        )


def test_the_spread_of_paired_ratios_is_pooled_over_the_data_sets_where_two_backends_met(record: Any) -> None:
    ratios = {"blobs": [2.0, 2.2], "correlated": [3.0, 2.9]}
    found = [
        record(name, backend=backend, seed=seed, samples={"train": [1.0]}, train_rows_per_sample=rows)
        for name, series in ratios.items()
        for seed, ratio in enumerate(series)
        for backend, rows in (("jax", 1000 * ratio * (seed + 1)), ("torch", 1000 * (seed + 1)))
    ]
    logs = [np.log(series) for series in ratios.values()]
    sd = math.sqrt(sum(((series - series.mean()) ** 2).sum() for series in logs) / 2)
    table = {(r["dataset"], r["backend"]): r for r in throughput_of(found)}
    for name, series in zip(ratios, logs, strict=True):
        half = stats.t.ppf(0.975, 2) * sd / math.sqrt(2)
        row = table[name, "jax"]
        assert row["ratio_value"] == pytest.approx(math.exp(series.mean()))
        assert row["ratio_low"] == pytest.approx(math.exp(series.mean() - half))


def test_one_trial_has_a_rate_but_no_interval(record: Any) -> None:
    (row,) = throughput_of(timed(record, "torch", [1000.0]))
    assert row["train"] == pytest.approx(1000)
    assert math.isnan(row["train_low"])
    assert math.isnan(row["ratio_value"]), "a row that is alone was compared"


def test_a_trials_rate_is_that_of_its_median_sample(record: Any) -> None:
    (row,) = throughput_of([record(samples={"train": [1.0, 1.0, 60.0]}, train_rows_per_sample=50)])
    assert row["train"] == pytest.approx(50)


def test_drift_that_hits_both_backends_of_a_round_leaves_their_ratio_alone(record: Any) -> None:
    drift = [1.0, 2.0, 0.5, 1.4]
    fast, slow = timed(record, "jax", [300 * d for d in drift]), timed(record, "torch", [100 * d for d in drift])
    first, second = throughput_of(slow + fast)
    assert (first["backend"], second["backend"]) == ("jax", "torch")
    assert (first["ratio_value"], first["ratio_low"], first["ratio_high"]) == pytest.approx((3, 3, 3))
    assert second["ratio_value"] == 1
    assert first["train_low"] < 200, "the drift is gone from the rate as well"


@pytest.mark.parametrize("change", [{"timed": False}, {"status": "diverged"}])
def test_what_was_not_timed_or_did_not_finish_has_no_throughput(record: Any, change: dict[str, Any]) -> None:
    assert throughput_of([record(**change)]) == []


def test_a_race_compares_like_with_like(record: Any) -> None:
    records = [record(backend="torch", mode="tuned"), record(backend="jax"), record(backend="keras", device="gpu")]
    trials = tables.trials([r | {"scenario_hash": r["backend"]} for r in records])
    assert pairs.races(trials, tables.throughput(trials)) == []


def test_equal_failures_share_a_row_with_their_seeds(record: Any) -> None:
    records = [record(seed=s, status="failed", reason="no memory") for s in (2, 0)] + [record(seed=1, status="timeout")]
    found = frames.rows(tables.failures(tables.trials(records)))
    assert [(r["status"], r["reason"], r["seeds"], r["trials"]) for r in found] == [
        ("failed", "no memory", (0, 2), 2),
        ("timeout", "", (1,), 1),
    ]
