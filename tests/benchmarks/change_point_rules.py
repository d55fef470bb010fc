"""How often rules for change points cry wolf, and how often they find a step of 10 %: on simulated series of times.

    python tests/benchmarks/change_point_rules.py [--series 300] [--noise 2,3,4,5,6]

Prints the tables of docs/history.md. The rules of Otava and asv take part where they are importable; their
requirements exclude the numerical packages used here, so install them without: ``pip install --no-deps --target DIR
apache-otava asv`` and put DIR on PYTHONPATH. That of Perfherder is a test of a window before against one after and is
written out below.

A series is the logarithm of 100 times. Its noise is autoregressive with heavy tails: x_t = φ x_{t−1} + ε_t, where ε has
Student's distribution with 4 degrees of freedom, scaled so that x has the deviation asked for.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import types
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import ruptures
from numpy.typing import NDArray

from bench.history.changes import FEWEST, change_points, noise

Array = NDArray[np.float64]
Rule = Callable[[Array], Sequence[int]]

LENGTH = 100
STEP = float(np.log(1.10))
FIRST, LAST = 20, 80
"""Where a step may be: rules that compare windows need some points on both sides."""
NEAR = 3
NEWEST = 12
"""Points that ``bench history check`` takes for the newest."""


def simulated(rng: np.random.Generator, deviation: float, phi: float, drift: float) -> Array:
    """One series without a step; ``drift`` is the amplitude of a slow wave, in deviations of the noise."""
    innovations = rng.standard_t(4, LENGTH) / np.sqrt(2) * np.sqrt(1 - phi**2)
    series = np.empty(LENGTH)
    series[0] = innovations[0] / np.sqrt(1 - phi**2)
    for place in range(1, LENGTH):
        series[place] = phi * series[place - 1] + innovations[place]
    wave = np.sin(2 * np.pi * (rng.random() + np.arange(LENGTH) / LENGTH * rng.uniform(0.5, 1.5)))
    return deviation * (series + drift * wave)


def perfherder(series: Array, threshold: float = 7.0) -> list[int]:
    """A weighted t of the 12 to 24 points before and the 12 from here on; its local peaks above the threshold.

    Nearer points weigh more in the means. The window before is short after a change and grows again.
    """
    times = np.exp(series)
    size = len(times)
    t, full, since = np.zeros(size), np.zeros(size, dtype=bool), 0
    for place in range(1, size):
        before = times[max(0, place - min(max(since, 12), 24)) : place][::-1]
        after = times[place : place + 12]
        (mean_b, error_b), (mean_a, error_a) = _weighted(before), _weighted(after)
        error = error_a + error_b
        t[place] = abs(mean_a - mean_b) / np.sqrt(error) if error > 0 else 0.0
        full[place] = len(before) >= 12 and len(after) >= 12
        since = 0 if t[place] > threshold else since + 1
    peaks = (t > threshold) & full & (t >= np.roll(t, 1)) & (t >= np.roll(t, -1))
    return [int(place) for place in np.flatnonzero(peaks)]


def _weighted(window: Array) -> tuple[float, float]:
    """The mean with linearly falling weights, and the squared error about it divided by the number of points."""
    count = len(window)
    mean = float(np.average(window, weights=np.arange(count, 0, -1)))
    return mean, float(((window - mean) ** 2).sum() / (count - 1) / count) if count > 1 else 0.0


def least_squares(series: Array) -> list[int]:
    """ruptures with the linear kernel."""
    scaled = (series / noise(series)).reshape(-1, 1)
    found = ruptures.KernelCPD(kernel="linear", min_size=2).fit(scaled).predict(pen=16 * np.log(len(series)))
    return [int(place) for place in found[:-1]]


def rules() -> dict[str, Rule]:
    """All rules that can be had here, by the names of the tables."""
    found: dict[str, Rule] = {
        "`bench history`: ruptures, Gaussian kernel": change_points,
        "ruptures, least squares": least_squares,
        "Perfherder, t > 7": perfherder,
    }
    if find_spec("otava"):
        search = importlib.import_module("otava.analysis").compute_change_points

        def otava(p: float) -> Rule:
            # a list: of an array it takes the whole for each of its windows
            return lambda series: [
                int(point.index) for point in search(np.exp(series).tolist(), window_len=50, max_pvalue=p)[0]
            ]

        found["Otava, p < 0.001 (its default)"] = otava(1e-3)
        found["Otava, p < 0.00001"] = otava(1e-5)
    if spec := find_spec("asv"):
        if "asv" not in sys.modules:
            # the rule alone: the package would load its plug-ins, with all that they require
            package = types.ModuleType("asv")
            package.__path__ = [str(Path(str(spec.origin)).parent)]
            sys.modules["asv"] = package
        steps = importlib.import_module("asv.step_detect")

        def asv(series: Array) -> list[int]:
            regressions = steps.detect_regressions(steps.detect_steps(np.exp(series).tolist()), 0.05)[2]
            return [int(after) for _, after, *_ in regressions or ()]

        found["asv, step fit and 5 %"] = asv
    return found


def measured(rule: Rule, quiet: Sequence[Array], stepped: Sequence[Array], steps: Sequence[int]) -> tuple[float, float]:
    """The share of series without a step that raise an alarm, and of those with one where it is found near enough."""
    alarms = sum(bool(rule(series)) for series in quiet)
    hits = sum(
        any(abs(place - step) <= NEAR for place in rule(series)) for series, step in zip(stepped, steps, strict=True)
    )
    return alarms / len(quiet), hits / len(stepped)


def at_the_end(
    rule: Rule, quiet: Sequence[Array], stepped: Sequence[Array], steps: Sequence[int]
) -> tuple[float, dict[int, float]]:
    """As a build sees it, one point at a time: the share of quiet series with an alarm at any length, and of steps
    that are seen once there are so many points of the new level."""
    alarms = sum(
        any((found := rule(series[:end])) and end - found[-1] <= NEWEST for end in range(FEWEST, LENGTH + 1))
        for series in quiet
    )
    seen = []
    for series, step in zip(stepped, steps, strict=True):
        ends = range(step + 1, min(step + 13, LENGTH + 1))
        delays = (end - step for end in ends if (found := rule(series[:end])) and abs(found[-1] - step) <= NEAR)
        seen.append(next(delays, LENGTH))
    return alarms / len(quiet), {points: sum(s <= points for s in seen) / len(seen) for points in (3, 5, 8, 12)}


def sample(count: int, deviation: float, phi: float = 0.3, drift: float = 0.0):
    rng = np.random.default_rng(7)
    quiet = [simulated(rng, deviation, phi, drift) for _ in range(count)]
    steps = rng.integers(FIRST, LAST + 1, count).tolist()
    stepped = [simulated(rng, deviation, phi, drift) for _ in range(count)]
    for series, step in zip(stepped, steps, strict=True):
        series[step:] += STEP
    return quiet, stepped, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--noise", default="2,3,4,5,6", help="percent")
    arguments = parser.parse_args()
    levels = [float(part) for part in arguments.noise.split(",")]
    chosen = rules()

    print(f"{arguments.series} series of {LENGTH} points; false alarms / steps of 10 % found within {NEAR} points, %\n")
    _table("noise (φ = 0.3)", [f"{level:g} %" for level in levels])
    samples = [sample(arguments.series, level / 100) for level in levels]
    for name, rule in chosen.items():
        _row(name, (measured(rule, *drawn) for drawn in samples))

    kinds = {
        "white": (0.0, 0.0),
        "φ = 0.3": (0.3, 0.0),
        "φ = 0.5": (0.5, 0.0),
        "φ = 0.3 and a wave of 0.5": (0.3, 0.5),
    }
    print()
    _table("noise of 4 %", list(kinds))
    samples = [sample(arguments.series, 0.04, *kind) for kind in kinds.values()]
    for name, rule in chosen.items():
        _row(name, (measured(rule, *drawn) for drawn in samples))

    print("\n| noise (φ = 0.3) | an alarm at any length | seen at 3 points | 5 | 8 | 12 |")
    print("| :-- | --: | --: | --: | --: | --: |")
    for level in levels:
        # a third of them: each is searched at every length
        alarms, seen = at_the_end(change_points, *sample(arguments.series // 3, level / 100))
        shares = " | ".join(f"{100 * share:.0f}" for share in seen.values())
        print(f"| {level:g} % | {100 * alarms:.0f} | {shares} |", flush=True)


def _table(corner: str, columns: Sequence[str]) -> None:
    print(f"| {corner} | {' | '.join(columns)} |")
    print("| :-- |" + " --: |" * len(columns))


def _row(name: str, cells) -> None:
    print(f"| {name} | {' | '.join(f'{100 * a:.1f} / {100 * b:.1f}' for a, b in cells)} |", flush=True)


if __name__ == "__main__":
    main()
