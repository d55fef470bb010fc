"""Times of untrusted tables: the order of a series' rows, by a column of numbers or of dates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import columnar, readings
from datasets.columns import column as named
from datasets.dataset import require
from datasets.splitting import Rows
from datasets.tables import Table


def order(table: Table, asked: str, rows: Rows, path: str) -> tuple[str, Rows]:
    """The column that is asked for, and the places among `rows` in the order of time.

    Times are numbers, dates as ISO 8601 writes them (``2026-01-31 12:00:00``), or Parquet's own. Raises `DatasetError`
    where there is no such column, a time is missing, can be read in several ways, or stands at two rows.
    """
    import pandas as pd

    name = named(list(table.columns), asked, path)
    values = _numbers(table.columns[name])
    if values is None:
        known = table.columns[name].to_pandas()
        dates = pd.to_datetime(known, errors="coerce", utc=True, format="ISO8601")
        values = dates.astype("int64").to_numpy(dtype=np.float64)
        values[dates.isna().to_numpy()] = np.nan
    values = values[rows]
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        cell = str(table.columns[name][int(rows[row])].as_py())[:40]
        place = table.places(rows[[row]])[0]
        require(
            False,
            f"{path}: {place}, column {name!r} holds {cell!r}; rows are sorted by numbers or by dates such as "
            "2026-01-31 12:00:00",
        )
    found = np.argsort(values, kind="stable")
    same = np.flatnonzero(np.diff(values[found]) == 0)
    if len(same):
        first, second = table.places(np.sort(rows[found[same[0] : same[0] + 2]]))
        require(False, f"{path}: {first} and {second} have the same time in column {name!r}; each step wants its own")
    return name, found


def _numbers(column: Any) -> NDArray[np.float64] | None:
    """The column as plain numbers, or None where it is none of such."""
    text = columnar.text(column)
    return columnar.numbers(column) if text is None else readings.simple(text)
