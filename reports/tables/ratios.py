"""Who is faster, and by how much: trials that ran side by side are compared pair by pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from reports.tables.frames import GROUP, ROW, RUNNER, Row, independent, rows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """How many times faster, with its 95 % interval (NaN where fewer than two trials pair up)."""

    value: float
    low: float
    high: float


Scenario = tuple[Any, ...]
"""The values of a row's ``ROW`` columns."""


def by_group(row: Scenario) -> Scenario:
    return row[: len(GROUP)]


class Pairs:
    """Trials of two scenarios that share seed and round: what disturbs the machine hits both alike.

    Two or three pairs say little about their own spread, so it is pooled over all data sets and detectors on which the
    same two backends met, mode, device and threads included.
    """

    def __init__(self, timed: pd.DataFrame, rate: str = "train") -> None:
        known = independent(timed[timed[rate] > 0])
        turn = known.groupby(["seed", "round"], dropna=False).ngroup().to_numpy()
        logs = np.log(known[rate].to_numpy())
        self.rates: dict[Scenario, tuple[NDArray[np.integer[Any]], Array]] = {}
        for row, places in known.groupby(ROW, sort=True).indices.items():
            ordered = places[np.argsort(turn[places])]
            self.rates[cast(Scenario, row)] = turn[ordered], logs[ordered]
        self.pool: dict[Scenario, tuple[float, int]] = {}
        for _, group in groupby(sorted(self.rates), key=by_group):
            for one, other in combinations(group, 2):
                paired = self._logs(one, other)
                if paired.size > 1:
                    own = float(paired.var(ddof=0)) * paired.size
                    for runners in (self._runners(one, other), self._runners(other, one)):
                        squares, df = self.pool.get(runners, (0.0, 0))
                        self.pool[runners] = squares + own, df + paired.size - 1

    def ratio(self, fast: Scenario, slow: Scenario) -> Ratio:
        """The geometric mean of the paired trials' ratios, and the t interval of its logarithm."""
        logs = self._logs(fast, slow)
        if not logs.size:
            return Ratio(math.nan, math.nan, math.nan)
        centre, half = math.fsum(logs) / logs.size, math.nan
        if logs.size > 1:
            own = float(logs.var(ddof=0)) * logs.size, logs.size - 1
            squares, df = self.pool.get(self._runners(fast, slow), own)
            half = float(stdtrit(df, 0.975)) * math.sqrt(squares / df / logs.size)
        return Ratio(math.exp(centre), math.exp(centre - half), math.exp(centre + half))

    def _logs(self, fast: Scenario, slow: Scenario) -> Array:
        """The logarithms of the ratios of all trials that both have."""
        if fast not in self.rates or slow not in self.rates:
            return np.empty(0)
        (turns, one), (others, other) = self.rates[fast], self.rates[slow]
        if np.array_equal(turns, others):
            return one - other
        _, mine, theirs = np.intersect1d(turns, others, return_indices=True)
        return one[mine] - other[theirs]

    @staticmethod
    def _runners(one: Scenario, other: Scenario) -> Scenario:
        return one[0], one[len(GROUP) : -1], other[len(GROUP) : -1]


@dataclass(frozen=True)
class Race:
    """The two fastest backends that did the same work in the same mode on the same device with as many threads."""

    environment: str
    dataset: str
    detector: str
    arithmetic: str
    batch: int
    mode: str
    device: str
    threads: int
    winner: str
    second: str
    lead: Ratio
    """The winner's training rate to the second's."""
    marks: frozenset[str]

    @property
    def holds(self) -> bool:
        """Whether the interval excludes that the second is as fast."""
        return self.lead.low > 1


def races(trials: pd.DataFrame, throughput: pd.DataFrame) -> list[Race]:
    """One for each work, mode, device and number of threads that at least two backends have timed."""
    pairs = Pairs(trials[(trials["status"] == "ok") & trials["timed"]])
    fields: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows(throughput):
        if row["backend"] and row["train"] > 0:
            course = tuple(row[k] for k in (*GROUP, *RUNNER[1:]))
            fields.setdefault(course, {}).setdefault(row["backend"], row)
    found = []
    for (environment, dataset, detector, _, arithmetic, batch, mode, device, threads), runners in fields.items():
        if len(runners) > 1:
            first, second = list(runners.values())[:2]
            lead = pairs.ratio(*(tuple(row[k] for k in ROW) for row in (first, second)))
            marks = frozenset(first["marks"]) | frozenset(second["marks"])
            work = environment, dataset, detector, arithmetic, batch
            names = first["backend"], second["backend"]
            found.append(Race(*work, mode, device, threads, *names, lead, marks))
    return found
