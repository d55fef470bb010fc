"""What tables are grouped by, and how one goes through their rows."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

BLOCK = ["environment", "dataset"]
GROUP = [*BLOCK, "detector", "variant", "arithmetic", "batch"]
"""Rows that share these do the same work."""
RUNNER = ["backend", "mode", "device", "threads"]
"""What does it, and how."""
ROW = [*GROUP, *RUNNER, "scenario"]

Row = dict[str, Any]
"""A row of a table, by its columns."""


def rows(frame: pd.DataFrame) -> list[Row]:
    """What ``to_dict("records")`` returns, in a fortieth of the time where the columns are many and the rows few."""
    columns = [str(name) for name in frame.columns]
    return [dict(zip(columns, line, strict=True)) for line in frame.to_numpy(dtype=object).tolist()]


def split(frame: pd.DataFrame, keys: list[str], sort: bool = False) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """The frame's parts by the values of text columns, in the order of appearance unless sorted."""
    return cast("list[tuple[tuple[str, ...], pd.DataFrame]]", list(frame.groupby(keys, sort=sort)))


def independent(timed: pd.DataFrame) -> pd.DataFrame:
    """Trials of which no two ran in one process: those that shared one are a single row, with the geometric mean of
    their rates and the seed and round of the first. Trials that do not tell their process had one each."""
    process = timed["process"].where(timed["process"] != "", timed["position"].astype(str))
    keys = [timed[key] for key in ROW] + [process]
    if not pd.concat(keys, axis=1).duplicated().any():
        return timed
    grouped = timed.groupby(keys, sort=False, dropna=False)
    first = timed.loc[grouped.head(1).index].copy()
    for rate in ("train", "scoring"):
        logs = np.log(timed[rate].where(timed[rate] > 0)).groupby(keys, sort=False, dropna=False)
        first[rate] = np.exp(logs.mean().to_numpy())
    return first


def numbered(frame: pd.DataFrame, keys: list[str]) -> pd.Series[int]:
    """Rows that agree in the keys have one number, in the order of appearance: to group by it later is cheap."""
    return frame.groupby(keys, sort=False, dropna=False).ngroup()
