"""Sweeps: which settings of a block are varied, over which values, and the points that come of it.

A ``[scenarios.sweep]`` table names keys of ``[training]``, or parameters of a detector as ``knn.n_neighbors``, each
with a list of values or, where ``sample`` says how many points are drawn, with a range. Points are counted before any
is made.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice, product
from typing import Any, get_type_hints

import msgspec

import datasets
from bench.detect import registry
from bench.messages import nearest
from bench.suites.checks import SuiteError, check_keys, check_training, convert
from bench.suites.scenario import CONVOLUTIONAL, DATA, Positive, Training

SAMPLE = "sample"
MOST_VALUES = 1_000
"""Of one key."""
_DIGITS = 4
"""Significant ones of a value drawn from a range: what a table can show."""
_SEED = 0
_KINDS = get_type_hints(Training, include_extras=True)
_OF_VAES = ("beta", "prior", "components", "importance_samples", "kl_warmup_epochs", "kl_cycle_epochs", "free_bits")
"""Keys that a plain autoencoder, which has no KL, trains the same under."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included, evenly or, under ``log``, evenly in their logarithms."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    """Whether the key takes whole numbers alone."""

    def at(self, share: float) -> float | int:
        """The value that a share in [0, 1) of the way stands for."""
        if self.whole:
            low, high = int(self.low), int(self.high)
            if self.log:
                found = math.floor(math.exp(math.log(low) + share * (math.log(high + 1) - math.log(low))))
            else:
                found = low + math.floor(share * (high + 1 - low))
            return min(max(found, low), high)
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return rounded(value, self)

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{':log' if self.log else ''}"


def rounded(value: float, within: Range) -> float:
    """A number of a range to as many digits as are shown."""
    return min(max(float(f"{value:.{_DIGITS}g}"), within.low), within.high)


class _RangeTable(msgspec.Struct, forbid_unknown_fields=True):
    """A range as a suite writes it."""

    low: float
    high: float
    log: bool = False


Values = tuple[Any, ...] | Range


@dataclass(frozen=True)
class Point:
    """One value for each swept key that a detector has: by its name, and where it belongs."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def training(self, base: Training) -> Training:
        return replace(base, **{key: value for key, value in self.values.items() if _is_training(key)})

    def parameters(self, base: Mapping[str, Any]) -> dict[str, Any]:
        own = {key: value for key, value in self.values.items() if not _is_training(key) and not is_data(key)}
        return {**base, **{key.rpartition(".")[2]: value for key, value in own.items()}}

    def reference(self, base: str) -> str:
        """The data set with the swept options of data sets."""
        own = {key.rpartition(".")[2]: value for key, value in self.values.items() if is_data(key)}
        return datasets.varied(base, own) if own else base


@dataclass(frozen=True)
class Sweep:
    """The swept keys with their values, and how many points are drawn of them; 0 takes the whole grid."""

    keys: dict[str, Values] = field(default_factory=dict)
    sample: int = 0

    def of(self, detector: str) -> dict[str, Values]:
        """The keys that make a difference to a detector."""
        return {key: values for key, values in self.keys.items() if _concerns(key, detector)}

    def count(self, detector: str) -> int:
        """How many points a detector gets, at most."""
        own = self.of(detector)
        size = math.prod(MOST_VALUES if isinstance(values, Range) else len(values) for values in own.values())
        if not own:
            return 1
        return self.sample if any(isinstance(v, Range) for v in own.values()) else min(size, self.sample or size)

    def points(self, detector: str) -> list[Point]:
        """The points of a detector, without repeats: one that is empty where no swept key concerns it."""
        own = self.of(detector)
        if not own:
            return [Point()]
        ranged = any(isinstance(values, Range) for values in own.values())
        drawn = self._sobol(own) if ranged else self._grid({k: v for k, v in own.items() if not isinstance(v, Range)})
        unique = {msgspec.json.encode(values): values for values in drawn}
        return [Point(dict(zip(own, values, strict=True))) for values in unique.values()]

    def _grid(self, own: Mapping[str, Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
        """Every combination, or ``sample`` of them without repeats."""
        size = math.prod(map(len, own.values()))
        if not self.sample or self.sample >= size:
            yield from product(*own.values())
            return
        for place in sorted(random.Random(_SEED).sample(range(size), self.sample)):
            found = []
            for values in reversed(list(own.values())):
                place, at = divmod(place, len(values))
                found.append(values[at])
            yield tuple(reversed(found))

    def _sobol(self, own: Mapping[str, Values]) -> Iterator[tuple[Any, ...]]:
        """``sample`` points of a scrambled Sobol sequence (Owen 1998), which fill the space more evenly than chance."""
        from scipy.stats import qmc

        # the sequence is balanced over powers of two alone; the first points of a longer one are as good as any
        shares = qmc.Sobol(len(own), scramble=True, seed=_SEED).random_base2(max(0, self.sample - 1).bit_length())
        for line in islice(shares.tolist(), self.sample):
            yield tuple(
                values.at(share) if isinstance(values, Range) else values[int(share * len(values))]
                for share, values in zip(line, own.values(), strict=True)
            )

    def __str__(self) -> str:
        told = [
            f"{key}={values if isinstance(values, Range) else ','.join(map(str, values))}"
            for key, values in self.keys.items()
        ]
        return " ".join([*told, *([f"{SAMPLE}={self.sample}"] if self.sample else [])])


def read(table: object, where: str, base: Sweep | None = None) -> Sweep:
    """A sweep from a suite's table, over the keys of another one, with every value checked by itself.

    Raises
    ------
    SuiteError
        No such key (the nearest is named), a value that its key cannot have, or a range without ``sample``.
    """
    if not isinstance(table, dict):
        raise SuiteError(f"{where}: expected a table of keys and their values")
    given, base = dict(table), base or Sweep()
    sample = convert(given.pop(SAMPLE), Positive, f"{where}.{SAMPLE}") if SAMPLE in given else base.sample
    keys = base.keys | {key: _values(key, values, where) for key, values in _flat(given)}
    for key, values in keys.items():
        if isinstance(values, Range) and not sample:
            raise SuiteError(f"{where}.{key}: a range needs {SAMPLE}, the number of points that are drawn")
    if sample and not keys:
        raise SuiteError(f"{where}.{SAMPLE}: no key is swept")
    return Sweep(keys, sample)


def check_data(sweep: Sweep, references: Iterable[str], where: str) -> None:
    """SuiteError where a data set lacks a swept option of data sets, sets it already, or cannot have a value of it."""
    names = list(references)
    for key, values in sweep.keys.items():
        if is_data(key):
            if isinstance(values, Range):
                raise SuiteError(f"{where}.{key}: an option of data sets takes a list of values, not a range")
            for reference, value in _told_apart(names, values):
                try:
                    datasets.varied(reference, {key.rpartition(".")[2]: value})
                except datasets.DatasetError as error:
                    raise SuiteError(f"{where}.{key}: {error}") from None


def _told_apart(references: Iterable[str], values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Every value with one data set of each family, which alone decides what it takes, and one value with all others:
    thousands of both would take minutes otherwise."""
    seen: set[str] = set()
    for reference in references:
        family = reference.partition("?")[0].partition(":")[0]
        yield from product([reference], values[:1] if family in seen else values)
        seen.add(family)


def check_used(sweep: Sweep, detectors: Iterable[str], where: str) -> None:
    """SuiteError where a swept key concerns none of the detectors: nothing would vary."""
    names = list(detectors)
    for key in sweep.keys:
        if not any(_concerns(key, name) for name in names):
            raise SuiteError(f"{where}.{key}: none of the detectors {', '.join(names)} has it")


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """``knn = { n_neighbors = [1] }`` as ``knn.n_neighbors``, however it was written."""
    for key, value in table.items():
        nested = isinstance(value, dict) and not _is_training(key) and "." not in key
        if nested and (key == DATA or key in _detectors(key)):
            yield from ((f"{key}.{inner}", own) for inner, own in value.items())
        else:
            yield key, value


def _detectors(name: str) -> Sequence[str]:
    try:
        registry.load(name)
    except ValueError:
        return registry.names()
    return (name,)


def _values(key: str, given: object, where: str) -> Values:
    kind = _kind(key, where)
    place = f"{where}.{key}"
    if isinstance(given, dict):
        return _range(key, given, kind, place)
    if not isinstance(given, list) or not given:
        raise SuiteError(f"{place}: expected a list of values, or a range {{ low = …, high = … }}")
    if len(given) > MOST_VALUES:
        raise SuiteError(f"{place}: {len(given):,} values; at most {MOST_VALUES:,} are read")
    found = tuple(_one(key, value, kind, where) for value in given)
    for place_, value in enumerate(found):
        if value in found[:place_]:
            raise SuiteError(f"{place}: {value} is named twice")
    return found


def _range(key: str, given: dict[str, Any], kind: Any, place: str) -> Range:
    check_keys(given, [f.name for f in msgspec.structs.fields(_RangeTable)], place)
    table = convert(given, _RangeTable, place)
    whole = _whole(kind, given)
    if not table.low < table.high:
        raise SuiteError(f"{place}: low has to be below high, not {table.low:g} and {table.high:g}")
    if table.log and table.low <= 0:
        raise SuiteError(f"{place}: a logarithmic range begins above 0, not at {table.low:g}")
    for value in (table.low, table.high):
        _one(key, int(value) if whole and value == int(value) else value, kind, place.removesuffix(f".{key}"))
    return Range(table.low, table.high, table.log, whole)


def _whole(kind: Any, given: Mapping[str, Any]) -> bool:
    """Whether the key takes whole numbers alone; where nothing says so, whether both bounds are such."""
    if kind is Any:
        return all(isinstance(given[bound], int) for bound in ("low", "high"))
    try:
        msgspec.convert(0.5, kind)
    except msgspec.ValidationError:
        return True
    return False


def _one(key: str, value: Any, kind: Any, where: str) -> Any:
    """The value as its key has it, checked as if a suite had set it."""
    place = f"{where}.{key}"
    if _is_training(key):
        check_training({key: value}, where)
        return convert(value, kind, place)
    found = convert(value, kind, place)
    if is_data(key):
        return found
    detector, _, parameter = key.rpartition(".")
    if configurable := registry.configurable(detector):
        try:
            configurable(**{parameter: found})
        except ValueError as error:
            raise SuiteError(f"{place}: {error}") from None
        except TypeError:
            pass  # it cannot be made of this parameter alone; the block checks it with the others
    return found


def _kind(key: str, where: str) -> Any:
    """The type of a swept key's values; SuiteError names the nearest key where there is none."""
    if _is_training(key):
        return _KINDS[key]
    if is_data(key):
        return bool | int | float | str
    detector, dot, parameter = key.rpartition(".")
    trained = [f.name for f in fields(Training)]
    if not dot:
        known = [f"{name}.{own}" for name in registry.REGISTRY for own in registry.parameters(name) or ()]
        owners = [name for name in known if name.rpartition(".")[2] == key]
        if owners:
            raise SuiteError(f"{where}: unknown key {key!r}; a detector's parameter is named {' or '.join(owners)}")
        raise SuiteError(f"{where}: unknown key {key!r}{nearest(key, [*trained, SAMPLE, *known])}")
    try:
        kinds = registry.parameters(detector)
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from None
    if kinds is None:
        return Any
    if parameter not in kinds:
        raise SuiteError(f"{where}: {detector} has no parameter {parameter!r}{nearest(parameter, kinds)}")
    return kinds[parameter]


def _is_training(key: str) -> bool:
    return key in _KINDS


def is_data(key: str) -> bool:
    """Whether a key names an option of the data sets."""
    return key.startswith(f"{DATA}.")


def _concerns(key: str, detector: str) -> bool:
    """Whether another value of the key makes another training or another detector, or other rows for it."""
    if is_data(key):
        return True
    if not _is_training(key):
        return key.rpartition(".")[0] == detector
    if not registry.needs_backend(detector):
        return False
    loaded = registry.load(detector)
    if key in _OF_VAES:
        return bool(loaded.kind == "vae")
    if key == "scores":
        return not loaded.scores_of_its_own
    return key not in CONVOLUTIONAL or bool(loaded.convolutional)
