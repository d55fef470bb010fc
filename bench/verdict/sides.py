"""The sides of a comparison: a results directory, or code that can be run now.

``here``, ``git:REV``, ``pip:REQUIREMENT``, ``python:PATH`` and ``set:KEY=VALUE,…`` are live: each comes down to an
interpreter, the folder of the four packages, and changes to the settings. What had to be made for one, a tree of a
revision or an environment of a requirement, stays in the user's cache folder, and is found there without a network.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock
from platformdirs import user_cache_path

from bench import DISTRIBUTION
from bench.environment import HERE, ROOT, Home, worker_environment
from bench.environment import environment as environment_here
from bench.messages import nearest, quoted
from bench.suites import toml
from bench.suites.checks import SuiteError
from bench.suites.scenario import Scenario, Training

FORMS = "a results directory, here, git:REV, pip:REQUIREMENT, python:PATH or set:KEY=VALUE,..."
OURS = ("bench", "backends", "datasets", "reports")
SETTINGS = ("mode", "device", "precision", "threads", *(f.name for f in fields(Training)))
"""What ``set:`` may change: keys of a suite, with values as a suite has them."""
PROBE_SECONDS = 120.0
INSTALL_SECONDS = 3600.0
_PROBE = """
import json, backends, bench, datasets
from bench.environment import environment
print(json.dumps({"files": [backends.__file__, bench.__file__, datasets.__file__], "environment": environment()}))
"""


class SideError(ValueError):
    """A side that cannot be had; one line."""


@dataclass(frozen=True)
class Side:
    """One live side.

    Attributes
    ----------
    text : str
        As it was given.
    name : str
        What it is now, for good: a revision by its hash, this code by the digest of its source.
    home : Home
    changes : mapping
        Settings that replace those of every scenario.
    environment : mapping
        Machine and packages as the side itself reports them.
    """

    text: str
    name: str
    home: Home = HERE
    changes: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def scenario(self, scenario: Scenario) -> Scenario:
        """The scenario as this side runs it. Raises SuiteError where a value does not fit."""
        table = scenario.table
        for key, value in self.changes.items():
            if key in ("device", "threads", "precision") or (key == "mode" and scenario.backend):
                table[key] = value
            elif key != "mode" and table["training"] is not None:
                table["training"][key] = value
        try:
            found: Scenario = msgspec.convert(table, Scenario)
        except (msgspec.ValidationError, RecursionError) as error:
            raise SuiteError(f"{self.text}: {str(error).replace(' - at `$.', ' at `')}") from None
        return found


def is_directory(text: str) -> bool:
    """Whether this names a results directory rather than code; SideError where it is neither."""
    kind = text.partition(":")[0]
    if text == "here" or (":" in text and kind in _KINDS):
        return False
    if Path(text).is_dir():
        return True
    known = [f"{each}:" for each in _KINDS] if ":" in text else []
    raise SideError(f"{text}: no such directory{nearest(f'{kind}:', known) if known else f'; a side is {FORMS}'}")


def live(text: str, tell: Callable[[str], None] = lambda doing: None) -> Side:
    """Makes a live side ready, and has it say what it is.

    Raises
    ------
    SideError
        It cannot be had, or what runs there is not what it should be; one line.
    """
    kind, _, rest = text.partition(":")
    side = Side(text, f"here-{_source_digest()}") if text == "here" else _KINDS[kind](text, rest, tell)
    if side.home == HERE:
        return replace(side, environment=environment_here())
    return replace(side, environment=_probed(side))


def _revision(text: str, revision: str, tell: Callable[[str], None]) -> Side:
    if not (ROOT / ".git").exists():
        raise SideError(f"{text}: {DISTRIBUTION} does not run from a git checkout here, so it has no revisions")
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = found.stdout.decode().strip()
    if found.returncode != 0 or not commit:
        raise SideError(f"{text}: no such revision of {DISTRIBUTION} in its checkout")
    tree = _cache() / "revisions" / commit
    with _locked(tree):
        if not tree.is_dir():
            tell(f"{text}: reading revision {commit[:12]}")
            archive = _git("archive", "--format=tar", commit)
            if archive.returncode != 0:
                raise SideError(f"{text}: git archive: {_last_line(archive.stderr)}")
            draft = Path(tempfile.mkdtemp(dir=tree.parent))
            with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
                # as the standard library says to do where the filter may be missing, as in the first of Python 3.11
                packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
                packed.extractall(draft)
            draft.rename(tree)
    missing = [name for name in ("bench", "backends", "datasets") if not (tree / name / "__init__.py").is_file()]
    if missing:
        raise SideError(f"{text}: revision {commit[:12]} has no package {missing[0]!r}")
    return Side(text, f"git-{commit[:12]}", Home(root=tree))


def _requirement(text: str, requirement: str, tell: Callable[[str], None]) -> Side:
    requirement = requirement.strip()
    if not requirement or any(word.startswith("-") for word in requirement.split()):
        raise SideError(f"{text}: expected a requirement such as pip:torch==2.12.1, and no options")
    # what it is installed on top of is part of what it is
    ground = [sys.version, sys.prefix, *map(str, sorted(environment_here()["packages"].items()))]
    name = hashlib.sha256("\n".join([requirement, *ground]).encode()).hexdigest()[:16]
    folder = _cache() / "environments" / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with _locked(folder):
        if not (folder / "ready").is_file():
            tell(f"{text}: installing into an environment of its own")
            shutil.rmtree(folder, ignore_errors=True)
            _install(text, requirement, folder, python)
            (folder / "ready").write_text(requirement + "\n")
    return Side(text, f"pip-{_slug(requirement)}-{name[:6]}", Home(python=python))


def _install(text: str, requirement: str, folder: Path, python: Path) -> None:
    """An environment that sees all that is installed here, with the requirement before it."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    # addsitedir follows the .pth files that lie there, a bare path in a .pth file would not
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages() if Path(path).is_dir()]
    (own / f"{DISTRIBUTION}_ground.pth").write_text("".join(lines))
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-input"]
    done = _run([*command, "--disable-pip-version-check", "--no-warn-script-location", requirement], INSTALL_SECONDS)
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise SideError(f"{text}: pip could not install it: {_error_line(done.stderr)}")


def _interpreter(text: str, path: str, tell: Callable[[str], None]) -> Side:
    python = Path(path).expanduser()
    if not python.is_file() or not os.access(python, os.X_OK):
        raise SideError(f"{text}: no interpreter at {path!r}; expected for example python:/opt/mine/bin/python")
    python = python.absolute()  # a link into an environment says which one it is
    digest = hashlib.sha256(str(python).encode()).hexdigest()[:6]
    return Side(text, f"python-{digest}", Home(python=python))


def _settings(text: str, settings: str, tell: Callable[[str], None]) -> Side:
    changes = {}
    for part in _split(settings):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not value:
            raise SideError(f"{text}: expected KEY=VALUE, for example set:threads=1,mode=tuned, got {part!r}")
        if key not in SETTINGS:
            raise SideError(f"{text}: unknown setting {quoted(key, SETTINGS)}")
        changes[key] = toml.value(value)
    digest = hashlib.sha256(msgspec.json.encode(changes, order="sorted")).hexdigest()[:6]
    return Side(text, f"set-{_slug(settings)}-{digest}-{_source_digest()}", changes=changes)


_KINDS: dict[str, Callable[[str, str, Callable[[str], None]], Side]] = {
    "git": _revision,
    "pip": _requirement,
    "python": _interpreter,
    "set": _settings,
}


def _probed(side: Side) -> dict[str, Any]:
    """The side's own report of its environment; SideError unless it really runs the packages that it should."""
    command = [str(side.home.python), "-P", "-c", _PROBE]
    done = _run(command, PROBE_SECONDS, worker_environment(1, "cpu", side.home.root))
    if done.returncode != 0:
        raise SideError(f"{side.text}: {DISTRIBUTION} does not start there: {_last_line(done.stderr)}")
    try:
        found = msgspec.json.decode(done.stdout.splitlines()[-1])
        files, environment = found["files"], dict(found["environment"])
    except (msgspec.DecodeError, IndexError, KeyError, TypeError, ValueError):
        raise SideError(f"{side.text}: {DISTRIBUTION} gave no report of its environment there") from None
    root = side.home.root.resolve()
    for file in files:
        if not Path(file).resolve().is_relative_to(root):
            raise SideError(f"{side.text}: {file} was imported there, and not what lies in {root}")
    if side.name.startswith("git-"):
        environment["revision"] = side.name.removeprefix("git-")
    return environment


def _source_digest() -> str:
    """8 hex digits over the source of the four packages as it is now, committed or not."""
    digest = hashlib.sha256()
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def _split(settings: str) -> list[str]:
    """At commas outside brackets."""
    parts, depth = [""], 0
    for character in settings:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in text)[:40].strip("-")


def _cache() -> Path:
    return user_cache_path(DISTRIBUTION, appauthor=False) / "sides"


def _locked(folder: Path) -> FileLock:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f"{folder.name}.lock"))


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return _run(["git", "-C", str(ROOT), *arguments], PROBE_SECONDS)


def _run(
    command: list[str], seconds: float, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, timeout=seconds, check=False, env=variables)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, b"", str(error).encode())


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _error_line(output: bytes) -> str:
    """The line in which pip says what is wrong; the last ones may be hints."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    wrong = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return wrong[-1][:300] if wrong else _last_line(output)
