"""What a planted fault is, and how one is registered and planted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

Plant = Callable[[Any], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fault:
    """What is wrong, where it is planted, the rung that has to catch it, and the cases that climb."""

    name: str
    backend: str
    rung: str
    cases: tuple[str, ...]
    precision: str
    plant: Plant
    mode: str = "idiomatic"


FAULTS: dict[str, Fault] = {}


def fault(
    backend: str, rung: str, *cases: str, precision: str = "float64", mode: str = "idiomatic"
) -> Callable[[Plant], Plant]:
    """Registers a function from the backend's module to the patch that plants the fault named by its docstring."""

    def register(plant: Plant) -> Plant:
        name = (plant.__doc__ or "").strip()
        assert name not in FAULTS
        FAULTS[name] = Fault(name, backend, rung, cases or ("bce",), precision, plant, mode)
        return plant

    return register


def patch(owner: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """Replaces an attribute by what is made of it."""
    return mock.patch.object(owner, name, make(getattr(owner, name)))


def settings_of(module: Any, **changed: Any) -> Any:
    """Makes a backend's optimiser with other settings than it was given."""

    def wrong(make: Any) -> Any:
        def made(*arguments: Any) -> Any:
            *first, settings = arguments
            values = {key: value(settings) if callable(value) else value for key, value in changed.items()}
            return make(*first, replace(settings, **values))

        return made

    return patch(module.idiomatic, "make_optimizer", wrong)
