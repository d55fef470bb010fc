"""Inputs that are moved to where the loss is high, in JAX; see ``backends.adversarial``."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from backends.adversarial import Adversarial


def attacked(loss: Callable[[Array], Array], x: Array, how: Adversarial, interval: Array) -> Array:
    """The rows moved; ``loss`` is a number for such rows, and ``interval`` what their values stay in."""
    low = jnp.maximum(x - how.epsilon, interval[0])
    high = jnp.minimum(x + how.epsilon, interval[1])

    def move(_: Array, moved: Array) -> Array:
        return jnp.clip(moved + how.rate * jnp.sign(jax.grad(loss)(moved)), low, high)

    return jax.lax.fori_loop(0, how.moves, move, x)
