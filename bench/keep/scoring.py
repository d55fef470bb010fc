"""Scoring a file with a saved model, chunk by chunk, so that the file may be larger than memory."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from bench.keep.models import Model, ModelError, scored
from datasets import tables
from datasets.preprocessing import Preprocessing, listed
from datasets.scaling import LARGEST

if TYPE_CHECKING:
    import pandas as pd

ARRAYS = (".npy", ".npz")
"""Files whose columns have no names."""
FORMATS = (".csv", ".parquet")
RESERVED = ("score", "flagged")


def score(
    model: Model, detector: Any, kind: str, place: Path, path: str, *, top: int = 0, key: str | None = None
) -> Iterator[pd.DataFrame]:
    """One table for every chunk of a file, a row for each of its rows.

    Columns: ``row`` (from 0), or the ``key`` column as text; ``score``; ``flagged``, 1 where the score is above the
    model's threshold; and, of a detector that explains its scores, ``feature_1``, ``share_1`` and so on for the `top`
    features with the largest shares. Columns are matched by name, and what the model does not read is ignored.

    Raises ModelError or DatasetError, in one line.
    """
    import pandas as pd

    if key in RESERVED:
        raise ModelError(f"--id {key}: the result has a column of that name; rename it in {path}")
    level, preprocessing = model.level(kind), model.preprocessing
    names = np.array(preprocessing.feature_names, dtype=object)
    top = min(top, len(names)) if hasattr(detector, "explain") else 0
    text = [*(preprocessing.categories or {}), *([key] if key else [])]
    start = 0
    for table in tables.chunks(place, path, text=text, columns=[*preprocessing.columns, *([key] if key else [])]):
        X = preprocessing(_raw(table, preprocessing, path, start))
        # what lies beyond all numbers is beyond the threshold too
        scores = np.nan_to_num(scored(detector, X, kind), nan=LARGEST).clip(max=LARGEST)
        found: dict[str, Any] = {}
        if key is None:
            found["row"] = np.arange(start, start + len(table))
        else:
            found[key] = pd.Series(_keys(table, key, path), dtype=object)
        found |= {"score": scores.astype(np.float32), "flagged": (scores > level).astype(np.int8)}
        if top:
            shares = np.asarray(detector.explain(X))
            order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
            for rank, column in enumerate(order.T, start=1):
                found[f"feature_{rank}"] = names[column]
                found[f"share_{rank}"] = shares[np.arange(len(X)), column].astype(np.float32)
        yield pd.DataFrame(found)
        start += len(table)
    if start == 0:
        raise ModelError(f"{path}: holds no rows")


def _raw(table: pd.DataFrame, preprocessing: Preprocessing, path: str, start: int) -> pd.DataFrame:
    """The columns that the model reads, numbers as numbers."""
    import pandas as pd

    present = [str(name) for name in table.columns]
    wanted = list(preprocessing.columns)
    missing = [name for name in wanted if name not in present]
    if missing and Path(path).suffix in ARRAYS and len(present) == len(wanted):
        present, missing = wanted, []  # in the order of the data set that the model was trained on
    if missing:
        near = difflib.get_close_matches(missing[0], present, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {listed(present)}"
        raise ModelError(f"{path}: no column {missing[0]!r}, which the model reads; {hint}")
    twice = [name for name in wanted if present.count(name) > 1]
    if twice:
        raise ModelError(f"{path}: two columns are called {twice[0]!r}")
    table = table.set_axis(present, axis="columns")
    raw: dict[str, Any] = {}
    for name in preprocessing.numbers:
        values = tables.numbers(table[name])
        if values is None:
            row, word = next((row, word) for row, word in enumerate(table[name]) if isinstance(word, str))
            raise ModelError(f"{path}: row {start + row} holds {word!r} in column {name!r}, which wants numbers")
        raw[name] = values
    raw |= {name: table[name] for name in preprocessing.categories or {}}
    return pd.DataFrame(raw, columns=wanted, index=table.index)


def _keys(table: pd.DataFrame, key: str, path: str) -> list[str | None]:
    if list(map(str, table.columns)).count(key) != 1:
        raise ModelError(f"{path}: --id wants one column called {key!r}; there are: {listed(table.columns)}")
    return [None if missing else str(value) for value, missing in zip(table[key], table[key].isna(), strict=True)]


def write(found: Iterable[pd.DataFrame], out: Path | None) -> tuple[int, int]:
    """Writes tables one after another, as CSV to standard output or to a file as its name ends, ``.csv`` or
    ``.parquet``; the file is there when it is whole. Returns how many rows there were and how many were flagged.
    """
    if out is None:
        return _written(found, _csv(sys.stdout.buffer))
    if out.suffix not in FORMATS:
        raise ModelError(f"{out}: wants a name that ends in {' or '.join(FORMATS)}")
    draft = out.with_name(f"{out.name}.{os.getpid()}.partial")
    try:
        if out.suffix == ".csv":
            with draft.open("wb") as file:
                counts = _written(found, _csv(file))
        else:
            with _parquet(draft) as add:
                counts = _written(found, add)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return counts


Add = Callable[["pd.DataFrame"], None]


def _written(found: Iterable[pd.DataFrame], add: Add) -> tuple[int, int]:
    rows = flagged = 0
    for table in found:
        add(table)
        rows += len(table)
        flagged += int(table["flagged"].sum())
    return rows, flagged


def _csv(file: IO[bytes]) -> Add:
    """Adds tables to a file of comma-separated values, which begins with the names of their columns."""
    begun = False

    def add(table: pd.DataFrame) -> None:
        nonlocal begun
        file.write(table.to_csv(index=False, header=not begun, lineterminator="\n").encode())
        begun = True

    return add


@contextmanager
def _parquet(path: Path) -> Iterator[Add]:
    """Adds tables to a Parquet file, each as row groups."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None

    def add(table: pd.DataFrame) -> None:
        nonlocal writer
        schema = pa.schema(  # of the columns' kinds, not of what the first chunk happens to hold
            (name, pa.from_numpy_dtype(kind) if pd.api.types.is_numeric_dtype(kind) else pa.string())
            for name, kind in table.dtypes.items()
        )
        writer = writer or pq.ParquetWriter(path, schema)
        writer.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False))

    try:
        yield add
    finally:
        if writer is not None:
            writer.close()
