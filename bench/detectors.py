"""Detectors: ``fit(X)``, then ``decision_function(X)``; larger = more anomalous (PyOD's sign, not scikit-learn's).

A new detector is one class in one file and one line in ``REGISTRY``, or, from another distribution, one entry point of
the group ``vaebench.detectors``. Its constructor takes ``seed`` and ``threads`` and its own parameters by keyword.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol, Self, get_type_hints

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]

REGISTRY: dict[str, str] = {
    "vae": "bench.autoencoder:VAE",
    "conv_vae": "bench.autoencoder:ConvolutionalVAE",
    "autoencoder": "bench.autoencoder:Autoencoder",
    "isolation_forest": "bench.classical:IsolationForest",
    "one_class_svm": "bench.classical:OneClassSVM",
    "knn": "bench.classical:NearestNeighbours",
    "norm": "bench.classical:Norm",
    "mahalanobis": "bench.classical:Mahalanobis",
    "pyod_vae": "bench.peers:PyODVAE",
    "pyod_autoencoder": "bench.peers:PyODAutoencoder",
}

SANITY = ("norm", "mahalanobis")
"""The sanity lines: every suite's every table carries them, since without them nobody can tell a trivial data set."""


class Detector(Protocol):
    """What is benchmarked. ``notes`` holds what a reader of its results must know, one sentence each, after ``fit``.

    Over another library a detector may also have: ``requires``, the modules that it needs, and ``install``, what pip is
    given to bring them; ``prepare(X)``, which ends before the first epoch and is not timed as training;
    ``rows_per_fit``, the rows that ``fit`` visits where it goes through them several times; and ``peer``, what the
    record says of that library.
    """

    notes: list[str]

    def fit(self, X: Rows) -> Self:
        """Learns from rows of shape (rows, features), all of them taken as normal."""

    def decision_function(self, X: Rows) -> Rows:
        """One score a row, shape (rows,); the same rows score the same at every call."""


def names() -> tuple[str, ...]:
    """Every registered detector, ours first."""
    return (*REGISTRY, *(name for name in _plugins() if name not in REGISTRY))


def load(name: str) -> type[Any]:
    """The class behind a name; ValueError names the nearest valid one."""
    target = REGISTRY.get(name) or _plugins().get(name)
    if target is None:
        near = difflib.get_close_matches(name, names(), n=1)
        raise ValueError(f"no detector {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"valid are {names()}"))
    module, _, attribute = target.partition(":")
    loaded: type[Any] = getattr(importlib.import_module(module), attribute)
    return loaded


def unavailable(name: str) -> str | None:
    """Why a detector cannot run here, in one line, found without importing what it requires; None when it can."""
    detector = load(name)
    packages = dict.fromkeys(module.partition(".")[0] for module in getattr(detector, "requires", ()))
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not installed: pip install '{detector.install}'"


def load_required(name: str) -> type[Any]:
    """``load``, and with it the modules that the detector requires, so that their import is timed as such."""
    detector = load(name)
    for module in getattr(detector, "requires", ()):
        importlib.import_module(module)
    return detector


def needs_backend(name: str) -> bool:
    """Whether the detector is a network that runs on a backend."""
    return bool(getattr(load(name), "needs_backend", False))


def needs_images(name: str) -> bool:
    """Whether the detector is a convolutional network."""
    return bool(getattr(load(name), "convolutional", False))


def parameters(name: str) -> dict[str, Any]:
    """The constructor's own keywords and their types, which a suite may set under ``parameters``."""
    if needs_backend(name):
        return {}
    constructor = load(name).__init__
    hints = get_type_hints(constructor)
    own = [key for key in inspect.signature(constructor).parameters if key not in ("self", "seed", "threads")]
    return {key: hints.get(key, Any) for key in own}


@cache
def _plugins() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="vaebench.detectors")}
