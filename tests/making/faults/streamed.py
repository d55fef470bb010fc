"""Faults in training on rows that are streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backends import randomness
from backends.streaming import Stream
from bench.proof import native
from making.faults.planting import fault, patch


@fault("torch", native.ORDER, native.STREAMED, mode="fused")
def blocks_never_shuffled(module: Any) -> Any:
    """blocks of streamed rows never shuffled, though the rows of each part are"""

    def in_order(real: Any) -> Any:
        def parts(seed: int, epoch: int, rows: int, size: int) -> Iterator[Any]:
            for number, start in enumerate(range(0, rows, size)):
                yield np.random.default_rng((seed, epoch, number)).permutation(
                    np.arange(start, min(start + size, rows))
                )

        return parts

    return patch(randomness, "parts", in_order)


@fault("torch", native.ORDER, native.STREAMED, mode="tuned")
def one_order_within_parts(module: Any) -> Any:
    """streamed rows in the same order within every part"""

    def alike(real: Any) -> Any:
        def parts(seed: int, epoch: int, rows: int, size: int) -> Iterator[Any]:
            for part in real(seed, epoch, rows, size):
                yield np.sort(part)[np.random.default_rng(seed).permutation(len(part))]

        return parts

    return patch(randomness, "parts", alike)


@fault("jax", native.LOSSES, native.STREAMED, mode="tuned")
def a_part_trained_twice(module: Any) -> Any:
    """a part of streamed rows trained twice, and the next never"""

    def stale(real: Any) -> Any:
        def parts(self: Stream, epoch: int) -> Iterator[Any]:
            before = None
            for number, (steps, rows) in enumerate(real(self, epoch)):
                yield steps, before if number == 1 else rows
                before = rows

        return parts

    return patch(Stream, "parts", stale)


@fault("keras", native.LOSSES, native.STREAMED, mode="tuned")
def last_part_padded(module: Any) -> Any:
    """a last part of streamed rows trained to its end, with what fills it up"""

    def whole(real: Any) -> Any:
        def run_part(self: Any, steps: int, rows: Any, drawn: Any) -> Any:
            return real(self, steps if steps == 1 else len(rows) // self.settings.batch_size, rows, drawn)

        return run_part

    return patch(module.TunedModel, "run_part", whole)
