"""What the ladder sees of a backend of this process, with a fault or without one."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from backends import weights as canonical
from bench.proof import judging, ladder, native, verify
from making.contract import module
from making.faults import FAULTS

NATIVE_ROWS = 2600
"""Twenty batches and a partial one: enough for every planted fault to be far beyond chance."""


@functools.cache
def data() -> tuple[ladder.Data, np.ndarray]:
    return verify.rows_and_labels()


@contextlib.contextmanager
def faulty(name: str, mode: str, planted: str | None) -> Any:
    """The backend with a fault in it."""
    backend: Any = module(name)
    with contextlib.ExitStack() as stack:
        if name == "jax":
            backend.jax.clear_caches()  # what was traced with another fault or none
        if (name, mode) == ("torch", "tuned"):
            # to compile a step takes PyTorch ten seconds, and no fault here lies in what its compiler makes
            stack.enter_context(mock.patch.object(backend.tuned, "compiled", lambda step, device: step))
        if planted:
            stack.enter_context(FAULTS[planted].plant(backend))
        yield backend


def observe(
    name: str, cases: tuple[str, ...], precision: str, rung: str, planted: str | None, mode: str = "idiomatic"
) -> ladder.Observed:
    """What a backend shows in some cases of the ladder up to a rung, with a fault or without one."""
    rows, _ = data()
    found = [case for case in ladder.cases(precision, mode=mode) if case.name in cases]  # type: ignore[arg-type]
    found = [up_to(rung, replace(case, epochs=2) if case.name == "dense" else case) for case in found]
    assert len(found) == len(cases)
    with faulty(name, mode, planted) if name != ladder.REFERENCE else contextlib.nullcontext():
        if not reaches(rung, ladder.SCORING):
            return below_the_scores(name, found, rows)
        climber = ladder.Climber(name, rows)
        observed = climber.climb(found)
        observed |= climber.exchange({"another": another(found[0])})
    return observed


def below_the_scores(name: str, found: list[ladder.Case], rows: ladder.Data) -> ladder.Observed:
    """What all cases show, none of which is scored."""
    observed: ladder.Observed = {rung: {} for rung in ladder.RUNGS}
    for case in found:
        for rung, values in ladder.climb(module(name), case, rows)[0].items():
            observed[rung] |= values
    return observed


def reaches(rung: str, other: str) -> bool:
    """Whether a climb up to a rung comes to another one."""
    return ladder.RUNGS.index(rung) >= ladder.RUNGS.index(other)


def up_to(rung: str, case: ladder.Case) -> ladder.Case:
    """A case without what only rungs above this one show: the first failure is at this rung, or at one below."""
    return replace(
        case,
        gradients=case.gradients and reaches(rung, ladder.LOSS),
        steps=case.steps if reaches(rung, ladder.STEPS) else 0,
        epochs=case.epochs if reaches(rung, ladder.EPOCH) else 0,
        scores=case.scores if reaches(rung, ladder.SCORING) else (),
        many=case.many and reaches(rung, ladder.MANY),
    )


def another(case: ladder.Case) -> dict[str, np.ndarray]:
    """Weights that no climber has trained."""
    weights = canonical.initial_weights(case.spec, 9, data()[0][f"{case.data}/train"])
    return {name: array + 0.05 for name, array in weights.items()}


def follow(name: str, mode: str, precision: str, planted: str | None) -> list[dict[str, Any]]:
    """The rungs of native training that do not hold, with what is wrong there first; beside the model one other
    draws, and as many as on the ladder where the fault is in their seeds or there is none."""
    fault = FAULTS[planted] if planted else None
    wrong = []
    for case in native.cases(precision, mode=mode):  # type: ignore[arg-type]
        if case.name == native.STREAMED:
            looked_at = native.STREAMED in fault.cases if fault else precision == "float64"
        else:
            looked_at = case.name == "native" and not (fault and native.STREAMED in fault.cases)
        if looked_at:
            all_seeds = fault is None or fault.rung == native.SEEDS
            seeds = case.seeds if all_seeds else case.seeds[:1]
            case = replace(case, rows=min(case.rows, NATIVE_ROWS), seeds=seeds)
            wrong += wrong_rungs(name, mode, precision, planted, case)
    return wrong


def wrong_rungs(name: str, mode: str, precision: str, planted: str | None, case: native.Case) -> list[dict[str, Any]]:
    """``follow`` of one case."""
    rows, _ = data()
    with faulty(name, mode, planted) as backend:
        try:
            observed, expected = native.climb(backend, case, rows)
        except RuntimeError as error:
            return [{"name": native.ORDER, "where": str(error)}]
    judged = judging.judge({name: observed, ladder.REFERENCE: {}}, precision, {name: expected})  # type: ignore[arg-type]
    wrong = [rung for rung in judged["rungs"] if not rung["passed"]]
    return [{"name": rung["name"]} | rung["comparisons"][0] for rung in wrong]
