"""Sides: what is run is what was asked for, comes from a warm cache without a network, or is refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.environment import HERE, ROOT, Home
from bench.quality.thresholds import Threshold
from bench.suites.checks import SuiteError
from bench.suites.scenario import Scenario, Training
from bench.verdict import sides
from bench.verdict.sides import Side, SideError, live


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkout(process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two revisions of the packages, the second of which cannot be read back from the folder."""
    folder = tmp_path / "checkout"
    for name in ("bench", "backends", "datasets"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
    (folder / "bench" / "environment.py").write_text("def environment():\n    return {'packages': {}, 'n': 1}\n")
    run(folder, "init", "--quiet")
    commit(folder)
    (folder / "bench" / "environment.py").write_text("def environment():\n    return {'packages': {}, 'n': 2}\n")
    commit(folder)
    monkeypatch.setattr(sides, "ROOT", folder)
    return folder


def run(folder: Path, *arguments: str) -> str:
    names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    variables = os.environ | dict.fromkeys(names, "x")
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=variables).stdout.strip()


def commit(folder: Path) -> None:
    run(folder, "add", ".")
    run(folder, "commit", "--quiet", "--no-gpg-sign", "-m", "x")


def test_each_revision_runs_its_own_packages(checkout):
    old, new = live("git:HEAD~1"), live("git:HEAD")
    assert (old.environment["n"], new.environment["n"]) == (1, 2)
    assert new.environment["revision"] == run(checkout, "rev-parse", "HEAD")[:12]
    assert old.name != new.name
    assert run(checkout, "status", "--porcelain") == ""


def test_a_revision_is_read_once(checkout, monkeypatch):
    live("git:HEAD")
    told: list[str] = []
    live("git:HEAD", told.append)
    assert told == []


def test_packages_of_elsewhere_are_not_taken_for_those_of_the_side(checkout, monkeypatch, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    revision = live("git:HEAD")
    moved = Side("git:HEAD", "git-x", Home(root=other))
    monkeypatch.setenv("PYTHONPATH", str(revision.home.root))
    with pytest.raises(SideError, match="was imported there, and not what lies in"):
        sides._probed(moved)


def test_a_revision_without_the_packages_is_refused(checkout):
    run(checkout, "rm", "-r", "--quiet", "datasets")
    commit(checkout)
    with pytest.raises(SideError, match="has no package 'datasets'"):
        live("git:HEAD")


def test_without_a_checkout_there_are_no_revisions(tmp_path, monkeypatch):
    monkeypatch.setattr(sides, "ROOT", tmp_path)
    with pytest.raises(SideError, match="does not run from a git checkout"):
        live("git:HEAD")


def wheel(folder: Path, version: str) -> Path:
    """A distribution ``throwaway`` of one module."""
    import zipfile

    path = folder / f"throwaway-{version}-py3-none-any.whl"
    info = f"throwaway-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("throwaway.py", f"version = {version!r}\n")
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: throwaway\nVersion: {version}\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0,
    reason="pip is not installed here",
)
def test_a_requirement_lies_over_what_is_installed_and_is_found_again_without_a_network(process, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    path = wheel(tmp_path, "1.0")
    told: list[str] = []
    side = live("pip:throwaway==1.0", told.append)
    command = [str(side.home.python), "-c", "import throwaway, numpy; print(throwaway.version, numpy.__version__)"]
    import numpy

    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["1.0", numpy.__version__]
    assert side.environment["machine"]["cores"] >= 1
    path.unlink()
    assert live("pip:throwaway==1.0", told.append) == side
    assert len(told) == 1
    with pytest.raises(SideError, match=r"pip:throwaway==2\.0: pip could not install it: .*throwaway==2\.0") as refused:
        live("pip:throwaway==2.0")
    assert "\n" not in str(refused.value)


def test_an_interpreter_without_our_dependencies_is_refused_with_its_reason(process, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    with pytest.raises(SideError, match="does not start there: ModuleNotFoundError"):
        live(f"python:{bare}/bin/python")


def vae() -> Scenario:
    training = Training(hidden=(8,), latent=2)
    return Scenario("blobs", "vae", "torch", "idiomatic", "cpu", "float32", 2, (Threshold(),), training)


def test_settings_replace_those_of_the_scenario_and_nothing_else():
    side = live("set:epochs=3, hidden=[16, 8], mode=tuned, threads=1")
    changed = side.scenario(vae())
    assert changed.training is not None
    assert (changed.training.epochs, changed.training.hidden) == (3, (16, 8))
    assert (changed.mode, changed.threads, changed.backend) == ("tuned", 1, "torch")
    assert live("here").scenario(vae()) == vae()


def test_a_setting_that_does_not_fit_is_named():
    with pytest.raises(SuiteError, match=r"set:learning_rate=-1: .*training\.learning_rate"):
        live("set:learning_rate=-1").scenario(vae())


def test_a_worker_of_here_is_that_of_this_process():
    assert live("here").home == HERE
    assert Home(Path(sys.executable), ROOT) == HERE
