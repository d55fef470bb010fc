"""The sanity line of data with categories: how rare a row's values are, one column at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.detect.detector import Rows
from bench.detect.explanations import shares

Places = NDArray[np.intp]


class Rarity:
    """The sum over columns of −log of a value's share of the training rows, in nats: the histogram-based outlier score
    (HBOS, Goldstein and Dengel 2012), with categories as they are and numbers in bins of equal rows.

    A share is (count + 1) / (rows + values + 1), after Laplace, where all that was never seen counts as one value more.
    A number below or above all of training is such a one.

    Parameters
    ----------
    bins : int, default 10
        Of each column of numbers; one with no more distinct values has a bin for each. 0 leaves the numbers out.
    together : bool, default False
        Whether a row's categories count as one value, the combination of them all, rather than one by one.

    Attributes
    ----------
    groups : tuple of (start, stop)
        The columns of the matrix that one-hot encode one category each; set before ``fit``. Without any, all columns
        are numbers.
    """

    def __init__(self, *, seed: int = 0, threads: int = 1, bins: int = 10, together: bool = False) -> None:
        if not isinstance(bins, int) or bins < 0:
            raise ValueError(f"bins must be 0 or more, not {bins!r}")
        self.bins, self.together = bins, together
        self.groups: tuple[tuple[int, int], ...] = ()
        self.notes: list[str] = []

    def fit(self, X: Rows) -> Self:
        grouped = {column for start, stop in self.groups for column in range(start, stop)}
        self.numbers_ = [column for column in range(X.shape[1]) if column not in grouped] if self.bins else []
        if not self.numbers_ and not self.groups:
            raise ValueError("rarity with bins = 0 needs a data set with categories")
        self.edges_ = [self._edges(X[:, column]) for column in self.numbers_]
        self.lowest_ = [X[:, column].min() for column in self.numbers_]
        sizes = [len(edges) for edges in self.edges_]
        if self.together:
            self._combine(X)
            sizes += [len(known) for known in self.combinations_[-1:]]
        else:
            sizes += [stop - start for start, stop in self.groups]
        self.surprises_ = []
        for values, size in zip(self._values(X).T, sizes, strict=True):
            counts = np.bincount(values, minlength=size + 1)
            self.surprises_.append(-np.log((counts + 1) / (len(X) + size + 1)))
        self.usual_ = np.median(X, axis=0)
        for start, stop in self.groups:
            self.usual_[start:stop] = np.arange(stop - start) == X[:, start:stop].sum(axis=0).argmax()
        return self

    def decision_function(self, X: Rows) -> Rows:
        return np.asarray(self._parts(X).sum(axis=1))

    def explain(self, X: Rows) -> Rows:
        """Each feature's share of the sum, shape (rows, features); that of a category stands at its own value, and is
        shared out over all of its columns where the value was never seen. A combination's is shared out alike."""
        parts, own = self._parts(X), len(self.numbers_)
        found = np.zeros(X.shape)
        found[:, self.numbers_] = parts[:, :own]
        for place, (start, stop) in enumerate(self.groups):
            part = parts[:, own] / len(self.groups) if self.together else parts[:, own + place]
            hot = X[:, start:stop] > 0.5
            hot[~hot.any(axis=1)] = True
            found[:, start:stop] = hot * (part / hot.sum(axis=1))[:, None]
        return shares(found)

    def reconstruct(self, X: Rows) -> Rows:
        """The training rows' median of each number and their most frequent category, once for each row."""
        return np.broadcast_to(self.usual_, X.shape)

    def _edges(self, column: Rows) -> Rows:
        """The highest value of each bin."""
        distinct = np.unique(column)
        if len(distinct) <= self.bins:
            return distinct
        steps = np.arange(1, self.bins + 1) / self.bins
        return np.unique(np.quantile(column, steps, method="inverted_cdf"))

    def _values(self, X: Rows) -> Places:
        """Which bin or category each row has, shape (rows, numbers and groups); that after the last was never seen."""
        found = np.empty((len(X), len(self.numbers_)), dtype=np.intp)
        for place, (column, edges) in enumerate(zip(self.numbers_, self.edges_, strict=True)):
            bins = np.searchsorted(edges, X[:, column], side="left")
            found[:, place] = np.where(X[:, column] < self.lowest_[place], len(edges), bins)
        categories = self._categories(X)
        if self.together and self.groups:
            return np.column_stack([found, self._combined(categories)])
        return np.column_stack([found, *categories])

    def _categories(self, X: Rows) -> list[Places]:
        """For each group the place of every row's category in it; the one after the last is none of them."""
        found = []
        for start, stop in self.groups:
            hot = X[:, start:stop] > 0.5
            found.append(np.where(hot.any(axis=1), hot.argmax(axis=1), stop - start))
        return found

    def _combine(self, X: Rows) -> None:
        """Learns the training rows' combinations, group by group: of the pairs of what the groups before combine to and
        the group's own category those that occur, as sorted numbers."""
        self.combinations_: list[Places] = []
        categories = self._categories(X)
        for place, values in enumerate(categories):
            before = self._combined(categories[:place])
            self.combinations_.append(np.unique(self._paired(before, values, place)))

    def _combined(self, categories: Sequence[Places]) -> Places:
        """The place of every row's combination among those of training; the one after the last was never seen."""
        found = np.zeros(len(categories[0]) if categories else 1, dtype=np.intp)
        for place, values in enumerate(categories):
            known, paired = self.combinations_[place], self._paired(found, values, place)
            places = np.searchsorted(known, paired).clip(max=len(known) - 1)
            found = np.where(known[places] == paired, places, len(known))
        return found

    def _paired(self, before: Places, values: Places, place: int) -> Places:
        """A number for each pair of a combination's place and a category's."""
        start, stop = self.groups[place]
        return np.asarray(before * (stop - start + 1) + values)

    def _parts(self, X: Rows) -> Rows:
        """−log of each value's share, shape (rows, numbers and groups)."""
        values = self._values(X)
        return np.column_stack([known[values[:, place]] for place, known in enumerate(self.surprises_)])
