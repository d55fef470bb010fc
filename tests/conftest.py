"""Which tests start a process or load a framework, and which of them run in one worker of pytest to share it.

A test that starts a process, or loads a framework, takes the fixture ``process``, by itself or through another fixture.
It is marked so, and ``make check`` leaves it out; one that does so without the fixture fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import backends
from bench.environment import machine

# The same examples in every run; `--hypothesis-profile=default` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

FRAMEWORKS = frozenset({"torch", "tensorflow", "keras", "jax"})
SHARED = ("climb",)
"""Fixtures that take so long that all tests with one run in one worker, beside their files."""
LONGEST = ("climb", "keras", "jax", "torch")
"""The groups of tests that take longest; they begin first, so that no worker is left alone with one."""


@pytest.fixture(scope="session")
def process() -> None:
    """Taken by every test that starts a process or loads a framework, directly or through another fixture."""


def starts_a_process(item: pytest.Item) -> bool:
    return "process" in getattr(item, "fixturenames", ())


# ------------------------------------------------------------------------------------------- what shares a worker


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if starts_a_process(item):
            item.add_marker("process")
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=rank)


def group(item: pytest.Item) -> str:
    """A framework's name for tests that send tasks to its process; for all others their file."""
    marked = item.get_closest_marker("xdist_group")
    if marked is not None:
        return str(marked.args[0])
    fixtures = set(getattr(item, "fixturenames", ()))
    for name in SHARED:
        if name in fixtures:
            return name
    if {"run", "process"} <= fixtures and hasattr(item, "callspec"):
        for value in item.callspec.params.values():
            name = getattr(value, "backend", value)  # a planted fault tells where it is planted
            if name in backends.defaults():
                return str(name)
    return item.nodeid.split("::")[0]


def rank(item: pytest.Item) -> int:
    name = group(item)
    return LONGEST.index(name) if name in LONGEST else len(LONGEST) + (not starts_a_process(item))


# ------------------------------------------------------------------------------------------- what nobody declared

PROBES = frozenset({"file", "git", "lscpu"})
"""Small programs that tell of the machine or the checkout; they are no process that is meant here."""

undeclared: list[str] = []
allowed = True  # until the first test


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes each process and each framework's import of a test without the fixture ``process``."""
    if allowed:
        return
    if event == "subprocess.Popen":
        command = arguments[1] if isinstance(arguments[1], list) else [arguments[1]]
        if command[0] not in PROBES:
            undeclared.append(f"the process {command[0]}")
    elif event == "import" and arguments[0].partition(".")[0] in FRAMEWORKS:
        undeclared.append(f"the import of {arguments[0]}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "process: starts a process or loads a framework; the fixture sets it")
    sys.addaudithook(watch)
    start = BaseProcess.start

    def noted(self: BaseProcess) -> None:
        watch("subprocess.Popen", (None, self.name))
        start(self)

    BaseProcess.start = noted  # type: ignore[method-assign]


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.items:
        machine()  # asks some programs, once a process: no test does so by itself


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    global allowed
    allowed = starts_a_process(item)


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """Fails a test that started a process, or loaded a framework, and does not take the fixture ``process``."""
    yield
    if undeclared:
        found = ", ".join(dict.fromkeys(undeclared))
        undeclared.clear()
        pytest.fail(f"takes no fixture 'process', and there was {found}")


# ------------------------------------------------------------------------------------------------ what is kept


@pytest.fixture(scope="session")
def compiled(request: pytest.FixtureRequest) -> dict[str, str]:
    """Variables of the environment by which JAX and PyTorch find again what they have compiled, in any process.

    Where the compiler's time is measured or nothing may be found, a test leaves them out.
    """
    folder = Path(str(request.config.cache.mkdir("compiled")))  # type: ignore[union-attr]
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"),
    }
