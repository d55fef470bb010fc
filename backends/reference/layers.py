"""The layers and the activations: what comes out of each, and its gradient or derivative.

Activations are f(a), element by element. With 1 the indicator, σ the logistic function, and Φ and φ distribution and
density of the standard normal:

- ``relu``: f = max(0, a);  f' = 1[a > 0]
- ``leaky_relu``: f = a for a > 0, else 0.01 a;  f' = 1 or 0.01
- ``elu``: f = a for a > 0, else exp(a) − 1;  f' = 1 or exp(a)
- ``tanh``: f' = 1 − f²
- ``sigmoid``: f = σ(a);  f' = f (1 − f)
- ``gelu``: f = a Φ(a) = a/2 (1 + erf(a / √2));  f' = Φ(a) + a φ(a)
- ``silu``: f = a σ(a);  f' = σ(a) (1 + a (1 − σ(a)))
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from backends.layer import Layer
from backends.spec import LEAKY_SLOPE, Activation

Array = NDArray[np.float64]


def logistic(a: Array) -> Array:
    e = np.exp(-np.abs(a))  # never overflows, and keeps the digits of probabilities near 0
    found: Array = np.where(a < 0.0, e, 1.0) / (1.0 + e)
    return found


def activate(activation: Activation, a: Array) -> Array:
    """f(a)."""
    found: Array
    match activation:
        case "relu":
            found = np.maximum(a, 0.0)
        case "leaky_relu":
            found = np.where(a > 0.0, a, LEAKY_SLOPE * a)
        case "elu":
            found = np.where(a > 0.0, a, np.expm1(np.minimum(a, 0.0)))
        case "tanh":
            found = np.tanh(a)
        case "sigmoid":
            found = logistic(a)
        case "gelu":
            found = a * ndtr(a)
        case "silu":
            found = a * logistic(a)
    return found


def slope(activation: Activation, a: Array) -> Array:
    """f'(a)."""
    found: Array
    match activation:
        case "relu":
            found = np.asarray(a > 0.0, dtype=np.float64)
        case "leaky_relu":
            found = np.where(a > 0.0, 1.0, LEAKY_SLOPE)
        case "elu":
            found = np.exp(np.minimum(a, 0.0))
        case "tanh":
            found = 1.0 - np.tanh(a) ** 2
        case "sigmoid":
            s = logistic(a)
            found = s * (1.0 - s)
        case "gelu":
            found = ndtr(a) + a * np.exp(-0.5 * a**2) / math.sqrt(2.0 * math.pi)
        case "silu":
            s = logistic(a)
            found = s * (1.0 + a * (1.0 - s))
    return found


def gather(rows: Array, layer: Layer) -> Array:
    """The windows of a layer's larger image under each pixel of its smaller one, (B, height, width, c, *window)."""
    around = ((side, side) for side in layer.padding)
    padded = np.pad(rows.reshape(len(rows), *layer.larger, -1), ((0, 0), *around, (0, 0)))
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, layer.window, axis=(1, 2))
    down, across = layer.stride
    return windows[:, ::down, ::across]


def scatter(windows: Array, layer: Layer) -> Array:
    """The adjoint of ``gather``: windows (B, height, width, *window, c), added up into rows of larger images."""
    (height, width), (below, right), (top, left), (s, t) = layer.larger, layer.smaller, layer.padding, layer.stride
    padded = np.zeros((len(windows), height + 2 * top, width + 2 * left, windows.shape[-1]))
    for k, l in np.ndindex(layer.window):  # noqa: E741  the formulas' own letter
        padded[:, k : k + s * (below - 1) + 1 : s, l : l + t * (right - 1) + 1 : t] += windows[:, :, :, k, l]
    return padded[:, top : top + height, left : left + width].reshape(len(windows), -1)


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
