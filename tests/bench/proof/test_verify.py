"""``bench verify`` has every backend climb every rung, and says where two part."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

import msgspec
import psutil
import pytest

from bench.proof import judging, ladder, lanes
from bench.proof.ladder import REFERENCE
from reports import printed


def test_every_installed_backend_climbs_every_rung(climb, installed):
    assert climb.done.returncode == 0, climb.done.stdout + climb.done.stderr
    assert climb.done.stderr == ""
    result = climb.result
    assert (result["passed"], result["quick"], result["failures"]) == (True, True, {})
    assert list(result["backends"]) == installed
    assert all(result["backends"].values()), "a backend tells no version"
    assert (result["device"], result["mode"]) == ("cpu", "idiomatic")
    pairs = len(installed) + len(installed) * (len(installed) - 1) // 2
    assert [found["precision"] for found in result["ladders"]] == ["float64", "float32"]
    for found in result["ladders"]:
        assert (found["passed"], found["first_failure"], found["steps"]) == (True, None, 375)
        seen = [rung for rung in ladder.RUNGS if rung != lanes.LANES or found["precision"] == "float64"]
        assert [rung["name"] for rung in found["rungs"]] == seen
        for rung in found["rungs"]:
            rule = judging.RULES[rung["name"]]
            assert (rung["measure"], rung["bound"]) == (rule.measure, getattr(rule, found["precision"]))
            if rung["name"] != lanes.LANES:  # not every backend has them
                assert len(rung["comparisons"]) == (len(installed) if rung["name"] in ladder.ALONE else pairs)
            for comparison in rung["comparisons"]:
                assert comparison["passed"]
                assert comparison["where"]
                assert rung["bound"] is None or 0 <= comparison["error"] <= rung["bound"]


@pytest.mark.parametrize("show", [printed.verification_text, printed.verification_markdown])
def test_the_result_reads_as_a_table_with_every_rung_and_every_comparison(climb, installed, show):
    said = show(climb.result).replace("`", "")
    assert "train the same model" in said or len(installed) == 1
    assert said.count("375 training steps") == 2
    for rung in ladder.RUNGS:
        precisions = 1 if rung == lanes.LANES else 2
        assert sum(line.lstrip("| ").startswith(rung) for line in said.splitlines()) >= precisions
    assert "FAIL" not in said
    assert "not finite" not in said
    for name in installed:
        assert name in said


def test_one_backend_is_held_against_the_reference_without_the_others(bench, installed):
    done = bench("verify", "--quick", "--backends", installed[0], "--precision", "float64")
    assert done.returncode == 0, done.stdout + done.stderr
    first, *_ = done.stdout.splitlines()
    assert first.startswith(f"{installed[0]} trains the same model as the reference")
    assert "float32" not in done.stdout
    assert "not here" not in done.stdout, "a backend that nobody asked for is missed"


def last_result(state) -> dict[str, Any]:
    (path,) = (state / "vaebench" / "equality").glob("*.jsonl")
    return msgspec.json.decode(path.read_bytes().splitlines()[-1])


def test_a_contributed_backend_with_a_fault_is_found_and_placed(bench, planted, installed, state):
    right, wrong = installed[0], "large_epsilon"
    options = ("--quick", "--precision", "float64", "--backends", f"{right},{wrong}")
    done = bench("verify", *options, PYTHONPATH=str(planted))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    said = " ".join(done.stdout.split())
    assert f"NOT equal: {wrong} and the reference part at the rung optimiser steps, in float64." in said
    assert "fails at float64, optimiser steps:" in said
    assert "· step 1, encoder.0.kernel, " in said
    rungs = {rung["name"]: rung for rung in last_result(state)["ladders"][0]["rungs"]}
    assert [c["passed"] for c in rungs[ladder.GRADIENTS]["comparisons"]] == [True, True, True]
    assert {tuple(c["between"]): c["passed"] for c in rungs[ladder.STEPS]["comparisons"]} == {
        (right, REFERENCE): True,
        (wrong, REFERENCE): False,
        (right, wrong): False,
    }


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--backends", "pytorch"], ["unknown backend 'pytorch'", "did you mean 'torch'?"]),
        (["--mode", "fastest"], ["mode 'fastest' does not work here", "idiomatic"]),
        (["--device", "gpu"], ["device 'gpu' does not work here"]),
    ],
    ids=["backend", "mode", "device"],
)
def test_what_cannot_be_verified_is_refused_in_one_line(bench, installed, state, options, parts):
    named = [] if "--backends" in options else ["--backends", installed[0]]
    done = bench("verify", "--quick", "--precision", "float64", *options, *named, CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    for part in parts:
        assert part in line
    assert not state.exists(), "nothing was verified, and still a result was kept"


def blocked(*frameworks: str) -> str:
    """A ``sitecustomize`` that hides these packages."""
    return (
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def find_others(name, path=None, target=None):\n"
        f"    return None if name in {frameworks!r} else find(name, path, target)\n"
        "PathFinder.find_spec = find_others\n"
    )


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["torch"], ["--backends", "torch,keras,jax"]),
        (["torch", "keras", "tensorflow", "jax", "flax", "optax"], []),
    ],
    ids=["one that was named", "all"],
)
def test_a_framework_that_is_not_installed_is_named_in_one_line(bench, tmp_path, missing, named):
    (tmp_path / "sitecustomize.py").write_text(blocked(*missing))
    done = bench("verify", "--quick", *named, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert "backend 'torch' cannot run here: torch is not installed: pip install" in line


def test_an_interrupted_climb_ends_at_once_and_leaves_no_worker(environ, installed, tmp_path, state):
    process = subprocess.Popen(
        [environ["BENCH_COMMAND"], "verify", "--backends", installed[0]],
        cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    started = time.monotonic()
    while len(workers := psutil.Process(process.pid).children()) < 2:
        assert time.monotonic() < started + 60
        time.sleep(0.05)
    time.sleep(2.0)  # by now the reference climbs, for some ten seconds
    process.send_signal(signal.SIGINT)
    interrupted = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() < interrupted + 10.0
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "trial is kept" not in stderr
    assert not psutil.wait_procs(workers, timeout=10)[1]
    assert not state.exists()
