"""Detectors: ``fit(X)``, then ``decision_function(X)``; larger = more anomalous (PyOD's sign, not scikit-learn's).

A new detector is one class in one file and one line in ``REGISTRY``, or, from another distribution, one entry point of
the group ``vaebench.detectors``. Its constructor takes ``seed`` and ``threads`` and its own parameters by keyword.
"""

from __future__ import annotations

import difflib
import importlib
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
}

SANITY = ("norm", "mahalanobis")
"""The sanity lines: every suite's every table carries them, since without them nobody can tell a trivial data set."""


class Detector(Protocol):
    """What is benchmarked. ``notes`` holds what a reader of its results must know, one sentence each, after ``fit``."""

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
