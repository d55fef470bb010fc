"""Which tests start a process or load a framework, and which of them run in one worker of pytest to share it.

A test that starts a process, or loads a framework, takes the fixture ``process``, by itself or through another fixture.
It is marked so, and ``make check`` leaves it out; one that does so without the fixture fails. So it leaves out what is
marked ``published``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from functools import cached_property
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

import backends
from bench.environment import machine
from bench.worker import caches

# The same examples in every run; `--hypothesis-profile=default` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("same")

# What a shell starts behind itself ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

FRAMEWORKS = frozenset({"torch", "tensorflow", "keras", "jax"})
SHARED = ("climb",)
"""Fixtures that take so long that all tests with one run in one worker, beside their files."""
LONGEST = (
    "climb",
    "keras",
    "jax",
    "jax faults",
    "keras faults",
    "torch",
    "tests/bench/run/test_runner.py",
    "tests/datasets/test_datasets_contract.py",
    "tests/reports/writers/test_markdown.py",
    "tests/reports/writers/test_page.py",
)
"""The groups of tests that take longest; they begin first, so that no worker is left alone with one."""


@pytest.fixture(scope="session")
def process() -> None:
    """Taken by every test that starts a process or loads a framework, directly or through another fixture."""


def starts_a_process(item: pytest.Item) -> bool:
    return "process" in getattr(item, "fixturenames", ())


# ------------------------------------------------------------------------------------------- what shares a worker

# xdist's own groups are in the names of tests, which pytest 9.2 does not let it change: without a word each test went
# to any worker (pytest-xdist issue 1386). So the workers write down the groups, and the one that schedules reads them.

GROUPS = "groups"
"""What a worker is told: the file for the groups."""


class Grouped(LoadScopeScheduling):
    """Tests of one group go to one worker, one group after the other, in their order."""

    def __init__(self, config: pytest.Config, log: Any, path: Path) -> None:
        super().__init__(config, log)
        self.path = path

    @cached_property
    def groups(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.path.read_text())
        self.path.unlink()
        return found

    def _split_scope(self, nodeid: str) -> str:
        return self.groups[nodeid]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[GROUPS] = str(groups_file(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Grouped | None:
    return Grouped(config, log, groups_file(config)) if config.getvalue("dist") == "loadgroup" else None


def groups_file(config: pytest.Config) -> Path:
    return Path(str(config.cache.mkdir(GROUPS))) / f"{os.getpid()}.json"  # type: ignore[union-attr]


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what was not asked for by its mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if starts_a_process(item):
            item.add_marker("process")
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("published")
    items.sort(key=rank)


def group(item: pytest.Item) -> str:
    """A framework's name for tests that send tasks to its process, which planted faults do not share; for all others
    their file."""
    fixtures = set(getattr(item, "fixturenames", ()))
    for name in SHARED:
        if name in fixtures:
            return name
    if "process" in fixtures and {"run", "run_faulty"} & fixtures and hasattr(item, "callspec"):
        for value in item.callspec.params.values():
            name = getattr(value, "backend", value)  # a planted fault tells where it is planted
            if name in backends.defaults():
                return f"{name} faults" if "run_faulty" in fixtures else str(name)
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
    config.addinivalue_line("markers", "published: reads the large files of published data sets")
    sys.addaudithook(watch)
    start = BaseProcess.start

    def noted(self: BaseProcess) -> None:
        watch("subprocess.Popen", (None, self.name))
        start(self)

    BaseProcess.start = noted  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)  # before xdist tells that this worker knows its tests: then the groups are read
def pytest_collection_finish(session: pytest.Session) -> None:
    told = getattr(session.config, "workerinput", None)
    if told is not None:
        path, own = Path(told[GROUPS]), Path(f"{told[GROUPS]}.{told['workerid']}")
        own.write_text(json.dumps({item.nodeid: group(item) for item in session.items}))
        own.replace(path)  # each worker writes the same
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
    """Variables of the environment by which all compilers find again what they have compiled, in any process.

    Where the compiler's time is measured or nothing may be found, a test leaves them out.
    """
    return caches.variables(Path(str(request.config.cache.mkdir("compiled"))))  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def hasty(compiled: dict[str, str]) -> dict[str, str]:
    """The same where XLA compiles in haste, which saves half of it: for what does not lie in how XLA optimises."""
    return compiled | {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}
