"""Exchange: pytest-benchmark's files in and out, github-action-benchmark's lists, CSV, and the workflow's commands."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.history import condense, export, pytest_benchmark, store
from bench.history.store import HistoryError
from making import histories as makers

ROOT = Path(__file__).resolve().parents[3]
ONE = '{"benchmarks": [{"fullname": "%s", "stats": {"median": %s, "rounds": %s}}], "datetime": "2026-11-25"}'
RATES = (78_000.0, 80_000.0, 90_000.0)


@pytest.fixture
def results(tmp_path):
    trials = [makers.record(round=n, metrics={"train_samples_per_second": rate}) for n, rate in enumerate(RATES)]
    return makers.results(tmp_path / "results", trials)


@pytest.fixture(scope="module")
def measured(process, tmp_path_factory):
    """What pytest-benchmark itself writes of two tests."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "test_sums.py").write_text(
        "import pytest\n\n@pytest.mark.parametrize('n', [10, 1000])\n"
        "def test_sum(benchmark, n):\n    benchmark.pedantic(sum, (range(n),), rounds=20, iterations=10)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-json=measured.json"]
    # it measures nothing in what takes itself for one of several test processes
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120, env=environ)
    return folder / "measured.json"


@pytest.mark.parametrize(
    "command",
    [
        ("export", "results", "--format", "csv"),
        ("history", "add", "results", "--history", "kept"),
        ("compare", "results", "results"),
    ],
    ids=lambda command: command[0],
)
def test_a_record_that_is_left_out_is_named(results, command, tmp_path, monkeypatch, capsys):
    with (results / "records.jsonl").open("a") as file:
        file.write('{"schema": 1, "torn\n')
    monkeypatch.chdir(tmp_path)
    cli.main(command)
    told = capsys.readouterr().err.splitlines()
    line = "bench: results: line 4 of records.jsonl is not a whole JSON object and was left out"
    assert told == [line] * command.count("results")


def test_what_pytest_benchmark_wrote_joins_the_history(measured, tmp_path, capsys):
    directory = tmp_path / "history"
    assert cli.main(["history", "add", str(measured), "--history", str(directory)]) == 0
    assert "2 points" in capsys.readouterr().out
    (entry,) = store.read(directory)
    small, large = entry.points
    written = json.loads(measured.read_text())["benchmarks"]
    assert (small.label, small.metric, small.n) == ("test_sums.py::test_sum[10]", "seconds", 20)
    assert small.median == pytest.approx(written[0]["stats"]["median"], rel=1e-5)
    assert small.low <= small.median <= small.high
    assert large.scenario != small.scenario
    assert entry.run.machine["cores"] is not None
    assert entry.run.versions["python"] == ".".join(map(str, sys.version_info[:3]))


def test_what_is_not_finite_is_read_as_pytest_benchmark_writes_it(measured, tmp_path, capsys):
    """It writes bare NaN and Infinity, which no other JSON has."""
    document = json.loads(measured.read_text())
    expected = pytest_benchmark.read(measured)
    document["benchmarks"][0]["extra_info"] = {"ratio": float("nan"), "most": float("inf"), "least": float("-inf")}
    (tmp_path / "nan.json").write_text(json.dumps(document))
    assert pytest_benchmark.read(tmp_path / "nan.json").points == expected.points
    document["benchmarks"][0]["stats"]["iqr"] = float("nan")
    (tmp_path / "nan.json").write_text(json.dumps(document))
    first = pytest_benchmark.read(tmp_path / "nan.json").points[0]
    assert first.low == first.median == first.high
    document["benchmarks"][0]["stats"]["median"] = float("nan")
    (tmp_path / "nan.json").write_text(json.dumps(document))
    assert cli.main(["history", "add", str(tmp_path / "nan.json"), "--history", str(tmp_path / "history")]) == 2
    assert "test_sum[10]: its median is nan" in capsys.readouterr().err
    assert not (tmp_path / "history").exists()


def test_a_run_that_is_older_than_others_is_told(tmp_path, capsys):
    directory = tmp_path / "history"
    for date, told in (("2026-11-25", 0), ("2026-11-26", 0), ("2020-01-01", 2), ("2026-11-25T12:00", 1)):
        (tmp_path / "one.json").write_text((ONE % ("a", 0.5, 3)).replace("2026-11-25", date))
        assert cli.main(["history", "add", str(tmp_path / "one.json"), "--history", str(directory)]) == 0
        note = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
        assert len(note) == bool(told)
        assert not told or f"it stands before {told} of the runs there, the newest of which is of 2026-11-26" in note[0]


def test_a_full_disk_names_the_file_and_leaves_no_half_of_it(tmp_path, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "one.json").write_text(ONE % ("a", 0.5, 3))
    directory = tmp_path / "history"
    assert cli.main(["history", "add", str(tmp_path / "one.json"), "--history", str(directory)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"{directory}/\d+T\d+Z-[0-9a-f]+\.jsonl: cannot be written \(No space left on device\)", line)
    assert not list(directory.iterdir())


def test_a_commit_that_pytest_benchmark_noted_is_the_revision(measured, tmp_path):
    content = json.loads(measured.read_text())
    content["commit_info"] = {"id": "1234567890abcdef", "dirty": True}
    path = tmp_path / "noted.json"
    path.write_text(json.dumps(content))
    assert pytest_benchmark.read(path).run.revision == "1234567890ab+"
    assert pytest_benchmark.read(path, "mine").run.revision == "mine"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not a file of"),
        ("[]", "not a file of"),
        ('{"benchmarks": [], "datetime": "2026-11-25T02:28:40"}', "holds no benchmarks"),
        ('{"benchmarks": [], "datetime": "yesterday"}', "not a file of"),
        (ONE % ("a", '"1"', 1), "stats.median"),
        (ONE % ("a", 0, 1), "above 0"),
        (ONE % ("a", 1, 0), ">= 1"),
        (ONE % ("", 1, 1), "length"),
    ],
)
def test_a_file_that_pytest_benchmark_did_not_write_is_refused_in_one_line(tmp_path, text, part):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(HistoryError) as refusal:
        pytest_benchmark.read(path)
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_pytest_benchmark_compares_two_exported_files(process, results, tmp_path):
    faster = makers.results(tmp_path / "faster", [makers.record(metrics={"train_samples_per_second": 160_000.0})])
    for name, directory in (("before", results), ("after", faster)):
        out = str(tmp_path / f"{name}.json")
        assert cli.main(["export", str(directory), "--format", "pytest-benchmark", "--out", out]) == 0
    arguments = [
        "-m",
        "pytest_benchmark",
        "compare",
        "before.json",
        "after.json",
        "--group-by=fullname",
        "--columns=median,rounds",
    ]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Failed to load" not in done.stderr
    table = done.stdout[done.stdout.index("[train]") :].split("\n\n")[0]
    # 8,000 rows an epoch: 0.1 s at the median rate before, 0.05 s after
    assert re.search(r"\b100\.0+ \(2\.00\)\s+3\b", table), table
    assert re.search(r"\b50\.0+ \(1\.0\)\s+1\b", table), table


def test_an_exported_file_comes_back_with_the_same_times(results, tmp_path):
    entry = condense.results(results)
    path = tmp_path / "out.json"
    path.write_bytes(pytest_benchmark.written(entry, [makers.record(round=n) for n in range(3)]))
    back = {point.label.split("[")[-1]: point for point in pytest_benchmark.read(path).points}
    assert back["train]"].median == pytest.approx(8000 / 80_000)
    assert back["compile]"].median == pytest.approx(0.8)
    assert back["train]"].n == 3


@pytest.mark.parametrize(
    ("better", "metrics"),
    [("lower", {"compile_seconds", "peak_memory_bytes"}), ("higher", {"train_samples_per_second", "roc_auc"})],
)
def test_a_list_for_github_action_benchmark_holds_one_direction(results, capsysbinary, better, metrics):
    assert cli.main(["export", str(results), "--format", "github-action-benchmark", "--better", better]) == 0
    found = json.loads(capsysbinary.readouterr().out)
    named = {entry["name"].split(" · ")[-1]: entry for entry in found}
    assert metrics <= set(named)
    assert all(isinstance(entry["value"], int | float) and entry["unit"] for entry in found)
    assert ("compile_seconds" in named) == (better == "lower")
    if better == "higher":
        assert named["train_samples_per_second"]["value"] == 80_000
        assert named["train_samples_per_second"]["range"].startswith("± ")


QUALITY, TIMES = {"roc_auc": 0.9}, {"compile_seconds": 0.5}


@pytest.mark.parametrize(
    ("metrics", "options", "part"),
    [
        (QUALITY, ["--format", "pytest-benchmark"], "no trial was timed"),
        (QUALITY, ["--format", "github-action-benchmark", "--better", "lower"], "no trial has times or memory"),
        (TIMES, ["--format", "github-action-benchmark", "--better", "higher"], "no trial has rates or quality"),
        ({}, ["--format", "csv"], "no trial has a metric"),
    ],
)
def test_nothing_to_export_is_refused_and_nothing_is_written(tmp_path, capsys, metrics, options, part):
    trial = makers.record() | {"metrics": metrics}
    directory = makers.results(tmp_path / "results", [trial])
    out = tmp_path / "out.json"
    assert cli.main(["export", str(directory), *options, "--out", str(out)]) == cli.USAGE_ERROR
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "there is nothing to export" in line
    assert part in line
    assert str(directory) in line
    assert not out.exists()


def test_a_stretch_of_several_passes_is_exported_as_one(tmp_path):
    scored = {"metrics": {"score_samples_per_second": 80_000.0}, "score_rows_per_sample": 16_000, "score_repeats": 8}
    entry = condense.results(makers.results(tmp_path / "r", [makers.record() | scored]))
    document = json.loads(pytest_benchmark.written(entry, [makers.record() | scored]))
    assert document["benchmarks"][0]["stats"]["median"] == pytest.approx(2_000 / 80_000)


def test_an_infinity_that_somebody_wrote_is_no_measurement(tmp_path):
    kept, lost = makers.record(), makers.record()
    lost["seed"] = kept["seed"] + 1
    lost["metrics"] = dict.fromkeys(kept["metrics"], float("inf"))
    entry = condense.results(makers.results(tmp_path / "r", [kept]))
    assert condense.results(makers.results(tmp_path / "s", [kept, lost])).points[0].median == entry.points[0].median
    times = [json.loads(pytest_benchmark.written(entry, given)) for given in ([kept], [kept, lost])]
    assert times[0]["benchmarks"][0]["stats"] == times[1]["benchmarks"][0]["stats"]


def test_csv_has_a_line_a_point_and_no_formula(tmp_path):
    entry = makers.entry(0, label="=cmd|' /C calc'!A0", scenario="+a")
    (line,) = csv.DictReader(io.StringIO(export.as_csv([entry]).decode()))
    assert (line["label"], line["scenario"]) == ("'=cmd|' /C calc'!A0", "'+a")
    assert (line["metric"], line["better"], float(line["median"])) == ("train_samples_per_second", "higher", 80_000)
    assert line["low"] == ""


@pytest.mark.parametrize("options", [["--format", "github-action-benchmark"], ["--format", "csv", "--better", "lower"]])
def test_a_direction_goes_with_the_format_that_has_one(results, capsys, options):
    assert cli.main(["export", str(results), *options]) == cli.USAGE_ERROR
    assert "--better" in capsys.readouterr().err


def commands(text):
    """The `bench` commands among shell lines."""
    for line in text.replace("\\\n", " ").splitlines():
        if match := re.search(r"\.venv/bin/bench (.+?)(?: >>.*| \|\|.*)?$", line):
            yield shlex.split(match[1])


def test_the_commands_of_the_workflow_and_of_make_are_ones_that_bench_has(process):
    workflow = (ROOT / ".github/workflows/benchmark.yml").read_text()
    targets = ["make", "--dry-run", "bench", "track", "showcase", "DATA_DIR="]
    made = subprocess.run(targets, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for text, expected in ((workflow, {"compare"}), (made, {"run", "history"})):
        found = list(commands(text))
        assert {arguments[0] for arguments in found} == expected
        for arguments in found:
            cli._parser().parse_args(arguments)


def test_the_workflow_gives_nobody_more_than_it_needs():
    text = (ROOT / ".github/workflows/benchmark.yml").read_text()
    assert "permissions:\n  contents: read\n" in text
    assert "pull_request_target" not in text
    for script in re.findall(r"run: \|\n((?: {10}.*\n)+)", text):
        assert "${{" not in script, "an expression inside a script is code that a pull request can write"
