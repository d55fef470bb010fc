"""The layers in Keras, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from operator import add
from typing import Any

import keras
from keras import ops

from backends import inference
from backends.layer import Layer, Sides
from backends.spec import LEAKY_SLOPE, Activation, NetworkSpec, TrainingSettings

Array = Any  # a tensor of whichever engine Keras runs on
Gradient = Callable[[Array], tuple[Array, Array]]


def leaky_relu(x: Array) -> Array:
    """Not Keras's own: on TensorFlow that takes the slope through float32, whatever the precision."""
    return ops.where(x > 0, x, LEAKY_SLOPE * x)


def gelu(x: Array) -> Array:
    """Not Keras's own, for the same reason: there it is √2."""
    return x * (0.5 + 0.5 * ops.erf(x * math.sqrt(0.5)))


ACTIVATIONS: Mapping[Activation, Callable[[Array], Array]] = {
    "relu": ops.relu,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "elu": ops.elu,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "silu": ops.silu,
}

FEW_PIXELS = 16
"""Of a layer's smaller image, up to which products compiled by XLA also score faster than the engine's convolutions: on
TensorFlow 1.4 times as fast on images of 8×8 pixels, on one core."""


def gather(images: Array, window: Sides, stride: Sides) -> Array:
    """The windows of images (B, height, width, c) that a convolution sees, shape (B, ⌈height / s⌉, ⌈width / s⌉, w w c).

    As strided slices, one for each place of a window: inside a loop XLA runs its own convolutions on the CPU at a
    tenth of the speed.
    """
    sides = [(w, s, -(-large // s), large) for w, s, large in zip(window, stride, images.shape[1:3], strict=True)]
    ends = [(w // 2, s * (small - 1) + w - w // 2 - large) for w, s, small, large in sides]
    down, across = ([slice(k, k + s * (small - 1) + 1, s) for k in range(w)] for w, s, small, _ in sides)
    padded = ops.pad(images, ((0, 0), *ends, (0, 0)))
    rows = [padded[:, place] for place in down]
    return ops.concatenate([row[:, :, place] for row in rows for place in across], -1)


def scatter(windows: Array, sides: Sides, stride: Sides) -> Array:
    """The adjoint of ``gather``: windows of shape (B, h, w, *window, c), added up into images (B, *sides, c)."""
    below, right, _, _, channels = windows.shape[1:]
    down, across = stride
    squares = interleaved(interleaved(windows, 1, 3, down), 3, 4, across)
    images = ops.reshape(squares, (-1, down * below, across * right, channels))
    return images[:, : sides[0], : sides[1]]


def interleaved(windows: Array, axis: int, place: int, stride: int) -> Array:
    """What windows that stand along ``axis``, with their pixels along ``place``, give to the image in that direction.

    Pixel a of window m is the image's at s m + a − p = s (m + q) + r: the result has r as a new axis behind ``axis``.
    """
    found: list[list[Array]] = [[] for _ in range(stride)]
    for a in range(windows.shape[place]):
        q, r = divmod(a - windows.shape[place] // 2, stride)
        found[r].append(shifted(windows[(slice(None),) * place + (a,)], axis, q))
    return ops.stack([reduce(add, terms) for terms in found], axis + 1)


def shifted(array: Array, axis: int, steps: int) -> Array:
    """The array moved along an axis by so many places, zeros coming in."""
    size = array.shape[axis]
    much = min(abs(steps), size)
    first = much if steps < 0 else 0
    kept = array[(slice(None),) * axis + (slice(first, first + size - much),)]
    ends = (much, 0) if steps > 0 else (0, much)
    return ops.pad(kept, [ends if number == axis else (0, 0) for number in range(len(array.shape))])


def shrink(images: Array, kernel: Array, stride: Sides) -> Array:
    """The convolution of larger images as one product with the kernel (*window, outer, inner); its gradient is
    written down, since ``enlarge`` is the adjoint: XLA would spread each slice over a whole image and add them up."""
    sides, window = images.shape[1:3], kernel.shape[:2]

    @ops.custom_gradient
    def product(images: Array, kernel: Array) -> tuple[Array, Gradient]:
        def gradient(g: Array) -> tuple[Array, Array]:
            return enlarge(g, kernel, sides, stride), kernel_gradient(images, g, window, stride)

        windows = gather(images, window, stride)
        return ops.tensordot(windows, ops.reshape(kernel, (-1, kernel.shape[-1])), 1), gradient

    return product(images, kernel)


def enlarge(images: Array, kernel: Array, sides: Sides, stride: Sides) -> Array:
    """The transposed convolution of smaller images into larger ones of these sides; ``kernel`` as in ``shrink``."""
    below, right = images.shape[1:3]

    @ops.custom_gradient
    def product(images: Array, kernel: Array) -> tuple[Array, Gradient]:
        def gradient(g: Array) -> tuple[Array, Array]:
            return shrink(g, kernel, stride), kernel_gradient(g, images, kernel.shape[:2], stride)

        windows = ops.tensordot(images, ops.transpose(ops.reshape(kernel, (-1, kernel.shape[-1]))), 1)
        return scatter(ops.reshape(windows, (-1, below, right, *kernel.shape[:3])), sides, stride), gradient

    return product(images, kernel)


def kernel_gradient(larger: Array, smaller: Array, window: Sides, stride: Sides) -> Array:
    """Of shape (*window, outer, inner), from what stands on the two sides of the kernel."""
    outer, inner = larger.shape[-1], smaller.shape[-1]
    windows = ops.reshape(gather(larger, window, stride), (-1, math.prod(window) * outer))
    product = ops.matmul(ops.transpose(windows), ops.reshape(smaller, (-1, inner)))
    return ops.reshape(product, (*window, outer, inner))


def all_small(spec: NetworkSpec) -> bool:
    """Whether a network has convolutions, and all of them products that score faster."""
    smaller = [layer.smaller for layer in spec.layers().values() if layer.kind != "dense"]
    return bool(smaller) and all(height * width <= FEW_PIXELS for height, width in smaller)


def scored_by_products(spec: NetworkSpec, settings: TrainingSettings) -> bool:
    """Whether rows too go through products that XLA compiles, rather than through what the engine has of its own."""
    return settings.device == "cpu" and all_small(spec)


class Dense(keras.layers.Layer):
    """A dense layer that starts from a canonical kernel."""

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.inner = keras.layers.Dense(layer.outputs)
        self.inner.build((None, layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        return self.inner(x)


class Convolution(keras.layers.Layer):
    """A convolution of rows. Keras's ``same`` pads an even side at its end only, so the zeros are put there by hand."""

    canonical_axes = (0, 1, 2, 3)

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.images, self.stride = (-1, *layer.before, layer.inputs), layer.stride
        self.around = tuple((side, side) for side in layer.padding)
        shape = layer.outputs, layer.window, layer.stride
        self.inner = keras.layers.Conv2D(*shape, padding="valid", data_format="channels_last")
        padded = (side + 2 * p for side, p in zip(layer.before, layer.padding, strict=True))
        self.inner.build((None, *padded, layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        images = ops.pad(ops.reshape(x, self.images), ((0, 0), *self.around, (0, 0)))
        return ops.reshape(self.inner(images), (ops.shape(x)[0], -1))


class Transposed(keras.layers.Layer):
    """A convolution's adjoint, of rows: all that it gives, less what lies outside the image."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.images, self.after, self.stride = (-1, *layer.before, layer.inputs), layer.after, layer.stride
        self.low, shape = layer.padding, (layer.outputs, layer.window, layer.stride)
        self.inner = keras.layers.Conv2DTranspose(*shape, padding="valid", data_format="channels_last")
        self.inner.build((None, *layer.before, layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        (height, width), (top, left) = self.after, self.low
        images = self.inner(ops.reshape(x, self.images))
        inside = images[:, top : top + height, left : left + width]
        return ops.reshape(inside, (ops.shape(x)[0], -1))


class ConvolutionByProducts(Convolution):
    """The same as one product."""

    def call(self, x: Array) -> Array:
        if inference.rows_alone:
            return super().call(x)
        kernel, bias = (ops.convert_to_tensor(v, self.compute_dtype) for v in (self.inner.kernel, self.inner.bias))
        images = shrink(ops.reshape(x, self.images), kernel, self.stride) + bias
        return ops.reshape(images, (ops.shape(x)[0], -1))


class TransposedByProducts(Transposed):
    """The same as one product."""

    def call(self, x: Array) -> Array:
        if inference.rows_alone:
            return super().call(x)
        kernel, bias = (ops.convert_to_tensor(v, self.compute_dtype) for v in (self.inner.kernel, self.inner.bias))
        images = enlarge(ops.reshape(x, self.images), kernel, self.after, self.stride) + bias
        return ops.reshape(images, (ops.shape(x)[0], -1))


LAYERS: dict[str, Any] = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
LAYERS_BY_PRODUCTS = LAYERS | {"convolution": ConvolutionByProducts, "transposed": TransposedByProducts}
"""What XLA computes fastest on the CPU."""


def layers_of(spec: NetworkSpec, settings: TrainingSettings) -> Mapping[str, Any]:
    """The classes of a network's layers by their kind. On the CPU convolutions are products wherever XLA compiles a
    loop over steps, and where they are small in every program that it compiles."""
    compiled = settings.mode == "tuned" or (settings.mode == "xla" and all_small(spec))
    return LAYERS_BY_PRODUCTS if compiled and settings.device == "cpu" else LAYERS
