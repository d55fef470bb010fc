"""The autoencoder family, written once per framework: which backends there are, and whether they can run here.

Importing this package loads neither a framework nor NumPy, and nothing here imports a framework but ``load``. A new
backend is one module, or one package, that satisfies ``backends.interface.Backend`` and one line in ``REGISTRY``; or,
from another distribution, one entry point of the group ``vaebench.backends`` whose value is the module.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from backends.interface import Backend

DISTRIBUTION = "vaebench"
ENTRY_POINTS = f"{DISTRIBUTION}.backends"


@dataclass(frozen=True)
class Registration:
    """Where a backend lives and what it needs.

    Attributes
    ----------
    module : str
        Import path of the module that holds ``capabilities()`` and ``build(...)``.
    requires : tuple of str
        Import names that have to be found before the module can be imported.
    install : str
        What ``pip install`` is given to bring them.
    environment : mapping of str to str
        Variables that are set before the module is imported.
    variant_of : str or None
        The backend whose module it runs in another way. A variant is taken only where it is named.
    """

    module: str
    requires: tuple[str, ...]
    install: str
    environment: Mapping[str, str] = field(default_factory=dict)
    variant_of: str | None = None


def _keras(engine: str) -> Registration:
    """Keras on an engine of its own choosing."""
    variant, environment = f"keras-{engine}", {"KERAS_BACKEND": engine}
    return Registration("backends.keras", ("keras", engine), f"{DISTRIBUTION}[{variant}]", environment, "keras")


REGISTRY: dict[str, Registration] = {
    "torch": Registration("backends.torch", ("torch",), f"{DISTRIBUTION}[torch]"),
    "keras": Registration(
        "backends.keras",
        ("keras", "tensorflow"),
        f"{DISTRIBUTION}[tensorflow]",
        {"KERAS_BACKEND": "tensorflow"},
    ),
    "jax": Registration("backends.jax", ("jax", "flax", "optax"), f"{DISTRIBUTION}[jax]"),
    "keras-jax": _keras("jax"),
    "keras-torch": _keras("torch"),
}


@cache
def _contributed() -> dict[str, Registration]:
    """The other distributions' backends; an entry point needs its own top-level package and brings it by itself."""
    return {
        point.name: Registration(
            point.module, (point.module.partition(".")[0],), point.dist.name if point.dist else point.module
        )
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS)
    }


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _registration(name: str) -> Registration:
    registered = _contributed() | REGISTRY
    if name in registered:
        return registered[name]
    nearest = get_close_matches(name, registered, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise ValueError(f"unknown backend {name!r}: {hint}the backends are {', '.join(registered)}")


def names() -> tuple[str, ...]:
    """Every registered backend, whether or not it can run here."""
    return tuple(REGISTRY) + tuple(name for name in _contributed() if name not in REGISTRY)


def defaults() -> tuple[str, ...]:
    """The backends that are meant where none is named: all but variants of others."""
    return tuple(name for name in names() if _registration(name).variant_of is None)


def unavailable(name: str) -> str | None:
    """Why this backend cannot run here, in one line, found without importing its framework; None when it can.

    Raises ValueError for an unknown name.
    """
    registration = _registration(name)
    missing = _missing(registration)
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    variants = [other for other, found in REGISTRY.items() if found.variant_of == name and not _missing(found)]
    instead = f", or choose {' or '.join(variants)}" if variants else ""
    return f"{' and '.join(missing)} {verb} not installed: pip install '{registration.install}'{instead}"


def _missing(registration: Registration) -> list[str]:
    return [package for package in registration.requires if importlib.util.find_spec(package) is None]


def versions(name: str) -> dict[str, str]:
    """Distribution name to version of what this backend requires, without importing it; what is missing is left out.

    Raises ValueError for an unknown name.
    """
    owners = (owner for package in _registration(name).requires for owner in _distributions().get(package, ()))
    return {owner: importlib.metadata.version(owner) for owner in dict.fromkeys(owners)}


def source(name: str) -> tuple[Path, ...]:
    """The Python files that a backend consists of, found without importing its framework; none where there are none.

    Of a backend that is a package these are all files below it; of a contributed one, those of its top-level package.
    Raises ValueError for an unknown name.
    """
    module = _registration(name).module
    top = module.partition(".")[0]
    found = importlib.util.find_spec(module if top == __name__ else top)
    if found is None:
        return ()
    if found.submodule_search_locations:
        folders = map(Path, found.submodule_search_locations)
        return tuple(path for folder in folders for path in sorted(folder.rglob("*.py")))
    return (Path(found.origin),) if found.origin and found.has_location else ()


def load(name: str) -> Backend:
    """Imports a backend's module, and with it the framework.

    Raises ValueError for an unknown name and ImportError, with the reason, where the framework is missing, or where
    what another distribution registered cannot be imported or is no backend.
    """
    if (reason := unavailable(name)) is not None:
        raise ImportError(f"backend {name!r} cannot run here: {reason}")
    registration = _registration(name)
    os.environ |= registration.environment
    try:
        module = importlib.import_module(registration.module)
    except (Exception, SystemExit) as error:
        if name in REGISTRY or isinstance(error, MemoryError):
            raise
        reason = f"importing {registration.module} raised {type(error).__name__}: {error}"
        raise ImportError(f"backend {name!r} cannot run here: {reason}") from error
    if not all(callable(getattr(module, function, None)) for function in ("capabilities", "build")):
        raise ImportError(f"backend {name!r} cannot run here: {registration.module} has no capabilities() and build()")
    return cast("Backend", module)
