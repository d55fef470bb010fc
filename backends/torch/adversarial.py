"""Inputs that are moved to where the loss is high, in PyTorch; see ``backends.adversarial``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad

from backends.adversarial import Adversarial


def attacked(loss: Callable[[Tensor], Tensor], x: Tensor, how: Adversarial, interval: Tensor) -> Tensor:
    """The rows moved; ``loss`` is a number for such rows, and ``interval`` what their values stay in."""
    low = torch.maximum(x - how.epsilon, interval[0])
    high = torch.minimum(x + how.epsilon, interval[1])
    moved = x
    with torch.no_grad():
        for _ in range(how.moves):
            moved = torch.clamp(moved + how.rate * grad(loss)(moved).sign(), low, high)
    return moved
