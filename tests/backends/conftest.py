"""A process of its own for every backend, because a process never holds two frameworks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import backends

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def run(process: None, compiled: dict[str, str]) -> Iterator[Run]:
    """``run(task, backend, *arguments)``: the task's result from the backend's process; equal calls run once."""
    yield from running(ENVIRONMENT | compiled)


@pytest.fixture(scope="session")
def run_faulty(process: None, hasty: dict[str, str]) -> Iterator[Run]:
    """The same in processes of their own, for planted faults."""
    yield from running(ENVIRONMENT | hasty)


def running(environment: Mapping[str, str]) -> Iterator[Run]:
    processes: dict[str, ProcessPoolExecutor] = {}
    results: dict[Any, Any] = {}

    def run_in_process(task: Callable[..., Any], name: str, *arguments: Any) -> Any:
        if (reason := None if name == "reference" else backends.unavailable(name)) is not None:
            pytest.skip(reason)
        call = (task, name, *arguments)
        if call not in results:
            with pytest.MonkeyPatch.context() as patch:
                for variable, value in environment.items():
                    patch.setenv(variable, value)
                if name not in processes:
                    processes[name] = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
                results[call] = processes[name].submit(task, name, *arguments).result()
        return results[call]

    yield run_in_process
    for process in processes.values():
        process.shutdown()


@pytest.fixture(params=backends.defaults())
def backend(request: pytest.FixtureRequest) -> str:
    """The name of every registered backend but variants, skipped with the reason where it cannot run."""
    name: str = request.param
    if (reason := backends.unavailable(name)) is not None:
        pytest.skip(reason)
    return name
