"""The layers in PyTorch, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial, reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn import functional

from backends.layer import Layer, Sides
from backends.spec import LEAKY_SLOPE, Activation

ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": functional.elu,
    "leaky_relu": partial(functional.leaky_relu, negative_slope=LEAKY_SLOPE),
    "gelu": functional.gelu,
    "silu": functional.silu,
}

FEW_PIXELS = 16
"""Of a layer's smaller image, up to which a product stands for the library's convolution. On one core a whole training
step with products takes 0.4 of the time on images of 8×8 pixels, and 1.2 of it on those of 28×28."""


def gather(images: Tensor, window: Sides, stride: Sides) -> Tensor:
    """The windows of images (B, height, width, c) that a convolution sees, shape (B, ⌈height / s⌉, ⌈width / s⌉, w w c).

    As strided slices, one for each place of a window, which the compiler copies in one pass.
    """
    sides = [(w, s, -(-large // s), large) for w, s, large in zip(window, stride, images.shape[1:3], strict=True)]
    ends = [(w // 2, s * (small - 1) + w - w // 2 - large) for w, s, small, large in sides]
    down, across = ([slice(k, k + s * (small - 1) + 1, s) for k in range(w)] for w, s, small, _ in sides)
    padded = functional.pad(images, (0, 0, *ends[1], *ends[0]))  # PyTorch pads the last axis first
    rows = [padded[:, place] for place in down]
    return torch.cat([row[:, :, place] for row in rows for place in across], -1)


def scatter(windows: Tensor, sides: Sides, stride: Sides) -> Tensor:
    """The adjoint of ``gather``: windows of shape (B, h, w, *window, c), added up into images (B, *sides, c)."""
    rows, below, right, _, _, channels = windows.shape
    down, across = stride
    squares = interleaved(interleaved(windows, 1, 3, down), 3, 4, across)
    images = squares.view(rows, down * below, across * right, channels)
    return images[:, : sides[0], : sides[1]]


def interleaved(windows: Tensor, axis: int, place: int, stride: int) -> Tensor:
    """What windows that stand along ``axis``, with their pixels along ``place``, give to the image in that direction.

    Pixel a of window m is the image's at s m + a − p = s (m + q) + r: the result has r as a new axis behind ``axis``.
    """
    found: list[list[Tensor]] = [[] for _ in range(stride)]
    for a in range(windows.shape[place]):
        q, r = divmod(a - windows.shape[place] // 2, stride)
        found[r].append(shifted(windows.select(place, a), axis, q))
    return torch.stack([reduce(add, terms) for terms in found], axis + 1)


def shifted(array: Tensor, axis: int, steps: int) -> Tensor:
    """The array moved along an axis by so many places, zeros coming in."""
    size = array.shape[axis]
    much = min(abs(steps), size)
    kept = array.narrow(axis, much if steps < 0 else 0, size - much)
    ends = (much, 0) if steps > 0 else (0, much)
    return functional.pad(kept, (*(0, 0) * (array.ndim - 1 - axis), *ends))


class Dense(nn.Linear):
    """A dense layer that starts from a canonical kernel, which is the weight's transpose."""

    canonical_axes = (1, 0)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__(layer.inputs, layer.outputs, dtype=dtype)


class Convolution(nn.Conv2d):
    """A convolution of rows; PyTorch's images have their channels first, in view or in memory."""

    canonical_axes = (2, 3, 1, 0)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__(layer.inputs, layer.outputs, layer.window, layer.stride, layer.padding, dtype=dtype)
        self.before, self.after = layer.before, layer.after

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(len(x), *self.before, self.in_channels).permute(0, 3, 1, 2)
        return super().forward(images).permute(0, 2, 3, 1).reshape(len(x), -1)


class Transposed(nn.ConvTranspose2d):
    """A convolution's adjoint, of rows; the output padding tells which of the sides it can have had is meant."""

    canonical_axes = (2, 3, 0, 1)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        sides = zip(layer.stride, layer.before, layer.after, strict=True)
        extra = tuple(large - s * (small - 1) - 1 for s, small, large in sides)
        shape = layer.window, layer.stride, layer.padding
        super().__init__(layer.inputs, layer.outputs, *shape, output_padding=extra, dtype=dtype)
        self.before, self.after = layer.before, layer.after

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(len(x), *self.before, self.in_channels).permute(0, 3, 1, 2)
        return super().forward(images).permute(0, 2, 3, 1).reshape(len(x), -1)


class ConvolutionByProducts(Convolution):
    """The same, compiled: of small images one product; of large ones the library's, with the bias added apart, since
    its gradient costs the library a pass over all images and the compiler none. Uncompiled, the library's is faster."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        images = x.view(len(x), *self.before, self.in_channels)
        if math.prod(self.after) <= FEW_PIXELS:
            kernel = self.weight.permute(self.canonical_axes)
            images = gather(images, kernel.shape[:2], self.stride) @ kernel.reshape(-1, self.out_channels)
        else:
            first = images.permute(0, 3, 1, 2)
            images = functional.conv2d(first, self.weight, None, self.stride, self.padding).permute(0, 2, 3, 1)
        return (images + self.bias.to(images.dtype)).reshape(len(x), -1)


class TransposedByProducts(Transposed):
    """As ``ConvolutionByProducts``."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        images = x.view(len(x), *self.before, self.in_channels)
        if math.prod(self.before) <= FEW_PIXELS:
            kernel = self.weight.permute(0, 2, 3, 1)
            windows = images @ kernel.reshape(self.in_channels, -1)
            images = scatter(windows.view(*images.shape[:3], *kernel.shape[1:]), self.after, self.stride)
        else:
            first, shape = images.permute(0, 3, 1, 2), (self.stride, self.padding, self.output_padding)
            images = functional.conv_transpose2d(first, self.weight, None, *shape).permute(0, 2, 3, 1)
        return (images + self.bias.to(images.dtype)).reshape(len(x), -1)


class Wide(nn.Module):
    """A dense layer that keeps the canonical kernel as it is.

    Its gradient is then xᵀ g, which where the outputs are more than the inputs takes less time than gᵀ x.
    """

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layer.inputs, layer.outputs, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(layer.outputs, dtype=dtype))

    @property
    def kernel(self) -> Tensor:
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        return product_and_bias(x, self.kernel, self.bias)


class Narrow(Dense):
    """A dense layer whose bias is added with what comes after it."""

    @property
    def kernel(self) -> Tensor:
        return self.weight.t()

    def forward(self, x: Tensor) -> Tensor:
        return product_and_bias(x, self.kernel, self.bias)


def product_and_bias(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """x W + b. Of product and sum the compiler would make one call of a library, which first copies the bias to every
    row; a difference it fuses with the activation. Uncompiled, that call is the faster."""
    if not torch.compiler.is_compiling():
        return functional.linear(x, kernel.t(), bias)
    y = x @ kernel
    return y - (-bias).to(y.dtype)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
CONVOLUTIONS_BY_PRODUCTS = {"convolution": ConvolutionByProducts, "transposed": TransposedByProducts}
"""What takes least time on the CPU."""
