"""Plug-ins that raise or lie, by hand: data sets, detectors and backends of a distribution that is installed.

Who wrote them has to be told in one line what was wrong; no traceback, and no trial of another is lost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from campaign.cases import MOST_SECONDS, Case, Kind

PREFIX = "guest"
"""Of the modules' names, each of its own: what one case imported must not be the next one's."""
DATASET = """
import numpy as np
from datasets.dataset import Dataset, Provenance, Request

def made(request, **changes):
    draw = np.random.default_rng(0)
    rows = {{"X_train": 200, "X_val": 60, "X_test": 60}}
    found = {{part: draw.normal(size=(count, 3)).astype(np.float32) for part, count in rows.items()}}
    found |= {{"y_test": (np.arange(60) < 6).astype(np.int8), "feature_names": ("a", "b", "c")}}
    found |= {{"name": request.name, "provenance": Provenance("Made.", "Held out.")}}
    return Dataset(**found | changes)

def load(request: Request{options}) -> Dataset:
    "Rows of a stranger."
    {body}
{rest}
"""
DETECTOR = """
import numpy as np

class Guest:
    "A stranger."
    {attributes}
    def __init__(self, *, seed=0, threads=1{options}):
        {made}
        self.notes = []
    def fit(self, X):
        {fit}
        return self
    def decision_function(self, X):
        {score}
{rest}
"""
BACKEND = """
{top}
def capabilities():
    {capabilities}

def build(spec, weights, settings):
    {build}
"""
RUN = 20.0
"""Seconds of processor time of a run that goes on to its report."""
LOUD = 'raise KeyError("\\x1b[2J\\u202e\\nsecond line")'


def kind() -> Kind:
    found = cases()
    return Kind("plug-ins", len(found), lambda number: found[number], ("pandas", "bench.keep.models"))


@cache
def cases() -> tuple[Case, ...]:
    made = [*datasets(), *detectors(), *backends()]
    return tuple(_case(f"{PREFIX}{number}", *one) for number, one in enumerate(made))


Made = tuple[str, str, str, str, Sequence[str]]
"""What it is, the group of its entry point, its source, what the entry point names, and the command line."""


def _case(name: str, title: str, group: str, source: str, target: str, argv: Sequence[str]) -> Case:
    block = {
        "datasets": 'datasets = ["GUEST"]\ndetectors = ["norm"]',
        "detectors": 'datasets = ["blobs?rows=300"]\ndetectors = ["GUEST", "norm"]',
        "backends": 'datasets = ["blobs?rows=300"]\ndetectors = ["vae"]\nbackends = ["GUEST"]',
    }[group]
    files = {
        f"plugin/{name}.py": source.encode(errors="surrogatepass"),
        f"plugin/{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"plugin/{name}-1.0.dist-info/entry_points.txt": f"[vaebench.{group}]\n{name} = {name}{target}\n".encode(),
        "mine.toml": f'name = "mine"\n[training]\nepochs = 1\n[[scenarios]]\n{block}\n'.replace("GUEST", name).encode(),
    }
    command = [word.replace("GUEST", name) for word in argv]
    # a run keeps the trials of others and what became of these; a list shows what works
    refused = command[0] in ("load", "fit")
    writes = ("m",) if refused else ()
    name = f"plug-in: {title}: {' '.join(command)}"
    return Case(name, command, files, _installed, writes, refused, seconds=RUN if "--untimed" in argv else MOST_SECONDS)


def _installed(folder: Path) -> None:
    """Makes the plug-in an installed distribution, of this process and those that it starts, and forgets others."""
    import backends
    import datasets
    from bench.detect import registry

    sys.path[:] = [str(folder / "plugin"), *(path for path in sys.path if not path.endswith("/plugin"))]
    os.environ["PYTHONPATH"] = str(folder / "plugin")
    for known in (datasets._targets, registry._plugins, backends._contributed):
        known.cache_clear()


def datasets() -> list[Made]:
    def guest(
        title: str, body: str = "return made(request)", options: str = "", rest: str = "", target: str = ":load",
        source: str = "", commands: Sequence[str] = ("load GUEST",),
    ) -> list[Made]:  # fmt: skip
        text = source or DATASET.format(body=body, options=options, rest=rest)
        return [(f"data set that {title}", "datasets", text, target, command.split()) for command in commands]

    every = ("load GUEST", "list datasets", "run mine.toml --dry-run", "fit GUEST --detector norm --out m")
    loads = ("load GUEST", "fit GUEST --detector norm --out m", "run mine.toml --untimed --out o")
    return [
        *guest("divides by zero when imported", source="1 / 0\n", commands=every),
        *guest("is no Python", source="def load(:\n", commands=every),
        *guest("ends the process when imported", source="raise SystemExit(7)\n", commands=every),
        *guest("is loud when imported", source=LOUD, commands=every),
        *guest("has no such function", target=":other", commands=every),
        *guest("is no function", target=":np", commands=every),
        *guest("names no function", target="", commands=every),
        *guest("takes nothing", source="def load():\n    pass\n", commands=every),
        *guest("takes lists", options=", *, rows: list = ()", commands=("load GUEST?rows=1", *every[1:])),
        *guest("tells no types", options=", *, rows=1", commands=("load GUEST?rows=1", *every[1:3])),
        *guest("tells types that are none", options=', *, rows: "Rows" = 1',
               commands=("load GUEST?rows=1", *every[1:3])),
        *guest("divides by zero", "return 1 / 0", commands=loads),
        *guest("is loud", LOUD, commands=loads),
        *guest("has no memory", 'raise MemoryError("9 EiB")', commands=loads),
        *guest("calls itself", "return load(request)", commands=loads[:1]),
        *guest("ends the process", "raise SystemExit(7)", commands=loads[:2]),
        *guest("raises a foreign ValueError", 'raise ValueError("a\\nb" * 9000)', commands=loads),
        *guest("raises an OSError", "open('/nonexistent/x')", commands=loads),
        *guest("returns nothing", "pass", commands=loads),
        *guest("returns a table", "return {'X_train': [1]}", commands=loads),
        *guest("returns lists", "return made(request, X_train=[[1.0, 2.0, 3.0]])"),
        *guest("returns doubles", "return made(request, X_train=np.zeros((200, 3)))"),
        *guest("returns what is not finite", "return made(request, X_test=np.full((60, 3), np.nan, np.float32))"),
        *guest("returns other columns", "return made(request, X_val=np.zeros((60, 2), np.float32))"),
        *guest("returns no rows", "return made(request, X_train=np.zeros((0, 3), np.float32))"),
        *guest("returns labels of text", "return made(request, y_test=np.array(['a'] * 60))"),
        *guest("returns labels of one kind", "return made(request, y_test=np.zeros(60, np.int8))"),
        *guest("returns names that are numbers", "return made(request, feature_names=(1, 2, 3))"),
        *guest("returns no names", "return made(request, feature_names=None)"),
        *guest("names itself nothing", "return made(request, name=None)"),
        *guest("tells no provenance", "return made(request, provenance=None)", commands=loads),
        *guest("returns images of no pixels", "return made(request, image_shape=(0, 0))"),
        *guest("returns images of other sizes", "return made(request, image_shape=(5, 7))"),
        *guest("returns a preprocessing that is none", "return made(request, preprocessing=3)"),
        *guest("returns a series that is none", "return made(request, series=3)"),
        *guest("does not know whether it is there",
               rest="def missing(*given, **more): return 1 / 0\nload.missing = missing",
               commands=("list datasets", "run mine.toml --untimed --out o")),
        *guest("does not know what it stands for", rest="def expanded(*given): return 1 / 0\nload.expanded = expanded",
               commands=("run mine.toml --dry-run",)),
    ]  # fmt: skip


def detectors() -> list[Made]:
    def guest(
        title: str, score: str = "return X[:, 0]", fit: str = "pass", made: str = "pass", options: str = "",
        attributes: str = "pass", rest: str = "", target: str = ":Guest", source: str = "",
        commands: Sequence[str] = ("fit blobs?rows=300 --detector GUEST --out m",),
    ) -> list[Made]:  # fmt: skip
        text = source or DETECTOR.format(
            score=score, fit=fit, made=made, options=options, attributes=attributes, rest=rest
        )
        return [(f"detector that {title}", "detectors", text, target, command.split()) for command in commands]

    every = ("fit blobs?rows=300 --detector GUEST --out m", "list detectors", "run mine.toml --dry-run")
    runs = ("fit blobs?rows=300 --detector GUEST --out m", "run mine.toml --untimed --out o")
    return [
        *guest("divides by zero when imported", source="1 / 0\n", commands=every),
        *guest("is no Python", source="class Guest(:\n", commands=every),
        *guest("ends the process when imported", source="raise SystemExit(7)\n", commands=every),
        *guest("has no such class", target=":Other", commands=every),
        *guest("is no class", target=":np", commands=every),
        *guest("names no class", target="", commands=every),
        *guest("takes no keywords", source="class Guest:\n    def __init__(self): pass\n", commands=every),
        *guest("tells types that are none", options=', size: "Size" = 1', commands=every[1:]),
        *guest("asks for what is no module", attributes="requires = (3,)", commands=every),
        *guest("asks for modules by path", attributes='requires = ("..x", "")', commands=every),
        *guest("is made of others that are none", attributes="parts = staticmethod(lambda **o: ('nobody',))",
               commands=every),
        *guest("says it is a network", attributes="needs_backend = True", commands=every),
        *guest("cannot be made", made="1 / 0", commands=runs),
        *guest("cannot be fitted", fit="1 / 0", commands=runs),
        *guest("is loud when fitted", fit=LOUD, commands=runs),
        *guest("has no memory", fit='raise MemoryError("9 EiB")', commands=runs),
        *guest("ends the process", fit="raise SystemExit(7)", commands=runs),
        *guest("cannot score", score="return 1 / 0", commands=runs),
        *guest("scores nothing", score="return None", commands=runs),
        *guest("scores half the rows", score="return X[::2, 0]", commands=runs),
        *guest("scores in columns", score="return X[:, :2]", commands=runs),
        *guest("scores a single number", score="return 3.0", commands=runs),
        *guest("scores texts", score='return np.array(["high"] * len(X))', commands=runs),
        *guest("scores complex numbers", score="return X[:, 0] * 1j", commands=runs),
        *guest("scores what is not finite", score="return np.full(len(X), np.nan)", commands=runs),
        *guest("scores otherwise each time", score="return np.random.default_rng().normal(size=len(X))",
               commands=runs[1:]),
        *guest("changes the rows", score="X[:] = 0; return X[:, 0]", commands=runs[1:]),
        *guest("has no notes", rest="Guest.notes = property(lambda self: 1 / 0, lambda self, value: None)",
               commands=runs[1:]),
    ]  # fmt: skip


def backends() -> list[Made]:
    def guest(
        title: str, capabilities: str = "return None", build: str = "return None", top: str = "", target: str = "",
        commands: Sequence[str] = ("run mine.toml --untimed --out o",),
    ) -> list[Made]:  # fmt: skip
        text = BACKEND.format(capabilities=capabilities, build=build, top=top)
        return [(f"backend that {title}", "backends", text, target, command.split()) for command in commands]

    every = ("list backends", "run mine.toml --untimed --out o", "verify --backends GUEST --quick",
             "fit blobs?rows=300 --detector vae --backend GUEST --out m")  # fmt: skip
    return [
        *guest("divides by zero when imported", top="1 / 0", commands=every),
        *guest("is no module", target="_other", commands=every),
        *guest("cannot tell what it can do", capabilities="return 1 / 0", commands=every),
        *guest("tells nothing", commands=every),
        *guest("is loud when built", build=LOUD, commands=every[1:2]),
    ]
