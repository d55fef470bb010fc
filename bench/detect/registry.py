"""Which detectors there are, by name, what a suite may set of one, and whether it can run here.

A new detector is one class in one file and one line in ``REGISTRY``, or, from another distribution, one entry point of
the group ``vaebench.detectors``. Its constructor takes ``seed`` and ``threads`` and its own parameters by keyword.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, get_type_hints

from backends.interface import BackendError
from bench.detect.detector import DetectorError
from bench.detect.guests import GUEST, guest
from bench.messages import nearest
from datasets.strangers import guarded

NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})

REGISTRY: dict[str, str] = {
    "vae": "bench.detect.autoencoder:VAE",
    "conv_vae": "bench.detect.autoencoder:ConvolutionalVAE",
    "conv1d_vae": "bench.detect.autoencoder:WindowVAE",
    "autoencoder": "bench.detect.autoencoder:Autoencoder",
    "latent_isolation_forest": "bench.detect.hybrids:LatentIsolationForest",
    "latent_one_class_svm": "bench.detect.hybrids:LatentOneClassSVM",
    "latent_knn": "bench.detect.hybrids:LatentNearestNeighbours",
    "rank_average": "bench.detect.hybrids:RankAverage",
    "isolation_forest": "bench.detect.classical:IsolationForest",
    "one_class_svm": "bench.detect.classical:OneClassSVM",
    "knn": "bench.detect.classical:NearestNeighbours",
    "norm": "bench.detect.sanity:Norm",
    "mahalanobis": "bench.detect.sanity:Mahalanobis",
    "rarity": "bench.detect.rarity:Rarity",
    "pyod_vae": "bench.detect.peers:PyODVAE",
    "pyod_autoencoder": "bench.detect.peers:PyODAutoencoder",
}

EVERYWHERE = ("norm", "mahalanobis")
"""The sanity lines that every suite's every table carries, since without them nobody can tell a trivial data set."""
OF_CATEGORIES = "rarity"
"""The one that joins them where a data set has categories."""
SANITY = (*EVERYWHERE, OF_CATEGORIES)
"""All sanity lines: what no trained detector is worth its trouble below."""

CONVOLVED = {1: "windows of a series", 2: "images"}
"""What the rows of a convolutional detector have to be, by the dimensions that its convolutions run over."""


def names() -> tuple[str, ...]:
    """Every registered detector, ours first."""
    return (*REGISTRY, *(name for name in _plugins() if name not in REGISTRY))


def _guarded(name: str, doing: str, *passing: type[BaseException]) -> AbstractContextManager[None]:
    return guarded(f"detector {name}: {doing}", DetectorError, *passing, ours=name in REGISTRY)


def load(name: str) -> type[Any]:
    """The class behind a name; DetectorError names the nearest valid one, or says why there is none behind it."""
    if name.startswith(GUEST):
        with _guarded(name, "asking PyOD for it"):
            return guest(name.removeprefix(GUEST))
    target = REGISTRY.get(name) or _plugins().get(name)
    if target is None:
        raise DetectorError(f"no detector {name!r}{nearest(name, names())}")
    module, _, attribute = target.partition(":")
    with _guarded(name, f"importing {target}"):
        loaded: type[Any] = getattr(importlib.import_module(module), attribute)
    if name not in REGISTRY:
        _check(name, target, loaded)
    return loaded


def _check(name: str, target: str, loaded: object) -> None:
    """DetectorError where what another distribution registered is no detector, or says of itself what is not so."""
    if not isinstance(loaded, type):
        raise DetectorError(f"detector {name}: {target} is no class")
    if getattr(loaded, "needs_backend", False) and not hasattr(loaded, "scores_of_its_own"):
        raise DetectorError(f"detector {name}: needs_backend is of subclasses of Autoencoder, which it is not")
    modules = getattr(loaded, "requires", ())
    if not all(isinstance(module, str) and module.partition(".")[0].isidentifier() for module in modules):
        raise DetectorError(f"detector {name}: requires wants names of modules, not {modules!r}")


def unavailable(name: str, parameters: Mapping[str, Any] = NO_PARAMETERS) -> str | None:
    """Why a detector cannot run here, in one line, found without importing what it requires; None when it can.

    ``parameters`` are the suite's: a detector made of others cannot run where one of those cannot.
    """
    for detector in _parts(name, parameters):
        missing = [package for package in _packages(detector) if importlib.util.find_spec(package) is None]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            return f"{' and '.join(missing)} {verb} not installed: pip install '{detector.install}'"
    return None


def required(name: str, parameters: Mapping[str, Any] = NO_PARAMETERS) -> set[str]:
    """The packages whose modules ``load_required`` imports."""
    return {package for detector in _parts(name, parameters) for package in _packages(detector)}


def load_required(name: str, parameters: Mapping[str, Any] = NO_PARAMETERS) -> type[Any]:
    """``load``, and with it the modules that the detector requires, so that their import is timed as such.

    Raises BackendError where one of them needs a package that is not installed.
    """
    detector, *others = _parts(name, parameters)
    for part in (detector, *others):
        for module in getattr(part, "requires", ()):
            try:
                with _guarded(name, f"importing {module}", ModuleNotFoundError):
                    importlib.import_module(module)
            except ModuleNotFoundError as error:
                raise BackendError(f"{name} needs {error.name}, which is not installed") from error
    return detector


def _packages(detector: type[Any]) -> list[str]:
    return list(dict.fromkeys(module.partition(".")[0] for module in getattr(detector, "requires", ())))


def _parts(name: str, parameters: Mapping[str, Any]) -> list[type[Any]]:
    """The detector, and those that it is made of."""
    detector = load(name)
    with _guarded(name, "naming its parts"):
        others = tuple(detector.parts(**parameters)) if hasattr(detector, "parts") else ()
    return [detector, *map(load, others)]


def needs_backend(name: str) -> bool:
    """Whether the detector is a network that runs on a backend."""
    return bool(getattr(load(name), "needs_backend", False))


def convolved(name: str) -> int:
    """Dimensions that a detector's convolutions run over: 2 of images, 1 of windows of a series, 0 without any."""
    detector = load(name)
    return detector.dimensions if getattr(detector, "convolutional", False) else 0


def configurable(name: str) -> type[Any] | None:
    """The class whose constructor takes what a suite sets under ``parameters``: the detector's own, or that of the
    ``companion`` of a network; None for a network alone, which has ``training`` instead."""
    detector = load(name)
    return getattr(detector, "companion", None) if needs_backend(name) else detector


def parameters(name: str) -> dict[str, Any] | None:
    """The keywords that a suite may set under ``parameters``, and their types; ``seed`` and ``threads`` are given.

    None where nobody can tell, since the library that takes them is not installed.
    """
    detector = configurable(name)
    if detector is None:
        return {}
    if hasattr(detector, "options"):
        return None if detector.options is None else dict.fromkeys(detector.options, Any)
    with _guarded(name, "reading the types of its parameters"):
        hints = get_type_hints(detector.__init__)
    own = [key for key in inspect.signature(detector.__init__).parameters if key not in ("self", "seed", "threads")]
    return {key: hints.get(key, Any) for key in own}


@cache
def _plugins() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="vaebench.detectors")}
