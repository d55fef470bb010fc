"""What a report asks of every record, as columns of NumPy arrays. The light part of ``tables``: it loads no pandas."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

QUALITY = ("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy")
IDENTITY = ("dataset", "detector", "backend", "mode", "device", "arithmetic", "threads", "batch")
_TEXTS = {
    name: name for name in ("environment_hash", "run", "suite", *IDENTITY[:5], "threshold_rule", "score", "protocol")
} | {
    "arithmetic": "precision",
    "process": "process",
    "scenario": "scenario_hash",
}
"""Columns of text and the keys of a record they come from."""
_MEASURED = {
    "train": "train_samples_per_second",
    "scoring": "score_samples_per_second",
    "compile_seconds": "compile_seconds",
    "compile_warm_seconds": "compile_warm_seconds",
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
_PRESENT = ("notes", "best_epoch", "arrays", "thresholds", "published", "other_scores", "series", "robustness")
"""Keys of which a report asks every record whether there is anything; the values it reads of a few."""
_SAID = ("command", "started")
ASKED = (*_SAID, *(f"has {key}" for key in _PRESENT), "equality")
"""The columns of ``asked``."""
_FLAT = (
    *(*_TEXTS.values(), *_SAID, *_PRESENT[:3], "threads", "seed", "round", "status", "reason", "oracle", "collapsed"),
    *("swept", "varied", "labelled_validation", "validation_loss", "mean_kl", "wall_seconds"),
    *("active_units", "timed", "train_rows_per_sample", "score_rows_per_sample", "import_memory_bytes", "marks"),
)
READ: dict[str, Sequence[str]] = {
    **dict.fromkeys(_FLAT, ()),
    "metrics": (*_MEASURED.values(), *QUALITY),
    "intervals": QUALITY,
    "samples": ("train", "score"),
    "data": _DATA,
    "settings": ("batch_size", "likelihood", "beta"),
    "confusion": COUNTS,
    "self_check": ("followed", "steps"),
    "made": ("before", "lanes", "alone"),
}
"""Keys that ``columns`` and ``asked`` read, and the keys inside of objects of which they read no more."""
LARGE = ("equality", *_PRESENT[3:])
"""Further keys that ``asked`` takes as JSON too, as a ``msgspec.Raw``."""
_HUGE = sys.float_info.max

Array = NDArray[np.float64]


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


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


def _values(found: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> dict[str, list[Any]]:
    """What mappings have for some keys, a list for each key."""
    get: Callable[..., Any] = dict.get  # asked so, a dictionary answers in half the time
    plain = [one if type(one) is dict else dict(one) for one in found]
    return {key: list(map(get, plain, repeat(key))) for key in keys}


def _coded(values: list[Any], function: Callable[[Any], Any]) -> NDArray[np.object_]:
    """The function of each; it is asked once for equal ones where all are text, whole numbers or missing."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {str} or kinds <= {int}:
        known = {value: function(value) for value in dict.fromkeys(values)}
        return np.fromiter(map(known.__getitem__, values), object, len(values))
    return np.fromiter(map(function, values), object, len(values))


def _wholes(values: list[Any]) -> NDArray[np.int64]:
    return _coded(values, _whole).astype(np.int64)


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


UNBOUNDED = np.errstate(over="ignore", invalid="ignore")
"""Around what is counted with the numbers of records, which anybody may have written: what is too large is infinite."""

Columns = dict[str, NDArray[Any]]


@runtime_checkable
class Surveyed(Protocol):
    """Records that bring along what ``columns`` makes of them, so that few have to be read whole."""

    columns: Columns
    """Of ``columns`` and ``asked`` together."""


def asked(records: Sequence[Mapping[str, Any]]) -> Columns:
    """What a report asks of all records without a table of it: texts, whether a record has anything at a key (``has
    KEY``), and the JSON of ``equality``, mostly the same."""
    found = _values(records, (*_SAID, *_PRESENT, "equality"))
    return {
        **{key: _coded(found[key], lambda value: value if isinstance(value, str) else "") for key in _SAID},
        **{f"has {key}": _flags(map(_present, found[key])) for key in _PRESENT},
        "equality": np.fromiter(map(_json, found["equality"]), object, len(records)),
    }


@UNBOUNDED
def columns(records: Sequence[Mapping[str, Any]]) -> Columns:
    """What ``trials`` makes its table of, a value for each record."""
    found = _values(records, READ)
    inner = {key: _values(list(map(mapping, found[key])), names) for key, names in READ.items() if names}
    metrics, intervals, samples, data = (inner[key] for key in ("metrics", "intervals", "samples", "data"))

    measured = {name: _numbers(metrics[metric]) for name, metric in _MEASURED.items()}
    (seconds, epochs), (scored, _) = (_medians(samples[key]) for key in ("train", "score"))
    rows_trained = _numbers(found["train_rows_per_sample"])
    train = _rate(rows_trained, seconds, measured.pop("train"))
    scoring = _rate(_numbers(found["score_rows_per_sample"]), scored, measured.pop("scoring"))
    sizes = {key: _numbers(data[key]) for key in _DATA[1:]}
    status = _coded(found["status"], text)
    reason = _coded(found["reason"], text)
    reason[(status == "") & (reason == "")] = "the record has no status"
    status[status == ""] = "failed"
    collapsed = zip(found["collapsed"], found["active_units"], strict=True)
    made: Columns = {
        **{name: _coded(found[key], text) for name, key in _TEXTS.items()},
        "threads": _wholes(found["threads"]),
        "batch": _wholes(inner["settings"]["batch_size"]),
        "seed": _numbers(found["seed"]),
        "round": _numbers(found["round"]),
        "status": status,
        "reason": reason,
        "oracle": _flags(value is True for value in found["oracle"]),
        "collapsed": _flags(flag is True or active == 0 for flag, active in collapsed),
        "timed": _flags(value is not False for value in found["timed"]),
        **{name: np.fromiter(map(_sorted_json, found[name]), object, len(records)) for name in ("swept", "varied")},
        "likelihood": _coded(inner["settings"]["likelihood"], text),
        "validation": _validation(found, inner["settings"]["beta"]),
        "labelled_auc": np.array(list(map(_labelled, found["labelled_validation"], found["score"])), dtype=np.float64),
        "wall_seconds": _numbers(found["wall_seconds"]),
        "self_check": _coded(list(map(_checked, found["self_check"])), text),
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
        "marks": np.fromiter(map(_marks, found["marks"]), object, len(records)),
        "checksum": _coded(data["checksum"], text),
        "before": _wholes(inner["made"]["before"]),
        "lanes": _wholes(inner["made"]["lanes"]),
        "alone": _coded(inner["made"]["alone"], text),
        **{name: _numbers(inner["confusion"][name]) for name in COUNTS},
    }
    for name in QUALITY:
        made[name] = _numbers(metrics[name])
        bounds = [b if type(b) is list and len(b) == 2 else (None, None) for b in intervals[name]]
        made[f"{name}_low"], made[f"{name}_high"] = _numbers(list(chain.from_iterable(bounds))).reshape(-1, 2).T
    return made


def _sorted_json(value: object) -> str:
    """Keys and values as JSON, the same for equal ones; empty where there are none."""
    return msgspec.json.encode(value, order="sorted").decode() if isinstance(value, dict) and value else ""


def _validation(found: Mapping[str, list[Any]], betas: list[Any]) -> Array:
    """What a network is chosen by without labels: its validation loss when training ended, with the KL divergence
    counted once whatever β trained it, that is reconstruction + KL of a VAE (the negative of the ELBO, at z = mu), and
    the reconstruction alone of a plain autoencoder.

    The loss of a record is reconstruction + β · KL, and its ``mean_kl`` the KL of the same rows and weights.
    """
    values = np.full(len(betas), np.nan)
    for place, (losses, kl, best, beta) in enumerate(
        zip(found["validation_loss"], found["mean_kl"], found["best_epoch"], betas, strict=True)
    ):
        if isinstance(losses, list) and losses:
            kept = best if type(best) is int and 0 <= best < len(losses) else -1
            more = (1.0 - number(beta)) * number(kl) if kl is not None and beta is not None else 0.0
            values[place] = number(losses[kept]) + more
    return values


def _labelled(value: object, score: object) -> float:
    """ROC AUC over the test rows that were taken out to choose by, of the first score."""
    metrics = mapping(mapping(value).get("metrics"))
    own = metrics.get(score) if isinstance(score, str) else next(iter(metrics.values()), None)
    return number(mapping(own).get("roc_auc"))


def _checked(value: object) -> str:
    """How a timed trial's proof of itself ended; empty where the record tells of none."""
    check = mapping(value)
    if not check:
        return ""
    if check.get("steps") is None:
        return "no reference"
    followed = check.get("followed")
    return "followed" if followed is True else "left" if followed is False else "too long"


def _present(value: Any) -> bool:
    """Whether there is anything: neither null nor empty."""
    if type(value) is msgspec.Raw:
        return len(value) > _SHORT or bool(msgspec.json.decode(value))
    return bool(value)


def _json(value: Any) -> bytes | None:
    return bytes(value) if type(value) is msgspec.Raw else None if value is None else msgspec.json.encode(value)


_SHORT = 64
"""Bytes of JSON that may still be an empty list."""


def _quotient(value: Array, by: Array) -> Array:
    return value / np.where(by > 0, by, np.nan)
