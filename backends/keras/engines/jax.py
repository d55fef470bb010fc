"""What Keras leaves to its engine, here JAX; the other engines' files name their functions alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
from jax import Array

from backends.keras.engines.batches import Batches
from backends.spec import Precision

VERSIONS = {"jax": jax.__version__}
NO_GPU = "JAX finds no GPU, or its CUDA plugin is not installed"
MISSING_MODES = {"xla": "on JAX Keras compiles with XLA in every mode"}
"""The modes that this engine does not have, and why."""


def gpu() -> jax.Device | None:
    """The first GPU, or None where there is none."""
    try:
        return jax.devices("gpu")[0]
    except RuntimeError:
        return None


def gpu_name() -> str | None:
    """The first GPU's name, or None where there is none."""
    return getattr(gpu(), "device_kind", None)


def compute_capability() -> float:
    """The first GPU's, as NVIDIA counts it; 0 where there is none."""
    return float(getattr(gpu(), "compute_capability", 0))


def threads() -> int | None:
    """Threads of the CPU's pool, which has as many as the process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def seed(number: int) -> int:
    """As Keras's generator takes it."""
    return number


def set_precision(precision: Precision) -> None:
    """How exact matrix products are."""
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if precision == "tf32" else "highest")
    jax.config.update("jax_enable_x64", precision == "float64")


def batches(arrays: Any, size: int, seed: int | None) -> Batches:
    """Full batches of equally long arrays: in their order, or shuffled anew at each pass where there is a seed."""
    return Batches(arrays, size, seed)


def drawing(network: keras.Model, rows: int) -> Callable[[], dict[str, Any]]:
    """What draws for so many rows as a training step does."""
    return lambda: network.draw(rows)


def gradient(function: Callable[[Array], Array], x: Array) -> Array:
    """Of a function with one number as its result, for x."""
    return jax.grad(function)(x)


def synchronize(variables: Sequence[keras.Variable]) -> None:
    """Waits for all that is queued on the device."""
    jax.block_until_ready([variable.value for variable in variables])


def memory_peak() -> int | None:
    """The most bytes held on the first GPU; None where it does not tell."""
    statistics = jax.devices("gpu")[0].memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else None


def compiled(model: keras.Model, fused: bool = False) -> Callable[[Any], tuple[Array, ...]]:
    """A model's call as one program; JAX has it compiled by XLA, and so fused, in any case."""

    @jax.jit
    def run(weights: list[Array], others: list[Array], x: Array) -> tuple[Array, ...]:
        return model.stateless_call(weights, others, x)[0]

    return lambda x: run(values(model.trainable_variables), values(model.non_trainable_variables), x)


def compiled_epoch(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., Array]:
    """The first steps of an epoch as one program, from (data, epoch, steps) to the sums of mean reconstruction and KL.

    ``epoch`` holds the batches' row numbers as ``order``, shape (steps, batch), and all else that the network is called
    with, each of shape (steps, batch, width). It is written with the stateless calls that Keras has for JAX.
    """
    variables = [*network.trainable_variables, *optimizer.variables]

    def loss(weights: list[Array], others: list[Array], batch: dict[str, Any]) -> tuple[Array, Array]:
        held = [*network.trainable_variables, *network.non_trainable_variables]
        with keras.StatelessScope(state_mapping=list(zip(held, [*weights, *others], strict=True))):
            return network.batch_loss(batch)

    @jax.jit
    def run(
        weights: list[Array], state: list[Array], others: list[Array], data: Array, epoch: dict[str, Any], steps: int
    ) -> tuple[list[Array], list[Array], Array]:
        def one(step: Array, carry: tuple[list[Array], list[Array], Array]) -> tuple[list[Array], list[Array], Array]:
            weights, state, totals = carry
            batch = jax.tree.map(lambda array: array[step], epoch)
            batch["x"] = data[batch["order"]]
            gradients, parts = jax.grad(loss, has_aux=True)(weights, others, batch)
            weights, state = optimizer.stateless_apply(state, gradients, weights)
            return weights, state, totals + parts

        return jax.lax.fori_loop(0, steps, one, (weights, state, jax.numpy.zeros(2, data.dtype)))

    def run_and_keep(data: Array, epoch: dict[str, Any], steps: int) -> Array:
        others = values(network.non_trainable_variables)
        weights, state, totals = run(
            values(network.trainable_variables), values(optimizer.variables), others, data, epoch, steps
        )
        for variable, value in zip(variables, [*weights, *state], strict=True):
            variable.assign(value)
        return totals

    return run_and_keep


def values(variables: Sequence[keras.Variable]) -> list[Array]:
    """What they hold."""
    return [variable.value for variable in variables]
