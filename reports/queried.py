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
        raise NoTableError(f"column {name!r} cannot be written ({error}); CAST(… AS VARCHAR) makes it text") from error


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
