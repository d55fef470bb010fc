"""Protocols side by side, and our figures beside those that others published."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reports.blocks import Section
from reports.sections import protocols, published
from reports.tables.material import Material
from reports.writers import markdown


def shown(sections: list[Section]) -> str:
    return "".join(markdown.blocks(section.blocks) for section in sections).replace("\u00a0", " ")


def by_protocol(records: list[dict[str, Any]]) -> str:
    return shown(protocols.section(Material(records)))


def beside(records: list[dict[str, Any]]) -> str:
    return shown(published.section(Material(records)))


def two(record: Any, first: str, second: str, **more: Any) -> list[dict[str, Any]]:
    return [
        record(first, auc=0.7, protocol="as published", scenario_hash="p", **more),
        record(second, auc=0.9, protocol="done right", scenario_hash="r", **more),
    ]


@pytest.mark.parametrize(
    ("first", "second", "title"),
    [
        ("blobs?split=all", "blobs", "### `blobs` by protocol"),
        ("mnist:4", "mnist-one-class:4", "### `4` by protocol"),
        ("a", "b", "### `quick` by protocol"),
    ],
)
def test_protocols_of_one_question_share_a_line_with_their_difference(
    record: Any, first: str, second: str, title: str
) -> None:
    text = by_protocol(two(record, first, second))
    assert title in text
    assert re.search(r"\| `vae` +\| `torch` +\| +0.700 \| +0.900 \| \+0.200 \|", text)
    assert "170 of 520" in text


def test_different_questions_have_tables_of_their_own(record: Any) -> None:
    text = by_protocol(two(record, "digits:4", "digits:4?x=1") + two(record, "digits:7", "digits:7?x=1"))
    assert text.count("by protocol") == 2


def test_one_protocol_alone_is_no_comparison(record: Any) -> None:
    assert by_protocol([record(protocol="done right")]) == ""


def test_rows_of_one_protocol_that_no_column_tells_apart_are_both_shown(record: Any) -> None:
    records = [*two(record, "a?x", "a"), record("a?y", auc=0.5, protocol="done right", scenario_hash="s")]
    assert by_protocol(records).count("| `vae`") == 2


def figure(**changes: Any) -> dict[str, Any]:
    return {
        "datasets": ["digits:4", "digits:7"],
        "detector": "vae",
        "metric": "roc_auc",
        "value": 0.855,
        "source": "A | thesis",
        "protocol": "latent 2",
        "low": 0.8,
    } | changes


def test_ours_is_the_mean_over_the_data_sets_named_and_its_spread_that_of_the_seeds(record: Any) -> None:
    values = {("digits:4", 0): 0.8, ("digits:7", 0): 0.9, ("digits:4", 1): 0.9, ("digits:7", 1): 1.0}
    text = beside([record(d, seed=s, auc=auc, published=[figure()]) for (d, s), auc in values.items()])
    assert re.search(r"\| 0.900 ± 0.071 \| 0.855 \[0.800, \] +\| +\+0.045 \| A \\\| thesis \| latent 2 ", text)


def test_a_missing_data_set_is_told_and_no_difference_is_claimed(record: Any) -> None:
    text = beside([record("digits:4", auc=0.8, published=[figure()])])
    assert re.search(r"0.800 \(1 of 2 data sets\) \| 0.855 \[0.800, \] \| +— \|", text)


def test_the_score_and_the_threshold_named_are_the_ones_compared(record: Any) -> None:
    levels = [{"rule": "a", "metrics": {"f1": 0.1}}, {"rule": "b", "metrics": {"f1": 0.3}, "oracle": True}]
    other = {"score": "mae", "metrics": {"f1": 0.2}, "thresholds": levels}
    entry = figure(datasets=["digits:4"], metric="f1", score="mae", threshold="b", value=0.2)
    text = beside([record(published=[entry], other_scores=[other])])
    assert "0.300 (oracle)" in text
    assert "F1 (`mae`, b)" in text
    assert beside([record(published=[entry])]) == "", "another score stood in for the one that was named"


def test_the_settings_that_tell_two_figures_apart_are_shown(record: Any) -> None:
    entries = [figure(datasets=["digits:4"], where={"latent": latent}) for latent in (2, 32)]
    text = beside([record(published=[entry], scenario_hash=str(entry["where"])) for entry in entries])
    assert "ROC AUC (`latent=2`)" in text
    assert "ROC AUC (`latent=32`)" in text
