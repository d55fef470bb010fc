"""Columns by their codes say what the values themselves would, and several processes do what one does."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.coded import Coded, joined, taken
from reports.sharing import shared

VALUES = st.lists(st.none() | st.text(max_size=2) | st.tuples(st.text(max_size=1)), max_size=12)


@given(VALUES)
def test_a_column_gives_back_its_values_and_each_present_one_once(values: list[object]) -> None:
    column = Coded.of(values)
    assert column.objects().tolist() == values
    assert [column[row] for row in range(len(column))] == values
    assert column.present() == list(dict.fromkeys(values))
    assert column.mapped(repr).objects().tolist() == list(map(repr, values))


@given(VALUES, VALUES, st.data())
def test_columns_joined_and_rows_taken_are_those_of_the_values(
    first: list[object], second: list[object], data: st.DataObject
) -> None:
    both = joined([Coded.of(first), Coded.of(second)])
    assert both.objects().tolist() == first + second  # type: ignore[union-attr]
    rows = data.draw(st.lists(st.integers(0, len(first + second) - 1), max_size=8) if first + second else st.just([]))
    some = taken(both, np.array(rows, dtype=np.int64))
    assert isinstance(some, Coded)
    assert some.objects().tolist() == [(first + second)[row] for row in rows]
    assert some.present() == list(dict.fromkeys(some.objects().tolist()))


def _square(number: int) -> tuple[int, int]:
    if number == 99:
        raise ValueError("ninety-nine")
    return number**2, os.getpid()


@pytest.mark.parametrize("processes", [1, 2])
def test_shared_work_comes_back_in_order_and_its_error_too(processes: int) -> None:
    done: list[str] = []
    found = shared(_square, range(20), processes, lambda: done.append("meanwhile"))
    assert [square for square, _ in found] == [number**2 for number in range(20)]
    assert done == ["meanwhile"]
    assert (os.getpid() in {process for _, process in found}) == (processes == 1)
    with pytest.raises(ValueError, match="ninety-nine"):
        shared(_square, [1, 99, 2], processes)
