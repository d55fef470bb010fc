"""Numbers that mean missing: taken so where they are named, in every kind of file, and told of where they look so."""

from __future__ import annotations

from pathlib import Path

import file_makers as makers
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import datasets
from datasets import Dataset
from datasets.gaps import filler, without


@pytest.fixture(params=["csv", "parquet", "npz"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path):
    """Loads a table from a file of one kind."""

    def load(frame: pd.DataFrame, options: str = "") -> Dataset:
        path = tmp_path / f"rows.{request.param}"
        if request.param == "csv":
            frame.to_csv(path, index=False)
        elif request.param == "parquet":
            frame.to_parquet(path)
        else:
            np.savez(path, X=frame.drop(columns="label").to_numpy(), y=frame["label"].to_numpy())
        return datasets.load(f"file:{path}{options}")

    return load


def test_a_number_that_is_named_as_missing_is_no_number_in_any_kind_of_file(loaded) -> None:
    frame = makers.plain()
    gaps = np.arange(makers.ROWS) % 7 == 0
    empty = loaded(frame.assign(f0=frame["f0"].mask(gaps)))
    marked = frame.assign(f0=frame["f0"].mask(gaps, -999.0))
    for word in ("-999", "-999.0", "unknown,-9.99e2"):
        found = loaded(marked, f"?missing={word}")
        assert found.checksum == empty.checksum
        assert found.provenance.notes[0].startswith("Taken as missing: '-999' in ")
    asked = loaded(marked)
    assert asked.checksum != empty.checksum, "nobody said so"
    (note,) = asked.provenance.notes
    assert note.startswith("Perhaps meant as missing: -999 in ")
    assert note.endswith("; ?missing=-999 takes it so.")


@given(st.lists(st.floats(-90, 90), min_size=2, max_size=20), st.sampled_from([-9999.0, -999.0, 999.0, 999.9]))
def test_nines_far_from_all_others_are_found_where_there_are_two(values, nines) -> None:
    apart = np.ptp(values) > 0
    assert filler(np.array([*values, nines, np.nan, nines])) == (nines if apart else None)
    assert filler(np.array([*values, nines])) is None
    assert filler(np.array([*values, nines, nines, 2 * nines])) is None, "it is none among others"
    assert filler(np.array(values)) is None


@pytest.mark.parametrize("values", [[98.0, 99.0, 99.0, 1.0], [0.0, 99.0, 99.0], [5.0, 6.0, 998.0, 998.0]])
def test_what_may_be_a_measurement_is_none(values) -> None:
    assert filler(np.array(values)) is None


@given(st.lists(st.sampled_from([-999.0, 0.0, 1.5, np.nan]), max_size=9))
def test_only_what_is_named_is_taken_out(values) -> None:
    numbers = np.array(values, dtype=float)
    np.testing.assert_array_equal(without(numbers, ("unknown", "nan", "")), numbers)
    np.testing.assert_array_equal(without(numbers, ("-999",)), np.where(numbers == -999, np.nan, numbers))
