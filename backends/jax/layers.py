"""The layers in Flax, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from backends.spec import KERNEL, PADDING, STRIDE, Layer, TrainingSettings


def blank(settings: TrainingSettings) -> dict[str, Any]:
    """What a layer is told that gets its weights later: nothing is drawn for it."""
    return {
        "dtype": jnp.bfloat16 if settings.precision == "bfloat16" else settings.storage,
        "param_dtype": settings.storage,
        "kernel_init": nnx.initializers.zeros,
        "rngs": nnx.Rngs(0),
    }


@jax.custom_vjp
def narrowing_product(x: Array, kernel: Array) -> Array:
    """``x @ kernel`` for a kernel with fewer columns than rows, whose gradient is computed as (gᵀ x)ᵀ.

    XLA takes xᵀ g on the CPU, and in it needs up to 2.5 times as long; the barrier keeps it from going back to that.
    """
    return x @ kernel


def narrowing_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def narrowing_backward(kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return g @ kernel.T, jax.lax.optimization_barrier(g.T @ x).T


narrowing_product.defvjp(narrowing_forward, narrowing_backward)


class Dense(nnx.Linear):
    """A dense layer that starts from a canonical kernel."""

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        super().__init__(layer.inputs, layer.outputs, **blank(settings))
        if settings.mode == "tuned" and settings.device == "cpu" and layer.outputs < layer.inputs:
            self.dot_general = lambda x, kernel, *_, **__: narrowing_product(x, kernel)


class Convolution(nnx.Conv):
    """A convolution of rows. XLA's ``SAME`` pads an even side at its end only, so the padding is given in numbers."""

    canonical_axes = (0, 1, 2, 3)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        around = (PADDING, PADDING)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=(around, around), **blank(settings))
        self.images = (*layer.before, layer.inputs)

    def __call__(self, x: Array) -> Array:
        return super().__call__(x.reshape(len(x), *self.images)).reshape(len(x), -1)


class Transposed(nnx.ConvTranspose):
    """A convolution's adjoint, of rows: the kernel is the convolution's, and the padding what that one leaves over."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        low = KERNEL - 1 - PADDING
        sides = zip(layer.before, layer.after, strict=True)
        padding = tuple((low, low + large - STRIDE * (small - 1) - 1) for small, large in sides)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=padding, transpose_kernel=True, **blank(settings))
        self.images = (*layer.before, layer.inputs)

    def __call__(self, x: Array) -> Array:
        return super().__call__(x.reshape(len(x), *self.images)).reshape(len(x), -1)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
