"""What Keras leaves to its engine, here PyTorch; the other engines' files name their functions alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from backends.keras.engines.batches import Batches
from backends.spec import Precision

VERSIONS = {"torch": str(torch.__version__)}
NO_GPU = "PyTorch finds no CUDA device"
MISSING_MODES = {
    "xla": "Keras runs PyTorch eagerly",
    "tuned": "Keras has no compiled training loop for PyTorch; the backend torch has",
}
"""The modes that this engine does not have, and why."""


def gpu_name() -> str | None:
    """The first GPU's name, or None where there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def compute_capability() -> float:
    """The first GPU's, as NVIDIA counts it; 0 where there is none."""
    major, minor = torch.cuda.get_device_capability() if torch.cuda.is_available() else (0, 0)
    return major + minor / 10


def threads() -> int | None:
    """Threads within one operation."""
    return torch.get_num_threads()


def seed(number: int) -> int:
    """As Keras's generator takes it, which on PyTorch keeps it in a signed 32-bit number."""
    return number if number < 2**31 else number - 2**32


def set_precision(precision: Precision) -> None:
    """How exact matrix products are."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def batches(arrays: Any, size: int, seed: int | None) -> Batches:
    """Full batches of equally long arrays: in their order, or shuffled anew at each pass where there is a seed."""
    return Batches(arrays, size, seed)


def drawing(network: keras.Model, rows: int) -> Callable[[], dict[str, Any]]:
    """What draws for so many rows as a training step does."""
    return lambda: network.draw(rows)


def gradient(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Of a function with one number as its result, for x."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        (found,) = torch.autograd.grad(function(at), at)
    return found


def synchronize(variables: Sequence[keras.Variable]) -> None:
    """Waits for all that is queued on the device; on the CPU PyTorch queues nothing."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def memory_peak() -> int:
    """The most bytes held on the first GPU."""
    return torch.cuda.max_memory_allocated()
