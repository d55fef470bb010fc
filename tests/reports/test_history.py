"""A history for people: its lines of text and its figures."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from reports import history
from reports.figures.history import WORSE, write_figures
from reports.history import Change, Line

SLOWER = Change(place=20, until=30, size=-0.104, low=-0.122, high=-0.085, worse=True, notes=("torch 2.12 → 2.13",))


def line(**changes):
    medians = [80_000.0 + 100 * (number % 3) for number in range(20)] + [72_000.0] * 10
    start = datetime(2026, 10, 1, tzinfo=UTC)
    made = {
        "machine": "8cdcb30b",
        "label": "correlated vae torch",
        "backend": "torch",
        "metric": "train_samples_per_second",
        "unit": "samples/s",
        "relative": True,
        "dates": [start + timedelta(days=number) for number in range(30)],
        "revisions": [f"{number:07x}" for number in range(30)],
        "medians": medians,
        "lows": [0.97 * median for median in medians],
        "highs": [1.03 * median for median in medians],
        "marked": [number == 3 for number in range(30)],
        "changes": [SLOWER],
    }
    return Line(**(made | changes))


def test_a_change_point_is_told_with_date_revision_size_interval_and_versions():
    assert line().told(SLOWER) == (
        "2026-10-21  0000014  correlated vae torch: train_samples_per_second regressed by "
        "−10.4 % [−12.2, −8.5] (torch 2.12 → 2.13)"
    )


def test_quality_changes_by_a_difference_and_not_by_a_share():
    better = Change(20, 30, 0.0123, 0.01, 0.0146, worse=False)
    told = line(metric="roc_auc", relative=False, medians=[0.9] * 30, changes=[better]).told(better)
    assert "roc_auc improved by +0.0123 [+0.0100, +0.0146]" in told


@pytest.mark.parametrize(
    ("values", "drawn"), [([1, 2, 3], "▁▅█"), ([5, 5], "▅▅"), ([0.0], "▅"), ([*range(100), 0], "█▁")]
)
def test_a_sparkline_shows_the_newest_values_between_their_extremes(values, drawn):
    assert history.sparkline(values).endswith(drawn)
    assert len(history.sparkline(values)) <= 40


def test_text_names_a_scenario_once_and_a_machine_only_among_several():
    one, other = line(), line(metric="compile_seconds", changes=[])
    alone = history.text([one, other])
    assert alone.splitlines()[0] == "correlated vae torch"
    assert alone.count("\ncorrelated vae torch") == 0
    assert "machine" not in alone
    assert history.text([one, line(machine="ffffffff")]).count("machine ") == 2


def test_names_from_outside_cannot_break_a_line():
    hostile = line(label="a\nb\x1b[31m", revisions=["x\ny"] * 30)
    assert len(history.text([hostile]).splitlines()) == 5
    assert "\x1b" not in history.text([hostile])


def test_a_figure_shows_the_change_point_and_is_the_same_bytes_each_time(tmp_path):
    first, again = (write_figures([line()], tmp_path / name)[0] for name in ("one", "two"))
    assert first.read_bytes() == again.read_bytes()
    root = ElementTree.fromstring(first.read_bytes())
    assert root.tag.endswith("svg")
    without = write_figures([line(changes=[])], tmp_path / "three")[0]
    assert WORSE.lower() in first.read_text().lower()
    assert first.read_text().count("stroke-dasharray") == without.read_text().count("stroke-dasharray") + 1


def test_series_of_one_name_on_two_machines_are_two_figures(tmp_path):
    paths = write_figures([line(), line(machine="ffffffff")], tmp_path)
    assert len(set(paths)) == 2
    assert all(re.fullmatch(r"[a-z0-9-]+\.svg", path.name) for path in paths)


def test_a_name_with_a_path_in_it_stays_in_the_folder(tmp_path):
    (path,) = write_figures([line(label="../../etc/$x$ <script>")], tmp_path / "figures")
    assert path.parent == tmp_path / "figures"
    assert "<script>" not in path.read_text()
