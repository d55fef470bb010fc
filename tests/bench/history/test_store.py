"""The history: what is kept of a run, that git can merge it, and what a broken one is told."""

from __future__ import annotations

import shutil
import subprocess
import sys

import msgspec
import pytest

from bench import cli
from bench.history import condense, store
from bench.history.series import living, series
from bench.history.store import HistoryError
from making import histories as makers


def point_of(entry, metric):
    return next(point for point in entry.points if point.metric == metric)


def test_a_point_is_the_median_over_trials_with_an_interval_that_holds_it(tmp_path):
    rates = [78_000.0, 80_000.0, 90_000.0]
    trials = [
        makers.record(round=number, metrics={"train_samples_per_second": rate}) for number, rate in enumerate(rates)
    ]
    point = point_of(condense.results(makers.results(tmp_path, trials)), "train_samples_per_second")
    assert (point.median, point.n) == (80_000.0, 3)
    assert 60_000 < point.low < 78_000 < 90_000 < point.high < 110_000


def test_one_trial_keeps_its_own_interval_of_quality_and_has_none_of_speed(tmp_path):
    entry = condense.results(makers.results(tmp_path, [makers.record()]))
    quality, speed = point_of(entry, "roc_auc"), point_of(entry, "train_samples_per_second")
    assert (quality.low, quality.high) == (0.91, 0.95)
    assert (speed.low, speed.high) == (None, None)


def test_only_trials_that_ended_well_count_and_only_the_last_record_of_each(tmp_path):
    trials = [
        makers.record(metrics={"train_samples_per_second": 1.0}),
        makers.record(),
        makers.record(round=1, status="failed", metrics={"train_samples_per_second": 1.0}),
        makers.record(round=2, marks=["noisy"]),
    ]
    point = point_of(condense.results(makers.results(tmp_path, trials)), "train_samples_per_second")
    assert (point.median, point.n, point.marked) == (80_000.0, 2, 1)


def test_sanity_lines_are_not_followed(tmp_path):
    trials = [makers.record(), makers.record(detector="norm", backend=None, scenario_hash="f" * 16)]
    assert {p.scenario for p in condense.results(makers.results(tmp_path, trials)).points} == {"0123456789abcdef"}


def test_what_was_written_is_read_and_the_same_run_is_kept_once(tmp_path):
    entry = condense.results(makers.results(tmp_path / "results", [makers.record()]))
    path = store.add(tmp_path / "history", entry)
    assert store.add(tmp_path / "history", entry) is None
    assert store.read(tmp_path / "history") == [entry]
    assert path.name.startswith("20261125T022840Z-")


def test_runs_of_two_branches_merge_in_git_without_a_conflict(process, tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    makers.history(tmp_path / "history", [80_000.0])
    git("add", ".")
    git("commit", "-m", "first")
    for number, branch in ((1, "one"), (2, "two")):
        git("switch", "-c", branch, "main")
        store.add(tmp_path / "history", makers.entry(number))
        git("add", ".")
        git("commit", "-m", branch)
    git("merge", "one")
    assert [entry.run.revision[-1] for entry in store.read(tmp_path / "history")] == ["0", "1", "2"]


def test_another_machine_starts_a_new_series_and_another_version_does_not(tmp_path):
    entries = [
        makers.entry(0),
        makers.entry(1, versions={"torch": "2.13.0"}),
        makers.entry(2, machine={"cpu": "B", "cores": 2}),
        makers.entry(3, data="other rows"),
    ]
    first, second, third = series(entries)
    assert [len(found.points) for found in (first, second, third)] == [2, 1, 1]
    assert first.versions_changed(1) == ["torch 2.12.1 → 2.13.0"]


def test_memory_that_a_kernel_keeps_for_itself_makes_no_other_machine():
    one, other = (makers.entry(0, machine={"memory_bytes": (8 << 30) + extra}) for extra in (1, 4096))
    assert one.run.machine_hash == other.run.machine_hash


def test_a_series_that_the_newest_run_does_not_go_on_with_is_not_checked():
    gone = makers.entry(0, scenario="gone")
    elsewhere = makers.entry(1, machine={"cpu": "B"})
    other_suite = makers.entry(2, suite="quick", scenario="quick")
    found = living([gone, elsewhere, other_suite, makers.entry(3)])
    assert {one.points[0].scenario for one in found} == {"quick", "s"}
    assert all(one.machine == makers.entry(3).run.machine_hash for one in found)


def test_a_file_of_pytest_benchmark_does_not_hide_the_series_of_records():
    added = makers.entry(1, machine={"cpu": "A"}, scenario="test_sum", suite="pytest-benchmark")
    added = type(added)(msgspec.structs.replace(added.run, source="pytest-benchmark"), added.points)
    assert {one.points[0].scenario for one in living([makers.entry(0), added])} == {"s", "test_sum"}


@pytest.mark.parametrize(
    ("trials", "part"),
    [
        ([makers.record(status="failed")], "no trial ended well"),
        ([makers.record(), makers.record(round=1, environment_hash="e1")], "2 environments (e0, e1)"),
        (
            [makers.record(), makers.record(round=1, environment=makers.record()["environment"] | {"revision": "b"})],
            "2 revisions (abc123abc123, b)",
        ),
        (
            [makers.record(environment=makers.record()["environment"] | {"revision": ["a"]})],
            "holds what the history cannot keep: Expected `str",
        ),
        ([makers.record(environment={})], "a record has no 'machine', which the history keeps"),
        ([makers.record(metrics={"roc_auc": "0.9"})], "holds what the history cannot keep: roc_auc '0.9'"),
        ([makers.record(started="yesterday")], "holds what the history cannot keep: "),
        (
            [makers.record(round=n, metrics={"train_samples_per_second": 10.0 ** (300 * n)}) for n in (-1, 0, 1)],
            "holds what the history cannot keep: trials between 1e-300 and 1e+300",
        ),
    ],
)
def test_results_that_are_no_one_run_are_refused_in_one_line(tmp_path, trials, part):
    with pytest.raises(HistoryError) as refusal:
        condense.results(makers.results(tmp_path, trials))
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def broken(change):
    def spoil(directory):
        path = next(directory.iterdir())
        path.write_bytes(change(path.read_bytes()))

    return spoil


def replaced(old, new):
    return broken(lambda content: content.replace(old, new))


def into_a_file(directory):
    shutil.rmtree(directory)
    directory.write_text("x")


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (shutil.rmtree, ["no such directory", "bench history add"]),
        (into_a_file, ["not a directory"]),
        (lambda d: [path.unlink() for path in d.iterdir()], ["holds no runs"]),
        (lambda d: (d / "notes.jsonl").write_text("{}"), ["notes.jsonl", "not a name"]),
        (broken(lambda c: c + b"<<<<<<< HEAD\n"), ["line 3", "left over from a merge"]),
        (broken(lambda c: c[:-20]), ["torn"]),
        (broken(lambda c: b"\xff\xfe" + c), ["line 1", "not a run of schema 1"]),
        (replaced(b'"schema":1', b'"schema":2'), ["line 1", "not a run of schema 1"]),
        (replaced(b"Z", b""), ["line 1", "time zone"]),
        (replaced(b"80000.0", b"80001.0"), ["changed since it was written"]),
        (replaced(b"80000.0", b"-1"), ["line 2", "above 0"]),
        (replaced(b"80000.0", b"NaN"), ["line 2", "not a point"]),
        (replaced(b"train_samples", b"brain_samples"), ["line 2", "no metric 'brain_samples_per_second'"]),
        (replaced(b'"label":"', b'"label":"' + b"x" * 600), ["line 2", "not a point"]),
    ],
)
def test_a_broken_history_is_told_in_one_line_with_file_and_line(tmp_path, capsys, spoil, parts):
    directory = makers.history(tmp_path / "history", [80_000.0])
    spoil(directory)
    assert cli.main(["history", "check", "--history", str(directory)]) == cli.USAGE_ERROR
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    for part in parts:
        assert part in lines[0]


def test_line_ends_of_another_system_are_no_damage(tmp_path):
    directory = makers.history(tmp_path / "history", [80_000.0])
    path = next(directory.iterdir())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(store.read(directory)) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["add", "nowhere"], "no records.jsonl here"),
        (["show", "--metric", "speed"], "no metric 'speed'"),
        (["show", "--match", "nothing"], "no series"),
    ],
)
def test_an_argument_that_names_nothing_is_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments, part):
    monkeypatch.chdir(tmp_path)
    makers.history(tmp_path / "history", [80_000.0])
    assert cli.main(["history", *arguments]) == cli.USAGE_ERROR
    assert part in capsys.readouterr().err


def test_a_results_directory_goes_through_add_show_and_check(here, tmp_path):
    makers.results(tmp_path / "results", [makers.record(), makers.record(round=1)])
    makers.history(tmp_path / "history", [80_000.0] * 3)
    done = here("history", "add", "results", "--revision", "mine")
    assert done.returncode == 0, done.stderr
    assert "revision mine" in done.stdout
    assert "already" in here("history", "add", "results", "--revision", "mine").stdout
    shown = here("history", "show", "--figures", "figures")
    assert shown.returncode == 0, shown.stderr
    assert "4 runs from 2026-10-01 to 2026-11-25" in shown.stdout
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 6
    checked = here("history", "check")
    assert checked.returncode == 0, checked.stderr
    assert "under 8 points" in checked.stdout


def test_show_as_csv_has_a_line_for_every_point_that_is_asked_for(tmp_path, capsysbinary):
    makers.history(tmp_path / "history", [80_000.0, 81_000.0])
    store.add(tmp_path / "history", makers.entry(2, 0.9, "roc_auc"))
    options = ["--history", str(tmp_path / "history"), "--format", "csv"]
    assert cli.main(["history", "show", *options, "--metric", "train_samples_per_second"]) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert len(lines) == 1 + 2
    assert ",80000.0," in lines[1]


def test_the_history_command_declares_itself_without_numerical_packages(process):
    code = "import sys, bench.cli; bench.cli._parser(); assert not {'numpy', 'ruptures', 'msgspec'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
