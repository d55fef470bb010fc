"""Tables from untrusted files, ``.csv``, ``.parquet``, ``.npy`` and ``.npz``: whole within bounds, or in chunks however
large they are. One line for each way that fails; nothing is ever unpickled."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import DatasetError, require
from datasets.storage import LIMIT

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1 << 15
"""Rows of a chunk."""
LONGEST_LINE = 1 << 24
"""Bytes: a file that has no line breaks is not read into memory to find out."""
LARGEST = 1e150
"""Magnitudes above it, infinity first, count as missing: their squares overflow, and 1.8e308 is a sentinel."""
UNKNOWN = ["?"]
"""What means missing in a CSV file besides the usual words."""

Chunks = Iterator["pd.DataFrame"]


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


def whole(content: bytes, path: str) -> pd.DataFrame:
    """The table that a file's bytes hold, its kind told by the ending of its name."""
    suffix = Path(path).suffix
    require(suffix in READERS, f"{path}: wants a name that ends in {', '.join(READERS)}")
    return READERS[suffix](content, path)


def chunks(place: Path, path: str, *, text: Sequence[str] = (), columns: Sequence[str] | None = None) -> Chunks:
    """The table of a file chunk by chunk, of which a few rows only are held at a time.

    Parameters
    ----------
    place : Path
    path : str
        The file as the user named it, for messages.
    text : names of columns that are text, whatever they look like
    columns : names of the columns that are wanted, where the file need not give all
    """
    require(place.is_file(), f"there is no file {path}")
    require(place.suffix in STREAMS, f"{path}: wants a name that ends in {', '.join(STREAMS)}")
    try:
        yield from STREAMS[place.suffix](place, path, text, columns)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from error


def _read_csv(content: bytes, path: str) -> pd.DataFrame:
    tables = list(_parsed(io.BytesIO(content), path, None, ()))
    require(len(tables) == 1, f"{path}: not a table of comma-separated values (no rows)")
    return tables[0]


def _stream_csv(place: Path, path: str, text: Sequence[str], columns: Sequence[str] | None) -> Chunks:
    with place.open("rb") as file:
        yield from _parsed(file, path, CHUNK, text)


def _parsed(file: IO[bytes], path: str, rows: int | None, text: Sequence[str]) -> Chunks:
    """Tables of so many rows, or one of them all. Each row is seen to have as many fields as the header: pandas fills
    short ones silently."""
    import pandas as pd

    taken: list[str] = []

    def lines() -> Iterator[str]:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
            require(len(line) < LONGEST_LINE, f"{path}: line {number} is longer than {LONGEST_LINE >> 20} MiB")
            try:
                taken.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise DatasetError(f"{path}: line {number} is not UTF-8 text; save the file as UTF-8") from error
            yield taken[-1]

    source = lines()
    try:
        first = next(filter(str.strip, source), "")
        separator = max(",;\t", key=first.count)
        records = csv.reader(_chained(first, source), delimiter=separator)
        header = next(filter(None, records), [])
        require(bool(header), f"{path}: not a table of comma-separated values (no columns)")
        before, count = len(taken) - records.line_num, 0  # blank lines above the header
        taken.clear()

        def table() -> pd.DataFrame:
            found = pd.read_csv(
                io.StringIO("".join(taken)),
                sep=separator,
                names=list(range(len(header))),
                header=None,
                na_values=UNKNOWN,
                low_memory=False,
                index_col=False,
                dtype={place: str for place, name in enumerate(header) if name in text},
            )
            taken.clear()
            return found.set_axis(header, axis="columns")  # as written: pandas renames the second of two equal names

        for fields in records:
            require(
                len(fields) in (0, len(header)),
                f"{path}: line {before + records.line_num} has {len(fields)} fields, the header {len(header)}",
            )
            count += bool(fields)
            if count == rows:
                yield table()
                count = 0
        if count:
            yield table()
    except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DatasetError(f"{path}: not a table of comma-separated values ({error})") from error


def _chained(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _read_parquet(content: bytes, path: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        unpacked = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
        _check_size(max(unpacked, 8 * file.metadata.num_rows * file.metadata.num_columns), path)
        table: pd.DataFrame = file.read().to_pandas(ignore_metadata=True)
        return table
    except DatasetError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(f"{path}: not an intact parquet file ({first_line(error)})") from error


def _stream_parquet(place: Path, path: str, text: Sequence[str], columns: Sequence[str] | None) -> Chunks:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(place) as file:
            for group in range(file.num_row_groups):
                _check_size(file.metadata.row_group(group).total_byte_size, f"{path}: row group {group}")
            present = file.schema_arrow.names
            wanted = None if columns is None else [name for name in dict.fromkeys(columns) if name in present]
            for batch in file.iter_batches(CHUNK, columns=wanted):
                yield batch.to_pandas(ignore_metadata=True)
    except DatasetError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(f"{path}: not an intact parquet file ({first_line(error)})") from error


def _read_npy(content: bytes, path: str) -> pd.DataFrame:
    try:
        X = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise DatasetError(f"{path}: not an intact .npy of a plain array ({first_line(error)})") from error
    return _named(_checked(X, path))


def _stream_npy(place: Path, path: str, text: Sequence[str], columns: Sequence[str] | None) -> Chunks:
    try:
        X = np.load(place, mmap_mode="r", allow_pickle=False)
        require(isinstance(X, np.ndarray), f"{path}: is an archive of arrays, whose name ends in .npz")
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path}: not an intact .npy of a plain array ({first_line(error)})") from error
    _checked(X, path)
    for start in range(0, len(X), CHUNK):
        yield _named(np.array(X[start : start + CHUNK]))


def _read_npz(content: bytes, path: str) -> pd.DataFrame:
    arrays = {}
    with _opened(io.BytesIO(content), path) as archive:
        for name in ("X", "y"):
            require(f"{name}.npy" in archive.namelist(), f"{path}: wants the arrays X and y; there is no array {name}")
            arrays[name] = _member(archive, name, path)
    X, y = arrays["X"], arrays["y"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column, as files converted from Matlab hold it
    require(
        X.ndim == 2 and X.shape[1] > 0 and y.shape == X.shape[:1] and X.dtype.kind in "fiub",
        f"{path}: X has shape {X.shape} of {X.dtype}, y {y.shape}; wants X (rows, features) of numbers, y (rows,)",
    )
    return _named(X).assign(y=y)


def _stream_npz(place: Path, path: str, text: Sequence[str], columns: Sequence[str] | None) -> Chunks:
    """The array X, row by row where it lies so in the archive."""
    with place.open("rb") as file, _opened(file, path) as archive:
        require("X.npy" in archive.namelist(), f"{path}: wants the array X; there are: {', '.join(archive.namelist())}")
        with archive.open("X.npy") as member:
            shape, by_columns, dtype = _header(member)
        if by_columns or dtype.hasobject or len(shape) != 2:
            X = _checked(_member(archive, "X", path), path)
            for start in range(0, len(X), CHUNK):
                yield _named(X[start : start + CHUNK])
            return
        _checked(np.empty((0, shape[1]), dtype), path)
        _check_size(shape[1] * dtype.itemsize * CHUNK, f"{path}: a chunk of X")
        with archive.open("X.npy") as member:
            _header(member)
            for start in range(0, shape[0], CHUNK):
                rows = min(CHUNK, shape[0] - start)
                part = member.read(rows * shape[1] * dtype.itemsize)
                yield _named(np.frombuffer(part, dtype, rows * shape[1]).reshape(rows, shape[1]))


class _opened:  # noqa: N801  it is used as a function is
    """A zip archive whose every fault is one line."""

    def __init__(self, file: IO[bytes], path: str) -> None:
        self.file, self.path = file, path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.file)
        except zipfile.BadZipFile as error:
            raise self._fault(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        faults = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, MemoryError, RuntimeError)
        if isinstance(error, faults) and not isinstance(error, DatasetError):
            raise self._fault(error) from error

    def _fault(self, error: BaseException) -> DatasetError:
        return DatasetError(f"{self.path}: not an intact .npz of plain arrays ({first_line(error)})")


def _member(archive: zipfile.ZipFile, name: str, path: str) -> NDArray[Any]:
    """A whole array of an archive, within bounds."""
    _check_size(archive.getinfo(f"{name}.npy").file_size, path)
    with archive.open(f"{name}.npy") as member:
        return np.lib.format.read_array(io.BytesIO(member.read(LIMIT)), allow_pickle=False)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it lies by columns, and type of the array that begins here."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(member)


def _checked(X: NDArray[Any], path: str) -> NDArray[Any]:
    require(
        X.ndim == 2 and X.shape[1] > 0 and X.dtype.kind in "fiub",
        f"{path}: holds an array of shape {X.shape} of {X.dtype}; wants (rows, features) of numbers",
    )
    return X


def _named(X: NDArray[Any]) -> pd.DataFrame:
    """An array's columns have no names: they are called x0, x1, ..."""
    import pandas as pd

    return pd.DataFrame(X, columns=[f"x{column}" for column in range(X.shape[1])])


def _check_size(size: int, path: str) -> None:
    require(size <= LIMIT, f"{path}: unpacks to {size >> 20:,} MiB, more than the {LIMIT >> 20:,} MiB that are read")


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


READERS: dict[str, Callable[[bytes, str], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".npz": _read_npz,
    ".npy": _read_npy,
}
STREAMS: dict[str, Callable[[Path, str, Sequence[str], Sequence[str] | None], Chunks]] = {
    ".csv": _stream_csv,
    ".parquet": _stream_parquet,
    ".npz": _stream_npz,
    ".npy": _stream_npy,
}
