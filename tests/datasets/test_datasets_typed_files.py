"""Files whose columns have types, Parquet and NumPy's arrays: what is a number in them, and how much is read."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import file_makers as makers
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_makers import csv, load, plain

import datasets
from datasets import Dataset, DatasetError, columnar, tables

BASE = plain()


@pytest.fixture
def checksum(tmp_path: Path) -> str:
    return load(tmp_path, csv(BASE)).checksum


def parquet(folder: Path, table: pa.Table | pd.DataFrame, options: str = "") -> Dataset:
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), folder / "rows.parquet")
    return datasets.load(f"file:{folder / 'rows.parquet'}{options}")


def typed(**columns: object) -> pa.Table:
    return pa.table({**{name: BASE[name] for name in BASE.columns}, **columns})


def test_decimals_and_durations_of_parquet_are_numbers(tmp_path: Path, checksum: str) -> None:
    decimals = [Decimal(str(value)) for value in BASE["f0"]]
    for kind in (pa.decimal128(12, 4), pa.decimal256(60, 4)):
        found = parquet(tmp_path, typed(f0=pa.array(decimals, kind)))
        assert found.checksum == checksum
    for unit, parts in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        seconds = pa.chunked_array([pa.array([3 * parts, None, -parts // 1], pa.duration(unit))])
        np.testing.assert_array_equal(columnar.numbers(seconds), [3.0, np.nan, -1.0])


@pytest.mark.parametrize(
    ("column", "note"),
    [
        ([datetime.date(2020, 1, 1)] * makers.ROWS, "Dropped as neither numbers nor text: more."),
        ([datetime.time(1, 2)] * makers.ROWS, "Dropped as neither numbers nor text: more."),
        ([[1, 2]] * makers.ROWS, "Dropped as neither numbers nor text: more."),
        ([{"a": 1}] * makers.ROWS, "Dropped as neither numbers nor text: more."),
        ([None] * makers.ROWS, "Dropped as empty: more."),
        ([b"\xff"] * makers.ROWS, "Dropped as neither numbers nor text: more."),
        (["x" * 10_000] * makers.ROWS, "Dropped as neither numbers nor text: more."),
    ],
)
def test_what_parquet_holds_besides_numbers_and_text_is_left_out_and_named(
    tmp_path: Path, checksum: str, column: list[object], note: str
) -> None:
    found = parquet(tmp_path, typed(more=column))
    assert found.checksum == checksum
    assert note in found.provenance.notes


def test_numbers_that_parquet_stores_as_text_are_numbers_but_codes_are_categories(
    tmp_path: Path, checksum: str
) -> None:
    found = parquet(tmp_path, BASE.astype({"f0": str}))
    assert found.checksum == checksum
    assert "Stored as text and read as numbers: f0." in found.provenance.notes
    codes = parquet(tmp_path, BASE.assign(code=[str(row % 3) for row in range(makers.ROWS)]))
    assert codes.feature_names[-3:] == ("code=0", "code=1", "code=2")


def test_a_parquet_file_is_counted_while_it_is_read_and_not_by_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = pa.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), ["x" * 1000])
    table = pa.table({"a": texts, "label": np.arange(50_000) % 2})
    pq.write_table(table, tmp_path / "rows.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "rows.parquet").stat().st_size < 10_000
    monkeypatch.setattr(tables, "LIMIT", 1 << 24)
    before = pa.total_allocated_bytes()
    with pytest.raises(DatasetError, match=r"unpacks to \d+ MiB, more than the 16 MiB"):
        datasets.load(f"file:{tmp_path / 'rows.parquet'}")
    assert pa.total_allocated_bytes() - before < 1 << 25
    long = pa.DictionaryArray.from_arrays(np.zeros(2_000, np.int32), ["x" * columnar.LONGEST * 2])
    with pytest.raises(DatasetError, match="neither numbers nor text: a"):
        parquet(tmp_path, pa.table({"a": long, "label": np.arange(2_000) % 2}))


@pytest.mark.parametrize("shape", ["(True, 4)", "(-1, 4)", "(2.0, 4)", "(1000000000000, 4)", "((1,), 4)"])
def test_an_array_of_an_impossible_shape_gets_one_line(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    path = tmp_path / "rows.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(320))
    with pytest.raises(DatasetError, match=r"not an intact \.npy"):
        datasets.load(f"file:{path}?label=x0")
    with pytest.raises(DatasetError, match=r"not an intact \.npy"):
        list(tables.chunks(path, "rows.npy"))


def test_arrays_of_another_byte_order_are_read(tmp_path: Path) -> None:
    for kind in ("<f8", ">f8", ">i2", "<f2"):
        np.save(tmp_path / "rows.npy", BASE.to_numpy().astype(kind))
        found = datasets.load(f"file:{tmp_path / 'rows.npy'}?label=x3&scale=none")
        ordinary = pd.DataFrame(BASE.to_numpy().astype(kind).astype(float)).rename(columns={3: "label"})
        assert found.checksum == load(tmp_path, csv(ordinary), "?scale=none").checksum


ODD = {
    "dates beyond the calendar": pa.array([10_000_000] * len(BASE), pa.int32()).cast(pa.date32()),
    "a zone that there is none of": pa.array(range(len(BASE)), pa.timestamp("us", "Mars/X")),
    "durations beyond all": pa.array([10**18] * len(BASE), pa.duration("s")),
    "identifiers": pa.array([bytes(16)] * len(BASE), pa.uuid()),
}


@pytest.mark.parametrize("kind", ODD)
def test_labels_that_python_cannot_hold_get_one_line(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DatasetError, match=r"column 'label' is of type .* cannot be read"):
        parquet(tmp_path, typed(label=ODD[kind]))


@pytest.mark.parametrize("kind", ["dates beyond the calendar", "a zone that there is none of"])
def test_times_and_words_that_python_cannot_hold_get_one_line(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DatasetError, match=r"column 'at' is of type .* cannot be read"):
        parquet(tmp_path, typed(at=ODD[kind]), "?window=8&time=at")
    with pytest.raises(DatasetError, match=r"column 'at' is of type .* cannot be read"):
        list(tables.chunks(tmp_path / "rows.parquet", "rows.parquet", text=["at"]))


def test_long_whole_numbers_beside_missing_ones_keep_their_digits(tmp_path: Path) -> None:
    pq.write_table(pa.table({"k": pa.array([2**60 + 1, None])}), tmp_path / "rows.parquet")
    (frame,) = tables.chunks(tmp_path / "rows.parquet", "rows.parquet", text=["k"])
    assert frame["k"].tolist() == [2**60 + 1, None]


def test_long_doubles_beyond_all_floats_are_missing_without_a_warning(tmp_path: Path) -> None:
    X = BASE.to_numpy().astype(np.longdouble)
    X[5, 0] = np.longdouble("1e4000")
    if not np.isfinite(X[5, 0]):
        pytest.skip("long doubles are doubles here")
    np.save(tmp_path / "rows.npy", X)
    data = datasets.load(f"file:{tmp_path / 'rows.npy'}?label=x3")
    assert any("missing" in note for note in data.provenance.notes)
    assert np.isinf(next(iter(tables.chunks(tmp_path / "rows.npy", "rows.npy")))["x0"][5])


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(5, 0)])
def test_numbers_that_are_asked_for_as_words_are_categories(tmp_path: Path, kind: pa.DataType) -> None:
    codes = [Decimal(row % 3) if pa.types.is_decimal(kind) else row % 3 for row in range(makers.ROWS)]
    data = parquet(tmp_path, typed(port=pa.array([*codes[:-1], None], kind)), "?text=port")
    assert data.feature_names[-4:] == ("port=0", "port=1", "port=2", "port=missing")
    as_words = [*map(str, codes[:-1]), None]
    assert data.checksum == parquet(tmp_path, typed(port=as_words), "?text=port").checksum


def test_columns_of_an_array_that_are_asked_for_as_words_are_categories(tmp_path: Path) -> None:
    X = np.column_stack([BASE["f0"], np.arange(makers.ROWS) % 3])
    np.savez(tmp_path / "rows.npz", X=X, y=BASE["label"].to_numpy())
    data = datasets.load(f"file:{tmp_path / 'rows.npz'}?text=x1")
    assert data.feature_names == ("x0", "x1=0", "x1=1", "x1=2")
