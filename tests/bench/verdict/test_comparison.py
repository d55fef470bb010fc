"""bench compare on results directories: what is compared with what, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench.cli import main
from bench.records import store
from bench.verdict import comparison
from bench.verdict.comparison import Terms
from reports import printed
from reports.sections import comparison as sections

MACHINE = {"cpu": "a", "memory_bytes": 8 << 30, "python": "3.11.7"}
TRAIN = "train_samples_per_second"


def record(round_: int = 0, **more) -> dict:
    base = {
        "schema": 1,
        "dataset": "blobs",
        "detector": "vae",
        "backend": "torch",
        "mode": "idiomatic",
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
        "protocol": "",
        "scenario_hash": "a" * 16,
        "environment_hash": "e",
        "environment": {"machine": MACHINE, "packages": {"torch": "2.9"}, "backend": {"precision": "float32"}},
        "seed": 0,
        "round": round_,
        "status": "ok",
        "reason": None,
        "settings": {"epochs": 20, "batch_size": 128},
        "data": {"checksum": "c"},
        "metrics": {TRAIN: 1000.0, "peak_memory_bytes": 4e8, "compile_seconds": 2.0},
        "intervals": {},
    }
    return base | more


def write(directory: Path, made: list[dict]) -> Path:
    for one in made:
        store.append(directory, one)
    return directory


def with_speed(speed: float, **more) -> list[dict]:
    """Five rounds, each 0.2 % off the last."""
    return [record(n, metrics={TRAIN: speed * (1 + 0.002 * n), "peak_memory_bytes": 4e8}, **more) for n in range(5)]


def compared(tmp_path: Path, baseline: list[dict], candidate: list[dict], terms: Terms | None = None) -> dict:
    folders = write(tmp_path / "a", baseline), write(tmp_path / "b", candidate)
    terms = terms or Terms()
    return comparison.result(comparison.of_directories(*folders, terms), terms)


def words(result: dict) -> dict:
    return {row["metric"]: row["verdict"] for row in result["verdicts"]}


def test_a_slower_candidate_regressed_and_a_faster_one_improved(tmp_path):
    slower = compared(tmp_path / "1", with_speed(1000), with_speed(930))
    assert words(slower) == {TRAIN: "regressed", "peak_memory_bytes": "unchanged"}
    assert slower["verdicts"][0]["change"] == pytest.approx(-0.07, abs=1e-6)
    assert comparison.status(slower, strict=False) == 1
    faster = compared(tmp_path / "2", with_speed(930), with_speed(1000))
    assert words(faster)[TRAIN] == "improved"
    assert comparison.status(faster, strict=True) == 0


def test_the_threshold_decides_what_counts(tmp_path):
    assert words(compared(tmp_path, with_speed(1000), with_speed(930), Terms(threshold=0.1)))[TRAIN] == "unchanged"


def test_noisy_rounds_are_inconclusive_which_counts_under_strict_alone(tmp_path):
    noisy = [record(n, metrics={TRAIN: speed}) for n, speed in enumerate((800.0, 1250.0, 900.0, 1100.0, 1000.0))]
    result = compared(tmp_path, with_speed(1000), noisy)
    (row,) = (row for row in result["verdicts"] if row["metric"] == TRAIN)
    assert row["verdict"] == "inconclusive"
    assert row["more_pairs"] > 10
    assert (comparison.status(result, strict=False), comparison.status(result, strict=True)) == (0, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"environment": {"machine": MACHINE | {"cpu": "b"}, "packages": {"torch": "2.9"}}}, "cpu: a in the baseline"),
        ({"environment": {"machine": MACHINE, "packages": {"torch": "3.0"}}}, "torch: 2.9 in the baseline, 3.0"),
        ({"scenario_hash": "b" * 16, "settings": {"epochs": 9, "batch_size": 128}}, "epochs: 20 against 9"),
        ({"scenario_hash": "b" * 16, "backend": "jax"}, "the candidate does not have it"),
        ({"data": {"checksum": "d"}}, "the data differ: checksum c against d"),
        ({"seed": 9}, "no seed and round are in both"),
        ({"status": "failed", "reason": "no licence"}, "the candidate failed: no licence"),
        (
            {
                "environment": {
                    "machine": MACHINE,
                    "packages": {"torch": "2.9"},
                    "backend": {"precision": "float64"},
                }
            },
            "the precision differs: float32 against float64",
        ),
    ],
)
def test_what_cannot_be_compared_is_named_with_what_differs(tmp_path, changes, said):
    result = compared(tmp_path, with_speed(1000), with_speed(900, **changes))
    first = result["verdicts"][0]
    assert first["verdict"] == "incomparable"
    assert said in first["reason"]
    assert not result["counts"]["regressed"]
    assert comparison.status(result, strict=False) == 4


def test_a_scenario_from_several_environments_is_compared_in_each_of_those_that_both_have(tmp_path):
    def on(name: str, speed: float) -> list[dict]:
        machine = {"machine": MACHINE | {"cpu": name}, "packages": {"torch": "2.9"}}
        return with_speed(
            speed, environment=machine | {"backend": {"precision": "float32"}}, environment_hash=name * 16
        )

    # pooled, or with the last of each side alone, either finding would be lost
    result = compared(tmp_path / "1", on("a", 1000) + on("b", 500), on("b", 500) + on("a", 900) + on("c", 100))
    found = {row["scenario"][-9:]: row["verdict"] for row in result["verdicts"] if row["metric"] == TRAIN}
    assert found == {"in aaaaaa": "regressed", "in bbbbbb": "unchanged"}
    one = compared(tmp_path / "2", on("a", 1000) + on("b", 500), on("a", 900))
    assert [row["verdict"] for row in one["verdicts"] if row["metric"] == TRAIN] == ["regressed"]
    assert " in " not in one["verdicts"][0]["scenario"]
    none = compared(tmp_path / "3", on("a", 1000), on("b", 900))
    assert "cpu: a in the baseline" in none["verdicts"][0]["reason"]


def test_a_checksum_that_is_no_text_stops_nothing(tmp_path):
    wide = {"metrics": {"roc_auc": 0.9}, "intervals": {"roc_auc": [0.89, 0.91]}, "data": {"checksum": [1]}}
    made = [record(n, seed=n, **wide) for n in range(3)]
    assert compared(tmp_path, made, made)["verdicts"]


@pytest.mark.parametrize(
    "damage",
    [{"metrics": None}, {"metrics": {TRAIN: "fast"}}, {"environment": 3}, {"settings": "many", "metrics": []}],
)
def test_damaged_records_are_incomparable_and_no_crash(tmp_path, damage):
    result = compared(tmp_path, with_speed(1000), [one | damage for one in with_speed(1000)])
    (row,) = result["verdicts"]
    assert row["reason"] == "the records of seed 0 and round 0 are damaged"


def test_what_neither_side_ran_is_left_out(tmp_path):
    skipped = [record(0, status="skipped", reason="jax is not installed", scenario_hash="j")]
    result = compared(tmp_path, with_speed(1000) + skipped, with_speed(1000) + skipped)
    assert "incomparable" not in words(result).values()


def test_a_machine_is_the_same_though_its_kernel_keeps_some_pages_more_for_itself(tmp_path):
    environment = with_speed(1)[0]["environment"]
    other = environment | {"machine": MACHINE | {"memory_bytes": (8 << 30) + 4096}}
    assert words(compared(tmp_path, with_speed(1), with_speed(1, environment=other)))[TRAIN] == "unchanged"


def test_a_short_compilation_is_not_compared(tmp_path):
    def compiling(seconds: float) -> list[dict]:
        return [record(n, metrics={TRAIN: 1.0, "compile_seconds": seconds}) for n in range(5)]

    assert "compile_seconds" not in words(compared(tmp_path / "1", compiling(0.01), compiling(0.03)))
    assert words(compared(tmp_path / "2", compiling(1.0), compiling(1.5)))["compile_seconds"] == "regressed"


def scored(folder: Path, number: int, scores: np.ndarray, labels: np.ndarray) -> dict:
    from bench.quality.metrics import quality

    (folder / "arrays").mkdir(parents=True, exist_ok=True)
    save_file({"y_test": labels, "score.decision": scores.astype(np.float32)}, folder / f"arrays/{number}.safetensors")
    found = quality(scores.astype(np.float32), labels, [1.0], resamples=50)
    return record(number, seed=number, metrics=found.metrics, intervals=found.intervals) | {
        "score": None,
        "arrays": f"arrays/{number}.safetensors",
        "data": {"checksum": str(number)},
    }


@pytest.mark.parametrize(("loss", "verdict"), [(0.0, "unchanged"), (1.2, "regressed")])
def test_quality_is_compared_on_the_same_rows(tmp_path, loss, verdict):
    for number in range(5):
        rng = np.random.default_rng(number)
        labels = (rng.random(2000) < 0.2).astype(np.uint8)
        scores = rng.normal(size=2000) + 2.0 * labels
        worse = scores + loss * rng.normal(size=2000)
        for name, values in (("a", scores), ("b", worse)):
            write(tmp_path / name, [scored(tmp_path / name, number, values, labels)])
    found = comparison.result(comparison.of_directories(tmp_path / "a", tmp_path / "b", Terms()), Terms())
    assert words(found)["roc_auc"] == verdict
    assert words(found)["average_precision"] == verdict


def test_rounds_that_repeat_a_training_are_no_further_evidence_of_its_quality(tmp_path):
    def rounds(loss: float) -> list[dict]:
        found = []
        for n in range(6):
            metrics = {TRAIN: 1000.0 + n, "roc_auc": 0.9 - loss * (1 + n % 2)}
            found.append(record(n, seed=n % 2, metrics=metrics, intervals={"roc_auc": [0.89, 0.91]}))
        return found

    worse = compared(tmp_path / "1", rounds(0.0), rounds(0.1))
    (row,) = (row for row in worse["verdicts"] if row["metric"] == "roc_auc")
    assert (row["verdict"], row["pairs"]) == ("inconclusive", 2)
    assert words(worse)[TRAIN] == "unchanged"


def test_shared_test_rows_widen_the_interval(tmp_path):
    rng = np.random.default_rng(0)
    labels = (rng.random(300) < 0.2).astype(np.uint8)
    scores = rng.normal(size=300) + 2.0 * labels
    worse = scores + 1.0 * rng.normal(size=300)
    for number in range(5):
        for name, values in (("a", scores), ("b", worse)):
            one = scored(tmp_path / name, number, values, labels)
            write(tmp_path / name, [one | {"data": {"checksum": "same"}}])
    found = comparison.result(comparison.of_directories(tmp_path / "a", tmp_path / "b", Terms()), Terms())
    (row,) = (row for row in found["verdicts"] if row["metric"] == "roc_auc")
    assert row["high"] - row["low"] > 0.01


def test_scores_kept_outside_the_results_directory_are_not_read(tmp_path):
    from bench.verdict import pairing

    save_file({"y_test": np.ones(2, np.uint8), "score.decision": np.ones(2, np.float32)}, tmp_path / "x.safetensors")
    folder = tmp_path / "results"
    folder.mkdir()
    assert pairing._scores({"arrays": "../x.safetensors"}, folder) is None
    assert pairing._scores({"arrays": "x.safetensors"}, tmp_path) is not None


def test_the_command_prints_each_format_and_its_status(tmp_path, capsys):
    write(tmp_path / "a", with_speed(1000))
    write(tmp_path / "b", with_speed(900))
    sides = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["compare", *sides]) == 1
    said = capsys.readouterr().out
    assert said.startswith("1 regressed, 1 unchanged")
    assert "−10 %" in said.replace("\u00a0", " ")
    assert main(["compare", *sides, "--format", "markdown"]) == 1
    page = capsys.readouterr().out
    assert page.index("regressed") < page.index("<details>\n<summary>1 unchanged")
    assert main(["compare", *sides, "--format", "json", "--metric", "peak_memory_bytes"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["unchanged"] == 1
    assert main(["compare", *sides, "--format", "junit"]) == 1
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["a", "nowhere"], ["nowhere: no such directory", "git:REV"]),
        (["a", "gti:HEAD"], ["did you mean 'git:'?"]),
        (["a", "here"], ["a results directory", "alone"]),
        (["a", "b", "--metric", "roc_acu"], ["did you mean 'roc_auc'?"]),
        (["a", "b", "--budget", "5m"], ["--budget is for live sides"]),
        (["here", "set:epoch=3"], ["unknown setting 'epoch'", "did you mean 'epochs'?"]),
        (["here", "set:epochs"], ["KEY=VALUE"]),
        (["here", "set:epochs=0"], ["set:epochs=0", "training.epochs"]),
        (["here", "set:precision=float65"], ["float65"]),
        (["here", "set:threads=4096"], ["4096 threads"]),
        (["here", "git:no-such-revision"], ["no such revision"]),
        (["here", "python:/no/such/python"], ["no interpreter"]),
        (["here", "pip:"], ["pip:torch==2.12.1"]),
        (["here", "here", "--suite", "nowhere"], ["nowhere: no such suite"]),
    ],
)
def test_bad_input_gets_one_line_and_status_2(tmp_path, monkeypatch, capsys, arguments, parts):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write(tmp_path / name, with_speed(1))
    assert main(["compare", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    for part in parts:
        assert part in line
    assert not (tmp_path / "results").exists()


def test_a_comment_says_once_what_all_scenarios_have_in_common(tmp_path):
    both = [
        one | {"backend": backend, "scenario_hash": backend} for backend in ("torch", "jax") for one in with_speed(1000)
    ]
    page = printed.comparison_markdown(
        compared(tmp_path, both, both) | {"baseline": {"text": "a"}, "candidate": {"text": "b"}}
    )
    assert "All scenarios: `blobs vae cpu float32 batch 128 threads 1`" in page
    assert page.count("float32") == 1
    assert page.count("`jax/idiomatic`") == 2


def test_names_from_outside_cannot_break_the_comment():
    row = {"scenario": "a|b`<script>", "metric": None, "verdict": "incomparable", "reason": "<b>*x*"}
    counts = dict.fromkeys(sections.ORDER, 0) | {"incomparable": 1}
    result = {
        "verdicts": [row],
        "counts": counts,
        "threshold": 0.03,
        "quality_threshold": 0.01,
        "baseline": {"text": "a"},
        "candidate": {"text": "b"},
    }
    page = printed.comparison_markdown(result)
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    ElementTree.fromstring(printed.comparison_junit(result))


def test_every_command_line_of_the_guide_parses():
    import shlex

    from bench.cli import _parser

    page = Path(__file__).resolve().parents[3] / "docs" / "comparing.md"
    lines = [line.partition(">")[0] for line in page.read_text().splitlines() if line.startswith("bench ")]
    assert len(lines) > 8
    for line in lines:
        _parser().parse_args(shlex.split(line, comments=True)[1:])


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
