"""The order of the files: a file imports those below it only, for types and inside functions too."""

from __future__ import annotations

import ast
from pathlib import Path

import datasets

LEVELS = (
    ("gaps", "matrices", "strangers"),
    ("dataset",),
    ("readings", "sniffing", "splitting", "storage"),
    ("arrays", "columnar", "delimited", "scaling"),
    ("preprocessing", "tables"),
    ("blobs", "columns", "digits", "kdd", "windows"),
    ("kdd_synthetic", "labels", "sensors", "times"),
    ("files",),
)
"""From the bottom up; `datasets/__init__.py` stands above the first three and below all that loads."""

FOLDER = Path(datasets.__file__).parent


def imported(path: Path) -> set[str]:
    """The files of the package that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" if node.module == "datasets" else str(node.module)
                      for alias in node.names}  # fmt: skip
    return {name.split(".")[1] for name in found if name.startswith("datasets.")}


def test_every_file_imports_only_files_below_it() -> None:
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    assert set(level) == {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    for name, number in level.items():
        upward = {other for other in imported(FOLDER / f"{name}.py") if level[other] >= number}
        assert not upward, f"{name} imports {upward}, which is not below it"


def test_the_face_of_the_package_imports_no_loader() -> None:
    assert imported(FOLDER / "__init__.py") <= {"dataset", "matrices", "storage", "strangers"}
