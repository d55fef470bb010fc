"""The user's own rows: a ``.csv``, ``.parquet``, ``.npz`` or ``.npy`` file with labels, untrusted and read within
bounds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from datasets import tables
from datasets.dataset import Dataset, Provenance, Request, require
from datasets.preprocessing import Impute, encode, listed
from datasets.scaling import Scale, done
from datasets.splitting import check_contamination, contaminants, moved, row_keys, split_together
from datasets.storage import asks, read

if TYPE_CHECKING:
    import pandas as pd

LABEL_NAMES = ("label", "y", "class", "target", "anomaly", "outlier")
NORMAL_WORDS = ("0", "normal", "benign", "inlier", "false", "no", "ok", "good")
MOST_CATEGORIES = 100
FEWEST_NORMAL_ROWS = 10


def _absent(request: Request, path: str, **_: object) -> str | None:
    return None if os.path.isfile(os.path.expanduser(path)) else f"data set '{request.name}': there is no file {path}"


@asks(_absent)
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
) -> Dataset:
    """Your own .csv, .parquet, .npz (arrays X and y) or .npy: file:PATH?label=COLUMN&normal=VALUE,VALUE."""
    require((reason := _absent(request, path)) is None, str(reason))
    check_contamination(request, train_contamination)
    place = Path(os.path.expanduser(path))
    require(place.suffix in tables.READERS, f"{path}: wants a name that ends in {', '.join(tables.READERS)}")
    content, source = read(place, name=path)
    table = tables.whole(content, path)
    names = [str(column) for column in table.columns]
    require(len(set(names)) == len(names), f"{path}: two columns have the same name")
    table.columns = table.columns.astype(str)

    column = _label_column(names, label, path)
    labelled = table[table[column].notna()].reset_index(drop=True)
    require(len(labelled) > 0, f"{path}: column '{column}' holds no labels")
    anomalous, meaning = _anomalous(labelled.pop(column), normal, path)
    features, notes = _usable(labelled, path)
    if len(labelled) < len(table):
        notes.insert(0, f"{len(table) - len(labelled):,} rows without a label were dropped.")
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
    train, val, test = split_together(keys, anomalous, request.seed)
    chosen = contaminants(request, train_contamination, len(train), test[anomalous[test]], keys)
    train, test, twins = moved(chosen, train, test, keys)
    encoded = encode(
        *(features.iloc[rows] for rows in (train, val, test)),
        categorical=[name for name in features.columns if features[name].dtype == object],
        scale=scale,
        impute=impute,
        indicate=indicate,
        seed=request.seed,
    )
    require(len(encoded.feature_names) > 0, f"{path}: every column is constant in the training rows; nothing to learn")
    return encoded.apart(len(chosen), train_contamination).dataset(
        request,
        anomalous[test],
        Provenance(
            source=f"The user's file {path}: {len(labelled):,} labelled rows, {anomalous.sum():,} of them anomalous.",
            protocol=f"Normal: {meaning} in column '{column}'; normal rows are drawn 60 % train, 20 % validation, "
            f"20 % test, identical rows together; all anomalies are in the test part; numeric columns {done(scale)}, "
            "categories one-hot.",
            files=(source,),
            notes=(*notes, *twins),
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
        elif (numbers := tables.numbers(values)) is not None:
            if np.isnan(numbers).sum() > values.isna().sum():
                infinite.append(name)
            kept[name] = pd.Series(numbers)
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
