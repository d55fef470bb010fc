"""Inputs that are moved to where the loss is high; see ``backends.adversarial``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backends.adversarial import Adversarial
from backends.reference.layers import Array


def attacked(gradient: Callable[[Array], Array], x: Array, how: Adversarial, interval: Array) -> Array:
    """The rows moved; ``gradient`` is the loss's for such rows, and ``interval`` what their values stay in."""
    low = np.maximum(x - how.epsilon, interval[0])
    high = np.minimum(x + how.epsilon, interval[1])
    moved = x
    for _ in range(how.moves):
        moved = np.clip(moved + how.rate * np.sign(gradient(moved)), low, high)
    return moved
