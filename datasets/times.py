"""Times of untrusted tables: the order of a series' rows, by a column of numbers or of dates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets import columnar
from datasets.columns import column as named
from datasets.dataset import require
from datasets.splitting import Rows
from datasets.tables import Table, numbers

if TYPE_CHECKING:
    import pandas as pd

_ZONE = r"[T ][0-9].*(?:[Zz]|[-+][0-9]{2}(?::?[0-9]{2})?)\s*$"
"""What a time of ISO 8601 with a zone looks like, as far as it is told from one without."""
Places = Callable[[NDArray[np.intp]], list[str]]
"""Where rows stand in a file, for people."""


def order(table: Table, asked: str, rows: Rows, path: str) -> tuple[str, Rows]:
    """The column that is asked for, and the places among `rows` in the order of time.

    Raises `DatasetError` where there is no such column, and as ``sorted_by``.
    """
    name = named(list(table.columns), asked, path)
    column = table.columns[name]
    with columnar.legible(column, name, path):
        values = _values(column)
    return name, sorted_by(values.iloc[rows], name, path, lambda places: table.places(rows[places]))


def _values(column: Any) -> pd.Series:
    """Numbers where all cells are plain ones, whole ones as such: as floats, times far from 0 would become one."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    found = columnar.text(column)
    if found is not None:
        found = pc.utf8_trim_whitespace(found)
        for kind in (pa.int64(), pa.float64()):
            with suppress(pa.ArrowInvalid):
                return pd.Series(pc.cast(found, kind).to_numpy())
    elif not pa.types.is_integer(column.type) and (plain := columnar.numbers(column)) is not None:
        return pd.Series(plain)
    return pd.Series((column if found is None else found).to_pandas(integer_object_nulls=True))


def sorted_by(values: pd.Series, name: str, path: str, places: Places) -> Rows:
    """The places of a column's values in the order of time.

    Times are numbers, dates as ISO 8601 writes them (``2026-01-31 12:00:00``), or a type of their own. Raises
    `DatasetError` where a time is missing, can be read in several ways, or stands at two rows, and where only some have
    a time zone.
    """
    import pandas as pd

    keys = values.to_numpy() if pd.api.types.is_integer_dtype(values) else numbers(values)
    if keys is None:  # text that a file was asked for as such may hold numbers too
        keys = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    known = np.isfinite(keys)
    if not known.any():
        # words such as now and today are dates to pandas
        written = values.astype(str).str
        dated = values.where(written.match(r"\s*[-+]?[0-9]"))
        dates = pd.to_datetime(dated, errors="coerce", utc=True, format="ISO8601")
        keys, known = dates.astype("int64").to_numpy(), ~dates.isna().to_numpy()
        zoned = written.contains(_ZONE).to_numpy()
        if known.all() and zoned.any() and not zoned.all():
            first, second = places(np.sort([np.argmax(zoned), np.argmin(zoned)]))
            require(False, f"{path}: of {first} and {second} one has a time zone in column {name!r}, and one has none")
    if not known.all():
        row = int(np.argmin(known))
        require(
            False,
            f"{path}: {places(np.array([row]))[0]}, column {name!r} holds {str(values.iloc[row])[:40]!r}; rows are "
            "sorted by numbers or by dates such as 2026-01-31 12:00:00",
        )
    found = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[found][1:] == keys[found][:-1])
    if len(same):
        first, second = places(np.sort(found[same[0] : same[0] + 2]))
        require(False, f"{path}: {first} and {second} have the same time in column {name!r}; each step wants its own")
    return found
