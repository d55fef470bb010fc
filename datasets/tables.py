"""Tables from untrusted files, ``.csv``, ``.parquet``, ``.npy`` and ``.npz``: whole within bounds, or in chunks however
large they are. One line for each way that fails; nothing is ever unpickled."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import DatasetError, require
from datasets.storage import LIMIT, check_names, first_line

if TYPE_CHECKING:
    import pandas as pd

    from datasets.readings import Dialect

CHUNK = 1 << 15
"""Rows of a chunk."""
LARGEST = 1e150
"""Magnitudes above it, infinity first, count as missing: their squares overflow, and 1.8e308 is a sentinel."""
READERS = (".csv", ".parquet", ".npz", ".npy")
"""The endings of the files that are read."""

Chunks = Iterator["pd.DataFrame"]
Places = Callable[[Sequence[int] | NDArray[np.intp]], list[int]]


@dataclass(frozen=True, eq=False)
class Table:
    """A whole file.

    Attributes
    ----------
    columns : Arrow columns by their names, in the order of the file
    written : whether every cell is the text that stands in the file
    rows : int64 array
        The number of each row among the file's own rows, from 0.
    nested : names of columns that hold no single values, and are not read
    index : names of columns that were the index of a data frame
    left_out : lines that were left out as bad, and why
    encoding : what the file is encoded in, where that had to be said
    locate : function from row numbers of the file, rising, to its lines; of a file that has lines
    files : where the table is of several, the name of each and the place of its first row
    """

    columns: dict[str, Any]
    rows: NDArray[np.int64]
    written: bool = False
    nested: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    left_out: tuple[tuple[int, str], ...] = ()
    encoding: str = ""
    locate: Places | None = field(default=None, repr=False)
    files: tuple[tuple[str, int], ...] = ()

    def places(self, rows: NDArray[np.intp]) -> list[str]:
        """Where rows stand in the file, for people."""
        numbers = self.rows[rows]
        if self.files:
            names, starts = zip(*self.files, strict=True)
            of = np.searchsorted(starts, rows, side="right") - 1
            return [f"row {number} of {names[place]}" for number, place in zip(numbers, of, strict=True)]
        if self.locate is None:
            return [f"row {number}" for number in numbers]
        return [f"line {line}" for line in self.locate(numbers)]


def numbers(values: pd.Series) -> NDArray[np.float64] | None:
    """A column of numbers or truth values as float64, missing and boundless ones NaN; None for a column of others."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "fiub":
        found = np.array(values, dtype=np.float64)
    else:
        import pandas as pd

        present = values.dropna().astype(object)
        if not pd.api.types.is_numeric_dtype(values) and not all(
            isinstance(one, bool | int | float) for one in present
        ):
            return None
        found = values.astype(object).to_numpy(dtype=np.float64, na_value=np.nan)
    found[np.abs(found) > LARGEST] = np.nan
    return found


def whole(content: bytes, path: str, *, encoding: str = "", skip: bool = False) -> Table:
    """The table that a file's bytes hold, its kind told by the ending of its name.

    Parameters
    ----------
    content : bytes
    path : str
        The file as the user named it, for messages.
    encoding : str
        Of a CSV file that is not UTF-8.
    skip : bool
        Whether bad lines of a CSV file are left out instead of refused.
    """
    import pyarrow as pa

    suffix = Path(path).suffix
    require(suffix in READERS, f"{path}: wants a name that ends in {', '.join(READERS)}")
    if suffix == ".csv":
        return _csv(content, path, encoding, skip)
    if suffix == ".parquet":
        from datasets import columnar

        columns, nested, index = columnar.read(content, path, LIMIT)
        rows = len(next(iter(columns.values()))) if columns else 0
        return Table(columns, np.arange(rows), nested=tuple(nested), index=tuple(index))
    from datasets import arrays

    if suffix == ".npy":
        X, y = arrays.read_npy(content, path), None
    else:
        X, y = arrays.read_npz(content, path, LIMIT)
    columns = {name: pa.chunked_array([_native(X[:, place])]) for place, name in enumerate(_names(X))}
    if y is not None:
        columns["y"] = pa.chunked_array([_native(y)])
    return Table(columns, np.arange(len(X)))


def together(files: Iterable[tuple[bytes, str]], path: str) -> Table:
    """The table whose rows lie in several Parquet files, one after the other; each is its bytes and its name.

    Raises `DatasetError`, which names the file, where one has other columns than those before it.
    """
    from datasets import columnar

    names: list[str] = []

    def named() -> Iterator[tuple[bytes, str]]:
        for content, name in files:
            names.append(name)
            yield content, name

    columns, nested, index, counts = columnar.together(named(), path, LIMIT)
    starts = np.cumsum([0, *counts[:-1]])
    return Table(
        columns,
        np.concatenate([np.arange(count) for count in counts]),
        nested=tuple(nested),
        index=tuple(index),
        files=tuple(zip(names, starts.tolist(), strict=True)),
    )


def _csv(content: bytes, path: str, encoding: str, skip: bool) -> Table:
    from datasets.delimited import Delimited

    file = Delimited(lambda: io.BytesIO(content), path, encoding=encoding, skip=skip)
    check_names(file.names, path)
    columns, rows = file.whole()
    require(len(rows) > 0, f"{path}: not a table of comma-separated values (no rows)")
    return Table(
        dict(zip(file.names, columns, strict=True)),
        rows,
        written=True,
        left_out=tuple(file.left_out),
        encoding=encoding,
        locate=file.locate,
    )


def chunks(
    place: Path,
    path: str,
    *,
    text: Collection[str] = (),
    columns: Sequence[str] | None = None,
    dialect: Dialect | None = None,
) -> Chunks:
    """The table of a file chunk by chunk, of which a few rows only are held at a time.

    Parameters
    ----------
    place : Path
    path : str
        The file as the user named it, for messages.
    text : names of columns that are text, whatever they look like
    columns : names of the columns that are wanted, where the file need not give all; blanks around those of the file
        do not count
    dialect : Dialect
        How the cells of the columns of numbers are read. Where one cannot be read so, its column is left as text.

    The frames' ``attrs`` hold the names of all columns of the file as ``names``.
    """
    require(os.path.isfile(place), f"there is no file {path}")
    suffix = place.suffix
    require(suffix in READERS, f"{path}: wants a name that ends in {', '.join(READERS)}")
    try:
        if suffix in (".npy", ".npz"):
            yield from _arrays(place, path)
        else:
            yield from (_stream_csv if suffix == ".csv" else _stream_parquet)(place, path, text, columns, dialect)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from error


def line(place: Path, path: str, row: int, dialect: Dialect | None = None) -> str:
    """The line of a CSV file that a row, from 0, begins in, as words; empty for a file that has no lines."""
    if place.suffix != ".csv":
        return ""
    found = _delimited(place, path, dialect).locate([row])
    return f"line {found[0]}" if found else ""


def _delimited(place: Path, path: str, dialect: Dialect | None) -> Any:
    from datasets.delimited import Delimited

    encoding = dialect.encoding if dialect else ""
    return Delimited(lambda: place.open("rb"), path, encoding=encoding, options=False)


def _stream_csv(
    place: Path, path: str, text: Collection[str], columns: Sequence[str] | None, dialect: Dialect | None
) -> Chunks:
    import pyarrow as pa

    file = _delimited(place, path, dialect)
    wanted = _wanted(file.names, columns)
    for _, parsed in file.batches():
        for start in range(0, len(parsed[0]), CHUNK):
            part = [(name, pa.chunked_array(parsed[at].slice(start, CHUNK).chunks)) for at, name in wanted]
            yield _frame(part, file.names, text, dialect, path, written=True)


def _stream_parquet(
    place: Path, path: str, text: Collection[str], columns: Sequence[str] | None, dialect: Dialect | None
) -> Chunks:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from datasets import columnar

    try:
        names = pq.read_schema(place).names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(f"{path}: not an intact parquet file ({first_line(error)})") from error
    wanted = _wanted(names, columns)
    read = None if columns is None else [names[at] for at, _ in wanted]
    called = {names[at]: name for at, name in wanted}
    for batch in columnar.stream(place, path, read, CHUNK, LIMIT):
        pairs = zip(batch.schema.names, batch.columns, strict=True)
        part = [(called[name], pa.chunked_array([column])) for name, column in pairs]
        yield _frame(part, names, text, dialect, path, written=False, rows=len(batch))


def _wanted(names: Sequence[str], columns: Sequence[str] | None) -> list[tuple[int, str]]:
    """Places of the columns that are wanted, and what they are to be called."""
    if columns is None:
        return list(enumerate(names))
    exact = [(at, name) for at, name in enumerate(names) if name in columns]
    lacking = {name.strip(): name for name in columns if name not in names}
    blank = [(at, lacking[name.strip()]) for at, name in enumerate(names) if name.strip() in lacking]
    return [*exact, *blank]


def _frame(
    columns: Sequence[tuple[str, Any]],
    names: Sequence[str],
    text: Collection[str],
    dialect: Dialect | None,
    path: str,
    *,
    written: bool,
    rows: int | None = None,
) -> pd.DataFrame:
    """A chunk: numbers where all cells of a column can be read as such, else text, or what the file holds."""
    import pandas as pd

    from datasets import columnar, readings

    dialect = dialect or readings.USUAL
    found: dict[int, Any] = {}
    for place, (name, column) in enumerate(columns):
        cells = column if written else columnar.text(column)
        if cells is None:
            values = None if name in text else columnar.numbers(column)
            with columnar.legible(column, name, path):
                # whole numbers beside missing ones stay whole: as floats the long ones would lose digits
                found[place] = column.to_pandas(integer_object_nulls=True) if values is None else values
            continue
        values = None if name in text else _read(cells, dialect, name)
        missing = (*readings.MISSING, *dialect.missing) if written else dialect.missing
        found[place] = readings.words(cells, missing) if values is None else values
    index = None if rows is None or columns else range(rows)
    frame = pd.DataFrame(found, index=index).set_axis([name for name, _ in columns], axis="columns")
    frame.attrs["names"] = list(names)
    return frame


def _read(cells: Any, dialect: Dialect, name: str) -> NDArray[np.float64] | None:
    """A column of text as numbers, by the reading that is known of it or as plain ones."""
    from datasets import readings

    reading = dialect.columns.get(name)
    if reading is None:
        return readings.simple(cells, dialect.missing)
    values, bad = reading.read(cells, dialect.missing)
    return None if bad.any() else values


def _arrays(place: Path, path: str) -> Chunks:
    import pandas as pd

    from datasets import arrays

    parts = (
        arrays.stream_npy(place, path, CHUNK)
        if place.suffix == ".npy"
        else arrays.stream_npz(place, path, CHUNK, LIMIT)
    )
    for X in parts:
        yield pd.DataFrame(X if X.dtype.itemsize <= 8 else _doubles(X), columns=_names(X))


def _doubles(values: NDArray[Any]) -> NDArray[np.float64]:
    """As float64; what is beyond it is infinite, which counts as missing."""
    with np.errstate(over="ignore"):
        return values.astype(np.float64)


def _names(X: NDArray[Any]) -> list[str]:
    """An array's columns have no names: they are called x0, x1, ..."""
    return [f"x{column}" for column in range(X.shape[1])]


def _native(values: NDArray[Any]) -> Any:
    """An array's column as Arrow's, which knows neither other processors' byte orders nor long doubles."""
    import pyarrow as pa

    if values.dtype.kind in "fiub":
        known = values.dtype.itemsize <= 8 and values.dtype.isnative
        return pa.array(np.ascontiguousarray(values) if known else _doubles(values))
    return pa.array([value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values])
