"""The user's own rows: a ``.csv``, ``.parquet`` or ``.npz`` file with labels, untrusted and read within bounds."""

from __future__ import annotations

import csv
import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, DatasetError, Provenance, Request, require
from datasets.preprocessing import CLIP, encode, listed
from datasets.splitting import Rows, row_keys, split
from datasets.storage import LIMIT, asks, read

if TYPE_CHECKING:
    import pandas as pd

LABEL_NAMES = ("label", "y", "class", "target", "anomaly", "outlier")
NORMAL_WORDS = ("0", "normal", "benign", "inlier", "false", "no", "ok", "good")
MOST_CATEGORIES = 100
FEWEST_NORMAL_ROWS = 10
LARGEST = 1e150
"""Magnitudes above it, infinity first, count as missing: their squares overflow, and 1.8e308 is a sentinel."""


def _absent(request: Request, path: str, **_: object) -> str | None:
    return None if os.path.isfile(os.path.expanduser(path)) else f"data set '{request.name}': there is no file {path}"


@asks(_absent)
def load_file(request: Request, path: str, *, label: str = "", normal: str = "") -> Dataset:
    """Your own .csv, .parquet or .npz (arrays X and y): file:PATH?label=COLUMN&normal=VALUE,VALUE."""
    require((reason := _absent(request, path)) is None, str(reason))
    place = Path(os.path.expanduser(path))
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
    require(place.suffix in readers, f"{path}: wants a name that ends in {', '.join(readers)}")
    content, source = read(place, name=path)
    table = readers[place.suffix](content, path)
    names = [str(column) for column in table.columns]
    require(len(set(names)) == len(names), f"{path}: two columns have the same name")
    table.columns = table.columns.astype(str)

    column = _label_column(names, label, path)
    labelled = table[table[column].notna()].reset_index(drop=True)
    require(len(labelled) > 0, f"{path}: column '{column}' holds no labels")
    anomalous, meaning = _anomalous(labelled.pop(column), normal, path)
    features, notes = _usable(labelled, path)
    train, val, test = _split(features, anomalous, request.seed, path)
    encoded = encode(
        *(features.iloc[rows] for rows in (train, val, test)),
        categorical=[name for name in features.columns if features[name].dtype == object],
    )
    require(len(encoded.feature_names) > 0, f"{path}: every column is constant in the training rows; nothing to learn")
    if len(labelled) < len(table):
        notes.insert(0, f"{len(table) - len(labelled):,} rows without a label were dropped.")
    return encoded.apart().dataset(
        request,
        anomalous[test],
        Provenance(
            source=f"The user's file {path}: {len(labelled):,} labelled rows, {anomalous.sum():,} of them anomalous.",
            protocol=f"Normal: {meaning} in column '{column}'; normal rows are drawn 60 % train, 20 % validation, "
            "20 % test, identical rows together; all anomalies are in the test part; numeric columns standardised by "
            f"the training rows and cut at ±{CLIP:g} deviations, categories one-hot.",
            files=(source,),
            notes=tuple(notes),
        ),
    )


def _label_column(names: list[str], asked: str, path: str) -> str:
    if asked:
        require(asked in names, f"{path}: no column '{asked}'; there are: {listed(names)}")
        return asked
    found = [name for name in names if name.strip().lower() in LABEL_NAMES]
    require(
        len(found) == 1,
        f"{path}: {'several columns could be' if found else 'no column is plainly'} the label; name one with "
        f"?label=COLUMN: {listed(found or names)}",
    )
    return found[0]


def _anomalous(labels: pd.Series, asked: str, path: str) -> tuple[NDArray[np.bool_], str]:
    """Which rows are anomalous, and the values that mean normal, for the protocol."""
    words = labels.map(_word).to_numpy(dtype=object)
    values = sorted(set(words))
    if asked:
        wanted = [word.strip() for word in asked.split(",")]
        unknown = [value for value in wanted if value not in values]
        require(not unknown, f"{path}: no row is labelled {listed(unknown)}; the labels are: {listed(values)}")
    else:
        wanted = [value for value in values if value.lower().rstrip(".") in NORMAL_WORDS]
        require(
            len(wanted) == 1,
            f"{path}: {'several labels mean' if wanted else 'no row has a label that plainly means'} normal; name "
            f"those that do with ?normal=VALUE,VALUE; the labels are: {listed(values)}",
        )
    anomalous = ~np.isin(words, wanted)
    require(bool(anomalous.any()), f"{path}: every row is normal ({listed(wanted)}); scoring needs some anomalies")
    return anomalous, listed(wanted)


def _word(value: object) -> str:
    """A label as people write it: 0, 0.0 and False differ as types only where the text does."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _usable(table: pd.DataFrame, path: str) -> tuple[pd.DataFrame, list[str]]:
    """Columns of numbers (float64) and of categories (text); what was left out or changed, a sentence each."""
    import pandas as pd

    kept: dict[str, pd.Series] = {}
    crowded, foreign, infinite, empty = [], [], [], []
    for name in table.columns:
        values = table[name]
        present = values.dropna().astype(object)
        if present.empty:
            empty.append(name)
        elif pd.api.types.is_numeric_dtype(values) or all(isinstance(value, bool | int | float) for value in present):
            numbers = pd.Series(values.astype(object).to_numpy(dtype=np.float64, na_value=np.nan))
            beyond = numbers.abs() > LARGEST
            if beyond.any():
                infinite.append(name)
            kept[name] = numbers.mask(beyond)
        elif not all(isinstance(value, str) for value in present):
            foreign.append(name)
        elif present.nunique() > min(MOST_CATEGORIES, len(present) / 2):
            crowded.append(name)
        else:
            kept[name] = values.astype(object)
    notes = [
        f"{sentence}: {listed(names)}."
        for sentence, names in (
            ("Dropped as empty", empty),
            ("Dropped as neither numbers nor text", foreign),
            (f"Dropped as text of too many values (over {MOST_CATEGORIES}, or over half of the rows)", crowded),
            ("Infinite values were taken as missing", infinite),
        )
        if names
    ]
    require(bool(kept), f"{path}: no feature column is left besides the label. {' '.join(notes)}".rstrip())
    return pd.DataFrame(kept), notes


def _split(features: pd.DataFrame, anomalous: NDArray[np.bool_], seed: int, path: str) -> tuple[Rows, Rows, Rows]:
    """Split normal rows so that identical ones stay together, and those identical to an anomaly in the test part."""
    keys = row_keys(features)
    tied = np.isin(keys, keys[anomalous])
    groups, group = np.unique(keys[~tied], return_inverse=True)
    require(
        len(groups) >= FEWEST_NORMAL_ROWS,
        f"{path}: {len(groups)} distinct normal rows unlike every anomaly; it takes {FEWEST_NORMAL_ROWS}",
    )
    train, val, test = (np.flatnonzero(~tied)[np.isin(group, part)] for part in split(len(groups), seed))
    return train, val, np.concatenate([test, np.flatnonzero(tied)])


def _read_csv(content: bytes, path: str) -> pd.DataFrame:
    import pandas as pd

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}: line {line} is not UTF-8 text; save the file as UTF-8") from error
    separator = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    try:  # pandas fills short lines silently
        lines = csv.reader(io.StringIO(text), delimiter=separator)
        header = next(filter(None, lines), [])
        for fields in lines:
            require(
                len(fields) in (0, len(header)),
                f"{path}: line {lines.line_num} has {len(fields)} fields, the header {len(header)}",
            )
        table = pd.read_csv(io.StringIO(text), sep=separator, na_values=["?"], low_memory=False, index_col=False)
    except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DatasetError(f"{path}: not a table of comma-separated values ({error})") from error
    return table.set_axis(header, axis="columns")  # as written: pandas renames the second of two equal names


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
        raise DatasetError(f"{path}: not an intact parquet file ({_first_line(error)})") from error


def _read_npz(content: bytes, path: str) -> pd.DataFrame:
    import pandas as pd

    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in ("X", "y"):
                require(
                    f"{name}.npy" in archive.namelist(), f"{path}: wants the arrays X and y; there is no array {name}"
                )
                _check_size(archive.getinfo(f"{name}.npy").file_size, path)
                with archive.open(f"{name}.npy") as member:
                    arrays[name] = np.lib.format.read_array(io.BytesIO(member.read(LIMIT)), allow_pickle=False)
    except DatasetError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, MemoryError, RuntimeError) as error:
        raise DatasetError(f"{path}: not an intact .npz of plain arrays ({_first_line(error)})") from error
    X, y = arrays["X"], arrays["y"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column, as files converted from Matlab hold it
    require(
        X.ndim == 2 and X.shape[1] > 0 and y.shape == X.shape[:1] and X.dtype.kind in "fiub",
        f"{path}: X has shape {X.shape} of {X.dtype}, y {y.shape}; wants X (rows, features) of numbers, y (rows,)",
    )
    table = pd.DataFrame(X, columns=[f"x{column}" for column in range(X.shape[1])])
    return table.assign(y=y)


def _check_size(size: int, path: str) -> None:
    require(size <= LIMIT, f"{path}: unpacks to {size >> 20:,} MiB, more than the {LIMIT >> 20:,} MiB that are read")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
