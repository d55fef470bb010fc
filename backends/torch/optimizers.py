"""The four optimisers in PyTorch: its own, and all in one loop for a compiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backends.spec import TrainingSettings
from backends.torch.network import Network


def make_optimizer(network: Network, settings: TrainingSettings, fused: bool | None = None) -> torch.optim.Optimizer:
    """PyTorch's own four, which all follow the definitions: their weight decay is coupled but for AdamW's.

    ``fused`` takes all weights in one kernel, which RMSprop has none for."""
    s, parameters = settings, network.parameters()
    if s.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, s.learning_rate, alpha=s.rho, eps=s.epsilon, weight_decay=s.weight_decay)
    if s.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, s.learning_rate, momentum=s.momentum, weight_decay=s.weight_decay, fused=fused
        )
    kind = torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, s.learning_rate, (s.beta1, s.beta2), s.epsilon, s.weight_decay, fused=fused)


class WholeStepOptimizer:
    """The four optimisers as their definitions read, in place, for a compiler to fuse with the rest of the step.

    All weights lie in one vector, which the network's parameters are made views of, so that the update is one loop.
    """

    def __init__(self, network: Network, settings: TrainingSettings) -> None:
        self.settings = settings
        self.learning_rate: Any = settings.learning_rate
        self.weight_decay: Any = settings.weight_decay
        self.steps = 0
        parameters = dict(network.named_parameters())
        self.vector = torch.cat([parameter.detach().flatten() for parameter in parameters.values()])
        self.sizes = [parameter.numel() for parameter in parameters.values()]
        self.shapes = {name: parameter.shape for name, parameter in parameters.items()}
        for name, view in self.weights().items():
            parameters[name].data = view
        count = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 1 if settings.momentum else 0}[settings.optimizer]
        self.slots = [torch.zeros_like(self.vector) for _ in range(count)]

    def weights(self) -> dict[str, Tensor]:
        """The network's parameters by name, views of the vector."""
        parts = self.vector.split(self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def restart(self) -> None:
        self.steps = 0
        for slot in self.slots:
            slot.zero_()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "slots": self.slots}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = state["steps"]
        for slot, value in zip(self.slots, state["slots"], strict=True):
            slot.copy_(value)

    def corrections(self, steps: int) -> Tensor:
        """1 / (1 − β1ᵗ) and 1 / (1 − β2ᵗ) of the next so many steps, shape (steps, 2); counts them as made."""
        t = np.arange(self.steps + 1, self.steps + steps + 1)[:, None]
        self.steps += steps
        return torch.tensor(1 / (1 - np.array([self.settings.beta1, self.settings.beta2]) ** t))

    def update(self, gradients: Mapping[str, Tensor], corrections: Tensor) -> None:
        """One step t, with its two corrections."""
        s, w, rate, decays = self.settings, self.vector, self.learning_rate, self.weight_decay
        g = torch.cat([gradients[name].flatten(w.ndim - 1) for name in self.shapes], -1)
        decay = rate * decays * w if s.optimizer == "adamw" else 0.0
        if s.weight_decay and s.optimizer != "adamw":
            g = g + decays * w
        if s.optimizer == "sgd":
            change = self.slots[0].mul_(s.momentum).add_(g) if self.slots else g
        elif s.optimizer == "rmsprop":
            change = g / (self.slots[0].mul_(s.rho).add_((1 - s.rho) * g * g).sqrt() + s.epsilon)
        else:
            m = self.slots[0].mul_(s.beta1).add_((1 - s.beta1) * g)
            v = self.slots[1].mul_(s.beta2).add_((1 - s.beta2) * g * g)
            change = m * corrections[0] / ((v * corrections[1]).sqrt() + s.epsilon)
        self.apply(rate * change + decay)

    def apply(self, change: Tensor) -> None:
        self.vector.sub_(change)
