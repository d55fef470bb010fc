"""What was proved is found again where it holds and nowhere else, and every ``bench run`` says what it ran under."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

import backends
from bench import cli
from bench.environment import environment, environment_hash, source_digest
from bench.proof import known, verify
from bench.quality.thresholds import Threshold
from bench.run.trial import TrialFailed
from bench.suites.scenario import Scenario, Training
from reports.numbers import error as written_error

HERE = {"machine": {"memory_bytes": 8 << 30}, "packages": {"torch": "2.13.0"}}
FAILURE = {"rung": "loss", "between": ["torch", "reference"], "where": "bce · kernel", "error": 0.125, "bound": 1e-12}


def make_result(verified: str = "now", precisions: tuple[str, ...] = ("float64", "float32"), **changes: Any) -> Any:
    """What ``bench.proof.verify.verify`` returns, of one rung."""
    result = {
        "schema": known.SCHEMA,
        "verified": verified,
        "quick": False,
        "device": "cpu",
        "mode": "idiomatic",
        "passed": True,
        "environment_hash": environment_hash(HERE),
        "source": known.source_digest(),
        "backends": {"torch": {"torch": "2.13.0"}},
        "absent": {},
        "failures": {},
    } | changes
    ladders = [make_ladder(precision, result["passed"]) for precision in precisions]
    return {"ladders": ladders} | result


def make_ladder(precision: str, passed: bool) -> Any:
    errors = ({"between": ["torch", "reference"], "error": e, "where": "x", "passed": passed} for e in (1e-15, 0.0))
    rung = {"name": "loss", "measure": "...", "bound": 1e-12, "passed": passed, "comparisons": list(errors)}
    failure = None if passed else FAILURE
    return {"precision": precision, "steps": 375, "passed": passed, "first_failure": failure, "rungs": [rung]}


def make_scenario(**changes: Any) -> Scenario:
    defaults = {"dataset": "blobs", "detector": "vae", "backend": "torch", "mode": "idiomatic", "device": "cpu"}
    more = {"precision": "float32", "threads": 1, "thresholds": (Threshold(),), "training": Training()}
    return Scenario(**(defaults | more | changes))


def verified(results: list[Any], **changes: Any) -> list[str] | None:
    """Which results a scenario is said to have run under."""
    entries = known.of_scenario(make_scenario(**changes), results)
    return entries and [entry["verified"] for entry in entries]


# ------------------------------------------------------------------------------------------------------- the store


def test_results_are_kept_in_the_users_state_folder_and_found_again_oldest_first(state):
    results = [make_result("first"), make_result("then", passed=False)]
    paths = {known.keep(result) for result in results}
    assert paths == {state / "vaebench" / "equality" / f"{environment_hash(HERE)}.jsonl"}
    assert known.known(HERE) == results


def test_a_result_does_not_hold_where_a_version_or_the_source_is_another(monkeypatch):
    known.keep(make_result())
    assert known.known(HERE | {"packages": {"torch": "2.13.1"}}) == []
    monkeypatch.setattr(known, "source_digest", lambda: "another")
    assert known.known(HERE) == []


def test_a_changed_backend_of_our_own_or_of_others_is_another_source(monkeypatch, tmp_path):
    digests = {source_digest.__wrapped__()}
    contributed = tmp_path / "contributed.py"
    contributed.write_text("first = 1")
    monkeypatch.setattr(backends, "source", lambda name: (contributed,))
    digests.add(source_digest.__wrapped__())
    contributed.write_text("second = 2")
    digests.add(source_digest.__wrapped__())
    assert len(digests) == 3


def test_lines_that_are_damaged_or_foreign_prove_nothing_and_spoil_nothing():
    path = known.keep(make_result("first"))
    line = msgspec.json.encode(make_result("foreign", schema=known.SCHEMA + 1))
    with path.open("ab") as file:
        cut = {key: value for key, value in make_result("cut").items() if key != "ladders"}
        file.write(line + b"\n[]\nnull\n\xff\n\n" + msgspec.json.encode(cut) + b"\n" + line[:100])
    assert [result["verified"] for result in known.known(HERE)] == ["first"]
    known.keep(make_result("then"))
    assert [result["verified"] for result in known.known(HERE)] == ["first", "then"]


def test_the_oldest_results_go_first_and_the_store_stays_small():
    for number in range(known.MOST + 3):
        known.keep(make_result(str(number)))
    kept = [result["verified"] for result in known.known(HERE)]
    assert kept == [str(number) for number in range(3, known.MOST + 3)]


def test_results_kept_at_the_same_time_are_all_there():
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(known.keep, [make_result(str(number)) for number in range(24)]))
    assert {result["verified"] for result in known.known(HERE)} == {str(number) for number in range(24)}


@pytest.fixture(params=["a file in its place", "a name too long"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that can neither be written nor read, whoever asks."""
    (tmp_path / "file").touch()
    folder = tmp_path / ("file" if "file" in request.param else "x" * 300)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.mark.parametrize("passed", [True, False])
def test_a_result_that_cannot_be_kept_is_still_told_with_its_status(unusable, passed, monkeypatch, capsys):
    monkeypatch.setattr(verify, "verify", lambda *_, **__: make_result(passed=passed))
    assert cli.main(["verify"]) == (0 if passed else 1)
    out, err = capsys.readouterr()
    assert "torch trains the same model as the reference" in out if passed else "NOT equal: torch" in out
    (line,) = err.splitlines()
    assert line.startswith("bench: the result could not be kept for later runs: ")


def test_nothing_is_known_where_the_store_cannot_be_read(unusable):
    assert known.known(HERE) == []


# --------------------------------------------------------------------------------------------- what holds for a trial


def test_of_two_results_the_newer_counts():
    assert verified([make_result("old"), make_result("new")]) == ["new", "new"]
    assert verified([make_result("old", passed=False), make_result("new")]) == ["new", "new"]


def test_a_quick_result_does_not_replace_one_of_the_whole_ladder():
    assert verified([make_result("whole"), make_result("quick", quick=True)]) == ["whole", "whole"]
    assert verified([make_result("quick", quick=True)]) == ["quick", "quick"]


def test_the_newest_failure_is_not_hidden_by_an_older_proof():
    broken = make_result("broken", quick=True, passed=False)
    assert verified([make_result("whole"), broken]) == ["broken", "broken"]
    assert verified([make_result("whole"), broken, make_result("repaired", quick=True)]) == ["whole", "whole"]


@pytest.mark.parametrize("other", [{"backend": "jax"}, {"device": "gpu"}, {"mode": "tuned"}])
def test_a_result_of_another_backend_device_or_mode_says_nothing_of_a_trial(other):
    assert verified([make_result()]) == ["now", "now"]
    assert verified([make_result()], **other) is None
    assert verified([]) is None


def test_each_precision_is_looked_up_by_itself():
    results = [make_result("one", ("float64",)), make_result("other", ("float32",))]
    assert verified(results) == ["one", "other"]
    (entry,) = known.of_scenario(make_scenario(), results[1:]) or []
    assert entry["precision"] == "float32"


def test_a_record_tells_the_largest_error_of_each_rung_and_where_the_models_part():
    (entry, _) = known.of_scenario(make_scenario(), [make_result(passed=False)]) or []
    assert entry["errors"] == {"loss": [1e-15, 1e-12]}
    assert entry["failure"] == "loss: torch and reference part at bce · kernel, 1.2e-01 against a bound of 1e-12"
    assert {entry[key] for key in ("quick", "passed")} == {False}
    result = make_result()
    result["ladders"][0]["rungs"][0]["comparisons"][1]["error"] = None
    (entry, other) = known.of_scenario(make_scenario(), [result]) or []
    assert (entry["errors"]["loss"], other["errors"]["loss"]) == ([None, 1e-12], [1e-15, 1e-12])


def test_a_backend_that_could_not_climb_is_known_not_to_be_proved():
    ladders = make_result()["ladders"]
    result = make_result(passed=False, backends={}, failures={"torch": "failed: ValueError: boom"}, ladders=ladders)
    entries = known.of_scenario(make_scenario(), [result]) or []
    assert [entry["passed"] for entry in entries] == [False, False]
    assert entries[0]["failure"] == "torch could not climb: failed: ValueError: boom"


# ---------------------------------------------------------------------------------------------- bench run --verify


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was verified, all backends being able to run here and passing."""
    found: list[Any] = []

    def pretend(names: list[str], **options: Any) -> Any:
        found.append((names, options["device"], options["mode"], options["quick"]))
        return make_result()

    monkeypatch.setattr(verify, "verify", pretend)
    monkeypatch.setattr(verify.backends, "unavailable", lambda name: None)
    return found


def missing(*scenarios: Scenario) -> None:
    list(verify.missing(scenarios, progress=lambda doing: None))


def keep_here(**changes: Any) -> None:
    known.keep(make_result(environment_hash=environment_hash(environment()), **changes))


def test_what_is_unknown_is_proved_once_for_each_device_and_mode(asked):
    missing(
        make_scenario(),
        make_scenario(dataset="digits:4"),
        make_scenario(backend="jax"),
        make_scenario(device="gpu"),
        make_scenario(detector="knn", backend=None, mode=None),
    )
    assert asked == [(["torch", "jax"], "cpu", "idiomatic", True), (["torch"], "gpu", "idiomatic", True)]


def test_what_is_known_is_not_proved_again(asked):
    keep_here()
    missing(make_scenario())
    assert asked == []
    missing(make_scenario(), make_scenario(backend="jax"))
    assert [names for names, *_ in asked] == [["torch", "jax"]]


def test_a_proof_in_float64_does_not_stand_in_for_one_in_the_precision_that_runs(asked):
    keep_here(precisions=("float64",))
    missing(make_scenario(precision="float64"))
    assert asked == []
    missing(make_scenario(precision="float32"))
    assert len(asked) == 1


def test_a_backend_that_cannot_run_as_asked_does_not_keep_the_others_from_being_proved(monkeypatch):
    trouble = {"keras": TrialFailed("skipped", "no GPU")}
    climbed = (HERE, {"torch": {}}, trouble, make_result()["ladders"])
    monkeypatch.setattr(verify, "_climb", lambda *_: climbed)
    monkeypatch.setattr(verify.backends, "unavailable", lambda name: None)
    scenarios = [make_scenario(backend=name, device="gpu") for name in ("torch", "keras")]
    (result,) = verify.missing(scenarios, progress=lambda doing: None)
    assert (list(result["backends"]), result["absent"], result["passed"]) == (["torch"], {"keras": "no GPU"}, True)
    with pytest.raises(verify.VerifyError, match="backend 'keras' cannot be verified here: no GPU"):
        verify.verify(["torch", "keras"], device="gpu")
    assert list(verify.missing(scenarios[1:], progress=lambda doing: None)) == []


def test_a_known_difference_between_the_backends_that_run_makes_the_status_1(asked):
    assert verify.holds([make_scenario()]), "what is not known is no difference"
    keep_here()
    assert verify.holds([make_scenario()])
    keep_here(passed=False)
    assert not verify.holds([make_scenario()])
    assert verify.holds([make_scenario(backend="jax"), make_scenario(backend=None, mode=None)])


# ------------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def tiny(suite_file: Any) -> Any:
    """The arguments of a run of one short trial of one backend."""

    def write(backend: str, *options: str) -> list[str]:
        path = suite_file(f"""
            datasets = ["blobs-2d"]
            backends = ["{backend}"]
            training = {{ epochs = 1 }}
            [[scenarios]]
            detectors = ["vae"]
        """)
        return ["run", path, "--detectors", "vae", "--threads", "1", "--out", "out", *options]

    return write


def test_the_report_of_a_run_states_when_on_what_and_how_nearly_equality_was_proved(
    here, tiny, climb, installed, read_records, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(climb.state))
    done = here(*tiny(installed[0]))
    assert done.returncode == 0, done.stdout + done.stderr
    result = climb.result
    (record,) = read_records()
    assert [entry["precision"] for entry in record["equality"]] == ["float64", "float32"]
    weights = {rung["name"]: rung for rung in result["ladders"][0]["rungs"]}["training: weights"]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "**Verified" in report
    assert f"`bench verify --quick` at {result['verified']}" in report
    assert f"**{written_error(max(c['error'] for c in weights['comparisons']))}**" in report
    for versions in result["backends"].values():
        for name, version in versions.items():
            assert f"{name} {version}" in report
    assert "Not verified" not in report
    assert "[!WARNING]" not in report


def test_a_run_that_nothing_was_proved_for_says_so_and_with_verify_it_proves_first(
    here, tiny, installed, read_records, tmp_path, state, monkeypatch
):
    name, climbed = installed[0], []

    def climb(names: list[str], **options: Any) -> Any:
        climbed.append((names, options["quick"]))
        told = {"quick": True, "environment_hash": environment_hash(environment())}
        return make_result(**told, backends={name: {name: "1.0"}})

    monkeypatch.setattr(verify, "verify", climb)
    done = here(*tiny(name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_records()[0]["equality"] is None
    assert "**Not verified.**" in (tmp_path / "out" / "report.md").read_text()
    assert not state.exists(), "a run without --verify proves nothing"

    proving = tiny(name, "--verify", "--seeds", "1")
    done = here(*proving)
    assert done.returncode == 0, done.stdout + done.stderr
    proof = f"{name} trains the same model as the reference: every rung of the quick ladder"
    assert done.stdout.startswith(proof)
    assert climbed == [([name], True)]
    assert [entry["passed"] for entry in read_records()[1]["equality"]] == [True, True]
    assert "**Verified against the reference alone.**" in (tmp_path / "out" / "report.md").read_text()

    again = here(*proving)
    assert again.returncode == 0
    assert proof not in again.stdout, "it was proved a second time"
    assert len(climbed) == 1


def test_a_backend_that_could_not_climb_is_a_failure_and_a_warning_above_what_it_runs(
    bench, tiny, planted, read_records, tmp_path
):
    path = {"PYTHONPATH": str(planted)}
    done = bench("verify", "--quick", "--backends", "single_only", **path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("NOT verified: single_only ended with an error")
    assert "\nfailed      single_only: failed: RuntimeError: no doubles here\n" in done.stdout
    assert done.stderr == ""

    done = bench(*tiny("single_only", "--verify"), **path)
    assert read_records()[0]["status"] == "ok"
    assert done.returncode == 1, "the trial itself went well, and nothing says that its model is another"
    report = (tmp_path / "out" / "report.md").read_text().replace("\\_", "_")
    assert "> [!WARNING]\n> **The backends were not found to be the same model**" in report
    assert "single_only could not climb: failed: RuntimeError: no doubles here" in report
