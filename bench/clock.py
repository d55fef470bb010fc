"""The clock: every timed stretch begins and ends with the device synchronised, and every sample is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

SHORT_SECONDS = 0.1
SHORT_SAMPLES = 3
NOISY_SPREAD = 0.2


class Clock:
    """Seconds spent per phase.

    Parameters
    ----------
    synchronize : callable
        Returns when the device has nothing left to do; set it once a model is on the device.
    now : callable
        The time in seconds; monotonic.
    """

    def __init__(
        self, synchronize: Callable[[], None] = lambda: None, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self.synchronize = synchronize
        self.now = now
        self.samples: dict[str, list[float]] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times the body as one sample of the phase. A body that raises leaves no sample."""
        self.synchronize()
        start = self.now()
        yield
        self.synchronize()
        self.samples.setdefault(name, []).append(self.now() - start)

    def totals(self) -> dict[str, float]:
        """Phase to the sum of its samples, in seconds."""
        return {phase: sum(samples) for phase, samples in self.samples.items()}


def marks(samples: Sequence[float]) -> list[str]:
    """What is wrong with a series of samples of the same work.

    ``short``: under 0.1 s in all, or fewer than 3 samples; ``noisy``: the interquartile range exceeds 20 % of the
    median. A marked measurement is kept and shown with its mark, not smoothed away.
    """
    found = []
    if len(samples) < SHORT_SAMPLES or sum(samples) < SHORT_SECONDS:
        found.append("short")
    low, median, high = np.percentile(samples, [25, 50, 75])
    if len(samples) >= SHORT_SAMPLES and high - low > NOISY_SPREAD * median:
        found.append("noisy")
    return found
