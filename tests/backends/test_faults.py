"""The proof can fail: every fault planted into a backend is caught, at the rung where it belongs."""

from __future__ import annotations

import pytest

from bench.proof import ladder, verify
from making.faults import FAULTS, Fault, observe


def climb(run, fault: Fault, planted: str | None):
    """The ladder with this backend and the reference on it."""
    observed = {
        fault.backend: dict(run(observe, fault.backend, fault.cases, fault.precision, planted)),
        ladder.REFERENCE: dict(run(observe, ladder.REFERENCE, fault.cases, "float64", None)),
    }
    return verify.judge(observed, fault.precision)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_caught_at_its_rung(run, fault):
    failure = climb(run, fault, fault.name)["first_failure"]
    assert failure is not None
    assert failure["rung"] == fault.rung
    assert failure["error"] is None or failure["error"] > 10 * failure["bound"]
