"""One layer of a network, as it maps rows to rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Layer:
    """One layer as it maps rows to rows; an image is a row too, pixel after pixel, the channels of a pixel together.

    With x the input, y the output, W the kernel, w its side, s the stride, p = (w − 1) / 2 the padding, i, j from 0:

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
    window : height and width of a convolution's kernel, w above
    stride : its step in both directions, s above
    """

    kind: Literal["dense", "convolution", "transposed"]
    inputs: int
    outputs: int
    before: tuple[int, int] = (1, 1)
    after: tuple[int, int] = (1, 1)
    window: int = 3
    stride: int = 2

    @property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's shape."""
        window = () if self.kind == "dense" else (self.window, self.window)
        return (*window, self.inputs, self.outputs)

    @property
    def padding(self) -> int:
        """Zeros around an image before a convolution, on all four sides, whatever the image's size."""
        return self.window // 2

    @property
    def larger(self) -> tuple[int, int]:
        """Of its two images the one that a convolution takes and its adjoint gives."""
        return self.after if self.kind == "transposed" else self.before

    @property
    def smaller(self) -> tuple[int, int]:
        """The other one."""
        return self.before if self.kind == "transposed" else self.after
