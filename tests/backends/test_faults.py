"""The proof can fail: every fault planted into a backend is caught, at the rung where it belongs."""

from __future__ import annotations

import pytest

from bench.proof import judging, ladder, native
from making.fault_runs import follow, observe
from making.faults import FAULTS, Fault

SHARED = {name: fault for name, fault in FAULTS.items() if fault.rung not in native.RUNGS}
NATIVE = {name: fault for name, fault in FAULTS.items() if fault.rung in native.RUNGS}
WAYS = sorted({(fault.backend, fault.mode) for fault in NATIVE.values()})


def climb(run_faulty, fault: Fault):
    """The ladder with this backend and the reference on it."""
    seen = run_faulty(observe, fault.backend, fault.cases, fault.precision, fault.rung, fault.name, fault.mode)
    right = run_faulty(observe, ladder.REFERENCE, fault.cases, "float64", fault.rung, None)
    return judging.judge({fault.backend: dict(seen), ladder.REFERENCE: dict(right)}, fault.precision)


@pytest.mark.parametrize("fault", SHARED.values(), ids=SHARED)
def test_a_planted_fault_is_caught_at_its_rung(run_faulty, fault):
    failure = climb(run_faulty, fault)["first_failure"]
    assert failure is not None
    assert failure["rung"] == fault.rung
    assert failure["error"] is None or failure["error"] > 10 * failure["bound"]


@pytest.mark.parametrize("fault", NATIVE.values(), ids=NATIVE)
def test_a_fault_in_what_is_timed_is_caught_at_its_rung(run_faulty, fault):
    wrong = run_faulty(follow, fault.backend, fault.mode, fault.precision, fault.name)
    assert fault.rung in [rung["name"] for rung in wrong], wrong


@pytest.mark.parametrize(("backend", "mode"), WAYS)
def test_without_a_fault_native_training_is_followed(run_faulty, backend, mode):
    for precision in ("float64", "float32"):
        assert run_faulty(follow, backend, mode, precision, None) == []
