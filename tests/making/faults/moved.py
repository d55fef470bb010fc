"""Faults in adversarial training, and in the gradients of scores."""

from __future__ import annotations

from typing import Any
from unittest import mock

from backends import adversarial
from bench.proof import ladder
from making.faults.planting import fault, patch


@fault("torch", ladder.LOSS, "gaussian")
def moved_down(module: Any) -> Any:
    """inputs moved to where the loss is low"""
    return patch(
        module.idiomatic,
        "attacked",
        lambda real: lambda loss, x, how, interval: real(lambda at: -loss(at), x, how, interval),
    )


@fault("jax", ladder.LOSS, "gaussian")
def moved_by_the_gradient(module: Any) -> Any:
    """inputs moved by the gradient instead of by its sign"""
    return mock.patch.object(module.adversarial.jnp, "sign", lambda gradient: gradient)


@fault("keras", ladder.LOSS, "gaussian")
def without_the_box(module: Any) -> Any:
    """steps that add up to more than ε, with no projection back"""
    ops = module.keras.ops

    def free(loss: Any, x: Any, how: Any, interval: Any) -> Any:
        moved = x
        for _ in range(how.moves):
            moved = moved + how.rate * ops.sign(module.engine.gradient(loss, moved))
            moved = ops.minimum(ops.maximum(moved, interval[0]), interval[1])
        return ops.stop_gradient(moved)

    return mock.patch.object(module.network, "attacked", free)


@fault("torch", ladder.LOSS, "convolutional 8×8")
def out_of_the_data(module: Any) -> Any:
    """moved pixels that leave the values that pixels have"""
    return patch(
        module.idiomatic,
        "attacked",
        lambda real: lambda loss, x, how, interval: real(loss, x, how, 100 * (2 * interval - 1)),
    )


@fault("jax", ladder.LOSS, "convolutional 8×8")
def moved_target(module: Any) -> Any:
    """moved rows that are to be reconstructed as they were moved"""
    return patch(
        module.network.Network,
        "batch_terms",
        lambda real: lambda self, x, drawn, kl_weight, target=None: real(self, x, drawn, kl_weight, x),
    )


@fault("keras", ladder.LOSS, "gaussian")
def short_steps(module: Any) -> Any:
    """steps of ε / K, which never turn at the edge of the box"""
    return mock.patch.object(adversarial.Adversarial, "rate", property(lambda self: self.epsilon / self.moves))


@fault("torch", ladder.LOSS, "gaussian")
def moved_without_the_kl(module: Any) -> Any:
    """inputs moved up the reconstruction alone, without the KL"""
    return patch(
        module.IdiomaticModel, "moved", lambda real: lambda self, x, drawn, kl_weight: real(self, x, drawn, 0.0)
    )


@fault("torch", ladder.SCORING, "bce")
def input_held_still(module: Any) -> Any:
    """the gradient of a score for its reconstruction alone, as if the row itself stood still"""
    return patch(
        module.network.Network, "reconstruction", lambda real: lambda self, output, x: real(self, output, x.detach())
    )
