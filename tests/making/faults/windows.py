"""Faults in convolutions over time."""

from __future__ import annotations

from typing import Any

from bench.proof import ladder
from making.faults.planting import fault, patch


@fault("jax", ladder.FORWARD, "windows 10×2")
def window_channel_by_channel(module: Any) -> Any:
    """a window read channel by channel, each with all its steps, where it is step by step"""

    def turned(real: Any) -> Any:
        def convolve(self: Any, x: Any) -> Any:
            steps, _, channels = self.images
            return real(self, x.reshape(len(x), channels, steps).swapaxes(1, 2).reshape(len(x), -1))

        return convolve

    return patch(module.layers.Convolution, "__call__", turned)


@fault("torch", ladder.FORWARD, "windows 5×4")
def backwards_in_time(module: Any) -> Any:
    """a kernel that runs over time backwards, as mathematics has a convolution"""
    functional = module.layers.functional
    return patch(
        functional,
        "conv2d",
        lambda real: lambda images, weight, *more, **options: real(images, weight.flip(2), *more, **options),
    )


@fault("keras", ladder.FORWARD, "windows 5×4")
def causal_padding(module: Any) -> Any:
    """zeros before the first step of a window alone, as a causal convolution has them"""
    return patch(module.keras.ops, "pad", lambda real: lambda x, widths: real(x, ((0, 0), (4, 0), (0, 0), (0, 0))))
