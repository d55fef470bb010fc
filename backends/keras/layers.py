"""The layers in Keras, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from backends.spec import KERNEL, PADDING, STRIDE, Layer

Array = Any  # a tensor of whichever engine Keras runs on


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


LAYERS: dict[str, Any] = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
