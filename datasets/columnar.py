"""Parquet files: read in batches of bounded size, counting what they unpack to, since a file can lie about that."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datasets.dataset import DatasetError, require
from datasets.storage import check_names, check_size, first_line

BATCH = 1 << 15
"""Rows that are unpacked at a time at most, fewer where there are many columns."""
TEXTS = 1 << 12
"""Of columns of text: a dictionary makes a long text cost nothing in the file and all of its length here."""
CELLS = 1 << 23
MOST_COLUMNS = 1 << 14
LONGEST = 1 << 12
"""Bytes of a text: a longer one is neither a number nor a category."""
MOST_INDEX = 1 << 20
"""Bytes of what pandas says of its index that are looked at."""

Column = pa.ChunkedArray


def read(content: bytes, path: str, limit: int) -> tuple[dict[str, Any], list[str], list[str]]:
    """The columns of a file by their names, the names of those that are not read, and of pandas' index.

    Not read are nested columns, and those with a text longer than `LONGEST`.

    Raises `DatasetError` where the file is damaged, or unpacks to more than `limit` bytes.
    """
    return together([(content, path)], path, limit)[:3]


def together(
    files: Iterable[tuple[bytes, str]], path: str, limit: int
) -> tuple[dict[str, Any], list[str], list[str], list[int]]:
    """As `read`, of one table whose rows lie in several files, which are taken one at a time; and the rows of each.

    The files have the same columns in the same order. A column may be stored otherwise from file to file where that
    loses nothing: numbers of any width, text with or without a dictionary, one that is empty in a file.

    Raises `DatasetError`, which names the file, where one is damaged or has other columns than those before it, or
    where they unpack to more than `limit` bytes together.
    """
    whole = _Whole(path)
    batches: list[pa.RecordBatch] = []
    schema, index, counts = None, dict[str, None](), list[int]()
    for content, name in files:
        with _intact(name):
            file = _opened(io.BytesIO(content), name)
            unpacked = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
            least = max(unpacked, 8 * file.metadata.num_rows * file.metadata.num_columns)
            check_size(whole.total + least, path, limit)
            check_names(file.schema_arrow.names, name)
            schema = _plain(file.schema_arrow) if schema is None else _common(schema, _plain(file.schema_arrow), name)
            index |= dict.fromkeys(_index(file.schema_arrow))
            flat = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
            found = list(_batches(file, flat, name, limit, whole))
        counts.append(sum(map(len, found)))
        batches += found
    assert schema is not None, "a table is of one file at least"
    with _intact(path):
        flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
        kept = [name for name in flat if name not in whole.long]
        # texts are counted first and written out when it is known that all of them fit
        tables = [pa.Table.from_batches([_spelled(batch.select(kept))]) for batch in batches]
        empty = pa.schema([(name, pa.null()) for name in kept]).empty_table()
        table = pa.concat_tables(tables, promote_options="permissive") if tables else empty
        columns = dict(zip(kept, table.columns, strict=True))
    return columns, [name for name in schema.names if name not in columns], list(index), counts


def _plain(schema: pa.Schema) -> pa.Schema:
    """The columns, each of the type of its values."""
    kinds = [(one.name, one.type.value_type if pa.types.is_dictionary(one.type) else one.type) for one in schema]
    return pa.schema(kinds)


def _common(schema: pa.Schema, other: pa.Schema, path: str) -> pa.Schema:
    """What holds the columns of both; `DatasetError` where the other one's are not the same."""
    for name in schema.names:
        require(name in other.names, f"{path}: has no column {name!r}, which the files before it have")
    for name in other.names:
        require(name in schema.names, f"{path}: has a column {name!r}, which the files before it do not have")
    require(other.names == schema.names, f"{path}: has its columns in another order than the files before it")
    kinds = []
    for one, own in zip(schema, other, strict=True):
        try:
            kinds.append(pa.unify_schemas([pa.schema([one]), pa.schema([own])], promote_options="permissive").field(0))
        except pa.ArrowException as error:
            raise DatasetError(
                f"{path}: column {one.name!r} is {own.type} here and {one.type} in the files before it"
            ) from error
    return pa.schema(kinds)


@contextmanager
def _intact(path: str) -> Iterator[None]:
    """`DatasetError` in one line where a library cannot read what it is given."""
    try:
        yield
    except DatasetError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DatasetError(f"{path}: not an intact parquet file ({first_line(error)})") from error


@contextmanager
def legible(column: Any, name: str, path: str) -> Iterator[None]:
    """`DatasetError` where a column's type, or a value of it, has nothing that Python can hold."""
    try:
        yield
    except (pa.ArrowException, ValueError, OverflowError) as error:
        if isinstance(error, DatasetError):
            raise
        kind = first_line(ValueError(str(column.type)))
        raise DatasetError(
            f"{path}: column {name!r} is of type {kind}, and a value of it cannot be read ({first_line(error)})"
        ) from error


def stream(place: Path, path: str, columns: Sequence[str] | None, rows: int, limit: int) -> Iterator[pa.RecordBatch]:
    """Some rows at a time of the columns that are wanted and there, or of all that are not nested."""
    with _intact(path), place.open("rb") as source:
        file = _opened(source, path)
        flat = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
        wanted = flat if columns is None else [name for name in dict.fromkeys(columns) if name in flat]
        for batch in map(_spelled, _batches(file, wanted, path, limit)):
            for start in range(0, len(batch), rows):
                yield batch.slice(start, rows)


def _opened(source: Any, path: str) -> pq.ParquetFile:
    """The file, its texts as dictionaries: what stands in it once comes into memory once."""
    file = pq.ParquetFile(source)
    width = file.metadata.num_columns
    require(width <= MOST_COLUMNS, f"{path}: has {width:,} columns; {MOST_COLUMNS:,} are read")
    texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
    return pq.ParquetFile(source, read_dictionary=texts) if texts else file


@dataclass
class _Whole:
    """What is counted of all the files of a table."""

    path: str
    total: int = 0
    """Bytes that they unpack to."""
    long: set[str] = field(default_factory=set)
    """Columns with a text that is too long."""


def _batches(
    file: pq.ParquetFile, columns: Sequence[str], path: str, limit: int, whole: _Whole | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches whose texts are dictionaries, each of them within the limit once they are written out.

    Of a whole table it is all of them together, and columns of texts that are too long are empty and named there.
    """
    texts = {field.name for field in file.schema_arrow if _is_text(field.type)}
    rows = max(1, min(TEXTS if texts & set(columns) else BATCH, CELLS // max(1, len(columns))))
    for batch in file.iter_batches(rows, columns=list(columns)):
        batch.validate(full=True)  # text that is none would be found when somebody reads it
        total = whole.total if whole else 0
        found = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            size, longest = _size(column)
            if longest > LONGEST:
                if whole is None:
                    raise DatasetError(
                        f"{path}: column {name!r} holds a text of {longest:,} bytes; {LONGEST:,} are read"
                    )
                whole.long.add(name)
                column = pa.nulls(len(column), pa.dictionary(pa.int32(), pa.string()))
                size = 0
            total += size
            check_size(total, whole.path if whole else path, limit)
            found.append(column)
        if whole:
            whole.total = total
        yield pa.RecordBatch.from_arrays(found, names=batch.schema.names)


def _spelled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with each text where it stands, instead of its number in a dictionary."""
    found = [column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column for column in batch]
    return pa.RecordBatch.from_arrays(found, names=batch.schema.names)


def _size(column: pa.Array) -> tuple[int, int]:
    """The bytes that a column takes, once each of its texts stands for itself, and those of its longest text."""
    if isinstance(column, pa.DictionaryArray) and _is_text(column.type.value_type):
        lengths = pc.binary_length(column.dictionary).cast(pa.int64())
        used = lengths.take(column.indices)
        return int(pc.sum(used).as_py() or 0) + 8 * len(column), int(pc.max(used).as_py() or 0)
    return int(column.nbytes), 0


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind)
                or types.is_large_binary(kind) or types.is_string_view(kind) or types.is_binary_view(kind))  # fmt: skip


def _index(schema: pa.Schema) -> list[str]:
    """The columns that were pandas' index, as far as its metadata tell."""
    told = (schema.metadata or {}).get(b"pandas", b"")
    try:
        found = msgspec.json.decode(told, type=_Pandas) if 0 < len(told) <= MOST_INDEX else _Pandas()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [name for name in found.index_columns if isinstance(name, str) and name in schema.names]


class _Pandas(msgspec.Struct):
    """What pandas keeps of a frame; a counted index is a table of its bounds and no column."""

    index_columns: list[str | dict[str, Any] | None] = []


def numbers(column: Any) -> NDArray[np.float64] | None:
    """A typed column as float64, NaN where nothing is: numbers, truth values, decimals, and durations in seconds.

    None for a column of something else.
    """
    kind = column.type
    types = pa.types
    if types.is_dictionary(kind) and not _is_text(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if types.is_duration(kind):
        parts = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        found = _values(column.cast(pa.int64()).cast(pa.float64(), safe=False)) / parts
    elif types.is_decimal(kind):
        found = _values(column.cast(pa.string()).cast(pa.float64()))  # the nearest number, as of the same digits in CSV
    elif types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        found = _values(column.cast(pa.float64(), safe=False))
    else:
        return None
    return found


def text(column: Any) -> Any:
    """A column of text as strings, or None for one of something else; bytes are text where they are UTF-8."""
    if pa.types.is_null(column.type) or not _is_text(column.type):
        return None
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return None


def words(column: Any) -> Any:
    """A typed column of single values as words, whole numbers without a point; None for a column of something else."""
    if numbers(column) is None:
        return text(column)
    coded = pa.chunked_array([column.combine_chunks()]).dictionary_encode().combine_chunks()
    known = [_word(value) for value in coded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array([*known, None], pa.string()).take(coded.indices.fill_null(len(known)))])


def _word(value: object) -> str | None:
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return str(value)


def _values(column: Any) -> NDArray[np.float64]:
    found = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
    return np.array(found, dtype=np.float64)
