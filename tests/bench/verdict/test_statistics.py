"""The gate's own errors: intervals that hold their level, and verdicts that do not cry wolf on measured noise."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from bench.verdict.calibration import compared
from bench.verdict.comparison import Terms
from bench.verdict.pairing import Pair
from bench.verdict.rules import LEAST_PAIRS, METRICS, Values, judge
from bench.verdict.statistics import adjusted, estimate, more_pairs, rate_interval

TRAIN, SCORE = "train_samples_per_second", "score_samples_per_second"

OFFSET, WITHIN, DISTURBED = 0.014, 0.12, 0.05
"""Standard deviations of log-ratios, between process pairs and between neighbours, as measured on two shared cores, and
the share of pairs that something else disturbed by some percent."""


def played(rng: np.random.Generator, slowdown: float) -> Iterator[Pair]:
    """Pairs of 7 s with such noise; neighbours have heavy tails."""
    while True:
        logs = {}
        for name in (TRAIN, SCORE):
            offset = rng.normal(0, OFFSET) + (rng.normal(0, 0.08) if rng.random() < DISTURBED else 0)
            neighbours = WITHIN * rng.standard_t(3, size=40) / math.sqrt(3)
            logs[name] = [float(np.median(neighbours)) + offset + math.log1p(slowdown)]
        yield Pair(logs=logs, seconds=7.0)


def rate(slowdown: float, words: tuple[str, ...], count: int) -> float:
    """How often a comparison of two minutes says one of these of training."""
    sources = {"x": played(np.random.default_rng(7), slowdown)}
    outcomes = [compared(sources, Terms(metrics=(TRAIN, SCORE)), 120.0) for _ in range(count)]
    return sum(outcome.verdicts["x", TRAIN] in words for outcome in outcomes) / count


def test_equal_sides_never_count_as_changed_more_often_than_once_in_a_hundred():
    assert rate(0.0, ("regressed", "improved"), 300) <= 0.01


@pytest.mark.parametrize(("slowdown", "least"), [(0.10, 0.99), (0.07, 0.90)])
def test_a_slowdown_well_beyond_the_threshold_is_seen_in_two_minutes(slowdown, least):
    assert rate(slowdown, ("regressed",), 100) >= least


def test_a_slowdown_just_within_the_threshold_seldom_fails_a_build():
    assert rate(0.025, ("regressed",), 200) <= 0.05


@pytest.mark.parametrize("pairs", [4, 6, 12])
def test_the_interval_covers_the_truth_as_often_as_it_says_where_a_bootstrap_would_not(pairs):
    rng, covered, boot = np.random.default_rng(pairs), 0, 0
    for _ in range(1500):
        values = rng.normal(0.0, OFFSET, size=pairs)
        found = estimate(values)
        covered += found.low <= 0.0 <= found.high
        low, high = np.percentile(rng.choice(values, (100, pairs)).mean(axis=1), [2.5, 97.5])
        boot += low <= 0.0 <= high
    assert 0.93 <= covered / 1500 <= 0.97
    assert boot < covered


def test_one_pair_tells_no_interval_and_equal_values_tell_one_without_width():
    one, equal = estimate([0.1]), estimate([0.0] * 5)
    assert (one.low, one.high, one.p) == (-math.inf, math.inf, 1.0)
    assert (equal.low, equal.high, equal.p) == (0.0, 0.0, 1.0)


def test_what_all_pairs_share_is_not_averaged_away():
    alone, shared = estimate([0.01, 0.02, 0.015]), estimate([0.01, 0.02, 0.015], shared_variance=1e-4)
    assert shared.high - shared.low > 2 * (alone.high - alone.low)


def test_the_pairs_it_would_take_do_decide():
    rng = np.random.default_rng(0)
    values = [0.02, 0.05, 0.03, 0.06, 0.04]
    found = estimate(values)
    more = more_pairs(found, 0.03)
    assert more is not None
    spread = np.std(values, ddof=1)

    def stretched(count: int) -> list[float]:
        drawn = rng.normal(size=count)
        return list(found.mean + spread * (drawn - drawn.mean()) / drawn.std(ddof=1))

    assert estimate(stretched(5 + more)).low > 0.03
    assert estimate(stretched(5 + more - 1)).low <= 0.03


def test_nothing_is_promised_where_no_number_of_pairs_would_do():
    assert more_pairs(estimate([0.03, 0.03 + 1e-9, 0.03 - 1e-9]), 0.03 + 1e-15) is None
    assert more_pairs(estimate([0.1]), 0.03) is None


def verdict(worse: list[float], metric: str = TRAIN, threshold: float = 0.03) -> str:
    return judge({"x": Values(METRICS[metric], threshold, worse)})["x"].verdict


def test_a_verdict_needs_the_whole_interval():
    assert verdict([0.05, 0.051, 0.049, 0.05]) == "regressed"
    assert verdict([-0.05, -0.051, -0.049, -0.05]) == "improved"
    assert verdict([0.001, -0.001, 0.002, 0.0]) == "unchanged"
    assert verdict([0.05, 0.02, 0.06, 0.01]) == "inconclusive"


def test_few_pairs_are_inconclusive_however_alike_and_say_how_many_are_wanting():
    judged = judge({"x": Values(METRICS[TRAIN], 0.03, [0.2] * (LEAST_PAIRS - 1))})["x"]
    assert (judged.verdict, judged.more_pairs) == ("inconclusive", 1)


def test_sides_that_are_equal_to_the_last_digit_need_no_further_pairs():
    assert verdict([0.0, 0.0], "roc_auc") == "unchanged"
    assert verdict([0.0], "roc_auc") == "inconclusive"


def test_among_many_comparisons_one_weak_change_is_not_reported():
    weak = Values(METRICS[TRAIN], 0.001, [0.004, 0.012, 0.009, 0.0055])
    rng = np.random.default_rng(3)
    others = {n: Values(METRICS[TRAIN], 0.001, list(rng.normal(0, 0.01, 6))) for n in range(60)}
    assert judge({"weak": weak})["weak"].verdict == "regressed"
    assert judge({"weak": weak, **others})["weak"].verdict == "inconclusive"


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    assert adjusted([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    from scipy.stats import false_discovery_control

    p_values = np.random.default_rng(0).random(50) ** 3
    assert adjusted(list(p_values)) == pytest.approx(false_discovery_control(p_values))
    assert adjusted([]) == []


def test_the_interval_of_no_hits_says_what_they_rule_out():
    low, high = rate_interval(0, 300)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 300))


def test_which_way_is_worse_is_known_of_every_metric():
    for metric in METRICS.values():
        worse = metric.change(0.1)
        assert (worse < 0) == metric.higher_is_better
    assert METRICS["roc_auc"].change(0.02) == -0.02
    assert METRICS[TRAIN].change(math.log(1.25)) == pytest.approx(-0.2)


def test_what_happens_once_a_process_is_held_to_a_wider_threshold():
    assert METRICS["compile_seconds"].threshold(0.03, 0.01) == 0.10
    assert METRICS["compile_seconds"].threshold(0.20, 0.01) == 0.20
    assert METRICS[TRAIN].threshold(0.03, 0.01) == 0.03
    assert METRICS["f1"].threshold(0.03, 0.01) == 0.01
