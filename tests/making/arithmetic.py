"""What PyTorch's own counter counts; run in a process of its own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

import backends
from backends.adversarial import Adversarial
from backends.spec import NetworkSpec, TrainingSettings
from backends.weights import initial_weights


def counter() -> Any:
    """A counter that tells modules not apart: what does so cannot follow the gradient of an input."""
    from torch.utils.flop_counter import FlopCounterMode

    class Whole(nullcontext[None]):
        parents = ("Global",)

    mode = FlopCounterMode(display=False)
    mode.mod_tracker = Whole()
    return mode


def counted(name: str, spec: NetworkSpec, batch: int, moves: int = 0) -> tuple[int, int]:
    """Floating-point operations of one training step and of one forward pass over a batch of rows."""
    adversarial = Adversarial("pgd", 0.1, moves) if moves else None
    settings = TrainingSettings(batch_size=batch, threads=1, adversarial=adversarial)
    rows = np.random.default_rng(0).random((batch, spec.features), dtype=np.float32)
    model = backends.load(name).build(spec, initial_weights(spec, 0, rows), settings)
    model.load_data(rows)
    with counter() as training:
        model.run_epoch(0)
    with counter() as forward:
        model.reconstruct(rows)
    return training.get_total_flops(), forward.get_total_flops()
