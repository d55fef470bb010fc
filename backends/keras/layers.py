"""The layers in Keras, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
from keras import ops

from backends import inference
from backends.spec import KERNEL, LEAKY_SLOPE, PADDING, STRIDE, Activation, Layer, NetworkSpec

Array = Any  # a tensor of whichever engine Keras runs on
Gradient = Callable[[Array], tuple[Array, Array]]


def leaky_relu(x: Array) -> Array:
    """Not Keras's own: on TensorFlow that takes the slope through float32, whatever the precision."""
    return ops.where(x > 0, x, LEAKY_SLOPE * x)


ACTIVATIONS: Mapping[Activation, Callable[[Array], Array]] = {
    "relu": ops.relu,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "elu": ops.elu,
    "leaky_relu": leaky_relu,
    "gelu": partial(ops.gelu, approximate=False),
    "silu": ops.silu,
}

FEW_PIXELS = 16
"""Of a layer's smaller image, up to which products compiled by XLA also score faster than the engine's convolutions: on
TensorFlow 1.4 times as fast on images of 8×8 pixels, on one core."""


def gather(images: Array) -> Array:
    """The windows of images (B, height, width, c) that a convolution sees, shape (B, ⌈height / 2⌉, ⌈width / 2⌉, 9 c).

    As nine strided slices: inside a loop XLA runs its own convolutions on the CPU at a tenth of the speed.
    """
    height, width = images.shape[1:3]
    below, right = -(-height // STRIDE), -(-width // STRIDE)
    sides = ((below, height), (right, width))
    ends = [(PADDING, STRIDE * (small - 1) + KERNEL - PADDING - large) for small, large in sides]
    padded = ops.pad(images, ((0, 0), *ends, (0, 0)))
    rows = [padded[:, k : k + STRIDE * below - 1 : STRIDE] for k in range(KERNEL)]
    return ops.concatenate([row[:, :, j : j + STRIDE * right - 1 : STRIDE] for row in rows for j in range(KERNEL)], -1)


def scatter(windows: Array, sides: tuple[int, int]) -> Array:
    """The adjoint of ``gather``: windows of shape (B, h, w, 3, 3, c), added up into images (B, *sides, c).

    An even row of the image is the middle one of one window; an odd row is the last of one and the first of the next.
    The same holds of columns.
    """
    below, right, _, _, channels = windows.shape[1:]
    following = ops.pad(windows[:, 1:, :, 0], ((0, 0), (0, 1), (0, 0), (0, 0), (0, 0)))
    pairs = ops.stack((windows[:, :, :, 1], windows[:, :, :, 2] + following), 2)
    following = ops.pad(pairs[:, :, :, 1:, 0], ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0)))
    squares = ops.stack((pairs[:, :, :, :, 1], pairs[:, :, :, :, 2] + following), 4)
    images = ops.reshape(squares, (-1, STRIDE * below, STRIDE * right, channels))
    return images[:, : sides[0], : sides[1]]


def shrink(images: Array, kernel: Array) -> Array:
    """The convolution of larger images as one product with the kernel (3, 3, outer, inner); its gradient is written
    down, since ``enlarge`` is the adjoint: XLA would spread each slice over a whole image and add nine of these."""
    sides = images.shape[1:3]

    @ops.custom_gradient
    def product(images: Array, kernel: Array) -> tuple[Array, Gradient]:
        def gradient(g: Array) -> tuple[Array, Array]:
            return enlarge(g, kernel, sides), kernel_gradient(images, g)

        return ops.tensordot(gather(images), ops.reshape(kernel, (-1, kernel.shape[-1])), 1), gradient

    return product(images, kernel)


def enlarge(images: Array, kernel: Array, sides: tuple[int, int]) -> Array:
    """The transposed convolution of smaller images into larger ones of these sides; ``kernel`` as in ``shrink``."""
    below, right = images.shape[1:3]

    @ops.custom_gradient
    def product(images: Array, kernel: Array) -> tuple[Array, Gradient]:
        def gradient(g: Array) -> tuple[Array, Array]:
            return shrink(g, kernel), kernel_gradient(g, images)

        windows = ops.tensordot(images, ops.transpose(ops.reshape(kernel, (-1, kernel.shape[-1]))), 1)
        return scatter(ops.reshape(windows, (-1, below, right, *kernel.shape[:3])), sides), gradient

    return product(images, kernel)


def kernel_gradient(larger: Array, smaller: Array) -> Array:
    """Of shape (3, 3, outer, inner), from what stands on the two sides of the kernel."""
    outer, inner = larger.shape[-1], smaller.shape[-1]
    windows = ops.reshape(gather(larger), (-1, KERNEL**2 * outer))
    product = ops.matmul(ops.transpose(windows), ops.reshape(smaller, (-1, inner)))
    return ops.reshape(product, (KERNEL, KERNEL, outer, inner))


def all_small(spec: NetworkSpec) -> bool:
    """Whether a network has convolutions, and all of them products that score faster."""
    kinds = {"convolution": "after", "transposed": "before"}
    smaller = [getattr(layer, kinds[layer.kind]) for layer in spec.layers().values() if layer.kind in kinds]
    return bool(smaller) and all(height * width <= FEW_PIXELS for height, width in smaller)


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
        self.images = (-1, *layer.before, layer.inputs)
        self.inner = keras.layers.Conv2D(layer.outputs, KERNEL, STRIDE, padding="valid", data_format="channels_last")
        self.inner.build((None, *(side + 2 * PADDING for side in layer.before), layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        around = (PADDING, PADDING)
        images = ops.pad(ops.reshape(x, self.images), ((0, 0), around, around, (0, 0)))
        return ops.reshape(self.inner(images), (ops.shape(x)[0], -1))


class Transposed(keras.layers.Layer):
    """A convolution's adjoint, of rows: all that it gives, less what lies outside the image."""

    canonical_axes = (0, 1, 3, 2)

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.images, self.after = (-1, *layer.before, layer.inputs), layer.after
        self.inner = keras.layers.Conv2DTranspose(
            layer.outputs, KERNEL, STRIDE, padding="valid", data_format="channels_last"
        )
        self.inner.build((None, *layer.before, layer.inputs))
        self.built = True

    def call(self, x: Array) -> Array:
        height, width = self.after
        images = self.inner(ops.reshape(x, self.images))
        inside = images[:, PADDING : PADDING + height, PADDING : PADDING + width]
        return ops.reshape(inside, (ops.shape(x)[0], -1))


class ConvolutionByProducts(Convolution):
    """The same as one product."""

    def call(self, x: Array) -> Array:
        if inference.rows_alone:
            return super().call(x)
        kernel, bias = (ops.convert_to_tensor(v, self.compute_dtype) for v in (self.inner.kernel, self.inner.bias))
        images = shrink(ops.reshape(x, self.images), kernel) + bias
        return ops.reshape(images, (ops.shape(x)[0], -1))


class TransposedByProducts(Transposed):
    """The same as one product."""

    def call(self, x: Array) -> Array:
        if inference.rows_alone:
            return super().call(x)
        kernel, bias = (ops.convert_to_tensor(v, self.compute_dtype) for v in (self.inner.kernel, self.inner.bias))
        images = enlarge(ops.reshape(x, self.images), kernel, self.after) + bias
        return ops.reshape(images, (ops.shape(x)[0], -1))


LAYERS: dict[str, Any] = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
LAYERS_BY_PRODUCTS = LAYERS | {"convolution": ConvolutionByProducts, "transposed": TransposedByProducts}
"""What XLA computes fastest on the CPU."""
