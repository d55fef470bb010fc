"""Times of untrusted tables: the order of a series' rows, by a column of numbers or of dates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets import columnar, readings
from datasets.columns import column as named
from datasets.dataset import require
from datasets.splitting import Rows
from datasets.tables import Table, numbers

if TYPE_CHECKING:
    import pandas as pd

Places = Callable[[NDArray[np.intp]], list[str]]
"""Where rows stand in a file, for people."""


def order(table: Table, asked: str, rows: Rows, path: str) -> tuple[str, Rows]:
    """The column that is asked for, and the places among `rows` in the order of time.

    Raises `DatasetError` where there is no such column, and as ``sorted_by``.
    """
    import pandas as pd

    name = named(list(table.columns), asked, path)
    column = table.columns[name]
    text = columnar.text(column)
    known = columnar.numbers(column) if text is None else readings.simple(text)
    values = column.to_pandas() if known is None else pd.Series(known)
    return name, sorted_by(values.iloc[rows], name, path, lambda places: table.places(rows[places]))


def sorted_by(values: pd.Series, name: str, path: str, places: Places) -> Rows:
    """The places of a column's values in the order of time.

    Times are numbers, dates as ISO 8601 writes them (``2026-01-31 12:00:00``), or a type of their own. Raises
    `DatasetError` where a time is missing, can be read in several ways, or stands at two rows.
    """
    import pandas as pd

    plain = numbers(values)
    if plain is None:  # text that a file was asked for as such may hold numbers too
        plain = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    known: NDArray[np.float64] = plain
    if not np.isfinite(known).any():
        dates = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
        known = np.where(dates.isna(), np.nan, dates.astype("int64").astype("float64"))
    finite = np.isfinite(known)
    if not finite.all():
        row = int(np.argmin(finite))
        require(
            False,
            f"{path}: {places(np.array([row]))[0]}, column {name!r} holds {str(values.iloc[row])[:40]!r}; rows are "
            "sorted by numbers or by dates such as 2026-01-31 12:00:00",
        )
    found = np.argsort(known, kind="stable")
    same = np.flatnonzero(np.diff(known[found]) == 0)
    if len(same):
        first, second = places(np.sort(found[same[0] : same[0] + 2]))
        require(False, f"{path}: {first} and {second} have the same time in column {name!r}; each step wants its own")
    return found
