"""Models that are trained again: what was compiled for one training serves the next ones of the same process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from backends.interface import Backend, Capabilities, Model, Weights
from backends.spec import NetworkSpec, TrainingSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FREE: dict[str, Any] = {"seed": 0, "beta": 1.0, "kl_warmup_epochs": 0, "kl_cycle_epochs": 0}
"""The settings that no compiled program holds, and what they are called where two programs are compared."""


Settings = TypeVar("Settings", bound="DataclassInstance")


def program(settings: Settings) -> Settings:
    """What of the settings a compiled program depends on; of the backends' settings, or any with fields named alike."""
    return replace(settings, **{name: value for name, value in FREE.items() if hasattr(settings, name)})


@runtime_checkable
class Restartable(Model, Protocol):
    """A model that can be trained once more as if it were new; a backend need not offer it."""

    def restart(self, weights: Weights, settings: TrainingSettings) -> None:
        """Leaves the model as ``build`` would make it from these weights and settings, digit for digit, and keeps what
        was compiled. The settings are its own but for those in ``FREE``; rows have to be loaded anew."""


class Reusing:
    """A backend whose models come back after use: ``build`` restarts one of the same program where there is one.

    All models have to be of one precision, which frameworks keep for a whole process.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.idle: dict[Any, Restartable] = {}
        self.lent: dict[Any, Restartable] = {}

    def capabilities(self) -> Capabilities:
        return self.backend.capabilities()

    def release(self) -> None:
        """Nobody uses a model any more that was built so far. Those that were not built since the last call are
        dropped, so that no more are held than two trainings need."""
        self.idle, self.lent = self.lent, {}

    def build(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> Model:
        """A model that starts from these weights."""
        key = spec, program(settings)
        if (idle := self.idle.pop(key, None)) is not None:
            idle.restart(weights, settings)
            self.lent[key] = idle
            return idle
        model = self.backend.build(spec, weights, settings)
        if isinstance(model, Restartable):
            self.lent[key] = model
        return model
