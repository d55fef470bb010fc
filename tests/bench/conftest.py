"""The installed command, a tiny suite, and a plug-in distribution with detectors that misbehave on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

COMMAND = Path(sysconfig.get_path("scripts")) / "bench"

FAULTY = '''
"""Detectors that fail in one way each."""
import os, signal, time
import numpy as np

class Base:
    def __init__(self, *, seed=0, threads=1, pause=0.0):
        self.notes, self.pause, self.seed = [], pause, seed
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
    def fit(self, X):
        os.kill(os.getpid(), signal.SIGKILL)

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
    home = tmp_path_factory.mktemp("plugin")
    (home / "faulty.py").write_text(FAULTY)
    info = home / "faulty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return home


@pytest.fixture
def environ(plugin: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a user who installed the plug-in and has no data directory."""
    return {
        **os.environ,
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
