"""The golden copy's convolution and transposed convolution against their formulas, as loops over pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.layer import Layer, Sides
from backends.reference import forward

images = st.tuples(st.integers(1, 7), st.integers(1, 7))
channels = st.integers(1, 3)
seeds = st.integers(0, 1000)
# each direction by itself: over time the other one has a single pixel
windows = st.tuples(*[st.sampled_from([1, 3, 5])] * 2)
strides = st.tuples(*[st.sampled_from([1, 2])] * 2)


def make_pair(
    large: Sides, outer: int, inner: int, window: Sides = (3, 3), stride: Sides = (2, 2)
) -> tuple[Layer, Layer]:
    """A convolution of images of ``outer`` channels to ``inner`` ones, and the transposed one that mirrors it."""
    small = ((large[0] + stride[0] - 1) // stride[0], (large[1] + stride[1] - 1) // stride[1])
    down = Layer("convolution", outer, inner, large, small, window, stride)
    return down, Layer("transposed", inner, outer, small, large, window, stride)


def pixel_by_pixel(layer: Layer, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The formulas of ``Layer``, x of shape (rows, height, width, inputs)."""
    y = np.zeros((len(x), *layer.after, layer.outputs)) + bias
    down = layer.kind == "convolution"
    small, (height, width) = (layer.after, layer.before) if down else (layer.before, layer.after)
    for i, j in np.ndindex(small):
        for k, l in np.ndindex(layer.window):  # noqa: E741  the formulas' own letter
            places = zip((i, j), (k, l), layer.stride, layer.window, strict=True)
            row, column = (stride * place + at - window // 2 for place, at, stride, window in places)
            if not (0 <= row < height and 0 <= column < width):
                continue
            if down:
                y[:, i, j] += x[:, row, column] @ kernel[k, l]
            else:
                y[:, row, column] += x[:, i, j] @ kernel[k, l]
    return y


@given(large=images, outer=channels, inner=channels, window=windows, stride=strides, seed=seeds)
@settings(deadline=None, max_examples=40)
def test_both_convolutions_equal_their_formulas(large, outer, inner, window, stride, seed):
    rng = np.random.default_rng(seed)
    for layer in make_pair(large, outer, inner, window, stride):
        x = rng.normal(size=(2, *layer.before, layer.inputs))
        kernel, bias = rng.normal(size=layer.kernel), rng.normal(size=layer.outputs)
        expected = pixel_by_pixel(layer, x, kernel, bias)
        np.testing.assert_allclose(
            forward(layer, x.reshape(2, -1), kernel, bias), expected.reshape(2, -1), rtol=1e-10, atol=1e-12
        )


@given(large=images, outer=channels, inner=channels, window=windows, stride=strides, seed=seeds)
@settings(deadline=None, max_examples=40)
def test_the_transposed_convolution_is_the_adjoint(large, outer, inner, window, stride, seed):
    """⟨convolution(x), y⟩ = ⟨x, transposed(y)⟩, which makes it the convolution's mirror whatever the sides."""
    rng = np.random.default_rng(seed)
    down, up = make_pair(large, outer, inner, window, stride)
    kernel = rng.normal(size=down.kernel)
    x = rng.normal(size=(1, large[0] * large[1] * outer))
    y = rng.normal(size=(1, up.before[0] * up.before[1] * inner))
    left = forward(down, x, kernel, np.zeros(inner)) * y
    right = x * forward(up, y, kernel.swapaxes(2, 3), np.zeros(outer))
    np.testing.assert_allclose(left.sum(), right.sum(), rtol=1e-10, atol=1e-10)


def test_zeros_stand_on_all_four_sides_of_an_even_image_too():
    """`same` padding, which puts them below and to the right alone, would give the same numbers turned round."""
    down, up = make_pair((4, 4), 1, 1)
    kernel, none = np.ones((3, 3, 1, 1)), np.zeros(1)
    np.testing.assert_array_equal(forward(down, np.ones((1, 16)), kernel, none)[0], [4, 6, 6, 9])
    corner = forward(up, np.array([[1.0, 0, 0, 0]]), kernel, none).reshape(4, 4)
    assert np.argwhere(corner).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
