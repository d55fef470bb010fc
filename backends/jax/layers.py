"""The layers in Flax, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from backends import inference
from backends.spec import KERNEL, LEAKY_SLOPE, PADDING, STRIDE, Activation, Layer, TrainingSettings

ACTIVATIONS: Mapping[Activation, Callable[[Array], Array]] = {
    "relu": nnx.relu,
    "tanh": nnx.tanh,
    "sigmoid": nnx.sigmoid,
    "elu": nnx.elu,
    "leaky_relu": partial(nnx.leaky_relu, negative_slope=LEAKY_SLOPE),
    "gelu": partial(nnx.gelu, approximate=False),
    "silu": nnx.silu,
}
"""Flax's own; its GELU is an approximation unless it is told otherwise."""


def blank(settings: TrainingSettings) -> dict[str, Any]:
    """What a layer is told that gets its weights later: nothing is drawn for it."""
    return {
        "dtype": jnp.bfloat16 if settings.precision == "bfloat16" else settings.storage,
        "param_dtype": settings.storage,
        "kernel_init": nnx.initializers.zeros,
        "rngs": nnx.Rngs(0),
    }


FEW_PIXELS = 16
"""Of a layer's smaller image, up to which products also score faster than XLA's own convolutions outside a loop."""


def by_products(settings: TrainingSettings) -> bool:
    """Whether layers are written as the products that XLA computes fastest on the CPU."""
    return settings.mode == "tuned" and settings.device == "cpu"


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


def gather(images: Array) -> Array:
    """The windows of images (B, height, width, c) that a convolution sees, shape (B, ⌈height / 2⌉, ⌈width / 2⌉, 9 c).

    As nine strided slices: inside a loop XLA runs its own convolutions on the CPU at a tenth of the speed.
    """
    _, height, width, _ = images.shape
    below, right = -(-height // STRIDE), -(-width // STRIDE)
    ends = [
        (PADDING, STRIDE * (small - 1) + KERNEL - PADDING - large) for small, large in ((below, height), (right, width))
    ]
    padded = jnp.pad(images, ((0, 0), *ends, (0, 0)))
    rows = [padded[:, k : k + STRIDE * below - 1 : STRIDE] for k in range(KERNEL)]
    return jnp.concatenate([row[:, :, j : j + STRIDE * right - 1 : STRIDE] for row in rows for j in range(KERNEL)], -1)


def scatter(windows: Array, sides: tuple[int, int]) -> Array:
    """The adjoint of ``gather``: windows of shape (B, h, w, 3, 3, c), added up into images (B, *sides, c).

    An even row of the image is the middle one of one window; an odd row is the last of one and the first of the next.
    The same holds of columns.
    """
    rows, below, right, _, _, channels = windows.shape
    following = jnp.pad(windows[:, 1:, :, 0], ((0, 0), (0, 1), (0, 0), (0, 0), (0, 0)))
    pairs = jnp.stack((windows[:, :, :, 1], windows[:, :, :, 2] + following), 2)
    following = jnp.pad(pairs[:, :, :, 1:, 0], ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0)))
    squares = jnp.stack((pairs[:, :, :, :, 1], pairs[:, :, :, :, 2] + following), 4)
    images = squares.reshape(rows, STRIDE * below, STRIDE * right, channels)
    return images[:, : sides[0], : sides[1]]


@jax.custom_vjp
def shrink(images: Array, kernel: Array) -> Array:
    """The convolution of larger images as one product with the kernel (3, 3, outer, inner); its gradient is written
    down, since ``enlarge`` is the adjoint: XLA would spread each slice over a whole image and add nine of these."""
    return jnp.tensordot(gather(images), kernel.reshape(-1, kernel.shape[-1]), 1)


def shrink_forward(images: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return shrink(images, kernel), (images, kernel)


def shrink_backward(kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    images, kernel = kept
    return enlarge(g, kernel, images.shape[1:3]), kernel_gradient(images, g)


shrink.defvjp(shrink_forward, shrink_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def enlarge(images: Array, kernel: Array, sides: tuple[int, int]) -> Array:
    """The transposed convolution of smaller images into larger ones of these sides; ``kernel`` as in ``shrink``."""
    windows = jnp.tensordot(images, kernel.reshape(-1, kernel.shape[-1]).T, 1)
    return scatter(windows.reshape(*images.shape[:3], *kernel.shape[:3]), sides)


def enlarge_forward(images: Array, kernel: Array, sides: tuple[int, int]) -> tuple[Array, tuple[Array, Array]]:
    return enlarge(images, kernel, sides), (images, kernel)


def enlarge_backward(sides: tuple[int, int], kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    images, kernel = kept
    return shrink(g, kernel), kernel_gradient(g, images)


enlarge.defvjp(enlarge_forward, enlarge_backward)


def kernel_gradient(larger: Array, smaller: Array) -> Array:
    """Of shape (3, 3, outer, inner), from what stands on the two sides of the kernel."""
    windows = gather(larger).reshape(-1, KERNEL**2 * larger.shape[-1])
    product = windows.T @ smaller.reshape(-1, smaller.shape[-1])
    return product.reshape(KERNEL, KERNEL, larger.shape[-1], smaller.shape[-1])


class Dense(nnx.Linear):
    """A dense layer that starts from a canonical kernel."""

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        super().__init__(layer.inputs, layer.outputs, **blank(settings))
        if by_products(settings) and layer.outputs < layer.inputs:
            self.dot_general = lambda x, kernel, *_, **__: narrowing_product(x, kernel)


class Convolution(nnx.Conv):
    """A convolution of rows. XLA's ``SAME`` pads an even side at its end only, so the padding is given in numbers."""

    canonical_axes = (0, 1, 2, 3)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        around = (PADDING, PADDING)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=(around, around), **blank(settings))
        self.images = (*layer.before, layer.inputs)
        self.by_products = by_products(settings)
        self.large = math.prod(layer.after) > FEW_PIXELS

    def __call__(self, x: Array) -> Array:
        images = x.reshape(len(x), *self.images)
        if not self.by_products or (inference.rows_alone and self.large):
            return super().__call__(images).reshape(len(x), -1)
        images, kernel, bias = (array.astype(self.dtype) for array in (images, self.kernel[...], self.bias[...]))
        return (shrink(images, kernel) + bias).reshape(len(x), -1)


class Transposed(nnx.ConvTranspose):
    """A convolution's adjoint, of rows: the kernel is the convolution's, and the padding what that one leaves over."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        low = KERNEL - 1 - PADDING
        sides = zip(layer.before, layer.after, strict=True)
        padding = tuple((low, low + large - STRIDE * (small - 1) - 1) for small, large in sides)
        shape = (KERNEL, KERNEL), (STRIDE, STRIDE)
        super().__init__(layer.inputs, layer.outputs, *shape, padding=padding, transpose_kernel=True, **blank(settings))
        self.images, self.after = (*layer.before, layer.inputs), layer.after
        self.by_products = by_products(settings)
        self.large = math.prod(layer.before) > FEW_PIXELS

    def __call__(self, x: Array) -> Array:
        images = x.reshape(len(x), *self.images)
        if not self.by_products or (inference.rows_alone and self.large):
            return super().__call__(images).reshape(len(x), -1)
        images, kernel, bias = (array.astype(self.dtype) for array in (images, self.kernel[...], self.bias[...]))
        return (enlarge(images, kernel, self.after) + bias).reshape(len(x), -1)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
