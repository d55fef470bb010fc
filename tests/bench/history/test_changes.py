"""Change points: found where they are, with their size and direction, and none where there is only noise."""

from __future__ import annotations

import numpy as np
import pytest

from bench import cli
from bench.history import store
from bench.history.changes import FEWEST, change_points, changes, noise
from bench.history.entry import METRICS
from bench.history.series import series
from making import histories as makers


def levels(rng, *parts, deviation=0.02):
    """Logarithms with noise of a given deviation around levels, each for a number of points."""
    centre = np.concatenate([np.full(count, np.log(level)) for count, level in parts])
    return centre + rng.normal(0, deviation, len(centre))


def test_no_change_point_in_noise_with_heavy_tails():
    rng = np.random.default_rng(0)
    alarms = sum(bool(change_points(0.04 * rng.standard_t(4, 100))) for _ in range(100))
    assert alarms <= 2


@pytest.mark.parametrize("step", [0.9, 1.1])
def test_a_step_of_a_tenth_is_found_within_three_points(step):
    rng = np.random.default_rng(1)
    found = [change_points(levels(rng, (60, 1.0), (40, step), deviation=0.03)) for _ in range(50)]
    assert sum(len(places) == 1 and abs(places[0] - 60) <= 3 for places in found) >= 48


def test_a_lasting_step_opens_within_five_points_and_a_lone_outlier_never_does():
    rng = np.random.default_rng(2)
    values = levels(rng, (40, 1.0), (5, 2.0))
    assert change_points(values[:42]) == []
    assert change_points(values) == [40]
    assert change_points(np.concatenate([values[:41], values[:20]])) == []


def test_fewer_points_than_the_fewest_are_not_judged():
    steps = np.repeat([0.0, 1.0], FEWEST)
    assert change_points(steps[FEWEST // 2 + 1 :][: FEWEST - 1]) == []
    assert change_points(steps) == [FEWEST]


def test_a_metric_without_noise_changes_only_by_what_counts():
    assert change_points(np.repeat([0.0, 0.0005], 20)) == []
    assert change_points(np.repeat([0.0, 0.02], 20)) == [20]


def test_the_noise_is_not_inflated_by_a_step():
    rng = np.random.default_rng(3)
    assert noise(levels(rng, (50, 1.0), (50, 2.0), deviation=0.03)) == pytest.approx(0.03, rel=0.3)


@pytest.mark.parametrize("metric", METRICS)
def test_whether_a_change_is_worse_follows_the_direction_of_the_metric(tmp_path, metric):
    lower = METRICS[metric].better == "lower"
    directory = makers.history(tmp_path, [0.8] * 10 + [0.9] * 10, metric=metric)
    (change,) = changes(*series(store.read(directory)))
    assert (change.place, change.worse) == (10, lower)
    assert change.size == pytest.approx(0.125 if METRICS[metric].relative else 0.1)


def test_the_size_has_an_interval_that_holds_what_was_planted(tmp_path):
    rng = np.random.default_rng(4)
    held = 0
    for number in range(20):
        medians = np.exp(levels(rng, (30, 8e4), (20, 7.2e4))).tolist()
        found = changes(*series(store.read(makers.history(tmp_path / str(number), medians))))
        held += any(change.low <= -0.1 <= change.high for change in found)
    assert held >= 17


def planted(directory, level, points=8, **changes):
    rng = np.random.default_rng(5)
    medians = np.exp(levels(rng, (30, 1.0), (points, level))).tolist()
    return str(makers.history(directory, medians, **changes))


@pytest.mark.parametrize(
    ("level", "metric", "status"),
    [
        (0.85, "train_samples_per_second", 1),
        (1.15, "train_samples_per_second", 0),
        (1.15, "peak_memory_bytes", 1),
        (1.0, "train_samples_per_second", 0),
    ],
)
def test_check_fails_on_a_regression_alone(tmp_path, capsys, level, metric, status):
    directory = planted(tmp_path / "history", level, metric=metric)
    assert cli.main(["history", "check", "--history", directory]) == status
    shown = capsys.readouterr().out
    assert ("regressed by" in shown) == (status == 1)
    assert f"{status} of 1 series end in a regression" in shown


@pytest.mark.parametrize(
    "options",
    [["--threshold", "30%"], ["--newest", "7"], ["--metric", "compile_seconds"]],
)
def test_check_passes_over_what_its_options_leave_out(tmp_path, options):
    directory = planted(tmp_path / "history", 0.85)
    store.add(tmp_path / "history", makers.entry(37, 1.0, "compile_seconds"))
    assert cli.main(["history", "check", "--history", directory]) == 1
    assert cli.main(["history", "check", "--history", directory, *options]) == 0


def test_an_old_regression_is_shown_and_no_longer_fails(tmp_path, capsys):
    directory = planted(tmp_path / "history", 0.85, points=16)
    assert cli.main(["history", "check", "--history", directory]) == 0
    capsys.readouterr()
    assert cli.main(["history", "show", "--history", directory]) == 0
    assert "2026-10-31  00000000001e  correlated vae torch: train_samples_per_second regressed by −1" in (
        capsys.readouterr().out
    )
