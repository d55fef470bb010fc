"""The proof tells how much it covers: what climbed here, what failed and what never climbed."""

from __future__ import annotations

from typing import Any

import pytest

from backends.interface import Capabilities
from bench.proof import coverage

ABLE = Capabilities({}, {"cpu": "x"}, ("float32", "float64", "bfloat16"), ("idiomatic", "tuned"), 1)


def result(quick: bool = False, passed: bool = True, mode: str = "tuned", **more: Any) -> dict[str, Any]:
    comparison = {"between": ["torch", "reference"], "passed": passed}
    ladder = {
        "precision": "float64",
        "rungs": [{"comparisons": [comparison]}],
        "cases": [{"kind": "vae", "source": "shared"}, {"kind": "vae", "source": "native"}],
    }
    here = {"mode": mode, "device": "cpu", "quick": quick, "failures": {}, "backends": {"torch": {}}}
    return here | {"ladders": [ladder]} | more


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([], "no"),
        ([result()], "whole"),
        ([result(quick=True)], "quick"),
        ([result(), result(quick=True)], "whole"),
        ([result(), result(quick=True, passed=False)], "failed"),
        ([result(passed=False), result(quick=True)], "quick"),
        ([result(mode="idiomatic")], "no"),
        ([result(backends={}, failures={"torch": "failed: it ended"})], "failed"),
        ([result(backends={"jax": {}})], "no"),
    ],
)
def test_the_newest_ladder_of_a_way_says_where_it_stands(results, state):
    ways = coverage.ways_of("torch", ABLE, results)
    assert len(ways) == 6
    (way,) = (way for way in ways if (way["mode"], way["precision"]) == ("tuned", "float64"))
    assert {way[source]["vae"] for source in ("native", "shared")} == {state}
    assert way["native"]["conv_vae"] in ("no", "failed"), "a kind that no case was of"


def test_the_table_has_a_line_for_every_way_and_says_what_is_missing():
    ways = coverage.ways_of("torch", ABLE, [result()])
    found = {"climbed": 2, "of": 36, "ways": ways, "absent": {"jax": "jax is not installed"}, "reasons": {}}
    text = coverage.text(found)
    assert text.startswith("2 of 36 ways to train climbed the ladder here")
    assert text.count("| torch ") == 6
    assert "jax is not here: jax is not installed" in text
