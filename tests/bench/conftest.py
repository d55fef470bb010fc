"""The installed command, a tiny suite, and plug-in distributions that misbehave on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

import backends
from bench import cli
from bench.run import limits
from making.command import COMMAND

FAULTY = '''
"""Detectors that fail in one way each."""
import os, signal, time
import numpy as np

class Base:
    def __init__(self, *, seed=0, threads=1, pause=0.0, only=-1):
        self.notes, self.pause, self.seed, self.only = [], pause, seed, only
    def fit(self, X):
        self.mean = X.mean(axis=0)
        return self
    def decision_function(self, X):
        return np.linalg.norm(X - self.mean, axis=1)

class Raising(Base):
    def fit(self, X):
        raise RuntimeError("the fuse has\\nblown")

class NotFinite(Base):
    def decision_function(self, X):
        return np.full(len(X), np.nan)

class Slow(Base):
    """Sleeps in fit."""
    def fit(self, X):
        time.sleep(self.pause)
        return super().fit(X)

class Killed(Base):
    """Is killed, of all seeds or of one alone."""
    def fit(self, X):
        if self.only in (-1, self.seed):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X)

class Exiting(Base):
    def fit(self, X):
        print("no licence", flush=True)
        os._exit(3)

class Hungry(Base):
    def fit(self, X):
        raise MemoryError("unable to allocate 9 EiB")
'''

ENTRY_POINTS = """
[vaebench.detectors]
raising = faulty:Raising
not_finite = faulty:NotFinite
slow = faulty:Slow
killed = faulty:Killed
exiting = faulty:Exiting
hungry = faulty:Hungry
"""


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on the import path, is an installed distribution with entry points."""
    return install(tmp_path_factory.mktemp("plugin"), {"faulty": FAULTY}, ENTRY_POINTS)


def install(home: Path, modules: Mapping[str, str], entry_points: str) -> Path:
    for name, source in modules.items():
        (home / f"{name}.py").write_text(source)
    info = home / "faulty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    return home


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state folder, and not the real one, in this process and all that it starts."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def environ(process: None, compiled: dict[str, str], plugin: Path, tmp_path: Path, state: Path) -> dict[str, str]:
    """The environment of a user who installed the plug-in, has no data directory, and did compile before."""
    return {
        **os.environ,
        **compiled,
        "PYTHONPATH": str(plugin),
        "BENCH_DATA_DIR": str(tmp_path / "no-data"),
        "COLUMNS": "120",
        "BENCH_COMMAND": str(COMMAND),
    }


Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str]) -> Bench:
    """Runs the installed command in an empty directory."""

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=tmp_path,
            env=environ | changes,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Bench:
    """Runs the command in an empty directory, in this process: for what ends before a trial begins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "no-data"))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            status = cli.main(arguments)
        except SystemExit as stopped:  # argparse's way
            status = stopped.code
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return run


@pytest.fixture
def here(process: None, compiled: dict[str, str], monkeypatch: pytest.MonkeyPatch, in_process: Bench) -> Bench:
    """Runs the command in an empty directory, in this process: only its trials have processes of their own."""
    for variable, value in compiled.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(limits, "TRIES", 1)  # a machine that tests share is disturbed in any case
    return in_process


@pytest.fixture
def suite_file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a suite and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


@pytest.fixture
def read_records(tmp_path: Path) -> Callable[..., list[dict]]:
    def read(directory: str = "out") -> list[dict]:
        lines = (tmp_path / directory / "records.jsonl").read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines]

    return read


@pytest.fixture(scope="session")
def python() -> str:
    return sys.executable


@pytest.fixture(scope="session")
def installed() -> list[str]:
    """The backends that can run here; without any the test is skipped."""
    found = [name for name in backends.defaults() if backends.unavailable(name) is None]
    if not found:
        pytest.skip("no framework is installed")
    return found


PLANTED = '''
"""A backend with a fault: {docstring}."""
from dataclasses import replace
import backends

wrapped = backends.load("{wrapped}")
capabilities = wrapped.capabilities

def build(spec, weights, settings):
    {fault}
    return wrapped.build(spec, weights, settings)
'''


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory, installed: list[str]) -> Path:
    """A distribution with two backends, an installed one each but for a fault: put it on the import path."""
    faults = {
        "large_epsilon": "settings = replace(settings, epsilon=1e-7)",
        "single_only": 'if settings.precision == "float64": raise RuntimeError("no doubles\\nhere")',
    }
    modules = {
        name: PLANTED.format(docstring=name, wrapped=installed[0], fault=fault) for name, fault in faults.items()
    }
    points = "\n".join(["[vaebench.backends]", *(f"{name} = {name}" for name in faults)])
    return install(tmp_path_factory.mktemp("planted"), modules, points)


@dataclass(frozen=True)
class Climb:
    """What ``bench verify --quick --format json`` said of every installed backend."""

    done: subprocess.CompletedProcess[str]
    state: Path
    """The state folder that it left its result in."""

    @property
    def result(self) -> dict[str, Any]:
        return msgspec.json.decode(self.done.stdout)


@pytest.fixture(scope="session")
def climb(
    process: None, hasty: dict[str, str], installed: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Climb:
    """The one climb of all backends, which takes half a minute; the contract of backends has XLA as users have it."""
    folder = tmp_path_factory.mktemp("climb")
    done = subprocess.run(
        [COMMAND, "verify", "--quick", "--format", "json"],
        cwd=folder,
        env=os.environ | hasty | {"XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return Climb(done, folder / "state")
