"""One layer of a network, as it maps rows to rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Sides = tuple[int, int]
"""(height, width), or what holds of each of these directions."""


@dataclass(frozen=True)
class Layer:
    """One layer as it maps rows to rows; an image is a row too, pixel after pixel, the channels of a pixel together.

    A window of a series is an image one pixel wide, step after step. With x the input, y the output, W the kernel,
    and of each direction, down with i and k, across with j and l, all from 0: w the kernel's side, s the stride,
    p = (w − 1) / 2 the padding:

    - ``dense``: y = x W + b, W of shape (inputs, outputs)
    - ``convolution``: y[i, j] = Σ_{k, l} x[s i + k − p, s j + l − p] W[k, l] + b, pixels outside the image being zero;
      W of shape (w, w, inputs, outputs), and a side of n pixels becomes one of ⌈n / s⌉
    - ``transposed``: y[s i + k − p, s j + l − p] = Σ x[i, j] W[k, l] + b over all i, j, k, l that meet there, those
      outside the image being dropped; W of shape (w, w, inputs, outputs). It is the convolution's adjoint: the sizes
      are the mirrored convolution's, so that n pixels come back whether s divides n or not

    Attributes
    ----------
    kind : ``dense``, ``convolution`` or ``transposed``
    inputs, outputs : int
        Columns, or for an image the channels of a pixel.
    before, after : (height, width) of the image it takes and gives; (1, 1) for a dense layer
    window : (height, width) of a convolution's kernel, w above
    stride : its steps down and across, s above
    """

    kind: Literal["dense", "convolution", "transposed"]
    inputs: int
    outputs: int
    before: Sides = (1, 1)
    after: Sides = (1, 1)
    window: Sides = (3, 3)
    stride: Sides = (2, 2)

    @property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's shape."""
        window = () if self.kind == "dense" else self.window
        return (*window, self.inputs, self.outputs)

    @property
    def padding(self) -> Sides:
        """Zeros before a convolution above and below an image, and left and right of it, whatever its size."""
        height, width = self.window
        return height // 2, width // 2

    @property
    def larger(self) -> Sides:
        """Of its two images the one that a convolution takes and its adjoint gives."""
        return self.after if self.kind == "transposed" else self.before

    @property
    def smaller(self) -> Sides:
        """The other one."""
        return self.before if self.kind == "transposed" else self.after
