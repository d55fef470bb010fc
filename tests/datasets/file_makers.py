"""Made-up files as people have them: one plain table, written in many ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import datasets
from datasets import Dataset, DatasetError, columns, tables
from datasets.columns import Features

ROWS = 120
NUMBERS = ("f0", "f1", "f2")


def plain(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Numbers with four decimals, some above 1,000, and labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(0, (1.0, 3_000.0, 0.05), (rows, 3)).round(4)
    return pd.DataFrame(X, columns=list(NUMBERS)).assign(label=(np.arange(rows) % 10 == 0).astype(int))


def written(frame: pd.DataFrame, cell: Callable[[float], str]) -> pd.DataFrame:
    """The table with every number written by a function."""
    return frame.assign(**{name: frame[name].map(cell) for name in NUMBERS})


def csv(frame: pd.DataFrame, separator: str = ",") -> str:
    return frame.to_csv(index=False, sep=separator)


def put(folder: Path, content: str | bytes, options: str = "", name: str = "rows.csv") -> str:
    """Writes a file, and returns the reference to it."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return f"file:{path}{options}"


def load(folder: Path, content: str | bytes, options: str = "") -> Dataset:
    return datasets.load(put(folder, content, options))


def features(folder: Path, content: str | bytes, **asked: Any) -> Features:
    """What a file's columns become, before anything is split or scaled; its label is called so."""
    reference = put(folder, content)
    path = reference.removeprefix("file:")
    table = tables.whole(Path(path).read_bytes(), path)
    return columns.features(table, "label", columns.Asked(**asked), path)


def refused(folder: Path, content: str | bytes, options: str = "") -> str:
    """The one line that a file is refused with."""
    with pytest.raises(DatasetError) as failure:
        load(folder, content, options)
    assert "\n" not in str(failure.value)
    return str(failure.value)
