"""The ``shared`` source of randomness: every draw is a pure function of (seed, purpose, index), the same everywhere.

Philox is a counter-based generator (Salmon et al. 2011): the key is (seed, purpose), and the index is the highest word
of its 256-bit counter, so that two streams can never overlap and none depends on how much was drawn from another.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

SCORING_SAMPLES = 16
"""Draws of z per row behind the score ``reconstruction_probability``."""


class Purpose(IntEnum):
    """What a stream is for: the second word of its key. The numbers are part of the format; never reuse one."""

    WEIGHTS = 0
    ORDER = 1
    NOISE = 2
    SCORING = 3


def stream(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """The generator of one stream; ``index`` is an epoch or the position of a tensor. Seeds are 0 to 2**64 - 1."""
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed, purpose], dtype=np.uint64), counter=np.array([0, 0, 0, index], dtype=np.uint64)
        )
    )


def permutation(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """The order in which an epoch visits the rows, shape (rows,)."""
    return stream(seed, Purpose.ORDER, epoch).permutation(rows)


def noise(seed: int, epoch: int, rows: int, latent: int) -> NDArray[np.float64]:
    """An epoch's ε, shape (rows, latent): line i belongs to the i-th row visited, not to row i of the data."""
    return stream(seed, Purpose.NOISE, epoch).standard_normal((rows, latent))


def scoring_noise(seed: int, latent: int) -> NDArray[np.float64]:
    """ε of ``reconstruction_probability``, shape (SCORING_SAMPLES, latent): the same draws for every row, so that a
    row's score depends neither on its neighbours nor on its place."""
    return stream(seed, Purpose.SCORING).standard_normal((SCORING_SAMPLES, latent))
