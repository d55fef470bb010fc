"""What a query over records gave, as a table by itself, in the forms of ``reports.excerpt``."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from reports.blocks import Cell, Column, Table, words
from reports.excerpt import NoTableError
from reports.spreadsheets import inert
from reports.writers import latex, markdown

_JSON = msgspec.json.Encoder(decimal_format="number")


def written(found: Any, form: str) -> bytes:
    """The table as bytes.

    Parameters
    ----------
    found : pyarrow.Table
    form : str
        ``markdown`` and ``latex`` are to be read: numbers have six digits, long texts are cut. ``csv``, ``json`` and
        ``parquet`` hold everything, with an empty cell or null where there is no value.

    Raises
    ------
    NoTableError
        Two columns have one name.
    """
    names = list(found.column_names)
    if twice := {name for name in names if names.count(name) > 1}:
        raise NoTableError(f"two columns are called {min(twice)!r}; name them apart with AS")
    for name in names:
        if _ends_a_day(found.column(name).combine_chunks()):
            raise NoTableError(_unwritten(name, "24:00:00 is no time of a day"))
    if form == "parquet":
        import pyarrow.parquet

        content = io.BytesIO()
        try:
            pyarrow.parquet.write_table(found, content)
        except pyarrow.ArrowException as error:
            raise NoTableError(f"Parquet cannot hold this: {error}; CAST(… AS VARCHAR) makes it text") from error
        return content.getvalue()
    lines = list(zip(*(_values(name, found.column(name)) for name in names), strict=True))
    if form == "json":
        encoded = _JSON.encode([dict(zip(names, line, strict=True)) for line in lines])
        return msgspec.json.format(encoded, indent=2) + b"\n"
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([map(inert, names), *(map(_field, line) for line in lines)])
        return text.getvalue().encode()
    kinds = ["number" if _numeric(column) else "text" for column in zip(*lines, strict=True)] or ["text"] * len(names)
    columns = [Column(words(name), str, kind) for name, kind in zip(names, kinds, strict=True)]
    block = Table("Query", columns, [[_cell(value) for value in line] for line in lines], [])
    return (latex.table(block) if form == "latex" else markdown.table(block) + "\n").encode()


def _values(name: str, column: Any) -> list[Any]:
    import pyarrow

    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError, pyarrow.ArrowException) as error:  # an infinite date, for one
        raise NoTableError(_unwritten(name, error)) from error


def _unwritten(name: str, reason: object) -> str:
    return f"column {name!r} cannot be written ({reason}); CAST(… AS VARCHAR) makes it text"


def _ends_a_day(values: Any) -> bool:
    """Whether an array holds 24:00, which SQL knows as a time and Python takes for 0:00 of the same day."""
    import pyarrow
    import pyarrow.compute
    from pyarrow import types

    kind = values.type
    if types.is_time64(kind):
        day = 86_400 * (10**6 if kind.unit == "us" else 10**9)
        return bool(pyarrow.compute.any(pyarrow.compute.equal(values.cast(pyarrow.int64()), day)).as_py())
    if types.is_map(kind):
        return _ends_a_day(values.keys) or _ends_a_day(values.items)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _ends_a_day(values.flatten())
    if types.is_struct(kind) or types.is_union(kind):
        return any(_ends_a_day(values.field(place)) for place in range(kind.num_fields))
    return False


def _numeric(values: Sequence[Any]) -> bool:
    return all(value is None or (isinstance(value, int | float | Decimal) and value is not True) for value in values)


def _field(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else ""
    if isinstance(value, str):
        return inert(value)
    return value if value is None or isinstance(value, int) else _text(value)


def _cell(value: Any) -> Cell:
    if isinstance(value, float | Decimal):
        return Cell(f"{value:.6g}" if math.isfinite(value) else "")
    return Cell("" if value is None else words(value if isinstance(value, str) else _text(value)))


def _text(value: Any) -> str:
    """Lists and objects as JSON, a time as one writes it."""
    return _JSON.encode(value).decode().strip('"')
