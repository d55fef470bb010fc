"""The clock: every timed stretch begins and ends with the device synchronised, and every sample is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

SHORT_SECONDS = 0.1
SHORT_SAMPLES = 3
NOISY_SPREAD = 0.2
STEADY_TOLERANCE = 0.1
WAIT_SHARE = 0.1
WAIT_SECONDS = 0.001


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

    def settle(self, phase: str, warmup: str) -> None:
        """Moves the samples that a phase took before its steady state, if it took any, to a phase of their own."""
        samples = self.samples.get(phase)
        if samples is None:
            return
        count = steady(samples)
        self.samples[warmup], self.samples[phase] = samples[:count], samples[count:]

    def totals(self) -> dict[str, float]:
        """Phase to the sum of its samples, in seconds."""
        return {phase: math.fsum(samples) for phase, samples in self.samples.items()}


def steady(samples: Sequence[float]) -> int:
    """How many leading samples are warm-up; at most half of them.

    After pyperf's calibration of warm-ups: samples are given up from the front, one by one, until the rest looks the
    same from end to end. That is when the first is no outlier above the others (Tukey 1977: over q3 + 1.5 IQR), and
    the first half is neither slower than the second (its median) nor wider (its median absolute deviation) by more
    than 10 % of the second's median. pyperf compares means, and refuses halves that differ either way; a single slow
    sample in the middle and a machine that slows down later are no warm-up, and are left to ``marks``.
    """
    for count in range(len(samples) // 2):
        if _is_steady(np.asarray(samples[count:])):
            return count
    return len(samples) // 2


def _is_steady(samples: NDArray[np.float64]) -> bool:
    first, second = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    q1, q3 = np.percentile(samples[1:], [25, 75])
    tolerance = STEADY_TOLERANCE * np.median(second)
    return bool(
        samples[0] <= q3 + 1.5 * (q3 - q1)
        and np.median(first) - np.median(second) <= tolerance
        and _deviation(first) - _deviation(second) <= tolerance
    )


def _deviation(samples: NDArray[np.float64]) -> float:
    return float(np.median(np.abs(samples - np.median(samples))))


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


def unsynchronised(samples: Sequence[float], waits: Sequence[float]) -> bool:
    """Whether samples ended before their work did.

    ``waits`` are the seconds that reading each sample's result took after the clock had stopped. Where the device was
    really done that is a copy of two numbers; over 10 % of the sample and over 1 ms, in the median, it was not.
    """
    return float(np.median(waits)) > max(WAIT_SHARE * float(np.median(samples)), WAIT_SECONDS)
