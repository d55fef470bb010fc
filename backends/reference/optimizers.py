"""The four optimisers."""

from __future__ import annotations

import numpy as np

from backends.reference.layers import Array
from backends.spec import TrainingSettings


class Optimizer:
    """The four optimisers, each in the words of ``TrainingSettings``; ``moments`` holds m, v and b by parameter."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.steps = 0
        self.moments: dict[tuple[str, str], Array] = {}

    def update(self, arrays: dict[str, Array], gradients: dict[str, Array]) -> None:
        s = self.settings
        self.steps += 1
        for name, gradient in gradients.items():
            theta = arrays[name]
            decoupled = s.optimizer == "adamw"
            g = gradient if decoupled else gradient + s.weight_decay * theta
            step = s.learning_rate * self.direction(name, g)
            arrays[name] = theta - step - (s.learning_rate * s.weight_decay * theta if decoupled else 0.0)

    def direction(self, name: str, g: Array) -> Array:
        """What the learning rate is multiplied with."""
        s = self.settings
        if s.optimizer == "sgd":
            return self.moment("b", name, s.momentum, g)
        if s.optimizer == "rmsprop":
            return g / (np.sqrt(self.moment("v", name, s.rho, (1.0 - s.rho) * g**2)) + s.epsilon)
        m_hat = self.moment("m", name, s.beta1, (1.0 - s.beta1) * g) / (1.0 - s.beta1**self.steps)
        v_hat = self.moment("v", name, s.beta2, (1.0 - s.beta2) * g**2) / (1.0 - s.beta2**self.steps)
        return m_hat / (np.sqrt(v_hat) + s.epsilon)

    def moment(self, kind: str, name: str, decay: float, new: Array) -> Array:
        """A running sum: old · decay + new."""
        self.moments[kind, name] = decay * self.moments.get((kind, name), np.zeros_like(new)) + new
        return self.moments[kind, name]
