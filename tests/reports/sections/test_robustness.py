"""Robustness: a table and a curve over ε, of the detectors that have one."""

from __future__ import annotations

import pytest

from reports.blocks import plain
from reports.document import document
from reports.figures import draw
from reports.sections import robustness
from reports.tables.material import Material
from reports.writers import markdown


def hidden(areas, epsilons=(0.0, 0.1, 0.5)):
    return {"robustness": {"epsilons": list(epsilons), "roc_auc": list(areas), "anomalies": 9, "steps": 10}}


@pytest.fixture
def material(record):
    records = [
        *(record(backend="torch", seed=seed, **hidden((0.9, 0.8, last))) for seed, last in enumerate((0.1, 0.2, 0.3))),
        *(record(backend="torch", seed=seed, round=1, **hidden((0.9, 0.8, 0.9))) for seed in range(3)),
        record(detector="norm", **hidden((0.7, 0.4), (0.0, 0.5))),
        record(detector="knn"),
    ]
    return Material(records)


def test_nothing_is_said_where_no_trial_was_asked(record):
    assert robustness.section(Material([record(backend="torch"), record(detector="norm")])) == []


def test_the_table_has_a_column_for_every_epsilon_and_means_over_seeds(material):
    (section,) = robustness.section(material)
    _, _, table, _ = section.blocks
    assert [column.title for column in table.columns][-3:] == ["ε = 0", "ε = 0.1", "ε = 0.5"]
    lines = {plain(line[0].text): [cell.text for cell in line[-3:]] for line in table.cells}
    assert lines["vae"][:2] == ["0.900", "0.800"]
    assert lines["vae"][2] == "0.200"  # a second round of a seed is the same trial once more
    assert lines["norm"] == ["0.700", "—", "0.400"]
    assert "knn" not in lines


def test_the_figure_draws_each_curve_over_the_epsilons_it_has(material):
    (section,) = robustness.section(material)
    figure = section.blocks[-1]
    (drawing,) = figure.drawings
    (panel,) = drawing.data["panels"]
    assert panel["labels"] == ["0", "0.1", "0.5"]
    vae, norm = panel["lines"]
    assert (vae["x"], vae["y"]) == ([0, 1, 2], [0.9, 0.8, 0.2])
    assert vae["_low"][2] < 0.1 < 0.3 < vae["_high"][2]
    assert (norm["x"], norm["_low"]) == ([0, 2], [None, None])
    assert figure.screen()[0]["panels"] == drawing.data["panels"]
    assert drawing.file.endswith("-robustness.svg")
    assert [line["label"] for line in drawing.data["lines"]] == ["vae · torch", "norm"]
    (drawn,) = draw([drawing])
    assert drawn.svg.startswith(b"<?xml")


def test_lines_of_one_colour_are_told_apart_by_their_settings_and_styles(record):
    settings = (
        {},
        {"adversarial": {"method": "pgd", "epsilon": 0.1}},
        {"adversarial": {"method": "fgsm", "epsilon": 0.1}},
    )
    records = [
        record(backend="torch", settings=own, scenario_hash=str(place) * 16, **hidden((0.9, 0.8, 0.7)))
        for place, own in enumerate(settings)
    ]
    (section,) = robustness.section(Material(records))
    looks = section.blocks[-1].drawings[0].data["lines"]
    assert {look["label"] for look in looks} == {"no adversarial", "adversarial pgd-0.1", "adversarial fgsm-0.1"}
    assert len({look["style"] for look in looks}) == 3


def test_the_section_is_part_of_the_document_and_of_its_markdown(material):
    found = document(material)
    assert "robustness" in [section.key for section in found.sections]
    assert "ε = 0.5" in markdown.written(found)
