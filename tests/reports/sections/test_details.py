"""What a record tells beyond its first score and threshold: further scores, thresholds, classes, explained rows."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from reports import tables
from reports.document import document
from reports.sections import columns
from reports.tables.material import Material
from reports.writers import markdown

PERCENTILE, ORACLE = "percentile 95 of the validation scores", "oracle: largest F1 on the test labels"


def level(f1: float, rule: str = PERCENTILE, oracle: bool = False) -> dict[str, Any]:
    metrics = {"f1": f1, "precision": 0.5, "recall": 0.8, "accuracy": 0.91, "threshold": 1.0}
    return {
        "rule": rule,
        "oracle": oracle,
        "metrics": metrics,
        "intervals": {},
        "confusion": {"tn": 90, "fp": 8, "fn": 2, "tp": 8},
    }


def entry(score: str, auc: float, f1: float) -> dict[str, Any]:
    return {
        "score": score,
        "metrics": {"roc_auc": auc, "f1": f1},
        "intervals": {"roc_auc": [auc - 0.01, auc + 0.01]},
        "confusion": {"tn": 90, "fp": 8, "fn": 2, "tp": 8},
        "threshold_rule": PERCENTILE,
        "oracle": False,
        "thresholds": [level(f1), level(0.99, ORACLE, True)],
    }


def rendered(records: list[dict[str, Any]]) -> str:
    return markdown.written(document(Material(records))).replace("\u00a0", " ")


def folded(text: str, summary: str) -> str:
    return text.split(f"<summary>{summary}</summary>", 1)[1].split("</details>", 1)[0]


def test_each_score_of_a_training_is_a_row_and_only_the_first_competes(record: Any) -> None:
    records = [
        record(seed=seed, auc=0.9, other_scores=[entry("mae", 0.99, 0.6)], score="reconstruction") for seed in (0, 1)
    ]
    records.append(record(detector="knn", auc=0.7))
    trials = tables.trials(records)
    quality = tables.quality(tables.scored(trials, records))
    found = {(row.detector, row.score): row for row in quality.itertuples()}
    assert found["vae", "mae"].roc_auc == pytest.approx(0.99)
    assert found["vae", "mae"].seeds == 2
    assert not found["vae", "mae"].roc_auc_top
    assert found["vae", "reconstruction"].roc_auc_sole, "a score picked by the test labels took the lead"
    assert tables.standings(quality)[0].leader["score"] == "reconstruction"
    text = rendered(records)
    assert re.search(r"\| `vae` +\| `torch` +\| `mae` +\|", text)
    assert "A network has a row for each **score**" in text


def test_scores_are_read_from_json_too_and_misshapen_ones_are_left_out(record: Any) -> None:
    raw = record(other_scores=msgspec.Raw(msgspec.json.encode([entry("mae", 0.8, 0.6)])))
    assert [one.score for one in tables.other_scores(raw)] == ["mae"]
    for broken in (msgspec.Raw(b'{"a'), msgspec.Raw(b"7"), "x", [3], None):
        assert tables.other_scores({"other_scores": broken}) == []


def test_every_threshold_has_a_line_and_an_oracle_is_called_one(record: Any) -> None:
    levels = [level(0.7), level(0.95, ORACLE, True)]
    text = folded(
        rendered([record(thresholds=levels), record(seed=1, thresholds=[level(0.9), levels[1]])]), "Every threshold"
    )
    assert re.search(rf"\| {PERCENTILE} +\| 0.800 ± 0.141 \| +0.500 ± 0.000 \| .* 16 \| +8 of 10 \|", text)
    assert re.search(r"\*\*oracle\*\* · largest F1 on the test labels +\| 0.950 ± 0.000", text)
    assert "Every threshold" not in rendered([record(thresholds=levels[:1])]), "one threshold is in the table already"


def test_each_class_has_the_counts_of_the_confusion_matrix(record: Any) -> None:
    records = [record(confusion={"tn": 90, "fp": 10, "fn": 5, "tp": 15})]
    text = folded(rendered(records), "Each class, and the confusion matrix")
    assert re.search(r"normal +\| +0.947 \| +0.900 \| 0.923 \| +100 \| +90 \| +10 \|", text)
    assert re.search(r"anomaly +\| +0.600 \| +0.750 \| 0.667 \| +20 \| +5 \| +15 \|", text)


def test_top_anomalies_name_features_shares_and_values(record: Any) -> None:
    features = [{"name": "a|b<i>", "share": 0.62, "value": 3.1, "reconstruction": -0.2}]
    top = [{"row": 17, "score": 12.5, "anomaly": True, "features": features}]
    text = folded(rendered([record(top_anomalies=top)]), "Top anomalies and what made them so")
    assert re.search(r"\| +17 \| 12.50 \| anomaly \| `a\\\|b<i>` 62 % · 3.10 against -0.200 +\|", text)


@pytest.mark.parametrize("broken", [7, [7], [{}], "x", [{"features": [3], "metrics": 1, "confusion": []}] * 2])
def test_misshapen_details_leave_the_report_whole(record: Any, broken: Any) -> None:
    odd = record(thresholds=broken, top_anomalies=broken, confusion=broken, other_scores=broken, published=broken)
    assert "## Quality" in rendered([odd, record(detector="knn")])


def test_detected_counts_have_a_decimal_only_as_means() -> None:
    assert columns.detected({"tp": 47, "fn": 3}).text == "47 of 50"
    assert columns.detected({"tp": 47.5, "fn": 2.5}).text == "47.5 of 50"
    assert columns.detected({"tp": float("nan"), "fn": 1}).text == "—"
