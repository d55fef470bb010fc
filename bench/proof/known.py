"""What is known of the backends' equality on this machine: ``bench verify`` leaves it here, ``bench run`` looks it up.

One file an environment, of JSON lines, in the user's state folder. A result holds for the environment it was made in,
for the source of the backends as it was, and for one device and mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock
from platformdirs import user_state_path

from bench import DISTRIBUTION
from bench.environment import environment_hash, source_digest
from bench.suites.scenario import Scenario
from datasets.storage import replace

Result = dict[str, Any]
"""What ``bench.proof.verify.verify`` returns."""
SCHEMA = 1
KEYS = {"schema", "source", "verified", "quick", "device", "mode", "passed", "backends", "failures", "ladders"}
MOST = 50
"""Results kept of one environment; the oldest go first."""


def keep(result: Result) -> Path:
    """Adds a result of ``verify.verify`` and returns the file it is in. Raises OSError where that cannot be."""
    path = _file(result["environment_hash"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        lines = [*_lines(path), msgspec.json.encode(result)][-MOST:]
        replace(path, b"\n".join(lines) + b"\n")
    return path


def known(environment: Mapping[str, Any]) -> list[Result]:
    """The results that hold for this environment and source, oldest first; none where they cannot be read."""
    try:
        lines = _lines(_file(environment_hash(environment)))
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            result = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # it was torn, or edited: then it proves nothing
        whole = isinstance(result, dict) and result.keys() >= KEYS
        if whole and result["schema"] == SCHEMA and result["source"] == source_digest():
            found.append(result)
    return found


def of_scenario(scenario: Scenario, results: list[Result]) -> list[dict[str, Any]] | None:
    """What a record says of the equality its trial ran under, one entry a precision; None where nothing is known.

    Of several results the newest counts, but one of the whole ladder before one of the quick one, unless the newest
    tells that the backends differ.
    """
    entries = []
    for precision in ("float64", "float32"):
        fitting = [
            (result, ladder)
            for result in results
            if (result["device"], result["mode"]) == (scenario.device, scenario.mode)
            and (scenario.backend in result["backends"] or scenario.backend in result["failures"])
            for ladder in result["ladders"]
            if ladder["precision"] == precision
        ]
        if not fitting:
            continue
        newest, whole = fitting[-1], [found for found in fitting if not found[0]["quick"]]
        result, ladder = whole[-1] if whole and newest[0]["passed"] else newest
        entries.append(_entry(result, ladder))
    return entries or None


def _entry(result: Result, ladder: Mapping[str, Any]) -> dict[str, Any]:
    errors = {}
    for rung in ladder["rungs"]:
        found = [comparison["error"] for comparison in rung["comparisons"]]
        errors[rung["name"]] = [None if None in found else max(found, default=None), rung["bound"]]
    failure = ladder["first_failure"]
    said = None
    if failure is not None:
        first, second = failure["between"]
        error = "not finite" if failure["error"] is None else f"{failure['error']:.1e}"
        said = (
            f"{failure['rung']}: {first} and {second} part at {failure['where']}, "
            f"{error} against a bound of {failure['bound']:g}"
        )
    elif result["failures"]:
        said = "; ".join(f"{name} could not climb: {reason}" for name, reason in result["failures"].items())
    return {
        "verified": result["verified"],
        "quick": result["quick"],
        "precision": ladder["precision"],
        "device": result["device"],
        "mode": result["mode"],
        "passed": result["passed"],
        "backends": result["backends"],
        "steps": ladder["steps"],
        "errors": errors,
        "failure": said,
    }


def _file(environment: str) -> Path:
    return user_state_path(DISTRIBUTION, appauthor=False) / "equality" / f"{environment}.jsonl"


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.is_file() else []
