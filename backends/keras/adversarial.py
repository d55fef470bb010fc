"""Inputs that are moved to where the loss is high, in Keras; see ``backends.adversarial``."""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from backends.adversarial import Adversarial
from backends.keras.engines import engine
from backends.keras.layers import Array


def attacked(loss: Callable[[Array], Array], x: Array, how: Adversarial, interval: Array) -> Array:
    """The rows moved; ``loss`` is a number for such rows, and ``interval`` what their values stay in."""
    low = ops.maximum(x - how.epsilon, interval[0])
    high = ops.minimum(x + how.epsilon, interval[1])

    def move(_: Array, moved: Array) -> Array:
        return ops.minimum(ops.maximum(moved + how.rate * ops.sign(engine.gradient(loss, moved)), low), high)

    return ops.stop_gradient(ops.fori_loop(0, how.moves, move, x))
