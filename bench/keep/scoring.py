"""Scoring a file with a saved model, chunk by chunk, so that the file may be larger than memory."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from bench.keep.models import Model, ModelError, scored
from bench.messages import harmless
from bench.quality.steps import step_scores
from datasets import tables, times, windows
from datasets.columns import shown
from datasets.dataset import Stretch
from datasets.gaps import without
from datasets.preprocessing import Preprocessing, listed
from datasets.readings import PLAIN, Dialect
from datasets.scaling import LARGEST
from datasets.storage import replacing
from datasets.windows import Windowing
from reports.spreadsheets import inert

if TYPE_CHECKING:
    import pandas as pd

ARRAYS = (".npy", ".npz")
"""Files whose columns have no names."""
FORMATS = (".csv", ".parquet")
RESERVED = ("score", "flagged")
WINDOWS = 4_096
"""Of a series that are scored at a time."""


@dataclass
class Seen:
    """What was met in the rows that were scored, and did not stop them."""

    ignored: tuple[str, ...] = ()
    """Columns that the model does not read."""
    gaps: Counter[str] = field(default_factory=Counter)
    """Values that were missing, by column."""
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by a column and its value that training did not have."""

    def notes(self, model: Model, path: str) -> list[str]:
        """A sentence for each."""
        found = []
        if self.ignored:
            found.append(f"Not read by the model: {shown(self.ignored)}.")
        if path.endswith(".csv"):
            by_reading: dict[str, list[str]] = {}
            for name, reading in model.columns.dialect.columns.items():
                by_reading.setdefault(str(reading), []).append(name)
            found += [f"Read with {reading}, as in training: {shown(names)}." for reading, names in by_reading.items()]
        if self.gaps:
            counts = [f"{name} ({count:,})" for name, count in self.gaps.items()]
            found.append(f"Missing values were filled as in training: {listed(counts)}.")
        if self.unknown:
            counts = [f"{name} {value!r} ({count:,})" for (name, value), count in self.unknown.most_common()]
            found.append(f"Values that training did not have count as no category: {listed(counts, 5)}.")
        return found

    def add(self, raw: pd.DataFrame, preprocessing: Preprocessing) -> None:
        """Counts a chunk."""
        for name in preprocessing.numbers:
            if count := int(raw[name].isna().sum()):
                self.gaps[name] += count
        for name, known in (preprocessing.categories or {}).items():
            for value, count in raw[name].value_counts().items():
                if value not in known:
                    self.unknown[name, str(value)[:40]] += int(count)


def score(
    model: Model,
    detector: Any,
    kind: str,
    place: Path,
    path: str,
    *,
    top: int = 0,
    key: str | None = None,
    seen: Seen | None = None,
) -> Iterator[pd.DataFrame]:
    """One table for every chunk of a file, a row for each of its rows.

    Columns: ``row`` (from 0), or the ``key`` column as text; ``score``; ``flagged``, 1 where the score is above the
    model's threshold; and, of a detector that explains its scores, ``feature_1``, ``share_1`` and so on for the `top`
    features with the largest shares. Columns are matched by name, and what the model does not read is ignored. What
    there is to be told of the rows is put into ``seen``.

    Raises ModelError or DatasetError, in one line.
    """
    import pandas as pd

    if key in RESERVED:
        raise ModelError(f"--id {key}: the result has a column of that name; rename it in {path}")
    level, preprocessing = model.level(kind), model.preprocessing
    if isinstance(preprocessing, Windowing):
        yield _over_time(preprocessing, detector, kind, level, place, path, key, seen)
        return
    names = np.array(preprocessing.feature_names, dtype=object)
    top = min(top, len(names)) if hasattr(detector, "explain") else 0
    text = [*(preprocessing.categories or {}), *([key] if key else [])]
    wanted = [*preprocessing.columns, *([key] if key else [])]
    dialect = preprocessing.dialect
    start = 0
    for table in tables.chunks(place, path, text=text, columns=wanted, dialect=dialect):
        raw = _raw(table, preprocessing, path, start, lambda row: tables.line(place, path, row, dialect))
        if seen is not None:
            seen.ignored = _ignored(table, wanted)
            seen.add(raw, preprocessing)
        X = preprocessing(raw)
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


def _over_time(
    windowing: Windowing,
    detector: Any,
    kind: str,
    level: float,
    place: Path,
    path: str,
    key: str | None,
    seen: Seen | None,
) -> pd.DataFrame:
    """The result for a file whose rows are the steps of one series: it is read whole, scored in windows in the order of
    time, and each step has the mean of the windows that hold it, in the order of the file."""
    import pandas as pd

    steps, dialect, time = windowing.steps, windowing.steps.dialect, windowing.time
    parts: list[pd.DataFrame] = []
    moments: list[pd.Series] = []
    keys: list[str | None] = []
    wanted = list(dict.fromkeys([*steps.columns, *filter(None, (key, time))]))
    text = [*(steps.categories or {}), *([key] if key else [])]
    start = 0
    for table in tables.chunks(place, path, text=text, columns=wanted, dialect=dialect):
        parts.append(_raw(table, steps, path, start, lambda row: tables.line(place, path, row, dialect)))
        if seen is not None:
            seen.ignored = _ignored(table, wanted)
            seen.add(parts[-1], steps)
        if key:
            keys += _keys(table, key, path)
        if time:
            if list(table.columns).count(time) != 1:
                raise ModelError(f"{path}: no column {time!r}, by which the model sorts the rows")
            moments.append(table[time])
        start += len(table)
    if start < windowing.window:
        raise ModelError(f"{path}: holds {start:,} rows; the model scores windows of {windowing.window} steps")
    raw = pd.concat(parts, ignore_index=True)
    order = np.arange(start)
    if time:
        whole = pd.concat(moments, ignore_index=True)
        order = times.sorted_by(whole, time, path, lambda rows: [f"row {row}" for row in rows])
    values = steps(raw.iloc[order])
    first = windows.starts(start, windowing.window, windowing.stride)
    found = [
        scored(detector, windows.windows(values, first[at : at + WINDOWS], windowing.window), kind)
        for at in range(0, len(first), WINDOWS)
    ]
    scores = np.empty(start)
    # what lies beyond all numbers is beyond the threshold too
    known = np.nan_to_num(np.concatenate(found), nan=LARGEST).clip(max=LARGEST)
    scores[order] = step_scores(known, Stretch(first, start), windowing.window)
    result: dict[str, Any] = {key: pd.Series(keys, dtype=object)} if key else {"row": np.arange(start)}
    return pd.DataFrame(result | {"score": scores.astype(np.float32), "flagged": (scores > level).astype(np.int8)})


def _raw(
    table: pd.DataFrame,
    preprocessing: Preprocessing,
    path: str,
    start: int,
    line: Callable[[int], str] = lambda row: "",
) -> pd.DataFrame:
    """The columns that the model reads, numbers as numbers and categories as words; ``line`` tells where a row is."""
    import pandas as pd

    present = [str(name) for name in table.columns]
    wanted = list(preprocessing.columns)
    missing = [name for name in wanted if name not in present]
    if missing and Path(path).suffix in ARRAYS and len(present) == len(wanted):
        present, missing = wanted, []  # in the order of the data set that the model was trained on
    if missing:
        names = [str(name) for name in table.attrs.get("names", present)]
        if missing[0] in names:
            raise ModelError(f"{path}: column {missing[0]!r} holds no single values, and the model reads it")
        near = difflib.get_close_matches(missing[0], [name for name in names if name not in wanted] or names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {shown(names)}"
        raise ModelError(f"{path}: no column {missing[0]!r}, which the model reads; {hint}")
    twice = [name for name in wanted if present.count(name) > 1]
    if twice:
        raise ModelError(f"{path}: two columns are called {twice[0]!r}")
    table = table.set_axis(present, axis="columns")
    raw: dict[str, Any] = {}
    for name in preprocessing.numbers:
        values = tables.numbers(table[name])
        if values is None:
            raise ModelError(f"{path}: {_no_number(table[name], name, preprocessing.dialect, start, line)}")
        raw[name] = without(values, preprocessing.dialect.missing)
    raw |= {name: _words(table[name]) for name in preprocessing.categories or {}}
    return pd.DataFrame(raw, columns=wanted, index=table.index)


def _no_number(values: pd.Series, name: str, dialect: Dialect, start: int, line: Callable[[int], str]) -> str:
    """What a column holds that cannot be read as the numbers that the model wants."""
    import pyarrow as pa

    other = next((value for value in values.dropna() if not isinstance(value, str)), None)
    if other is not None:
        return f"column {name!r} holds {str(other)[:40]!r} ({type(other).__name__}), and the model wants numbers"
    reading = dialect.columns.get(name, PLAIN)
    _, bad = reading.read(pa.chunked_array([pa.array(values, pa.string())]), dialect.missing)
    row = int(np.argmax(bad))
    place = line(start + row)
    how = "" if reading == PLAIN else f" with {reading}"
    where = f" ({place})" if place else ""
    return f"row {start + row} holds {str(values.iloc[row])[:40]!r} in column {name!r}, which wants numbers{how}{where}"


def _words(values: pd.Series) -> pd.Series:
    """A column of categories as training had them: words, also where this file holds numbers or dates."""
    present = values.dropna()
    if all(isinstance(value, str) for value in present):
        return values.astype(object)
    words = {value: _word(value) for value in present.unique()}
    return values.astype(object).map(words)


def _word(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _ignored(table: pd.DataFrame, wanted: Sequence[str]) -> tuple[str, ...]:
    """The columns of the file that are not wanted."""
    names = [str(name) for name in table.attrs.get("names", ())]
    used = {name.strip() for name in wanted}
    return tuple(name for name in names if name not in wanted and name.strip() not in used)


def _keys(table: pd.DataFrame, key: str, path: str) -> list[str | None]:
    if list(map(str, table.columns)).count(key) != 1:
        names = [str(name) for name in table.attrs.get("names", table.columns)]
        raise ModelError(f"{path}: --id wants one column called {key!r}; there are: {shown(names)}")
    return [None if missing else str(value) for value, missing in zip(table[key], table[key].isna(), strict=True)]


def write(found: Iterable[pd.DataFrame], out: Path | None) -> tuple[int, int]:
    """Writes tables one after another, as CSV to standard output or to a file as its name ends, ``.csv`` or
    ``.parquet``; the file is there when it is whole. Returns how many rows there were and how many were flagged.
    """
    if out is None:
        return _written(found, _csv(sys.stdout.buffer, harmless))
    if out.suffix not in FORMATS:
        raise ModelError(f"{out}: wants a name that ends in {' or '.join(FORMATS)}")
    with replacing(out) as draft:
        if out.suffix == ".csv":
            with draft.open("wb") as file:
                return _written(found, _csv(file))
        with _parquet(draft) as add:
            return _written(found, add)


Add = Callable[["pd.DataFrame"], None]


def _written(found: Iterable[pd.DataFrame], add: Add) -> tuple[int, int]:
    rows = flagged = 0
    for table in found:
        add(table)
        rows += len(table)
        flagged += int(table["flagged"].sum())
    return rows, flagged


def _csv(file: IO[bytes], told: Callable[[str], str] = str) -> Add:
    """Adds tables to a file of comma-separated values, which begins with the names of their columns."""
    import pandas as pd

    begun = False

    def add(table: pd.DataFrame) -> None:
        nonlocal begun
        # only names and identifiers are text, and both are somebody else's
        table = table.rename(columns=inert)
        for name in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
            table[name] = table[name].map({word: inert(word) for word in table[name].dropna().unique()})
        file.write(told(table.to_csv(index=False, header=not begun, lineterminator="\n")).encode())
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
