"""The layers: what comes out of each, and its gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backends.spec import KERNEL, PADDING, STRIDE, Layer

Array = NDArray[np.float64]


def gather(rows: Array, layer: Layer) -> Array:
    """The windows of a layer's larger image under each pixel of its smaller one, shape (B, height, width, c, 3, 3)."""
    large = max(layer.before, layer.after)
    images = rows.reshape(len(rows), *large, -1)
    padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), axis=(1, 2))
    return windows[:, ::STRIDE, ::STRIDE]


def scatter(windows: Array, layer: Layer) -> Array:
    """The adjoint of ``gather``: windows of shape (B, height, width, 3, 3, c), added up into rows of larger images."""
    (height, width), (below, right) = max(layer.before, layer.after), windows.shape[1:3]
    rows, channels = len(windows), windows.shape[-1]
    padded = np.zeros((rows, height + 2 * PADDING, width + 2 * PADDING, channels))
    for k, j in np.ndindex(KERNEL, KERNEL):
        padded[:, k : k + STRIDE * below : STRIDE, j : j + STRIDE * right : STRIDE] += windows[:, :, :, k, j]
    return padded[:, PADDING : PADDING + height, PADDING : PADDING + width].reshape(rows, -1)


def forward(layer: Layer, h: Array, kernel: Array, bias: Array) -> Array:
    """a from h, both rows."""
    if layer.kind == "dense":
        return h @ kernel + bias
    if layer.kind == "convolution":
        a: Array = np.tensordot(gather(h, layer), kernel, ((4, 5, 3), (0, 1, 2))) + bias
        return a.reshape(len(h), -1)
    small = h.reshape(len(h), *layer.before, layer.inputs)
    a = scatter(np.tensordot(small, kernel, ((3,), (2,))), layer)
    return (a.reshape(len(h), -1, layer.outputs) + bias).reshape(len(h), -1)


def backward(layer: Layer, h: Array, kernel: Array, da: Array) -> tuple[Array, Array, Array]:
    """dW, db and dh from da."""
    db = da.reshape(-1, layer.outputs).sum(axis=0)
    if layer.kind == "dense":
        return h.T @ da, db, da @ kernel.T
    if layer.kind == "convolution":
        small = da.reshape(len(h), *layer.after, layer.outputs)
        d_kernel = np.tensordot(gather(h, layer), small, ((0, 1, 2), (0, 1, 2))).transpose(1, 2, 0, 3)
        return d_kernel, db, scatter(np.tensordot(small, kernel, ((3,), (3,))), layer)
    small, windows = h.reshape(len(h), *layer.before, layer.inputs), gather(da, layer)
    d_kernel = np.tensordot(windows, small, ((0, 1, 2), (0, 1, 2))).transpose(1, 2, 3, 0)
    return d_kernel, db, np.tensordot(windows, kernel, ((4, 5, 3), (0, 1, 3))).reshape(len(h), -1)
