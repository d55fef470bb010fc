"""The three backends read side by side: the same files, and the names they share in one order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

import backends

HOME = Path(backends.__file__).parent
ROOMS = ("torch", "jax", "keras")
FILES = ("__init__", "layers", "network", "optimizers", "adversarial", "idiomatic", "tuned")


def names(path: Path) -> list[str]:
    """What a file defines, in its order: classes, functions, and of each class its methods."""
    found = []
    for node in ast.parse(path.read_text()).body:
        found += [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)]
    return found


def parted(first: list[str], second: list[str]) -> Iterator[tuple[str, str]]:
    """The names at the places where two orders of the same names differ."""
    yield from ((a, b) for a, b in zip(first, second, strict=True) if a != b)


@pytest.mark.parametrize("room", ROOMS)
def test_every_backend_has_the_same_files(room):
    found = {path.stem for path in (HOME / room).glob("*.py")}
    assert found - {"lanes", "streaming"} == set(FILES), "these two alone are of those that train faster by them"


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("one", "other"), list(combinations(ROOMS, 2)))
def test_shared_names_stand_in_one_order(file, one, other):
    left, right = (names(HOME / room / f"{file}.py") for room in (one, other))
    shared = set(left) & set(right)
    assert shared, "nothing is named alike, and the test would hold of anything"
    assert not list(parted([name for name in left if name in shared], [name for name in right if name in shared]))


def test_every_engine_of_keras_names_its_functions_alike_and_in_one_order():
    listed = {path.stem: names(path) for path in (HOME / "keras" / "engines").glob("*.py")}
    engines = {name: found for name, found in listed.items() if name in ("jax", "tensorflow", "torch")}
    assert len(engines) == 3
    for left, right in combinations(engines.values(), 2):
        shared = set(left) & set(right)
        assert {"gpu_name", "set_precision", "batches", "synchronize"} <= shared
        assert [name for name in left if name in shared] == [name for name in right if name in shared]


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.py")), ids=lambda path: str(path.relative_to(HOME)))
def test_no_file_is_too_long_to_be_read_at_once(path):
    assert len(path.read_text().splitlines()) < 400
