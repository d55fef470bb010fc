"""From columns to float32 matrices: everything fitted here is fitted on the training rows alone, and can be kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Provenance, Request, require
from datasets.matrices import empty, taken
from datasets.readings import USUAL, Dialect
from datasets.scaling import Matrix, Scale, Scaler, blocks
from datasets.splitting import contaminated, contaminating, row_keys

if TYPE_CHECKING:
    import pandas as pd

Impute = Literal["median", "mean", "most_frequent"]
STATISTICS: dict[Impute, str] = {"median": "median", "mean": "mean", "most_frequent": "most frequent value"}

MISSING = "missing"
"""What a missing category counts as, and what an indicator of missing numbers is called after its column."""


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Raw columns in, the matrix that detectors see out; rows that come later are treated as the training rows were.

    Attributes
    ----------
    numeric : names of the columns that are scaled
    logarithmic : those of them that become log(1 + x) before
    flags : names of the columns of 0 and 1 that stay as they are
    indicated : numeric columns that a column of their own tells the gaps of
    categories : for each categorical column the values that are one-hot; others are all zeros
    fill : float64 array of shape (numeric and flags,)
        What a missing value becomes.
    scaler : Scaler
        Of the numeric columns.
    dialect : Dialect
        How the text of the training rows was read.
    """

    numeric: tuple[str, ...]
    scaler: Scaler
    logarithmic: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    indicated: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] | None = None
    fill: NDArray[np.float64] | None = None
    dialect: Dialect = USUAL

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that are read as numbers."""
        return (*self.numeric, *self.flags)

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that are read."""
        return (*self.numbers, *(self.categories or {}))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the matrix's columns: numbers, flags, indicators, then each category's values."""
        return (
            *self.numbers,
            *(f"{column} {MISSING}" for column in self.indicated),
            *(f"{column}={value}" for column, values in (self.categories or {}).items() for value in values),
        )

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """The matrix's columns of each category, as (start, stop)."""
        found, start = [], len(self.numbers) + len(self.indicated)
        for values in (self.categories or {}).values():
            found.append((start, start + len(values)))
            start += len(values)
        return tuple(found)

    def __call__(self, table: pd.DataFrame) -> Matrix:
        """The float32 matrix, of shape (rows, features), of a table that has all `columns`, numbers as numbers."""
        matrix = empty(len(table), len(self.feature_names))
        scaled, numbers = len(self.numeric), len(self.numbers)
        values = table[list(self.numbers)].to_numpy(dtype=np.float64)
        gaps = np.isnan(values)
        if gaps.any():
            values = np.where(gaps, np.zeros(numbers) if self.fill is None else self.fill, values)
        logarithmic = np.isin(self.numeric, self.logarithmic) if self.logarithmic else np.zeros(scaled, np.bool_)
        start = 0
        for block in blocks(values[:, :scaled]):
            if self.logarithmic:
                block[:, logarithmic] = np.log1p(np.maximum(block[:, logarithmic], 0.0))
            matrix[start : start + len(block), :scaled] = self.scaler(block)
            start += len(block)
        matrix[:, scaled:numbers] = values[:, scaled:]
        place = numbers
        for column in self.indicated:
            matrix[:, place] = gaps[:, self.numeric.index(column)]
            place += 1
        for column, known in (self.categories or {}).items():
            matrix[:, place : place + len(known)] = _words(table[column])[:, None] == np.array(known, dtype=object)
            place += len(known)
        return matrix

    def saved(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """What there is to keep: values for JSON, and arrays. `restored` makes the same of it again."""
        words = {
            "numeric": list(self.numeric),
            "logarithmic": list(self.logarithmic),
            "flags": list(self.flags),
            "indicated": list(self.indicated),
            "categories": [[column, list(values)] for column, values in (self.categories or {}).items()],
            "scale": self.scaler.kind,
        }
        if self.dialect != USUAL:
            words["dialect"] = msgspec.to_builtins(self.dialect)
        fill = np.zeros(len(self.numbers)) if self.fill is None else self.fill
        arrays = {"shift": self.scaler.shift, "divisor": self.scaler.divisor, "quantiles": self.scaler.quantiles}
        return words, {"fill": fill, **arrays}

    @classmethod
    def restored(cls, words: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Preprocessing:
        """From what `saved` gave; raises `DatasetError`, in one line, where the parts are not such or do not agree."""
        try:
            kept = msgspec.convert(dict(words), _Words)
        except msgspec.ValidationError as error:
            require(False, f"preprocessing: {error}")
            raise
        features = len(kept.numeric)
        shapes = {"fill": (features + len(kept.flags),), "shift": (features,), "divisor": (features,)}
        for name in (*shapes, "quantiles"):
            array = arrays.get(name)
            require(
                array is not None and array.dtype == np.float64 and bool(np.isfinite(array).all()),
                f"preprocessing: {name} wants finite numbers of type float64",
            )
            assert array is not None
            holds = array.shape == shapes[name] if name in shapes else array.ndim == 2 and array.shape[1] == features
            require(holds, f"preprocessing: {name} of shape {array.shape} does not fit its {features} numeric columns")
        quantiles = arrays["quantiles"]
        require(bool((arrays["divisor"] != 0).all()), "preprocessing: divisor holds a 0")
        require(
            (len(quantiles) >= 1) == (kept.scale == "quantile" and features > 0)
            and bool((np.diff(quantiles, axis=0) >= 0).all()),
            "preprocessing: quantiles are given for the scale quantile alone, and never fall",
        )
        categories = dict(kept.categories)
        made = cls(
            numeric=kept.numeric,
            scaler=Scaler(kept.scale, arrays["shift"], arrays["divisor"], quantiles),
            logarithmic=kept.logarithmic,
            flags=kept.flags,
            indicated=kept.indicated,
            categories=categories,
            fill=arrays["fill"],
            dialect=kept.dialect,
        )
        known = set(kept.numeric)
        require(
            len(set(made.columns)) == len(made.columns)
            and len(categories) == len(kept.categories)
            and len(set(made.feature_names)) == len(made.feature_names)
            and known.issuperset(kept.logarithmic)
            and known.issuperset(kept.indicated),
            "preprocessing: its columns do not fit each other",
        )
        return made


@dataclass(frozen=True)
class _Words:
    """The part of a preprocessing that is JSON, as it has to be."""

    numeric: tuple[str, ...]
    logarithmic: tuple[str, ...]
    flags: tuple[str, ...]
    indicated: tuple[str, ...]
    categories: tuple[tuple[str, tuple[str, ...]], ...]
    scale: Scale
    dialect: Dialect = USUAL


@dataclass(frozen=True)
class Encoded:
    """Matrices of shape (rows, features), one per frame, what made them, and what was done, a sentence each.

    ``tested`` tells of each row of the last frame whether it is still there.
    """

    parts: list[Matrix]
    preprocessing: Preprocessing
    notes: tuple[str, ...]
    tested: NDArray[np.bool_]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.preprocessing.feature_names

    def dataset(self, request: Request, anomalous: NDArray[np.bool_], provenance: Provenance) -> Dataset:
        """Training, validation and test parts as the data set asked for; `anomalous` marks the test rows."""
        X_train, X_val, X_test = self.parts
        return Dataset(
            name=request.name,
            X_train=X_train,
            X_val=X_val,
            X_test=X_test,
            y_test=anomalous[self.tested].astype(np.int8),
            feature_names=self.feature_names,
            provenance=replace(provenance, notes=provenance.notes + self.notes),
            preprocessing=self.preprocessing,
        )

    def apart(self, contaminants: int = 0, share: float = 0.0, *, whole: bool = False) -> Encoded:
        """Without the rows of a part that are identical, as encoded, to a row of a later part.

        The last `contaminants` training rows are anomalies: they stay, and what is identical to them goes from the
        other parts, but from none where the test part is to stay `whole`; so many of them stay that they make up the
        same `share` of what is left.
        """
        import pandas as pd

        train, val, test = (row_keys(pd.DataFrame(part)) for part in self.parts)
        normal, anomalies = np.split(train, [len(train) - contaminants])
        clear = np.ones(len(test), dtype=np.bool_) if whole else ~np.isin(test, anomalies)
        usable = ~np.isin(anomalies, test) if whole else np.ones(contaminants, dtype=np.bool_)
        kept_val = ~np.isin(val, np.concatenate([test, anomalies]))
        kept_normal = ~np.isin(normal, np.concatenate([val, test[clear]]))
        usable &= np.cumsum(usable) <= contaminating(share, int(kept_normal.sum()))
        kept_train = np.concatenate([kept_normal, usable])
        notes = list(self.notes)
        if twins := int((~kept_normal).sum() + (~kept_val).sum()):
            notes.append(
                f"{twins:,} training or validation rows were dropped: once encoded, identical to one of a later part."
            )
        if twins := int((~clear).sum()):
            notes.append(f"{twins:,} test rows were dropped: once encoded, identical to an anomaly that trains.")
        source = "from the training file, none identical to a test row" if whole else "taken out of the test part"
        notes += contaminated(int(usable.sum()), int(kept_train.sum()), source)
        masks = (kept_train, kept_val, clear)
        parts = [taken(part, rows) for part, rows in zip(self.parts, masks, strict=True)]
        return replace(self, parts=parts, notes=tuple(notes), tested=clear)


def encode(
    train: pd.DataFrame,
    *others: pd.DataFrame,
    categorical: Collection[str] = (),
    flags: Collection[str] = (),
    heavy_tailed: Collection[str] = (),
    scale: Scale = "standard",
    impute: Impute = "median",
    indicate: bool = False,
    seed: int = 0,
    dialect: Dialect | None = None,
) -> Encoded:
    """Turn frames with the same columns into matrices, fitted on the first.

    Numeric columns come first: a missing value becomes the training rows' median, mean or most frequent value,
    `heavy_tailed` ones become log(1 + x), then all are scaled. Flags (0 or 1) follow as they are; then, where it is
    asked to `indicate` them, the gaps of each numeric column that has some in training, as 0 and 1. Categorical columns
    are one-hot over the values seen in training, a missing value counting as one of its own; an unseen value is all
    zeros. A column that is constant in training is dropped. `seed` draws what is sampled, and `dialect` tells how the
    frames' text was read.
    """
    import pandas as pd

    frames = (train, *others)
    columns = pd.Index([column for column in train.columns if column not in categorical])
    values = train[columns].to_numpy(dtype=np.float64)
    missing = np.isnan(values)
    gaps = missing.any(axis=0)
    for frame in others:
        gaps |= frame[columns].isna().any().to_numpy()
    fill = _statistic(train[columns], impute)
    values = np.where(missing, fill, values)
    logged = columns.isin(heavy_tailed)
    values[:, logged] = np.log1p(values[:, logged])

    varying, flag = np.ptp(values, axis=0) > 0, columns.isin(flags)
    numeric, kept = varying & ~flag, varying & flag
    fitted = values[:, numeric]
    scaler = Scaler.fit(scale, lambda: blocks(fitted), fitted.shape[1], seed=seed)
    dropped = list(columns[~varying])
    categories = {}
    for column in (column for column in train.columns if column in categorical):
        words = np.unique(_words(train[column]))
        if len(words) == 1:
            dropped.append(column)
        else:
            categories[column] = tuple(words)
    preprocessing = Preprocessing(
        numeric=tuple(columns[numeric]),
        scaler=scaler,
        logarithmic=tuple(columns[numeric & logged]),
        flags=tuple(columns[kept]),
        indicated=tuple(columns[numeric & missing.any(axis=0)]) if indicate else (),
        categories=categories,
        fill=np.concatenate([fill[numeric], fill[kept]]),
        dialect=dialect or USUAL,
    )
    notes = []
    if gaps.any():
        notes.append(f"Missing values were replaced by the training {STATISTICS[impute]}: {listed(columns[gaps])}.")
    if preprocessing.indicated:
        notes.append(f"A column of 0 and 1 tells the gaps of: {listed(preprocessing.indicated)}.")
    if dropped:
        notes.append(f"Dropped as constant in the training rows: {listed(dropped)}.")
    notes += scaler.notes
    parts = [preprocessing(frame) for frame in frames]
    return Encoded(parts, preprocessing, tuple(notes), np.ones(len(frames[-1]), dtype=np.bool_))


def _statistic(train: pd.DataFrame, impute: Impute) -> NDArray[np.float64]:
    """What a missing value of each column becomes; 0 where a column has no value at all."""
    if impute == "most_frequent":
        found = train.mode().reindex([0]).iloc[0]  # of equally frequent values the smallest
    else:
        found = train.median() if impute == "median" else train.mean()
    return np.asarray(found.fillna(0.0), dtype=np.float64)


def _words(values: pd.Series) -> NDArray[np.object_]:
    """A categorical column's values as text."""
    return np.asarray(values.astype(object).fillna(MISSING).to_numpy(dtype=object))


def listed(values: Iterable[object], most: int = 12) -> str:
    """The values with commas between them, cut where they are many."""
    words = [str(value) for value in values]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
