"""Reports of several runs: side by side in a directory of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.records import store
from bench.records.record import SCHEMA


def trial(seed: int = 0) -> dict[str, Any]:
    names = {"dataset": "blobs", "detector": "knn", "scenario_hash": "s", "environment_hash": "e", "status": "ok"}
    return {"schema": SCHEMA, **names, "seed": seed, "round": 0, "metrics": {"roc_auc": 0.9}}


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("laptop", "server"):
        store.append(tmp_path / name, trial())
    return tmp_path / "laptop", tmp_path / "server"


def test_several_runs_have_one_report_that_names_them(runs: tuple[Path, Path], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["report", *map(str, runs), "--out", str(tmp_path / "both")]) == 0
    text = (tmp_path / "both" / "report.md").read_text()
    assert "2 runs side by side: A is `laptop` and B is `server`" in text
    assert "### `blobs` side by side" in text
    assert {path: path.read_bytes() for path in before} == before
    assert not (runs[0] / "report.md").exists()


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        store.append(tmp_path / parent / "out", trial())
    assert main(["report", str(tmp_path / "a/out"), str(tmp_path / "b/out"), "--out", str(tmp_path / "c")]) == 0
    assert str(tmp_path / "b/out") in (tmp_path / "c" / "report.md").read_text()


@pytest.mark.parametrize(("out", "said"), [(None, "--out DIR"), ("laptop", "one of the runs")])
def test_a_report_of_several_runs_needs_a_place_of_its_own(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str | None, said: str
) -> None:
    more = ["--out", str(tmp_path / out)] if out else []
    assert main(["report", *map(str, runs), *more]) == 2
    assert said in capsys.readouterr().err


def test_a_file_without_a_finished_trial_or_with_broken_lines_makes_a_report_that_says_so(tmp_path: Path) -> None:
    run = tmp_path / "run"
    store.append(run, trial() | {"status": "failed", "reason": "boom"})
    with (run / store.FILE).open("a") as file:
        file.write('{"torn\n{"schema": 99}\n')
    assert main(["report", str(run)]) == 0
    text = (run / "report.md").read_text()
    assert "No trial finished" in text
    assert "line 2 of records.jsonl is not a whole JSON object" in text
    assert "schema 99, not 1" in text


def test_records_of_two_machines_with_equal_seeds_in_one_directory_are_both_shown_apart(
    runs: tuple[Path, Path],
) -> None:
    store.append(runs[0], trial() | {"environment_hash": "other", "metrics": {"roc_auc": 0.7}})
    store.append(runs[0], trial() | {"metrics": {"roc_auc": 0.8}})
    assert main(["report", str(runs[0])]) == 0
    text = (runs[0] / "report.md").read_text()
    assert "0.8" in text
    assert "0.7" in text
    assert "environment A" in text
    assert "environment B" in text
