"""Rates by scenario, from the table of trials."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from reports.tables.frames import GROUP, ROW, RUNNER, independent, numbered
from reports.tables.ratios import Pairs, Ratio, by_group

MEDIANS = (
    *(
        "fit_seconds",
        "compile_seconds",
        "compile_warm_seconds",
        "first_step_seconds",
        "result_seconds",
        "latency_p50",
        "latency_p99",
    ),
    *("peak_memory_bytes", "peak_device_memory_bytes", "data_memory_bytes", "joules", "limit", "fraction"),
    *("train_rows", "data_bytes"),
)
"""What a row of ``throughput`` has the median of its trials of."""

_Z = float(ndtri(0.975))


def _t(df: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Two-sided 95 % quantile of Student's t; the normal one where the degrees of freedom are beyond counting."""
    return np.asarray(np.where(df > 1e6, _Z, stdtrit(np.clip(df, 1.0, 1e6), 0.975)))


def throughput(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per scenario with timed trials, fastest training first within a data set and detector.

    A trial's rate is that of its median sample. ``train`` and ``scoring`` are the geometric means of the trials' rates,
    ``_low`` and ``_high`` the 95 % t interval of their logarithms: it covers what differs from run to run. Two or three
    trials say little about their own spread, so it is pooled over all rows of the same backend (or classical detector)
    on the same device, as in an analysis of variance; rows with one trial take part in none and get no interval. Trials
    that shared a process are one there: see ``independent``. ``ratio`` is to the slowest row of the same detector and
    data set; see ``Pairs``.
    """
    timed = trials[(trials["status"] == "ok") & trials["timed"] & (trials["train"].notna() | trials["scoring"].notna())]
    scenarios = numbered(timed, ROW)
    grouped = timed.groupby(scenarios, sort=False)
    table = grouped[ROW].first()
    runner = table["backend"].where(table["backend"] != "", table["detector"])
    shared = [table["environment"], runner, table["mode"], table["device"]]
    table["trials"], table["samples"] = grouped.size(), grouped["samples"].sum()
    alone = independent(timed)
    for name in ("train", "scoring"):
        logs = np.log(alone[name].where(alone[name] > 0)).groupby(scenarios.loc[alone.index], sort=False)
        centre, half = logs.mean(), _half_width(logs.var(), logs.count(), shared)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = map(np.exp, (centre, centre - half, centre + half))
    table[[*MEDIANS]] = grouped[[*MEDIANS]].median()
    table["marks"] = grouped["marks"].agg(_count_marks)
    order = [*GROUP, "train", *RUNNER, "scenario"]
    table = table.sort_values(order, ascending=[name != "train" for name in order])
    table = table.reset_index(drop=True)
    pairs = Pairs(alone)
    ratios: list[Ratio] = []
    for _, group in groupby(table[ROW].itertuples(index=False, name=None), key=by_group):
        members = list(group)
        slowest = members[-1]
        ratios += [pairs.ratio(row, slowest) if row != slowest else _itself(len(members)) for row in members]
    for part in ("value", "low", "high"):
        table[f"ratio_{part}"] = [getattr(r, part) for r in ratios]
    return table


def _half_width(variance: pd.Series[float], count: pd.Series[int], shared: list[pd.Series[Any]]) -> pd.Series[float]:
    """Half of the 95 % interval of each row's mean, from the standard deviation pooled over the rows that share it.

    s² = Σ (nᵢ − 1) sᵢ² / Σ (nᵢ − 1); NaN for a row of one trial, which shows no spread of its own.
    """
    own = (count - 1).clip(lower=0)
    df = own.groupby(shared).transform("sum").astype(float)
    pooled = (own * variance.fillna(0.0)).groupby(shared).transform("sum") / df.where(df > 0)
    half: pd.Series[float] = (pooled / count).pow(0.5) * _t(df.to_numpy(dtype=np.float64))
    return half.where(own > 0)


def _count_marks(marks: pd.Series[Any]) -> dict[str, int]:
    found = Counter(mark for trial in marks for mark in trial)
    return {mark: found[mark] for mark in sorted(found)}


def _itself(rows: int) -> Ratio:
    """The slowest of several against itself; of one row alone there is nothing to tell."""
    return Ratio(1.0 if rows > 1 else math.nan, math.nan, math.nan)
