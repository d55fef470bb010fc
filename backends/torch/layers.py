"""The layers in PyTorch, which start from canonical kernels and map rows to rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backends.spec import KERNEL, PADDING, STRIDE, Layer


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
        self.before = layer.before

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(len(x), *self.before, self.in_channels).permute(0, 3, 1, 2)
        return self.convolve(images).permute(0, 2, 3, 1).reshape(len(x), -1)

    def convolve(self, images: Tensor) -> Tensor:
        return super().forward(images)


class Transposed(nn.ConvTranspose2d):
    """A convolution's adjoint, of rows; the output padding tells an even side from an odd one."""

    canonical_axes = (2, 3, 0, 1)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        odd = tuple(STRIDE * small - large for small, large in zip(layer.before, layer.after, strict=True))
        extra = tuple(1 - side for side in odd)
        super().__init__(layer.inputs, layer.outputs, KERNEL, STRIDE, PADDING, output_padding=extra, dtype=dtype)
        self.before = layer.before

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(len(x), *self.before, self.in_channels).permute(0, 3, 1, 2)
        return self.convolve(images).permute(0, 2, 3, 1).reshape(len(x), -1)

    def convolve(self, images: Tensor) -> Tensor:
        return super().forward(images)


class BareConvolution(Convolution):
    """The same with its bias added apart where it is compiled: the library takes a pass over all images for the bias's
    gradient, and the compiler none."""

    def convolve(self, images: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().convolve(images)
        return add_bias(functional.conv2d(images, self.weight, None, STRIDE, PADDING), self.bias)


class BareTransposed(Transposed):
    """As ``BareConvolution``."""

    def convolve(self, images: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().convolve(images)
        extra = self.output_padding
        return add_bias(functional.conv_transpose2d(images, self.weight, None, STRIDE, PADDING, extra), self.bias)


def add_bias(images: Tensor, bias: Tensor) -> Tensor:
    """To every pixel of images whose channels are in view the first."""
    return images + bias.to(images.dtype)[:, None, None]


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
    row; a difference it fuses with the ReLU. Uncompiled, that call is the faster."""
    if not torch.compiler.is_compiling():
        return functional.linear(x, kernel.t(), bias)
    y = x @ kernel
    return y - (-bias).to(y.dtype)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}
