"""The layers in Flax, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from backends import inference
from backends.layer import Layer, Sides
from backends.spec import LEAKY_SLOPE, Activation, TrainingSettings

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


def gather(images: Array, window: Sides, stride: Sides) -> Array:
    """The windows of images (B, height, width, c) that a convolution sees, shape (B, ⌈height / s⌉, ⌈width / s⌉, w w c).

    As strided slices, one for each place of a window: inside a loop XLA runs its own convolutions on the CPU at a
    tenth of the speed.
    """
    sides = [(w, s, -(-large // s), large) for w, s, large in zip(window, stride, images.shape[1:3], strict=True)]
    ends = [(w // 2, s * (small - 1) + w - w // 2 - large) for w, s, small, large in sides]
    down, across = ([slice(k, k + s * (small - 1) + 1, s) for k in range(w)] for w, s, small, _ in sides)
    padded = jnp.pad(images, ((0, 0), *ends, (0, 0)))
    rows = [padded[:, place] for place in down]
    return jnp.concatenate([row[:, :, place] for row in rows for place in across], -1)


def scatter(windows: Array, sides: Sides, stride: Sides) -> Array:
    """The adjoint of ``gather``: windows of shape (B, h, w, *window, c), added up into images (B, *sides, c)."""
    rows, below, right, _, _, channels = windows.shape
    down, across = stride
    squares = interleaved(interleaved(windows, 1, 3, down), 3, 4, across)
    images = squares.reshape(rows, down * below, across * right, channels)
    return images[:, : sides[0], : sides[1]]


def interleaved(windows: Array, axis: int, place: int, stride: int) -> Array:
    """What windows that stand along ``axis``, with their pixels along ``place``, give to the image in that direction.

    Pixel a of window m is the image's at s m + a − p = s (m + q) + r: the result has r as a new axis behind ``axis``.
    """
    found: list[list[Array]] = [[] for _ in range(stride)]
    for a in range(windows.shape[place]):
        q, r = divmod(a - windows.shape[place] // 2, stride)
        found[r].append(shifted(jax.lax.index_in_dim(windows, a, place, keepdims=False), axis, q))
    return jnp.stack([reduce(add, terms) for terms in found], axis + 1)


def shifted(array: Array, axis: int, steps: int) -> Array:
    """The array moved along an axis by so many places, zeros coming in."""
    size = array.shape[axis]
    much = min(abs(steps), size)
    first = much if steps < 0 else 0
    kept = jax.lax.slice_in_dim(array, first, first + size - much, axis=axis)
    ends = (much, 0) if steps > 0 else (0, much)
    return jnp.pad(kept, [ends if number == axis else (0, 0) for number in range(array.ndim)])


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def shrink(images: Array, kernel: Array, stride: Sides) -> Array:
    """The convolution of larger images as one product with the kernel (*window, outer, inner); its gradient is
    written down, since ``enlarge`` is the adjoint: XLA would spread each slice over a whole image and add them up."""
    return jnp.tensordot(gather(images, kernel.shape[:2], stride), kernel.reshape(-1, kernel.shape[-1]), 1)


def shrink_forward(images: Array, kernel: Array, stride: Sides) -> tuple[Array, tuple[Array, Array]]:
    return shrink(images, kernel, stride), (images, kernel)


def shrink_backward(stride: Sides, kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    images, kernel = kept
    return enlarge(g, kernel, images.shape[1:3], stride), kernel_gradient(images, g, kernel.shape[:2], stride)


shrink.defvjp(shrink_forward, shrink_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def enlarge(images: Array, kernel: Array, sides: Sides, stride: Sides) -> Array:
    """The transposed convolution of smaller images into larger ones of these sides; ``kernel`` as in ``shrink``."""
    windows = jnp.tensordot(images, kernel.reshape(-1, kernel.shape[-1]).T, 1)
    return scatter(windows.reshape(*images.shape[:3], *kernel.shape[:3]), sides, stride)


def enlarge_forward(images: Array, kernel: Array, sides: Sides, stride: Sides) -> tuple[Array, tuple[Array, Array]]:
    return enlarge(images, kernel, sides, stride), (images, kernel)


def enlarge_backward(sides: Sides, stride: Sides, kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    images, kernel = kept
    return shrink(g, kernel, stride), kernel_gradient(g, images, kernel.shape[:2], stride)


enlarge.defvjp(enlarge_forward, enlarge_backward)


def kernel_gradient(larger: Array, smaller: Array, window: Sides, stride: Sides) -> Array:
    """Of shape (*window, outer, inner), from what stands on the two sides of the kernel."""
    outer, inner = larger.shape[-1], smaller.shape[-1]
    windows = gather(larger, window, stride).reshape(-1, math.prod(window) * outer)
    return (windows.T @ smaller.reshape(-1, inner)).reshape(*window, outer, inner)


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
        around = tuple((side, side) for side in layer.padding)
        shape = layer.window, layer.stride
        super().__init__(layer.inputs, layer.outputs, *shape, padding=around, **blank(settings))
        self.stride = layer.stride
        self.images = (*layer.before, layer.inputs)
        self.by_products = by_products(settings)
        self.large = math.prod(layer.after) > FEW_PIXELS

    def __call__(self, x: Array) -> Array:
        images = x.reshape(len(x), *self.images)
        if not self.by_products or (inference.rows_alone and self.large):
            return super().__call__(images).reshape(len(x), -1)
        images, kernel, bias = (array.astype(self.dtype) for array in (images, self.kernel[...], self.bias[...]))
        return (shrink(images, kernel, self.stride) + bias).reshape(len(x), -1)


class Transposed(nnx.ConvTranspose):
    """A convolution's adjoint, of rows: the kernel is the convolution's, and the padding what that one leaves over."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer, settings: TrainingSettings) -> None:
        low = (w - 1 - p for w, p in zip(layer.window, layer.padding, strict=True))
        sides = zip(low, layer.stride, layer.before, layer.after, strict=True)
        padding = tuple((p, p + large - s * (small - 1) - 1) for p, s, small, large in sides)
        shape = layer.window, layer.stride
        super().__init__(layer.inputs, layer.outputs, *shape, padding=padding, transpose_kernel=True, **blank(settings))
        self.images, self.after, self.stride = (*layer.before, layer.inputs), layer.after, layer.stride
        self.by_products = by_products(settings)
        self.large = math.prod(layer.before) > FEW_PIXELS

    def __call__(self, x: Array) -> Array:
        images = x.reshape(len(x), *self.images)
        if not self.by_products or (inference.rows_alone and self.large):
            return super().__call__(images).reshape(len(x), -1)
        images, kernel, bias = (array.astype(self.dtype) for array in (images, self.kernel[...], self.bias[...]))
        return (enlarge(images, kernel, self.after, self.stride) + bias).reshape(len(x), -1)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
