"""How much is proved here: which ways of training climbed the ladder on this machine, and which did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import msgspec

import backends
from backends.interface import Capabilities
from backends.spec import NetworkSpec, Precision, RandomSource
from bench.environment import environment
from bench.proof import known
from bench.worker.process import TrialFailed, WorkerProcess

KINDS = ("vae", "autoencoder", "conv_vae", "conv1d_vae")
CLIMBABLE: tuple[Precision, ...] = ("float64", "float32")
"""The precisions of which there are ladders."""
TIMEOUT = 120.0
"""Seconds in which a framework has to be imported."""

Way = dict[str, Any]
"""A backend, mode, device and precision, and by source and kind whether it ``climbed``."""


def kind_of(spec: NetworkSpec) -> str:
    """The detector that has such a network."""
    return {0: str(spec.kind), 1: "conv1d_vae", 2: "conv_vae"}[len(spec.image or ())]


def coverage(names: Sequence[str] | None = None) -> dict[str, Any]:
    """Every way in which the backends can train here, with what is known of it.

    Raises ValueError, in one line, for an unknown name.
    """
    asked = list(dict.fromkeys(names or backends.names()))
    absent = {name: reason for name in asked if (reason := backends.unavailable(name))}
    present = [name for name in asked if name not in absent]
    with ThreadPoolExecutor(max(len(present), 1)) as pool:
        reported = dict(zip(present, pool.map(_capabilities, present), strict=True))
    absent |= {name: found for name, found in reported.items() if isinstance(found, str)}
    able = {name: found for name, found in reported.items() if isinstance(found, Capabilities)}
    results = known.known(environment())
    ways = [way for name, found in able.items() for way in ways_of(name, found, results)]
    cells = [state for way in ways for source in get_args(RandomSource) for state in way[source].values()]
    return {
        "climbed": sum(state in ("whole", "quick") for state in cells),
        "of": len(cells),
        "ways": ways,
        "absent": absent,
        "reasons": {name: dict(found.reasons) for name, found in able.items() if found.reasons},
    }


def _capabilities(name: str) -> Capabilities | str:
    """What a backend reports in a process of its own, or why it does not."""
    try:
        with WorkerProcess(1, "gpu", TIMEOUT) as worker:
            return msgspec.convert(worker.request("capabilities", name), Capabilities)
    except TrialFailed as failed:
        return failed.reason


def ways_of(name: str, able: Capabilities, results: Sequence[Mapping[str, Any]]) -> list[Way]:
    """The ways of one backend; a newer result counts before an older, and a whole ladder before a quick one."""
    ways = []
    for mode in able.modes:
        for device in able.devices:
            for precision in able.precisions:
                way: Way = {"backend": name, "mode": mode, "device": device, "precision": precision}
                for source in get_args(RandomSource):
                    way[source] = {kind: _state(way, source, kind, results) for kind in KINDS}
                ways.append(way)
    return ways


def _state(way: Way, source: str, kind: str, results: Sequence[Mapping[str, Any]]) -> str:
    """``whole`` or ``quick`` where the newest ladder of its sort held, ``failed`` where the newest did not, ``no``."""
    found = []
    for result in results:
        if (result["mode"], result["device"]) != (way["mode"], way["device"]):
            continue
        if way["backend"] in result["failures"]:
            found.append("failed")
        if way["backend"] not in result["backends"]:
            continue
        for ladder in result["ladders"]:
            cases = ladder.get("cases", [])
            if ladder["precision"] == way["precision"] and any(
                (case["source"], case["kind"]) == (source, kind) for case in cases
            ):
                held = _held(way["backend"], ladder)
                found.append(("quick" if result["quick"] else "whole") if held else "failed")
    if not found:
        return "no"
    since = len(found) - found[::-1].index("failed") if "failed" in found else 0
    return "whole" if "whole" in found[since:] else found[-1]


def _held(name: str, ladder: Mapping[str, Any]) -> bool:
    """Whether no rung of a ladder tells that this backend parts from another."""
    comparisons = [comparison for rung in ladder["rungs"] for comparison in rung["comparisons"]]
    return all(comparison["passed"] for comparison in comparisons if name in comparison["between"])


def text(found: Mapping[str, Any]) -> str:
    """The ways as lines of a table, for a terminal and for Markdown alike."""
    sources = get_args(RandomSource)
    header = ["backend", "mode", "device", "precision", *(f"{source}: {kind}" for source in sources for kind in KINDS)]
    rows = [
        [way["backend"], way["mode"], way["device"], way["precision"]]
        + [way[source][kind] for source in sources for kind in KINDS]
        for way in found["ways"]
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [f"{found['climbed']} of {found['of']} ways to train climbed the ladder here, with the source as it is."]
    lines += ["whole, quick: the newest ladder held; failed: it did not; no: never climbed here.", ""]
    table = [header, ["-" * width for width in widths], *rows]
    lines += [f"| {' | '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))} |" for row in table]
    lines += ["", f"Ladders are of {' and '.join(CLIMBABLE)}: what is proved of another precision is the model alone."]
    lines += [f"{name} is not here: {reason}" for name, reason in found["absent"].items()]
    for name, reasons in found["reasons"].items():
        lines += [f"{name}, {what}: {reason}" for what, reason in reasons.items()]
    return "\n".join(lines)
