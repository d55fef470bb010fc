"""bench compare on results directories: what is compared with what, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench.cli import main
from bench.verdict import comparison
from bench.verdict.comparison import Terms
from making.sides import MACHINE, TRAIN, compared, record, with_speed, words, write
from reports import printed
from reports.sections import comparison as sections


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


@pytest.mark.parametrize("damage", [{"protocol": ["a"]}, {"device": {}}, {"mode": None}])
def test_what_a_record_of_somebody_else_says_of_its_work_stops_nothing(tmp_path, damage):
    theirs = [one | {"backend": "torch", "scenario_hash": "theirs"} | damage for one in with_speed(1000)]
    for one in theirs:
        one.pop("mode", None)
    assert {row["verdict"] for row in compared(tmp_path, theirs, with_speed(1000))["verdicts"]} == {"incomparable"}


def test_rates_that_no_machine_has_make_a_change_without_a_bound_and_no_crash(tmp_path):
    rates = [1e-300, 1.0, 1e300]
    theirs = [one for rate in rates for one in with_speed(rate)]
    for seed, one in enumerate(theirs):
        one["seed"] = seed
    ours = [one | {"metrics": {TRAIN: 1.0}} for one in theirs]
    assert compared(tmp_path, ours, theirs)["verdicts"][0]["verdict"] == "inconclusive"


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
