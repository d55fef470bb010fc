"""bench compare: what one side lacks, and what no number of trials would show."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.cli import main
from bench.verdict import comparison
from bench.verdict.comparison import Terms
from making.sides import TRAIN, compared, record, with_speed, words, write
from reports import printed


def with_quality(lacks: int = 0) -> list[dict]:
    """Five seeds with a rate and AUC, the last ``lacks`` of them without the AUC."""
    found = []
    for n, one in enumerate(with_speed(1000)):
        auc = {} if n >= 5 - lacks else {"roc_auc": 0.9 + 0.001 * n}
        found.append(one | {"seed": n, "metrics": one["metrics"] | auc, "intervals": {"roc_auc": [0.89, 0.91]}})
    return found


STATUSES = [(False, False), (True, False), (False, True)]
"""``strict``, and whether the metrics were asked for by name."""


@pytest.mark.parametrize(
    ("baseline", "candidate", "said", "statuses"),
    [
        (with_quality(), with_quality(5), "the candidate has no roc_auc", [0, 3, 4]),
        (with_quality(5), with_quality(), "the baseline has no roc_auc", [0, 3, 4]),
        (with_quality(), with_quality(2), "the candidate has no roc_auc in 2 of 5 trials", [0, 3, 3]),
        (with_quality(), with_quality()[:3], "the candidate lacks 2 of 5 trials, 2 of 5 seeds wholly", [0, 3, 3]),
        (
            with_quality()[1:],
            with_quality()[:4],
            "baseline lacks 1 of 5 trials, 1 of 5 seeds wholly; the cand",
            [0, 3, 3],
        ),
        (with_speed(1000), with_speed(1000)[:4], "the candidate lacks 1 of 5 trials.", [0, 3, 3]),
    ],
)
def test_what_one_side_lacks_is_named_and_counts_where_it_was_asked_for(tmp_path, baseline, candidate, said, statuses):
    folders = write(tmp_path / "a", baseline), write(tmp_path / "b", candidate)
    for (strict, named), status in zip(STATUSES, statuses, strict=True):
        metrics = ("roc_auc", TRAIN) if "roc_auc" in said else (TRAIN,)
        terms = Terms(metrics=metrics, named=named, quality_threshold=0.1)
        result = comparison.result(comparison.of_directories(*folders, terms), terms)
        shown = printed.comparison_text(result | {"baseline": {"text": "a"}, "candidate": {"text": "b"}})
        assert said in shown
        assert "seeds wholly" in said or "seeds wholly" not in shown
        assert comparison.status(result, strict=strict) == status, (strict, named)
        assert words(result)[TRAIN] == "unchanged"


def test_a_metric_that_was_asked_for_and_is_nowhere_is_never_green(tmp_path, capsys):
    write(tmp_path / "a", with_speed(1000))
    write(tmp_path / "b", with_speed(1000))
    sides = ["compare", str(tmp_path / "a"), str(tmp_path / "b")]
    assert main([*sides, "--metric", "roc_auc"]) == 4
    assert "neither side has roc_auc" in capsys.readouterr().out
    assert main([*sides, "--metric", f"roc_auc,{TRAIN}", "--format", "markdown"]) == 4
    said = capsys.readouterr().out
    assert "neither side has roc\\_auc" in said
    assert "1 unchanged" in said
    assert main([*sides, "--metric", f"roc_auc,{TRAIN}", "--format", "junit"]) == 4
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert (suite.get("tests"), suite.get("errors")) == ("2", "1")
    assert main(sides) == 0  # what neither side measures is not asked for
    assert "roc_auc" not in capsys.readouterr().out


def test_sides_without_any_metric_in_common_are_not_green(tmp_path):
    result = compared(
        tmp_path, [record(n, metrics={TRAIN: 1.0}) for n in range(5)], [record(n, metrics={}) for n in range(5)]
    )
    assert result["verdicts"] == []
    assert comparison.status(result, strict=False) == 4
    assert f"the candidate has no {TRAIN}" in printed.comparison_text(
        result | {"baseline": {"text": "a"}, "candidate": {"text": "b"}}
    )


def test_a_short_compilation_that_was_asked_for_says_why_it_is_not_compared(tmp_path):
    made = [record(n, metrics={TRAIN: 1.0, "compile_seconds": 0.01}) for n in range(5)]
    result = compared(tmp_path, made, made, Terms(metrics=("compile_seconds",), named=True))
    (row,) = result["verdicts"]
    assert (row["verdict"], row["reason"]) == (
        "incomparable", "both sides compile in under 0.1 s, which is not compared"
    )  # fmt: skip


def test_what_no_number_of_trials_in_reach_would_show_says_so_and_why(tmp_path):
    speeds = (800.0, 1250.0, 900.0, 1100.0, 1000.0)
    noisy = [record(n, metrics={TRAIN: speed}) for n, speed in enumerate(speeds)]
    result = compared(tmp_path, [record(n, metrics={TRAIN: 1000.0}) for n in range(5)], noisy)
    (row,) = result["verdicts"]
    assert row["more_pairs"] > 50
    said = printed.comparison_text(result | {"baseline": {"text": "a"}, "candidate": {"text": "b"}}).replace(
        "\u00a0", " "
    )
    assert "(cannot be told here)" in said
    assert "training cannot be told here: its pairs spread by 17 % (standard deviation)" in said
    assert "too widely for the threshold of 3 % even with 10 times as many trials" in said
    assert "more)" not in said

    calmer = [record(n, metrics={TRAIN: 1000 + (speed - 1000) / 4}) for n, speed in enumerate(speeds)]
    result = compared(tmp_path / "calm", [record(n, metrics={TRAIN: 1000.0}) for n in range(5)], calmer)
    (row,) = result["verdicts"]
    assert (row["verdict"], row["reason"]) == ("inconclusive", None)
    assert 0 < row["more_pairs"] <= 45


def test_the_pairs_that_ten_budgets_bring_are_the_reach_of_a_live_comparison():
    from bench.verdict import shortfall
    from bench.verdict.pairing import Pair
    from bench.verdict.rules import METRICS, Values, judge

    def told(spread: float, budget: float, seconds: float) -> str | None:
        worse = [spread * x for x in (-1.0, 1.0, -1.0, 1.0)]
        judged = judge({"x": Values(METRICS[TRAIN], 0.03, worse)})["x"]
        return shortfall.untold(METRICS[TRAIN], judged, 0.03, [Pair(seconds=seconds)] * 4, budget)

    # a spread of 11.5 % takes (1.98 · 0.115 / 0.0296)² = 60 pairs: ten budgets of 30 s bring 30 of 10 s, of 90 s 90
    assert "the about 30 pairs that 10 budgets bring" in (told(0.1, 30.0, 10.0) or "")
    assert told(0.1, 90.0, 10.0) is None


def test_test_rows_that_all_pairs_share_are_told_as_the_reason():
    from bench.verdict import shortfall
    from bench.verdict.pairing import Pair
    from bench.verdict.rules import METRICS, Values, judge

    values = Values(METRICS["roc_auc"], 0.01, [0.001, 0.002, 0.001, 0.002], shared_variance=0.01**2)
    judged = judge({"x": values})["x"]
    assert (judged.verdict, judged.more_pairs) == ("inconclusive", None)
    said = shortfall.untold(METRICS["roc_auc"], judged, 0.01, [Pair()] * 4, None)
    assert said is not None
    assert "its test rows, the same in all pairs, leave it open by ±0.032" in said
