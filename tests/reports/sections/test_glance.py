"""The first figure: every panel names the data set it is of, and over many sets a mean that hides none of them."""

from __future__ import annotations

from typing import Any

from reports.sections import glance
from reports.tables.material import Material

DETECTORS = ("vae", "knn", "norm")


def shown(records: list[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    (block,) = glance.figure(Material(records))
    return block.screen(), block.note  # type: ignore[union-attr]


def run(record: Any, sets: list[str]) -> list[dict[str, Any]]:
    """Every detector on every set, and one that runs on the first set alone."""
    made = [record(dataset, detector) for dataset in sets for detector in DETECTORS]
    return [*made, record(sets[0], "rarity", auc=0.6)]


def test_each_of_few_data_sets_has_a_panel_of_its_name_with_the_detectors_in_one_order(record: Any) -> None:
    data, caption = shown(run(record, ["kdd-synthetic", "digits:4", "correlated"]))
    panels = {panel["title"]: panel["lines"] for panel in data["quality"]}
    assert list(panels) == ["correlated", "digits:4", "kdd-synthetic"]
    for title, lines in panels.items():
        assert [line["label"] for line in lines] == ["vae", "knn", "rarity", "norm"]
        assert (lines[2]["value"] is None) == (title != "kdd-synthetic")
    assert "kdd-synthetic" in caption
    assert "correlated" in caption


def test_over_many_data_sets_a_detector_that_ran_on_one_does_not_leave_that_one_alone(record: Any) -> None:
    data, caption = shown(run(record, [f"digits:{digit}" for digit in range(6)]))
    (panel,) = data["quality"]
    assert panel["title"] == "mean over 6 data sets"
    assert [line["label"] for line in panel["lines"]] == ["vae", "knn", "norm"]
    assert all(len(line["dots"]) == 6 for line in panel["lines"])
    assert "Left out, since they ran on few of them" in caption


def test_the_rates_say_which_work_they_are_of(record: Any) -> None:
    assert shown([record(detector="vae")])[0]["rates"]["title"] == "vae on digits:4"
    both = [record(detector="vae"), record(detector="autoencoder")]
    assert shown(both)[0]["rates"]["title"] == "geometric mean over 2 tasks"
