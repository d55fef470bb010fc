"""Generated sensor series: correlated channels with seasons, drift and noise, and five kinds of anomaly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets import windows
from datasets.dataset import Dataset, Provenance, Request, require
from datasets.scaling import Scale
from datasets.splitting import TrainingPart, check, generator

Values = NDArray[np.float64]

SEASONS = (240, 60)
"""Steps of a long and of a short period."""
MOST_VALUES = 1 << 27
"""Of the whole series: 1 GiB in float64."""
MEMORY = 40
"""Steps after which the factor that the channels share has forgotten about two thirds."""


@dataclass(frozen=True)
class Kind:
    """A kind of anomaly: its name and how many steps it lasts, at least and at most."""

    name: str
    shortest: int
    longest: int


KINDS = (
    Kind("point", 1, 1),
    Kind("level shift", 20, 80),
    Kind("stuck", 20, 80),
    Kind("broken correlation", 40, 120),
    Kind("drift", 40, 120),
)


def load_sensors(
    request: Request,
    *,
    steps: int = 20_000,
    channels: int = 5,
    anomalies: int = 5,
    noise: float = 0.2,
    window: int = 32,
    stride: int = 4,
    test: float = 0.4,
    scale: Scale = "standard",
    train_rows: int = 0,
) -> Dataset:
    """Windows of a generated series of correlated sensors; point, shifted, stuck, broken and drifting anomalies."""
    import pandas as pd

    asked = TrainingPart(rows=train_rows)
    check(request, asked)
    cut = windows.cut(request, window, stride, test)
    name = f"data set '{request.name}'"
    require(2 <= channels <= 100, f"{name}: channels is {channels}; it wants 2 to 100, to be correlated")
    require(0 <= noise <= 1e6, f"{name}: noise is {noise:g}; it wants 0 to 1e6")
    require(
        steps * channels <= MOST_VALUES,
        f"{name}: {steps:,} steps of {channels} channels; at most {MOST_VALUES:,} values are generated",
    )
    require(anomalies >= 1, f"{name}: anomalies is {anomalies}; it wants at least 1 of each kind")
    valid, tested = cut.bounds(steps)
    # anomalies are in the test part alone, so that no window is left out: nothing is drawn that would not fit
    held = [max(0, part - window) // cut.stride + 1 for part in (valid, tested - valid, steps - tested)]
    windows.check_room(request, channels * window, min(held[0], train_rows or held[0]) + held[1] + held[2])
    longest = max(kind.longest for kind in KINDS)
    require(tested > longest, f"{name}: {tested:,} steps before the test part; it wants more than {longest}")
    room = longest + 2 * window
    slots = anomalies * len(KINDS)
    require(
        steps - tested >= slots * room,
        f"{name}: {slots} anomalies of up to {longest} steps, a window apart, do not fit into the "
        f"{max(0, steps - tested):,} steps of the test part; it wants {slots * room:,}",
    )
    clean = _clean(request.seed, steps, channels, noise)
    values, events = _disturbed(request.seed, clean, tested, anomalies, window)
    anomalous = np.zeros(steps, dtype=np.bool_)
    for start, stop, _ in events:
        anomalous[start:stop] = True
    return windows.windowed(
        request,
        pd.DataFrame(values, columns=[f"sensor_{channel}" for channel in range(channels)]),
        anomalous,
        cut,
        asked,
        Provenance(
            source=f"Generated: {steps:,} steps of {channels} channels, each with seasons of {SEASONS[0]} and "
            f"{SEASONS[1]} steps, a factor that all share, a slow drift, and noise of deviation {noise:g}; {anomalies} "
            f"anomalies of each kind ({', '.join(kind.name for kind in KINDS)}), each in one channel of the test part.",
            protocol="",
        ),
        events=events,
        scale=scale,
    )


def _clean(seed: int, steps: int, channels: int, noise: float) -> Values:
    """The series without anomalies, of shape (steps, channels)."""
    from scipy.signal import lfilter

    rng = generator(seed, "sensors")
    time = np.arange(steps)[:, None]
    values = np.zeros((steps, channels))
    for period in SEASONS:
        phase = rng.uniform(0, np.pi / 2, channels)
        values += rng.uniform(0.5, 1.0, channels) * np.sin(2 * np.pi * time / period + phase)
    keep = np.exp(-1 / MEMORY)
    start, shocks = rng.standard_normal(), np.sqrt(1 - keep**2) * rng.standard_normal(steps)
    factor = lfilter([1], [1, -keep], shocks, zi=[keep * start])[0]
    values += rng.uniform(0.5, 1.0, channels) * rng.choice([-1.0, 1.0], channels) * factor[:, None]
    values += 0.3 / np.sqrt(steps) * np.cumsum(rng.standard_normal((steps, channels)), axis=0)
    return np.asarray(values + noise * rng.standard_normal((steps, channels)))


def _disturbed(
    seed: int, clean: Values, first: int, anomalies: int, window: int
) -> tuple[Values, list[tuple[int, int, str]]]:
    """The series with anomalies from the step `first` on, each in a stretch of its own, and what they are."""
    rng = generator(seed, "anomalies")
    steps, channels = clean.shape
    values, deviation = clean.copy(), clean[:first].std(axis=0)
    kinds = rng.permutation(np.repeat(np.arange(len(KINDS)), anomalies))
    edges = np.linspace(first, steps, len(kinds) + 1).astype(int)
    events = []
    for number, low, high in zip(kinds, edges[:-1], edges[1:], strict=True):
        kind, channel = KINDS[number], int(rng.integers(channels))
        length = int(rng.integers(kind.shortest, kind.longest + 1))
        start = int(rng.integers(low + window, high - window - length + 1))
        own, sign = slice(start, start + length), rng.choice([-1.0, 1.0])
        if kind.name == "point":
            values[own, channel] += sign * rng.uniform(1.5, 3.0) * deviation[channel]
        elif kind.name == "level shift":
            values[own, channel] += sign * rng.uniform(1.0, 2.0) * deviation[channel]
        elif kind.name == "stuck":
            values[own, channel] = values[start, channel]
        elif kind.name == "broken correlation":
            # what this sensor has shown at another time: nothing is unusual but that the others do not fit
            other = int(rng.integers(0, first - length))
            values[own, channel] = clean[other : other + length, channel]
        else:
            values[own, channel] += sign * rng.uniform(1.5, 2.5) * deviation[channel] * np.linspace(0, 1, length)
        events.append((start, start + length, kind.name))
    return values, events
