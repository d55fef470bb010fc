"""The map of the code, and what holds it: which room of ``bench`` may use which, and that no import goes in a circle.

Every import counts, also one inside a function or for types alone: a reader follows those too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = {
    "backends": set(),
    "datasets": set(),
    "reports": set(),
    "bench": {"backends", "datasets", "reports"},
}

ROOMS = """
messages
quota
environment quota
detect      messages
records
quality     detect records
suites      messages detect quality
worker      quota environment detect records quality suites
keep        messages environment detect quality suites
proof       messages environment suites worker
run         messages environment detect records suites worker proof
verdict     messages environment detect records quality suites worker run
history     messages detect records verdict
serve       messages records suites run
commands    messages environment detect records suites worker keep proof run verdict history serve
cli         messages commands
"""
"""From the ground up: a room of ``bench``, and the rooms that it may use, all of them above it in this list."""

PROMISED = {
    "estimators": {"keep"},
    "pyod_estimators": {"keep"},
    "hybrids": {"detect"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""Files beside the rooms that only give a name to what lies in one."""


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(module: str) -> Iterator[str]:
    """Our own modules that a module imports; ``from a import b`` is the module ``a.b`` where there is one."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        yield from (name for name in names if name in MODULES)


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports of ours."""
    return {module: set(imported(module)) - {module} for module in MODULES}


def rooms() -> dict[str, set[str]]:
    lines = [line.split() for line in ROOMS.strip().splitlines()]
    return {name: set(below) for name, *below in lines}


def room(module: str) -> str:
    _, _, inside = module.partition(".")
    return inside.partition(".")[0] or "__init__"


def test_a_room_uses_only_rooms_below_it():
    allowed = rooms()
    known: set[str] = set()
    for name, below in allowed.items():
        assert below <= known, f"{name} stands below {below - known}"
        known.add(name)


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] == "bench"])
def test_a_file_of_bench_imports_only_what_its_room_may_use(module):
    allowed = rooms() | PROMISED
    here = room(module)
    assert here in allowed, f"{module} is in no room; give it one, or the map a line"
    used = {room(other) for other in imports()[module] if other.split(".")[0] == "bench"}
    assert used - {here, "__init__"} <= allowed[here]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package):
    own = [module for module in MODULES if module.split(".")[0] == package]
    used = {other.split(".")[0] for module in own for other in imports()[module]}
    assert used - {package} <= PACKAGES[package]


def test_no_import_goes_in_a_circle():
    # a package's face is loaded before its files and may name them; as an import it would make each of them a circle
    faces = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    graph = {module: others - faces for module, others in imports().items() if module not in faces}
    list(TopologicalSorter(graph).static_order())


def test_every_room_has_a_face_that_says_what_it_is_for():
    folders = {path.parent for path in MODULES.values()}
    for folder in sorted(folders):
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert text, f"{folder.relative_to(ROOT)}/__init__.py has no docstring"
