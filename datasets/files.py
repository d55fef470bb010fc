"""The user's own rows: a ``.csv``, ``.parquet``, ``.npz`` or ``.npy`` file with labels, untrusted and read within
bounds."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from datasets import columns, labels, tables, times, windows
from datasets.columns import Asked, items, shown
from datasets.dataset import Dataset, Provenance, Request, SourceFile, require
from datasets.preprocessing import Impute, encode
from datasets.readings import Decimal
from datasets.scaling import Scale, done
from datasets.splitting import TrainingPart, check, contaminants, fewer, moved, row_keys, split_together
from datasets.storage import LIMIT, asks, read, stands_for

FEWEST_NORMAL_ROWS = 10
MOST_FILES = 10_000
"""Of one table."""
TEST = 0.2
"""The share of a series that tests where nothing is said."""


Files = Literal["apart", "together"]


def _absent(request: Request, path: str, files: Files = "apart", **_: object) -> str | None:
    if files == "together" and not os.path.isfile(_place(request, path)):
        return None if _fitting(path) else f"data set '{request.name}': no .parquet file fits {path}"
    return None if os.path.isfile(_place(request, path)) else f"data set '{request.name}': there is no file {path}"


SENT = "vaebench-files"
"""In folders of a folder of this name lie the copies that a worker was sent of files that it lacks."""


def _place(request: Request, path: str) -> Path:
    """The file itself, or, where there is none, the copy that was sent; no other file of its name will do."""
    place = Path(os.path.expanduser(path))
    copy = request.data_dir / place.name
    sent = request.data_dir.parent.name == SENT and not os.path.isfile(place) and copy.is_file()
    return copy if sent else place


def _expanded(name: str, path: str, files: Files = "apart", **_: object) -> list[str]:
    """The files that a pattern, or a folder, names; a path that is a file, or not there at all, names itself, and so
    does one table of many files."""
    place = os.path.expanduser(path)
    folder = os.path.isdir(place)
    if files == "together" or os.path.isfile(place) or not (folder or glob.escape(path) != path):
        return [path]
    found = _fitting(path)
    pattern = os.path.join(path, "*") if folder else path
    require(bool(found), f"data set '{name}': no file that ends in {', '.join(tables.READERS)} fits {pattern}")
    return found


def _fitting(path: str) -> list[str]:
    """The files that can be read which a pattern fits, or which a folder holds, in the order of their names."""
    if os.path.isdir(os.path.expanduser(path)):
        path = os.path.join(path, "*")
    place = os.path.expanduser(path)
    found = [one for one in glob.glob(place) if Path(one).suffix in tables.READERS and os.path.isfile(one)]
    for one in found:
        name = one.encode(errors="surrogateescape").decode(errors="replace")
        require(name == one, f"{path}: the name of the file {name} is no text in UTF-8; rename it")
    home = len(place) - len(path)
    return sorted((path[:1] + one[home + 1 :] if home else one for one in found), key=_in_order)


def _read_together(request: Request, path: str) -> tuple[tables.Table, SourceFile, str]:
    """One table of Parquet files, what they were, and a note on them.

    Their common checksum is that of a list of theirs, as ``sha256sum`` writes it.
    """
    names = [path] if os.path.isfile(_place(request, path)) else _fitting(path)
    require(len(names) <= MOST_FILES, f"{path}: {len(names):,} files; {MOST_FILES:,} are read as one table")
    odd = next((name for name in names if not name.endswith(".parquet")), None)
    require(odd is None, f"{odd}: one table is read of .parquet files alone, as in {path.rstrip('/*')}/*.parquet")
    held = sum(os.path.getsize(_place(request, name)) for name in names)
    require(
        held <= LIMIT, f"{path}: its files hold {held >> 20:,} MiB, more than the {LIMIT >> 20:,} MiB that are read"
    )
    digests: list[str] = []

    def contents() -> Iterator[tuple[bytes, str]]:
        for name in names:
            content, source = read(_place(request, name), name=name)
            digests.append(f"{source.sha256}  {os.path.basename(name)}\n")
            yield content, name

    table = tables.together(contents(), path)
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    first, last = (os.path.basename(names[place]) for place in (0, -1))
    note = f"One table of {columns.counted(len(names), 'file')}, in the order of their names: {first} to {last}."
    return table, SourceFile(path, digest), note


def _in_order(path: str) -> list[tuple[int, str]]:
    """Numbers in names count as numbers: 2_annthyroid.npz comes before 10_cover.npz."""
    parts = re.split(r"(\d+)", path)
    return [(int(part) if part.isdigit() else -1, part) for part in parts]


@asks(_absent)
@stands_for(_expanded)
def load_file(
    request: Request,
    path: str,
    *,
    label: str = "",
    normal: str = "",
    scale: Scale = "standard",
    impute: Impute = "median",
    indicate: bool = False,
    duplicates: Literal["keep", "drop"] = "keep",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    keep: str = "",
    text: str = "",
    drop: str = "",
    missing: str = "",
    decimal: Decimal = "auto",
    encoding: str = "",
    bad_lines: Literal["refuse", "skip"] = "refuse",
    window: int = 0,
    stride: int = 0,
    time: str = "",
    test: float = TEST,
    files: Files = "apart",
) -> Dataset:
    """Your own .csv, .parquet, .npz (arrays X and y) or .npy: file:PATH?label=COLUMN&normal=VALUE,VALUE."""
    require((reason := _absent(request, path, files)) is None, str(reason))
    part = TrainingPart(train_contamination, train_rows)
    check(request, part)
    cut = windows.cut(request, window, stride, test) if window else None
    others = [name for name, own in (("stride", stride), ("time", time), ("test", test != TEST)) if own]
    require(
        cut is not None or not others,
        f"data set '{request.name}': {', '.join(others)} wants a window as well, as in window=64",
    )
    skip = bad_lines == "skip"
    together: list[str] = []
    if files == "together":
        table, source, *together = _read_together(request, path)
    else:
        place = _place(request, path)
        require(place.suffix in tables.READERS, f"{path}: wants a name that ends in {', '.join(tables.READERS)}")
        content, source = read(place, name=path)
        table = tables.whole(content, path, encoding=encoding, skip=skip)
    name = labels.column(list(table.columns), label, path)
    known = labels.read(table, name, items(normal), path, skip=skip)
    for option, taken in (("keep", keep), ("text", text)):
        both = sorted(set(items(taken)) & set(items(drop)))
        require(not both, f"{path}: ?{option} and ?drop both name {shown(both)}")
    asked = Asked(items(keep), items(text), (*items(drop), *([time] if time else [])), items(missing), decimal, skip)
    found = columns.features(table, name, asked, path)
    chosen_rows = known.present[found.rows]
    features = found.frame[chosen_rows].reset_index(drop=True)
    anomalous = known.anomalous[found.rows][chosen_rows]
    require(bool(anomalous.any()), f"{path}: every row is normal ({known.meaning}); scoring needs some anomalies")
    labelled, notes = len(features), [*together, *known.notes(found.rows), *found.notes]
    if cut is not None:
        for option, given in (("duplicates=drop", duplicates == "drop"), ("train_contamination", part.contamination)):
            require(not given, f"{path}: {option} goes with single rows, and not with windows of a series")
        gaps = len(found.frame) - labelled
        require(not gaps, f"{path}: {gaps:,} rows have no label; a series wants one for each of its steps")
        moment, order = "", np.arange(labelled)
        if time:
            moment, order = times.order(table, time, found.rows, path)
        return windows.windowed(
            request,
            features.iloc[order].reset_index(drop=True),
            anomalous[order],
            cut,
            part,
            Provenance(
                source=f"The user's file {path}: {labelled:,} steps in the order of {moment or 'the file'}, "
                f"{anomalous.sum():,} of them anomalous.",
                protocol=f"Normal: {known.meaning} in column '{name}'. ",
                files=(source,),
                notes=tuple(notes),
            ),
            time=moment,
            scale=scale,
            impute=impute,
            indicate=indicate,
            dialect=found.dialect,
        )
    keys = row_keys(features)
    if duplicates == "drop":
        order = np.argsort(~anomalous, kind="stable")  # a row that occurs under both labels stays an anomaly
        unique = np.sort(order[np.unique(keys[order], return_index=True)[1]])
        notes.append(f"{len(keys) - len(unique):,} of {len(keys):,} rows were exact duplicates and dropped.")
        features, anomalous, keys = features.iloc[unique], anomalous[unique], keys[unique]
    distinct = len(np.unique(keys[~np.isin(keys, keys[anomalous])]))
    require(
        distinct >= FEWEST_NORMAL_ROWS,
        f"{path}: {distinct} distinct normal rows unlike every anomaly; it takes {FEWEST_NORMAL_ROWS}",
    )
    train, val, tested = split_together(keys, anomalous, request.seed)
    train, fewer_notes = fewer(request, train, part)
    chosen = contaminants(request, part.contamination, len(train), tested[anomalous[tested]], keys)
    train, tested, twins = moved(chosen, train, tested, keys)
    encoded = encode(
        *(features.iloc[rows] for rows in (train, val, tested)),
        categorical=[name for name in features.columns if features[name].dtype == object],
        scale=scale,
        impute=impute,
        indicate=indicate,
        seed=request.seed,
        dialect=found.dialect,
    )
    require(len(encoded.feature_names) > 0, f"{path}: every column is constant in the training rows; nothing to learn")
    return encoded.apart(len(chosen), part.contamination).dataset(
        request,
        anomalous[tested],
        Provenance(
            source=f"The user's file {path}: {labelled:,} labelled rows, {anomalous.sum():,} of them anomalous.",
            protocol=f"Normal: {known.meaning} in column '{name}'; normal rows are drawn 60 % train, 20 % validation, "
            f"20 % test, identical rows together; all anomalies are in the test part; numeric columns {done(scale)}, "
            "categories one-hot.",
            files=(source,),
            notes=(*notes, *fewer_notes, *twins),
        ),
    )
