"""Whether epochs drew what chance draws: permutations, standard normal noise, dropout at its rate, no two alike.

Every test has a p-value under the hypothesis that all draws are as they should be, and the ``share`` of it is
log p / log α: 1 is the limit, and more is over it. By Bonferroni's inequality α is ``RISK`` over the number of tests,
so that sound draws are refused with a probability of at most ``RISK``, whatever depends on what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from backends.interface import Model
from backends.randomness import BLOCKS, CORRUPTION, EPSILON, Epoch

RISK = 1e-4 / 16
"""The probability that sound draws are refused, of each climb: 16 climbs, eight backends in two precisions, make one
false alarm in 10,000 ladders."""
LEAST_TERMS = 4096
"""Products that a correlation at one lag is a sum of, at least: then its tails are normal to within ``TAILS``."""
TAILS = 10.0
"""What a normal tail is multiplied with where the terms of its sum are skewed."""
STREAM = 1 << 19
"""Values of a stream that is correlated with itself, at most: where there are more, its first units alone."""
FAR = 3.0
"""What few values of a standard normal lie beyond, and those of a clipped or a heavy-tailed one fewer or more."""
FALSE = 1e3
"""The share of what no chance allows, such as a row that is visited twice."""
LOOKED_AT = 1 << 19
"""Rows of an epoch whose noise and dropout are looked at: the first that are visited."""
PARTS = 2
"""Parts of an epoch that is streamed, in which the order of the rows is looked at: the first."""

ORDER, NOISE, DROPOUT = "row order", "noise", "dropout"
INPUT = "input noise"
"""What is said before what was looked at of η."""
UNITS = 256
"""Units of ε that are looked at, at most: several draws a row make many."""
CORRUPTED = 1 << 19
"""Values of an epoch's η that are looked at, at most: there may be as many as the data have."""

Array = NDArray[Any]
Shares = dict[str, float]
"""What was looked at → its share of the limit."""


class Evidence:
    """Collects tests and, in the end, tells the share of each."""

    def __init__(self) -> None:
        self.logs: Shares = {}
        self.facts: Shares = {}

    def must(self, what: str, holds: bool) -> None:
        """A fact: no chance is in it."""
        self.facts[what] = 0.0 if holds else FALSE

    def test(self, what: str, log_p: Any, tests: float = 1.0) -> None:
        """The smallest p-value, by its logarithm, of so many tests of one kind."""
        least = float(np.min(log_p)) if np.size(log_p) else 0.0
        self.logs[what] = min(0.0, np.nan_to_num(least, nan=-FALSE, neginf=-FALSE) + np.log(max(tests, 1.0)))

    def normal(self, what: str, z: Array, tests: float | None = None) -> None:
        """Sums that are standard normal, each looked at from both sides."""
        z = np.asarray(z)
        if z.size:
            self.test(what, np.log(2) + special.log_ndtr(-np.abs(z).max()), float(z.size) if tests is None else tests)

    def poisson(self, what: str, count: int, rate: float, tests: float = 1.0) -> None:
        """Counts that should not be as high."""
        if count > 0:
            with np.errstate(divide="ignore"):
                self.test(what, np.log(special.pdtrc(count - 1.0, rate)), tests)
        else:
            self.test(what, 0.0)

    def shares(self) -> Shares:
        limit = np.log(RISK / max(len(self.logs), 1))
        return self.facts | {what: abs(float(log / limit)) for what, log in self.logs.items()}


def part_of(model: Model) -> int:
    """Rows of a part where a model streams those that it was given; 0 where it holds them."""
    stream = getattr(model, "stream", None)
    return stream.size if stream else 0


def orders(drawn: Sequence[Epoch], rows: int, batch: int, part: int = 0) -> Shares:
    """Each epoch visits every row at most once and drops the last partial batch alone; epochs visit in unlike orders.

    Parameters
    ----------
    drawn : of consecutive epochs over the same rows
    rows, batch : int
        Training rows there are, and rows of a batch.
    part : int
        Rows of a part where they are streamed, else 0.
    """
    evidence = Evidence()
    steps = rows // batch
    places = []
    named = []
    for number, epoch in enumerate(drawn):
        order, name = np.asarray(epoch.order), f"epoch {number + 1}"
        inside = order.ndim == 1 and bool(np.all((order >= 0) & (order < rows)))
        evidence.must(f"{name}, rows that there are", inside)
        evidence.must(f"{name}, only the last partial batch is dropped", order.shape == (steps * batch,))
        evidence.must(f"{name}, no row twice", inside and len(np.unique(order)) == order.size)
        if not inside or order.shape != (steps * batch,):
            return evidence.shares()
        named.append((name, order))
        if part:
            continue
        place = np.full(rows, -1)
        place[order] = np.arange(len(order))
        places.append(place)
        _shuffled(evidence, name, order, rows)
    if part:
        _in_parts(evidence, named, rows, batch, part)
    for (one, first), (other, second) in combinations(enumerate(places), 2):
        _unlike(evidence, f"epochs {one + 1} and {other + 1}", first, second, batch)
    return evidence.shares()


def _shuffled(evidence: Evidence, name: str, order: Array, rows: int) -> None:
    """One order by itself: against no shuffling, shuffling within a window, and rules that step through the rows."""
    count = len(order)
    if count < 3:
        return
    position = np.arange(count)
    fixed = np.abs(np.corrcoef(position, order)[0, 1]) * np.sqrt(count - 1)
    evidence.normal(f"{name}, rows by their place", np.array([fixed]))
    evidence.poisson(f"{name}, rows at their own place", np.sum(order == position), 1.0)
    steps = np.bincount(np.diff(order) % rows, minlength=rows)
    evidence.poisson(f"{name}, steps of one length", steps.max(), count / rows, rows)


def _unlike(evidence: Evidence, name: str, first: Array, second: Array, batch: int) -> None:
    """Two orders, by the place that each gives to every row; -1 where a row was dropped."""
    rows = len(first)
    both = (first >= 0) & (second >= 0)
    shift = np.bincount((first[both] - second[both]) % rows, minlength=rows)
    evidence.poisson(f"{name}, rows at one distance", shift.max(), 1.0, rows)
    dropped = int(np.sum((first < 0) & (second < 0)))
    share = float(np.mean(first < 0) * np.sum(second < 0))
    evidence.poisson(f"{name}, the same rows dropped", dropped, share)
    groups = first[both] // batch, second[both] // batch
    cells = np.bincount(groups[0] * (groups[1].max(initial=0) + 1) + groups[1])
    steps = max(len(first) // batch, 1)
    if steps > 1:
        evidence.poisson(f"{name}, the same rows in one batch", cells.max(initial=0), batch / steps, steps**2)
        evidence.normal(f"{name}, rows by their place", _correlation(first[both], second[both]))


def _in_parts(evidence: Evidence, named: Sequence[tuple[str, Array]], rows: int, batch: int, size: int) -> None:
    """Orders of rows that are streamed (``randomness.parts``): which part each block of rows is in, and the order of
    the rows within a part, which is that of a permutation."""
    block = max(size // BLOCKS, 1)
    blocks, found = [], []
    for name, order in named:
        part_of = np.full(-(-rows // block), -1)
        part_of[order // block] = np.arange(len(order)) // size
        blocks.append((f"{name}, blocks", part_of))
        _correlated(evidence, f"{name}, blocks by their part", np.arange(len(part_of)), part_of)
        for number in range(PARTS):
            within = order[number * size : (number + 1) * size]
            if len(within) < size:
                break
            local = np.argsort(np.argsort(within))
            place = np.argsort(local)
            _shuffled(evidence, f"{name}, part {number + 1}", local, size)
            found.append((f"{name}, part {number + 1}", place))
    for (one, first), (other, second) in combinations(blocks, 2):
        _correlated(evidence, f"{one} and {other}", first, second)
    for (one, first), (other, second) in combinations(found, 2):
        _unlike(evidence, f"{one} and {other}", first, second, batch)


def _correlated(evidence: Evidence, name: str, first: Array, second: Array) -> None:
    """Of a permutation, whatever stands there twice, the correlation has a variance of 1 / (n − 1)."""
    if np.ptp(first) and np.ptp(second):
        evidence.normal(name, _correlation(first, second))


def _correlation(first: Array, second: Array) -> Array:
    if len(first) < 3:
        return np.zeros(0)
    with np.errstate(invalid="ignore"):
        return np.array([np.corrcoef(first, second)[0, 1] * np.sqrt(len(first) - 1)])


def noise(drawn: Sequence[Epoch], rows: int, batch: int, most: int = STREAM) -> Shares:
    """ε and η are standard normal in every unit of every epoch, and independent between units, rows, steps and
    epochs."""
    evidence = Evidence()
    for which in _normals(drawn[0]):
        before = "" if which == EPSILON else f"{INPUT}, "
        named = [(f"{before}epoch {number + 1}", _normals(epoch)[which]) for number, epoch in enumerate(drawn)]
        every = np.concatenate([part for _, part in named])
        for name, part in [*named, (f"{before}all epochs", every)]:
            _standard_normal(evidence, name, part)
        for what, units, skewed in (("", every, 1.0), ("sizes of ", (every**2 - 1) / np.sqrt(2), TAILS)):
            if len(every) >= LEAST_TERMS:
                upper = np.triu_indices(units.shape[1], 1)
                products = (units.T @ units)[upper] / np.sqrt(len(units))
                evidence.normal(f"{before}{what}units, two by two", products, skewed * products.size)
        _stream(evidence, f"{before}rows, steps and epochs", every, most)
        _by_row(evidence, f"{before}the same row in two epochs", drawn, [part for _, part in named], rows)
    for one, other, products in _across(_stacked(drawn), batch):
        evidence.normal(f"{one} and {other}", products, TAILS * len(products))
    return evidence.shares()


def kept(epoch: Epoch, batch: int = 1) -> Epoch:
    """What is looked at of an epoch: all of its order, of what else is drawn the first batches, of many units' ε and
    of many features' η a few columns, evenly spaced."""
    found = dict(epoch.arrays)
    if len(epoch.order) > LOOKED_AT:
        first = LOOKED_AT - LOOKED_AT % batch
        found = {name: array[:first].copy() for name, array in found.items()}
    for name, most in ((EPSILON, UNITS), (CORRUPTION, max(1, CORRUPTED // max(len(epoch.order), 1)))):
        if name in found and (width := found[name].shape[1]) > most:
            found[name] = found[name][:, np.linspace(0, width - 1, most, dtype=int)]
    return Epoch.of(epoch.order, found)


def _normals(epoch: Epoch) -> dict[str, Array]:
    """What should be standard normal, by its name."""
    found = {name: array for name, array in kept(epoch).arrays.items() if name not in epoch.masks}
    return {name: np.asarray(array, dtype=np.float64) for name, array in found.items()}


def _standard_normal(evidence: Evidence, name: str, units: Array) -> None:
    """Each column: mean and variance by their exact distributions, the shape by Kolmogorov and Smirnov, whose p-value
    is bounded by Massart (1990): P(D > d) ≤ 2 exp(−2 n d²) for every n."""
    count, width = units.shape
    evidence.normal(f"{name}, means of the units", units.mean(axis=0) * np.sqrt(count))
    squares = (units**2).sum(axis=0) / 2
    with np.errstate(divide="ignore"):
        below = np.log(2 * np.minimum(special.gammainc(count / 2, squares), special.gammaincc(count / 2, squares)))
    evidence.test(f"{name}, variances of the units", below, width)
    evidence.test(f"{name}, far values", _binomial(np.sum(np.abs(units) > FAR), units.size, 2 * special.ndtr(-FAR)))
    probability = special.ndtr(np.sort(units, axis=0))
    steps = np.arange(count + 1)[:, None] / count
    distance = np.maximum(steps[1:] - probability, probability - steps[:-1]).max(axis=0)
    evidence.test(f"{name}, Kolmogorov–Smirnov of the units", np.log(2) - 2 * count * distance**2, width)


def _stream(evidence: Evidence, name: str, units: Array, most: int) -> None:
    """The correlation of a stream of independent values, of mean 0 and variance 1, with itself at every lag at which
    there are terms enough: rows, units, steps and epochs that repeat are lags."""
    values = units[:, : max(1, most // len(units))].ravel()
    count = len(values)
    lags = count - max(LEAST_TERMS, count // 8)
    if lags < 1:
        return
    size = fft.next_fast_len(2 * count, real=True)
    products = fft.irfft(np.abs(fft.rfft(values.astype(np.float32), size)) ** 2, size)[1 : lags + 1]
    evidence.normal(f"{name}, at every distance", products / np.sqrt(count - np.arange(1, lags + 1)), TAILS * lags)


def _by_row(evidence: Evidence, name: str, drawn: Sequence[Epoch], parts: Sequence[Array], rows: int) -> None:
    """What one row of the data draws in one epoch, with what it draws in another."""
    if len(parts) < 2 or parts[0].size < LEAST_TERMS:
        return
    places = []
    for epoch, part in zip(drawn, parts, strict=True):
        place = np.full(rows, -1)
        place[epoch.order[: len(part)]] = np.arange(len(part))
        places.append(place)
    products = []
    for (first, one), (second, other) in combinations(zip(places, parts, strict=True), 2):
        both = np.flatnonzero((first >= 0) & (second >= 0))
        products.append(np.sum(one[first[both]] * other[second[both]]) / np.sqrt(parts[0].size))
    evidence.normal(name, np.array(products), TAILS * len(products))


def masks(drawn: Sequence[Epoch], rows: int, batch: int, rate: float, most: int = STREAM) -> Shares:
    """Dropout keeps every unit of every layer with a probability of 1 − rate, independently of all else."""
    evidence = Evidence()
    keep = 1.0 - rate
    for layer in drawn[0].masks:
        named = [(f"epoch {number + 1}", np.asarray(epoch.masks[layer])) for number, epoch in enumerate(drawn)]
        every = np.concatenate([part for _, part in named])
        for name, part in [*named, ("all epochs", every)]:
            log_p = _binomial(part.sum(axis=0), len(part), keep)
            evidence.test(f"{layer}, {name}, rates of the units", log_p, part.shape[1])
        values = [_standardised(part, keep) for _, part in named]
        _stream(evidence, f"{layer}, rows, steps and epochs", np.concatenate(values), most)
        _by_row(evidence, f"{layer}, the same row in two epochs", drawn, values, rows)
    streams = {
        layer: np.stack([_standardised(epoch.masks[layer], keep) for epoch in drawn]) for layer in drawn[0].masks
    }
    for one, other, products in _across(streams | _stacked(drawn), batch):
        evidence.normal(f"{one} and {other}", products, TAILS * len(products))
    return evidence.shares()


def _binomial(successes: Any, trials: int, probability: float) -> Array:
    """The logarithm of the two-sided p-value of counts."""
    k = np.asarray(successes, dtype=np.float64)
    lower = special.bdtr(k, trials, probability)
    upper = np.where(k > 0, special.bdtrc(np.maximum(k, 1) - 1, trials, probability), 1.0)
    with np.errstate(divide="ignore"):
        log_p: Array = np.log(np.minimum(1.0, 2 * np.minimum(lower, upper)))
    return log_p


def _standardised(mask: Array, keep: float) -> Array:
    values: Array = (np.asarray(mask, dtype=np.float64) - keep) / np.sqrt(keep * (1 - keep))
    return values


def _stacked(drawn: Sequence[Epoch]) -> dict[str, Array]:
    """``_normals`` of all epochs, each of shape (epochs, rows, width)."""
    normals = [_normals(epoch) for epoch in drawn]
    return {name: np.stack([one[name] for one in normals]) for name in normals[0]}


def _across(streams: Mapping[str, Array], batch: int) -> Iterator[tuple[str, str, Array]]:
    """The correlations between two that are drawn, each of shape (epochs, rows, width): unit by unit, and in the order
    in which one generator would give both, an epoch or a step at a time."""
    for (one, first), (other, second) in combinations(streams.items(), 2):
        epochs, count, _ = first.shape
        width = min(first.shape[2], second.shape[2])
        pairs = [(first[..., :width], second[..., :width])]
        for part in (count, batch):
            length = part * width
            shaped = [array.reshape(epochs * count // part, -1)[:, :length] for array in (first, second)]
            pairs.append((shaped[0], shaped[1]))
        if pairs[0][0].size >= LEAST_TERMS:
            yield one, other, np.array([np.sum(a * b) / np.sqrt(a.size) for a, b in pairs])


def seeds(drawn: Mapping[int, Epoch], rows: int, batch: int, rate: float, part: int = 0) -> Shares:
    """The first epochs of models that differ in their seed alone are unlike in all that they draw."""
    evidence = Evidence()
    keep = 1.0 - rate
    for (one, first), (other, second) in combinations(drawn.items(), 2):
        name = f"seeds {one} and {other}"
        places = []
        for epoch in (first, second):
            place = np.full(rows, -1)
            place[epoch.order] = np.arange(len(epoch.order))
            places.append(place)
        if part:
            _in_parts(evidence, [(f"seed {one}", first.order), (f"seed {other}", second.order)], rows, batch, part)
        else:
            _unlike(evidence, name, places[0], places[1], batch)
        streams = {layer: tuple(_standardised(e.masks[layer], keep) for e in (first, second)) for layer in first.masks}
        normals = _normals(first), _normals(second)
        streams |= {name: (normals[0][name], normals[1][name]) for name in normals[0]}
        for what, (a, b) in streams.items():
            if a.size >= LEAST_TERMS:
                evidence.normal(f"{name}, {what}", np.array([np.sum(a * b) / np.sqrt(a.size)]), TAILS)
            _by_row(evidence, f"{name}, {what} of the same row", (first, second), (a, b), rows)
    return evidence.shares()


def judged(
    drawn: Sequence[Epoch], rows: int, batch: int, rate: float, most: int = STREAM, part: int = 0
) -> dict[str, Shares]:
    """``orders``, ``noise`` and ``masks`` of what there is, by what they are about."""
    drawn = [kept(epoch, batch) for epoch in drawn]
    found = {ORDER: orders(drawn, rows, batch, part)}
    if any(share > 1 for share in found[ORDER].values()):
        return found  # without an order no row can be followed from epoch to epoch
    if drawn[0].noise is not None or drawn[0].corruption is not None:
        found[NOISE] = noise(drawn, rows, batch, most)
    if drawn[0].masks:
        found[DROPOUT] = masks(drawn, rows, batch, rate, most)
    return found
