"""Many Parquet files that are one table: its rows, what the files have to have in common, how an odd one is told."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import datasets
from datasets import DatasetError, tables

ROWS = 200
MANY = ((0, 60), (60, 70), (70, ROWS))


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    label = np.where(np.arange(ROWS) % 10 == 0, "attack", "normal")
    return pd.DataFrame({"amount": rng.normal(size=ROWS), "kind": rng.choice(["a", "b"], ROWS), "label": label})


def checksum(folder: Path, frame: pd.DataFrame) -> str:
    """Of the data set that the rows are in one file."""
    frame.to_parquet(folder / "whole.parquet")
    return datasets.load(f"file:{folder}/whole.parquet").checksum


def parts(folder: Path, *others: pd.DataFrame) -> Path:
    """The usual rows in three files, whose order is that of the numbers in their names, and others behind them."""
    frames = [*(table()[start:stop] for start, stop in MANY), *others]
    for number, frame in zip((1, 2, 10, 11), frames, strict=False):
        frame.to_parquet(folder / f"part-{number}.parquet", index=False)
    return folder


@pytest.mark.parametrize("path", ["{}", "{}/*.parquet"])
def test_many_parquet_files_are_one_table_in_the_order_of_their_names(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    reference = f"file:{path.format(parts(folder))}?files=together"
    assert datasets.expanded(reference) == [reference]
    assert datasets.missing(reference) is None
    together = datasets.load(reference)
    assert together.checksum == checksum(tmp_path, table())
    assert "3 files, in the order of their names: part-1.parquet to part-10.parquet" in " ".join(
        together.provenance.notes
    )


def test_the_checksum_of_many_files_is_that_of_their_list(tmp_path: Path) -> None:
    parts(tmp_path)
    names = ["part-1.parquet", "part-2.parquet", "part-10.parquet"]
    listed = "".join(f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (found,) = datasets.load(f"file:{tmp_path}?files=together").provenance.files
    assert found.sha256 == hashlib.sha256(listed.encode()).hexdigest()


def test_columns_of_many_files_may_be_stored_in_several_widths(tmp_path: Path) -> None:
    whole = checksum(tmp_path, table().assign(amount=np.arange(ROWS) % 37))
    frame = table().assign(amount=np.arange(ROWS) % 37, gap=np.arange(ROWS) * 1.0)
    folder = tmp_path / "parts"
    folder.mkdir()
    kinds = ({"amount": "int8", "kind": "category"}, {"amount": "float64"}, {"amount": "int64"})
    for number, ((start, stop), own) in enumerate(zip(MANY, kinds, strict=True)):
        part = frame[start:stop].astype(own)
        if number == 1:
            part["gap"] = None
        part.to_parquet(folder / f"{number}.parquet", index=False)
    data = datasets.load(f"file:{folder}?files=together&drop=gap")
    assert data.checksum == whole


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (table().assign(amount="much"), r"part-11\.parquet: column 'amount' is (large_)?string here and double in the"),
        (table().drop(columns="kind"), r"part-11\.parquet: has no column 'kind', which the files before it have"),
        (table().assign(more=1), r"part-11\.parquet: has a column 'more', which the files before it do not have"),
        (table()[["kind", "amount", "label"]], r"part-11\.parquet: has its columns in another order"),
    ],
)
def test_a_file_of_other_columns_is_named(tmp_path: Path, odd: pd.DataFrame, told: str) -> None:
    with pytest.raises(DatasetError, match=rf"^{re.escape(str(tmp_path))}/{told}[^\n]*$"):
        datasets.load(f"file:{parts(tmp_path, odd)}?files=together")


def test_a_row_of_many_files_is_told_with_its_file(tmp_path: Path) -> None:
    numbers = table().assign(amount=table().amount.map("{:.3f}".format))
    folder = parts(tmp_path, numbers)
    for number, (start, stop) in zip((1, 2, 10), MANY, strict=True):
        numbers[start:stop].to_parquet(folder / f"part-{number}.parquet", index=False)
    numbers[:20].assign(amount=["1.5"] * 7 + ["much"] + ["2.5"] * 12).to_parquet(folder / "part-2.parquet", index=False)
    with pytest.raises(DatasetError, match=r"row 7 of \S*part-2\.parquet, column 'amount' holds 'much'"):
        datasets.load(f"file:{folder}?files=together")


def test_a_damaged_one_of_many_files_is_named(tmp_path: Path) -> None:
    (parts(tmp_path) / "part-3.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DatasetError, match=r"part-3\.parquet: not an intact parquet file"):
        datasets.load(f"file:{tmp_path}?files=together")


def test_many_files_that_unpack_to_too_much_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        pd.DataFrame({"a": np.zeros(1 << 15), "label": 0}).to_parquet(tmp_path / f"{number}.parquet")
    monkeypatch.setattr(tables, "LIMIT", 1 << 20)
    tables.whole((tmp_path / "0.parquet").read_bytes(), "0.parquet")  # one of them is small enough
    with pytest.raises(DatasetError, match=r"^\S+: unpacks to 1 MiB, more than the 1 MiB that are read$"):
        datasets.load(f"file:{tmp_path}?files=together")


def test_one_table_is_of_parquet_files_alone(tmp_path: Path) -> None:
    table().to_csv(parts(tmp_path) / "part-3.csv", index=False)
    with pytest.raises(
        DatasetError, match=r"part-3\.csv: one table is read of \.parquet files alone, as in \S+/\*\.pa"
    ):
        datasets.load(f"file:{tmp_path}?files=together")
    (tmp_path / "empty").mkdir()
    assert "no .parquet file fits" in str(datasets.missing(f"file:{tmp_path / 'empty'}?files=together"))
    assert "did you mean 'together'" in str(datasets.missing(f"file:{tmp_path}?files=togeter"))
