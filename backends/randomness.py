"""The ``shared`` source of randomness: every draw is a pure function of (seed, purpose, index), the same everywhere.

Philox is a counter-based generator (Salmon et al. 2011): the key is (seed, purpose), and index and part are the highest
words of its 256-bit counter, so that two streams can never overlap and none depends on how much was drawn from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.spec import NetworkSpec, TrainingSettings

EPSILON, CORRUPTION = "epsilon", "corruption"
"""What ε and η are called among an epoch's arrays."""
SCORING_SAMPLES = 16
"""Draws of z per row behind the score ``reconstruction_probability``."""
HELD_BYTES = {"cpu": 1 << 28, "gpu": 1 << 32}
"""Of training rows in float32, up to which a device holds all of them where the settings say nothing."""
PART_BYTES = 1 << 25
"""Of a part's rows in float32, where they are streamed and the settings say nothing."""
BLOCKS = 64
"""Blocks of rows that lie side by side, of which a part is made."""


class Purpose(IntEnum):
    """What a stream is for: the second word of its key. The numbers are part of the format; never reuse one."""

    WEIGHTS = 0
    ORDER = 1
    NOISE = 2
    SCORING = 3
    DROPOUT = 4
    CORRUPTION = 5


def stream(seed: int, purpose: Purpose, index: int = 0, part: int = 0) -> np.random.Generator:
    """The generator of one stream; ``index`` is an epoch or the position of a tensor, ``part`` the position of a layer
    within the epoch. Seeds are 0 to 2**64 - 1."""
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed, purpose], dtype=np.uint64), counter=np.array([0, 0, part, index], dtype=np.uint64)
        )
    )


def permutation(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """The order in which an epoch visits the rows, shape (rows,)."""
    return stream(seed, Purpose.ORDER, epoch).permutation(rows)


def part_rows(settings: TrainingSettings, rows: int, features: int) -> int:
    """Rows of a part, a multiple of the batch, where training rows of this shape are streamed; 0 where all are held.

    The shared source, which is for proof, holds them always."""
    most, size = settings.stream_rows, settings.batch_size
    if settings.random_source == "shared":
        return 0
    if not most and 4 * rows * features > HELD_BYTES[settings.device]:
        most = PART_BYTES // (4 * features)
    return max(most // size, 1) * size if 0 < most < rows else 0


def parts(seed: int, epoch: int, rows: int, size: int) -> Iterator[NDArray[np.int64]]:
    """The order in which an epoch visits rows that are streamed, in parts of so many rows, the last of fewer.

    Blocks of a ``BLOCKS``-th of a part, rows that lie side by side, are permuted and strung together; that is cut into
    parts, and the rows of each are permuted. So a part reads few stretches of the data, and every row is visited once.
    """
    block = max(size // BLOCKS, 1)
    blocks = stream(seed, Purpose.ORDER, epoch).permutation(-(-rows // block))
    lengths = np.minimum(rows - blocks * block, block)
    ends = np.cumsum(lengths)
    for part, start in enumerate(range(0, rows, size)):
        place = np.arange(start, min(start + size, rows))
        which = np.searchsorted(ends, place, side="right")
        lying = blocks[which] * block + place - (ends - lengths)[which]
        yield stream(seed, Purpose.ORDER, epoch, part + 1).permutation(lying)


def noise(seed: int, epoch: int, rows: int, latent: int) -> NDArray[np.float64]:
    """An epoch's ε, shape (rows, latent): line i belongs to the i-th row visited, not to row i of the data."""
    return stream(seed, Purpose.NOISE, epoch).standard_normal((rows, latent))


def corruption(seed: int, epoch: int, rows: int, features: int) -> NDArray[np.float64]:
    """An epoch's η, which is added to the rows, shape (rows, features): line i belongs to the i-th row visited."""
    return stream(seed, Purpose.CORRUPTION, epoch).standard_normal((rows, features))


def dropout_masks(
    seed: int, epoch: int, rows: int, widths: Mapping[str, int], rate: float
) -> dict[str, NDArray[np.bool_]]:
    """An epoch's dropout, by layer, each of shape (rows, width): False where a unit is zeroed. Line i belongs to the
    i-th row visited. ``widths`` holds the layers in canonical order; with a rate of 0 there are no masks."""
    if rate == 0.0:
        return {}
    return {
        name: stream(seed, Purpose.DROPOUT, epoch, part).random((rows, width)) >= rate
        for part, (name, width) in enumerate(widths.items())
    }


@dataclass(frozen=True)
class Epoch:
    """All that chance decides in one epoch; line i of all but ``order`` belongs to the i-th row visited.

    Attributes
    ----------
    order : row numbers, shape (rows,)
    noise : ε, shape (rows, latent), the draws of a row one after the other where there are several, shape
        (rows, draws · latent); None for an autoencoder
    masks : dropout by layer, each of shape (rows, width); empty without dropout
    corruption : η, shape (rows, features), or None where the network sees the rows as they are
    """

    order: NDArray[np.int64]
    noise: NDArray[np.floating] | None
    masks: dict[str, NDArray[np.bool_]]
    corruption: NDArray[np.floating] | None = None

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All but the order, by name: ``epsilon``, ``corruption``, and masks by their layers."""
        drawn = {EPSILON: self.noise, CORRUPTION: self.corruption}
        return {name: array for name, array in drawn.items() if array is not None} | self.masks

    @classmethod
    def of(cls, order: NDArray[np.int64], arrays: Mapping[str, NDArray[Any]]) -> Epoch:
        """What gives this order and these ``arrays``."""
        masks = {name: array for name, array in arrays.items() if name not in (EPSILON, CORRUPTION)}
        return cls(order, arrays.get(EPSILON), masks, arrays.get(CORRUPTION))


def shared_epoch(spec: NetworkSpec, settings: TrainingSettings, epoch: int, rows: int) -> Epoch:
    """The draws of an epoch over so many rows, the same for every backend."""
    seed = settings.seed
    return Epoch(
        permutation(seed, epoch, rows),
        noise(seed, epoch, rows, spec.latent * settings.importance_samples) if spec.kind == "vae" else None,
        dropout_masks(seed, epoch, rows, spec.dropped(), settings.dropout),
        corruption(seed, epoch, rows, spec.features) if settings.input_noise else None,
    )


def used(epoch: Epoch, batch_size: int) -> Epoch:
    """The same without the last partial batch, which an epoch drops."""
    rows = len(epoch.order) - len(epoch.order) % batch_size
    return Epoch.of(epoch.order[:rows], {name: array[:rows] for name, array in epoch.arrays.items()})


def check(epoch: Epoch, spec: NetworkSpec, settings: TrainingSettings, rows: int) -> None:
    """Raises ValueError, in one line, where draws cannot be those of an epoch over so many rows: another shape, a row
    that there is not, noise that is missing or not finite, a layer too many or too few."""
    steps, count = rows // settings.batch_size, len(epoch.order)
    if epoch.order.ndim != 1 or count < steps * settings.batch_size:
        raise ValueError(f"the order holds {epoch.order.shape} rows, but {steps} batches of {settings.batch_size} need")
    if count and not (epoch.order.min() >= 0 and epoch.order.max() < rows):
        raise ValueError(f"the order visits rows {epoch.order.min()} to {epoch.order.max()}, but there are {rows}")
    drawn = spec.latent * settings.importance_samples
    expected: dict[str, tuple[int, ...]] = {EPSILON: (count, drawn)} if spec.kind == "vae" else {}
    expected |= {CORRUPTION: (count, spec.features)} if settings.input_noise else {}
    expected |= {name: (count, width) for name, width in (spec.dropped() if settings.dropout else {}).items()}
    if (shapes := {name: array.shape for name, array in epoch.arrays.items()}) != expected:
        raise ValueError(f"the draws have the shapes {shapes}, but this network needs {expected}")
    for noise in (epoch.noise, epoch.corruption):
        if noise is not None and not np.isfinite(noise).all():
            raise ValueError("the noise is not all finite")


def scoring_noise(seed: int, latent: int) -> NDArray[np.float64]:
    """ε of ``reconstruction_probability``, shape (SCORING_SAMPLES, latent): the same draws for every row, so that a
    row's score depends neither on its neighbours nor on its place."""
    return stream(seed, Purpose.SCORING).standard_normal((SCORING_SAMPLES, latent))
