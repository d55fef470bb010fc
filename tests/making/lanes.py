"""What the lanes of a backend show in its own process, with a fault in them or without one."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

import numpy as np

from bench.proof import judging, ladder, lanes
from making.contract import module
from making.fault_runs import data, faulty


def same_noise(backend: Any) -> Any:
    """all lanes draw what the first one draws"""
    real = backend.lanes.JaxLanes.native_epoch

    def first(self: Any, epoch: int) -> Any:
        return backend.jax.tree.map(lambda array: array[:1].repeat(len(array), 0), real(self, epoch))

    return mock.patch.object(backend.lanes.JaxLanes, "native_epoch", first)


def never_stopping(backend: Any) -> Any:
    """a lane that has stopped goes on changing"""
    real = backend.lanes.JaxLanes.run_epoch
    return mock.patch.object(
        backend.lanes.JaxLanes, "run_epoch", lambda self, epoch, going: real(self, epoch, [True] * len(going))
    )


def one_rate(backend: Any) -> Any:
    """all lanes learn at the first one's rate"""
    real = backend.lanes.own

    def own(settings: Any) -> Any:
        return real(settings)._replace(learning_rate=1e-3)

    return mock.patch.object(backend.lanes, "own", own)


FAULTS = {fault.__doc__: fault for fault in (same_noise, never_stopping, one_rate)}


def judged(name: str, mode: str, precision: str, quick: bool, planted: str | None = None) -> list[dict[str, Any]]:
    """The comparisons of the rung of lanes, with a fault or without one; none where the backend has no lanes."""
    observed: dict[str, np.ndarray] = {}
    expected: dict[str, np.ndarray] = {}
    with faulty(name, mode, None) as backend, FAULTS[planted](backend) if planted else contextlib.nullcontext():
        for case in lanes.cases(precision, mode=mode, quick=quick):  # type: ignore[arg-type]
            shown, alone = lanes.climb(module(name), case, data()[0])
            observed |= shown
            expected |= alone
    found = judging.judge(
        {name: {lanes.LANES: observed}, ladder.REFERENCE: {}},  # type: ignore[dict-item]
        precision,  # type: ignore[arg-type]
        {name: {lanes.LANES: expected}},
    )
    return [comparison for rung in found["rungs"] for comparison in rung["comparisons"]]
