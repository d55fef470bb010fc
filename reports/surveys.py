"""What a report asks of every record, as columns: numbers, and texts by their codes. The light part of ``tables``: it
loads no pandas, and works in any process on any part of the records.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from reports.coded import Coded, Column

QUALITY = ("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy")
IDENTITY = ("dataset", "detector", "backend", "mode", "device", "arithmetic", "threads", "batch")
_TEXTS = {
    name: name for name in ("environment_hash", "run", "suite", *IDENTITY[:5], "threshold_rule", "score", "protocol")
} | {
    "arithmetic": "precision",
    "scenario": "scenario_hash",
}
"""Columns of text and the keys of a record they come from."""
_MEASURED = {
    "train": "train_samples_per_second",
    "scoring": "score_samples_per_second",
    "compile_seconds": "compile_seconds",
    "first_step_seconds": "first_step_seconds",
    "result_seconds": "result_seconds",
    "latency_p50": "score_latency_p50_seconds",
    "latency_p99": "score_latency_p99_seconds",
    "peak_memory_bytes": "peak_memory_bytes",
    "peak_device_memory_bytes": "peak_device_memory_bytes",
    "joules": "train_energy_joules",
    "limit": "limit_samples_per_second",
}
"""Columns of numbers and the metrics they come from."""
COUNTS = ("tp", "fp", "fn", "tn")
"""Of the confusion matrix at the first threshold."""
_DATA = ("checksum", "train_rows", "val_rows", "test_rows", "features")
_KEYS = (
    *(
        "metrics",
        "intervals",
        "samples",
        "data",
        "settings",
        "confusion",
        *_TEXTS.values(),
        "threads",
        "seed",
        "round",
        "status",
        "reason",
        "oracle",
    ),
    *("collapsed", "active_units", "timed", "train_rows_per_sample", "score_rows_per_sample", "import_memory_bytes"),
    "marks",
)

_CACHED = 256
"""Records looked at before the next: so many fit into a processor's cache."""
_HUGE = sys.float_info.max

Array = NDArray[np.float64]


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def held(record: Mapping[str, Any], key: str) -> Any:
    """A record's value, decoded where it is JSON still; settings and the like that are equal are one object."""
    return _opened(record.get(key), key)


def _opened(value: Any, key: str) -> Any:
    if type(value) is not msgspec.Raw:
        return value
    try:
        return _decoded(bytes(value)) if key in _ALIKE else msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_decoded = lru_cache(maxsize=4096)(msgspec.json.decode)
_ALIKE = ("data", "settings", "environment", "equality")
"""What many records have in common."""


def number(value: object) -> float:
    """A finite float, else NaN: a record may hold null, or an infinity that some writer let through."""
    if type(value) is not float and type(value) is not int:
        return math.nan
    return float(value) if -_HUGE < value < _HUGE else math.nan


def numbers(value: object) -> list[float]:
    """The finite ones of a list of numbers."""
    if not isinstance(value, list):
        return []
    if set(map(type, value)) == {float} and math.isfinite(sum(value)):  # only finite numbers have a finite sum
        return list(value)
    return [v for v in map(number, value) if v == v]


def text(value: object) -> str:
    """Text that can be written: JSON may hold unpaired surrogates, UTF-8 may not."""
    written = "" if value is None else str(value)
    return written if written.isascii() else written.encode(errors="replace").decode()


def _whole(value: object) -> int:
    """A positive whole number, else 0."""
    return value if type(value) is int and 0 < value < 2**53 else 0


def _marks(value: object) -> tuple[str, ...]:
    return tuple(sorted({text(mark) for mark in value})) if value and isinstance(value, list) else ()


class _Gathered:
    """What mappings have for some keys, a list a key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.lists: dict[str, list[Any]] = {key: [] for key in keys}

    def add(self, found: Sequence[Mapping[str, Any]]) -> None:
        get: Callable[..., Any] = dict.get  # asked so, a dictionary answers in half the time
        plain, empty = set(map(type, found)) <= {dict}, not any(found)
        for key, values in self.lists.items():
            if empty:
                values += [None] * len(found)
            else:
                values += map(get, found, repeat(key)) if plain else [one.get(key) for one in found]

    def __getitem__(self, key: str) -> list[Any]:
        return self.lists[key]


def _coded(values: list[Any], function: Callable[[Any], Hashable]) -> Coded:
    """The function of each; it is asked once for equal ones where all are text, whole numbers or missing."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {str} or kinds <= {int}:
        return Coded.of(values).mapped(function)
    return Coded.of(list(map(function, values)))


def _wholes(values: list[Any]) -> NDArray[np.int64]:
    found = _coded(values, _whole)
    return np.array(found.values, dtype=np.int64)[found.codes]


def _flags(values: Iterable[bool]) -> NDArray[np.bool_]:
    return np.array(list(values), dtype=bool)


def _numbers(values: list[Any]) -> Array:
    """``number`` of each."""
    kinds = set(map(type, values))
    if kinds <= {type(None)}:
        return np.full(len(values), np.nan)
    if kinds <= {float, int, type(None)}:
        try:
            found = np.array(values, dtype=np.float64)
        except OverflowError:  # a whole number beyond all floats
            pass
        else:
            found[~np.isfinite(found)] = np.nan
            return found
    return np.array([number(value) for value in values], dtype=np.float64)


def _medians(samples: list[Any]) -> tuple[Array, NDArray[np.int64]]:
    """The median of the finite numbers in each list, and how many there are."""
    lists = [value if type(value) is list else [] for value in samples]
    flat = _numbers(list(chain.from_iterable(lists)))
    if np.isnan(flat).any():
        lists = [numbers(value) for value in lists]
        flat = np.array(list(chain.from_iterable(lists)), dtype=np.float64)
    lengths = np.array(list(map(len, lists)), dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    medians = np.full(len(lists), np.nan)
    for length in np.unique(lengths[lengths > 0]):
        places = np.flatnonzero(lengths == length)
        medians[places] = np.median(flat[starts[places, None] + np.arange(length)], axis=1)
    return medians, lengths


def _rate(rows: Array, seconds: Array, otherwise: Array) -> Array:
    """Rows a second in a trial's median sample; a record without raw samples has the harness's own figure."""
    return np.where((seconds > 0) & (rows > 0), rows / np.where(seconds > 0, seconds, np.nan), otherwise)


@runtime_checkable
class Surveyed(Protocol):
    """Records that bring along what ``columns`` makes of them, and the values of some keys where they are short."""

    columns: Mapping[str, Column]
    kept: Mapping[str, Coded]


def columns(parts: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, Column]:
    """What ``trials`` makes its table of, a value a record; what is made of several parts can be joined."""
    found, metrics, intervals = _Gathered(_KEYS), _Gathered([*_MEASURED.values(), *QUALITY]), _Gathered(QUALITY)
    samples, data, settings, counts = (_Gathered(k) for k in (("train", "score"), _DATA, ("batch_size",), COUNTS))
    inner = {"metrics": metrics, "intervals": intervals, "samples": samples}
    inner |= {"data": data, "settings": settings, "confusion": counts}
    for part in parts:
        for start in range(0, len(part), _CACHED):
            some = part[start : start + _CACHED]
            found.add(some)
            for key, gathered in inner.items():
                gathered.add([mapping(_opened(value, key)) for value in found[key][-len(some) :]])

    measured = {name: _numbers(metrics[metric]) for name, metric in _MEASURED.items()}
    (seconds, epochs), (scored, _) = (_medians(samples[key]) for key in ("train", "score"))
    rows_trained = _numbers(found["train_rows_per_sample"])
    train = _rate(rows_trained, seconds, measured.pop("train"))
    scoring = _rate(_numbers(found["score_rows_per_sample"]), scored, measured.pop("scoring"))
    sizes = {key: _numbers(data[key]) for key in _DATA[1:]}
    status = _coded(found["status"], text)
    reasons = _coded(found["reason"], text)
    made: dict[str, Column] = {
        **{name: _coded(found[key], text) for name, key in _TEXTS.items()},
        "threads": _wholes(found["threads"]),
        "batch": _wholes(settings["batch_size"]),
        "seed": _numbers(found["seed"]),
        "round": _numbers(found["round"]),
        "status": status.mapped(lambda value: value or "failed"),
        "reason": Coded.of(
            [
                reason or ("" if known else "the record has no status")
                for reason, known in zip(reasons.objects(), status.objects(), strict=True)
            ]
        ),
        "oracle": _flags(value is True for value in found["oracle"]),
        "collapsed": _flags(
            collapsed is True or active == 0
            for collapsed, active in zip(found["collapsed"], found["active_units"], strict=True)
        ),
        "timed": _flags(value is not False for value in found["timed"]),
        "train": train,
        "scoring": scoring,
        "fit_seconds": seconds,
        **measured,
        "data_memory_bytes": measured["peak_memory_bytes"] - _numbers(found["import_memory_bytes"]),
        "joules": 1e6 * _quotient(measured["joules"], rows_trained * epochs),
        "fraction": _quotient(train, measured["limit"]),
        "samples": epochs,
        "train_rows": sizes["train_rows"],
        "data_bytes": 4 * sizes["features"] * (sizes["train_rows"] + sizes["val_rows"] + sizes["test_rows"]),
        "marks": Coded.of(list(map(_marks, found["marks"]))),
        "checksum": _coded(data["checksum"], text),
        **{name: _numbers(counts[name]) for name in COUNTS},
    }
    for name in QUALITY:
        made[name] = _numbers(metrics[name])
        bounds = intervals[name]
        if not (set(map(type, bounds)) <= {list} and set(map(len, bounds)) <= {2}):
            bounds = [b if type(b) is list and len(b) == 2 else (None, None) for b in bounds]
        made[f"{name}_low"], made[f"{name}_high"] = _numbers(list(chain.from_iterable(bounds))).reshape(-1, 2).T
    return made


def _quotient(value: Array, by: Array) -> Array:
    return value / np.where(by > 0, by, np.nan)
