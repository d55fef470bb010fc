"""The layers in PyTorch, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from backends.spec import KERNEL, LEAKY_SLOPE, PADDING, STRIDE, Activation, Layer

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


def gather(images: Tensor) -> Tensor:
    """The windows of images (B, height, width, c) that a convolution sees, shape (B, ⌈height / 2⌉, ⌈width / 2⌉, 9 c).

    As nine strided slices, which the compiler copies in one pass.
    """
    height, width = images.shape[1:3]
    below, right = -(-height // STRIDE), -(-width // STRIDE)
    sides = ((right, width), (below, height))  # PyTorch pads the last axis first
    ends = [(PADDING, STRIDE * (small - 1) + KERNEL - PADDING - large) for small, large in sides]
    padded = functional.pad(images, (0, 0, *ends[0], *ends[1]))
    rows = [padded[:, k : k + STRIDE * below - 1 : STRIDE] for k in range(KERNEL)]
    return torch.cat([row[:, :, j : j + STRIDE * right - 1 : STRIDE] for row in rows for j in range(KERNEL)], -1)


def scatter(windows: Tensor, sides: tuple[int, int]) -> Tensor:
    """The adjoint of ``gather``: windows of shape (B, h, w, 3, 3, c), added up into images (B, *sides, c).

    An even row of the image is the middle one of one window; an odd row is the last of one and the first of the next.
    The same holds of columns.
    """
    rows, below, right, _, _, channels = windows.shape
    following = functional.pad(windows[:, 1:, :, 0], (0, 0, 0, 0, 0, 0, 0, 1))
    pairs = torch.stack((windows[:, :, :, 1], windows[:, :, :, 2] + following), 2)
    following = functional.pad(pairs[:, :, :, 1:, 0], (0, 0, 0, 1))
    squares = torch.stack((pairs[:, :, :, :, 1], pairs[:, :, :, :, 2] + following), 4)
    images = squares.view(rows, STRIDE * below, STRIDE * right, channels)
    return images[:, : sides[0], : sides[1]]


class Dense(nn.Linear):
    """A dense layer that starts from a canonical kernel, which is the weight's transpose."""

    canonical_axes = (1, 0)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__(layer.inputs, layer.outputs, dtype=dtype)


class Convolution(nn.Conv2d):
    """A convolution of rows; PyTorch's images have their channels first, in view or in memory."""

    canonical_axes = (2, 3, 1, 0)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__(layer.inputs, layer.outputs, KERNEL, STRIDE, PADDING, dtype=dtype)
        self.before, self.after = layer.before, layer.after

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(len(x), *self.before, self.in_channels).permute(0, 3, 1, 2)
        return super().forward(images).permute(0, 2, 3, 1).reshape(len(x), -1)


class Transposed(nn.ConvTranspose2d):
    """A convolution's adjoint, of rows; the output padding tells an even side from an odd one."""

    canonical_axes = (2, 3, 0, 1)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        odd = tuple(STRIDE * small - large for small, large in zip(layer.before, layer.after, strict=True))
        extra = tuple(1 - side for side in odd)
        super().__init__(layer.inputs, layer.outputs, KERNEL, STRIDE, PADDING, output_padding=extra, dtype=dtype)
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
            images = gather(images) @ kernel.reshape(-1, self.out_channels)
        else:
            first = images.permute(0, 3, 1, 2)
            images = functional.conv2d(first, self.weight, None, STRIDE, PADDING).permute(0, 2, 3, 1)
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
            images = scatter(windows.view(*images.shape[:3], *kernel.shape[1:]), self.after)
        else:
            first, extra = images.permute(0, 3, 1, 2), self.output_padding
            images = functional.conv_transpose2d(first, self.weight, None, STRIDE, PADDING, extra).permute(0, 2, 3, 1)
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
