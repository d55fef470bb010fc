"""Columns of values that repeat: each distinct value once, and a number a row that says which. They join and travel
between processes at little cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Coded:
    """A column of hashable values.

    Parameters
    ----------
    codes : array of int, (rows,)
        Places in ``values``.
    values : list
        Distinct, in the order in which they first appear.
    """

    codes: NDArray[np.int64]
    values: list[Any]

    @classmethod
    def of(cls, column: Sequence[Hashable]) -> Coded:
        values = list(dict.fromkeys(column))
        places = dict(zip(values, range(len(values)), strict=True))
        return cls(np.fromiter(map(places.__getitem__, column), np.int64, len(column)), values)

    def mapped(self, function: Callable[[Any], Hashable]) -> Coded:
        """The function of each value; it is asked once for equal ones."""
        new = Coded.of(list(map(function, self.values)))
        return Coded(new.codes[self.codes], new.values)

    def present(self) -> list[Any]:
        """The values that a row has, in the order of the rows."""
        places, first = np.unique(self.codes, return_index=True)
        return [self.values[place] for place in places[np.argsort(first)]]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> Any:
        return self.values[self.codes[row]]

    def objects(self) -> NDArray[np.object_]:
        """The values themselves, a row each; equal ones are one object."""
        return np.fromiter(self.values, object, len(self.values))[self.codes]


Column = NDArray[Any] | Coded


def taken(column: Column, rows: NDArray[np.int64]) -> Column:
    return Coded(column.codes[rows], column.values) if isinstance(column, Coded) else column[rows]


def joined(columns: Sequence[Column]) -> Column:
    """One column of several of one kind, at least one, one below the other."""
    places: dict[Any, int] = {}
    codes: list[NDArray[np.int64]] = []
    arrays: list[NDArray[Any]] = []
    for column in columns:
        if isinstance(column, Coded):
            new = np.array([places.setdefault(value, len(places)) for value in column.values], dtype=np.int64)
            codes.append(new[column.codes])
        else:
            arrays.append(column)
    return Coded(np.concatenate(codes), list(places)) if codes else np.concatenate(arrays)
