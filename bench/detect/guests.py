"""Any detector of PyOD as a guest, by its class name: ``pyod:ECOD`` (optional extra), through PyOD's own contract.

Which detectors there are, and what their constructors take, is read from PyOD's sources without importing them.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from bench.detect.detector import DetectorError, Rows
from bench.messages import nearest

GUEST = "pyod:"
"""What the names of PyOD's detectors start with: ``pyod:ECOD`` is its class ``ECOD``."""
OTHER_DATA = ("audio_", "embedding", "pyg_", "ts_")
"""What the modules begin with whose detectors take sounds, texts, graphs or series, and no rows of columns."""
BASES = ("BaseDetector", "BaseDeepLearningDetector")
GIVEN = ("random_state", "n_jobs")
"""Constructor arguments that are not the suite's to set: the trial's seed and threads."""
BY_BATCH = ("COPOD", "ECOD")
"""Detectors that rank new rows among the training rows and each other."""
SPARE_ROWS = 100
"""Rows that PyOD's compiled parts are compiled with."""


@dataclass(frozen=True)
class Entry:
    """Where a class of PyOD lives, and the arguments of its constructor."""

    module: str
    arguments: tuple[str, ...]


@cache
def catalogue() -> dict[str, Entry]:
    """Every detector of PyOD for unlabelled rows of columns, by its class name; empty where PyOD is not installed."""
    spec = importlib.util.find_spec("pyod")
    found: dict[str, Entry] = {}
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted((Path(folder) / "models").glob("*.py")):
            if path.stem.startswith(OTHER_DATA) or path.stem.startswith("base"):
                continue
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in BASES for base in node.bases):
                    methods = {part.name: part.args for part in node.body if isinstance(part, ast.FunctionDef)}
                    if "fit" in methods and len(methods["fit"].defaults) == 0 and len(methods["fit"].args) > 2:
                        continue  # it learns from labels
                    constructor = methods.get("__init__")
                    taken = [*constructor.args[1:], *constructor.kwonlyargs] if constructor else []
                    arguments = tuple(argument.arg for argument in taken) or ("contamination",)
                    found.setdefault(node.name, Entry(f"pyod.models.{path.stem}", arguments))
    return found


@cache
def guest(name: str) -> type[Guest]:
    """The detector around PyOD's class of that name; DetectorError names the nearest.

    Where PyOD is not installed nobody can tell, and the detector is one that cannot run here.
    """
    known = catalogue()
    if known and name not in known:
        hint = nearest(name, known, "PyOD's are", GUEST)
        raise DetectorError(f"no detector {GUEST + name!r}{hint}")
    entry = known.get(name, Entry("pyod", ()))
    options = tuple(argument for argument in entry.arguments if argument not in GIVEN) if known else None
    members = {"name": name, "arguments": entry.arguments, "options": options, "requires": (entry.module,)}
    return type(name, (Guest,), members | {"__doc__": f"PyOD's {name}, with PyOD's own defaults."})


class Guest:
    """A detector of PyOD, made by ``guest``.

    Parameters
    ----------
    seed, threads : int
        PyOD's ``random_state`` and ``n_jobs``, where its class takes them.
    **options
        The other arguments of PyOD's constructor, which has defaults for nearly all.
    """

    name: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...] | None]
    requires: ClassVar[tuple[str, ...]]
    install: ClassVar[str] = "vaebench[pyod]"

    def __init__(self, *, seed: int = 0, threads: int = 1, **options: Any) -> None:
        given = {"random_state": seed, "n_jobs": threads}
        self.seed, self.settings = seed, options | {key: given[key] for key in GIVEN if key in self.arguments}
        self.notes: list[str] = []

    def prepare(self, X: Rows) -> None:
        """Fits a few rows, for what PyOD compiles at the first call; what fails will fail again where it counts."""
        with contextlib.suppress(Exception):
            self.fit(X[:SPARE_ROWS]).decision_function(X[:1])

    def fit(self, X: Rows) -> Self:
        """PyOD's ``fit``, which also scores the training rows for a threshold of its own."""
        kind = getattr(importlib.import_module(self.requires[0]), self.name)
        with self._seeded():
            self.model_ = kind(**self.settings)
            self.model_.fit(np.asarray(X, dtype=np.float64))
        self.notes = [f"{GUEST}{self.name} is PyOD {version('pyod')}'s; its fit also scores the training rows"]
        if self.name in BY_BATCH:
            self.notes.append(
                f"{GUEST}{self.name} ranks rows beside those scored with them: alone a row scores otherwise"
            )
        return self

    def decision_function(self, X: Rows) -> Rows:
        with self._seeded():
            return np.asarray(self.model_.decision_function(np.asarray(X, dtype=np.float64)), dtype=np.float64)

    @contextlib.contextmanager
    def _seeded(self) -> Iterator[None]:
        """NumPy's global generator, and PyTorch's where the detector brought it, as the seed has them and then as they
        were: some detectors take no ``random_state``."""
        torch = sys.modules.get("torch")
        before = np.random.get_state()
        with torch.random.fork_rng(devices=[]) if torch else contextlib.nullcontext():
            np.random.seed(self.seed)
            if torch:
                torch.manual_seed(self.seed)
            try:
                yield
            finally:
                np.random.set_state(before)
