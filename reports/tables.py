"""Records in, pandas tables out: one row a trial, then one row a scenario. Nothing here knows Markdown.

Trials of different environments, and of scenarios with different settings, are never averaged.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from reports.frames import BLOCK, GROUP, ROW, RUNNER, Row, rows, split
from reports.pairs import Pairs, Ratio, by_group

QUALITY = ("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy")
RANKED = QUALITY[:3]
SANITY = ("norm", "mahalanobis")
TRIVIAL_MARGIN = 0.01
"""A data set is trivial where ``norm`` comes this near to the best ROC AUC."""

_IDENTITY = ("dataset", "detector", "backend", "mode", "device", "arithmetic", "threads", "batch")
_TEXTS = {
    name: name for name in ("environment_hash", "run", "suite", *_IDENTITY[:5], "threshold_rule", "score", "protocol")
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
_COUNTS = ("tp", "fp", "fn", "tn")
"""Of the confusion matrix at the first threshold."""
_DATA = ("checksum", "train_rows", "val_rows", "test_rows", "features")
_KEYS = (
    *("metrics", "intervals", "samples", *_TEXTS.values(), "threads", "seed", "round", "status", "reason", "oracle"),
    *("collapsed", "active_units", "timed", "train_rows_per_sample", "score_rows_per_sample", "import_memory_bytes"),
    "marks",
)
_KINDS: dict[str, type] = {"threads": int, "batch": int} | dict.fromkeys(("oracle", "collapsed", "timed"), bool)

MEDIANS = (
    *("fit_seconds", "compile_seconds", "first_step_seconds", "result_seconds", "latency_p50", "latency_p99"),
    *("peak_memory_bytes", "peak_device_memory_bytes", "data_memory_bytes", "joules", "limit", "fraction"),
    *("train_rows", "data_bytes"),
)
"""What a row of ``throughput`` has the median of its trials of."""

_HUGE = sys.float_info.max
_Z = float(ndtri(0.975))

Array = NDArray[np.float64]


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def held(record: Mapping[str, Any], key: str) -> Any:
    """A record's value, decoded where it is JSON still; settings and the like that are equal are one object."""
    value = record.get(key)
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


def _text(value: object) -> str:
    """Text that can be written: JSON may hold unpaired surrogates, UTF-8 may not."""
    text = "" if value is None else str(value)
    return text if text.isascii() else text.encode(errors="replace").decode()


def _whole(value: object) -> int:
    """A positive whole number, else 0."""
    return value if type(value) is int and 0 < value < 2**53 else 0


def _marks(value: object) -> tuple[str, ...]:
    return tuple(sorted({_text(mark) for mark in value})) if value and isinstance(value, list) else ()


def _turned(found: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, list[Any]]:
    """The values by key, some mappings at a time: a hundred thousand of them fit into no cache."""
    columns: dict[str, list[Any]] = {key: [] for key in keys}
    every = iter(found)
    while part := list(islice(every, 256)):
        for key, values in columns.items():
            values += [one.get(key) for one in part]
    return columns


def _texts(values: list[Any]) -> list[str]:
    """``_text`` of each; equal values are one object."""
    if set(map(type, values)) <= {str, type(None)}:
        known = {value: _text(value) for value in set(values)}
        return [known[value] for value in values]
    return list(map(_text, values))


def _numbers(values: list[Any]) -> Array:
    """``number`` of each."""
    if set(map(type, values)) <= {float, type(None)}:
        found = np.array(values, dtype=np.float64)
        return np.where(np.isfinite(found), found, np.nan)
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


def _columns(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each column of the trials' table, a value a record."""
    found = _turned(records, _KEYS)
    metrics = _turned(map(mapping, found["metrics"]), [*_MEASURED.values(), *QUALITY])
    intervals = _turned(map(mapping, found["intervals"]), QUALITY)
    samples = _turned(map(mapping, found["samples"]), ["train", "score"])
    data = _turned((mapping(held(record, "data")) for record in records), _DATA)
    settings = _turned((mapping(held(record, "settings")) for record in records), ["batch_size"])
    counts = _turned((mapping(held(record, "confusion")) for record in records), _COUNTS)

    measured = {name: _numbers(metrics[metric]) for name, metric in _MEASURED.items()}
    (seconds, epochs), (scored, _) = (_medians(samples[key]) for key in ("train", "score"))
    rows_trained = _numbers(found["train_rows_per_sample"])
    train = _rate(rows_trained, seconds, measured.pop("train"))
    scoring = _rate(_numbers(found["score_rows_per_sample"]), scored, measured.pop("scoring"))
    parts = {key: _numbers(data[key]) for key in _DATA[1:]}
    status = _texts(found["status"])
    columns: dict[str, Any] = {
        **{name: _texts(found[key]) for name, key in _TEXTS.items()},
        "threads": [_whole(value) for value in found["threads"]],
        "batch": [_whole(value) for value in settings["batch_size"]],
        "seed": _numbers(found["seed"]),
        "round": _numbers(found["round"]),
        "status": [value or "failed" for value in status],
        "reason": [
            reason or ("" if known else "the record has no status")
            for reason, known in zip(_texts(found["reason"]), status, strict=True)
        ],
        "oracle": [value is True for value in found["oracle"]],
        "collapsed": [
            collapsed is True or active == 0
            for collapsed, active in zip(found["collapsed"], found["active_units"], strict=True)
        ],
        "timed": [value is not False for value in found["timed"]],
        "train": train,
        "scoring": scoring,
        "fit_seconds": seconds,
        **measured,
        "data_memory_bytes": measured["peak_memory_bytes"] - _numbers(found["import_memory_bytes"]),
        "joules": 1e6 * _quotient(measured["joules"], rows_trained * epochs),
        "fraction": _quotient(train, measured["limit"]),
        "samples": epochs,
        "train_rows": parts["train_rows"],
        "data_bytes": 4 * parts["features"] * (parts["train_rows"] + parts["val_rows"] + parts["test_rows"]),
        "marks": list(map(_marks, found["marks"])),
        "checksum": _texts(data["checksum"]),
        **{name: _numbers(counts[name]) for name in _COUNTS},
    }
    for name in QUALITY:
        columns[name] = _numbers(metrics[name])
        bounds = [b if type(b) is list and len(b) == 2 else (None, None) for b in intervals[name]]
        columns[f"{name}_low"], columns[f"{name}_high"] = _numbers(list(chain.from_iterable(bounds))).reshape(-1, 2).T
    return columns


def _quotient(value: Array, by: Array) -> Array:
    return value / np.where(by > 0, by, np.nan)


def trials(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a trial; ``position`` is the record's place in the input.

    Of several records of one trial the last counts: one that failed and was run again has two. ``environment`` names
    the environments of each run ``A``, ``B``, ... in the order in which they first appear, or is empty where there is
    only one; ``run`` is what the records themselves are labelled with, mostly nothing.
    """
    columns = _columns(records)
    identity = [columns[name] for name in _IDENTITY]
    if not all(columns["scenario"]):
        named = zip(columns["scenario"], zip(*identity, strict=True), strict=True)
        columns["scenario"] = [scenario or " ".join(map(str, parts)) for scenario, parts in named]
    turns = (np.nan_to_num(columns[name], nan=-1.0).tolist() for name in ("seed", "round"))
    trial = zip(columns["run"], columns["environment_hash"], columns["scenario"], *identity, *turns, strict=True)
    positions = list(dict(zip(trial, range(len(records)), strict=True)).values())
    frame = pd.DataFrame(
        {
            name: pd.Series(values, dtype=values.dtype if isinstance(values, np.ndarray) else _KINDS.get(name, object))
            for name, values in columns.items()
        }
    )
    frame["position"] = np.arange(len(records))
    frame = frame.iloc[positions].reset_index(drop=True)
    sources = list(zip(frame["run"], frame["environment_hash"], strict=True))
    distinct = list(dict.fromkeys(sources))
    labels = {source: _letters(i) if len(distinct) > 1 else "" for i, source in enumerate(distinct)}
    frame["environment"] = pd.Series([labels[source] for source in sources], dtype=object)
    frame["variant"] = _variants(frame, records)
    return frame


def _letters(index: int) -> str:
    """A ... Z, AA, AB, ..."""
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def _variants(frame: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells scenarios apart that share everything a table has a column for; mostly nothing."""
    label = [*BLOCK, "detector", *RUNNER, "arithmetic", "batch"]
    distinct = frame.drop_duplicates([*label, "scenario"])
    names: dict[tuple[str, ...], str] = {}
    for key, sharing in split(distinct[distinct.duplicated(label, keep=False)], label):
        scenarios = rows(sharing)
        protocols = [row["protocol"] for row in scenarios]
        if all(protocols) and len(set(protocols)) == len(protocols):
            names |= {(*key, row["scenario"]): row["protocol"] for row in scenarios}
            continue
        settings = [
            {
                "protocol": row["protocol"],
                "threshold": row["threshold_rule"],
                "score": row["score"],
                **mapping(held(records[row["position"]], "settings")),
            }
            for row in scenarios
        ]
        keys = list(dict.fromkeys(k for s in settings for k in s))
        differing = [k for k in keys if len({repr(s.get(k)) for s in settings}) > 1]
        texts = [", ".join(f"{k} {_plain(s[k])}" for k in differing if k in s) for s in settings]
        for text, row in zip(texts, scenarios, strict=True):
            alone = text and texts.count(text) == 1
            names[(*key, row["scenario"])] = text if alone else f"scenario {row['scenario'][:8]}"
    if not names:
        return [""] * len(frame)
    return [names.get(key, "") for key in frame[[*label, "scenario"]].itertuples(index=False, name=None)]


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else _text(value)


def _t(df: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Two-sided 95 % quantile of Student's t; the normal one where the degrees of freedom are beyond counting."""
    return np.asarray(np.where(df > 1e6, _Z, stdtrit(np.clip(df, 1.0, 1e6), 0.975)))


class _Entry(msgspec.Struct):
    """What a record says of one more score, as far as a table shows it."""

    score: Any = None
    metrics: Any = None
    intervals: Any = None
    confusion: Any = None
    threshold_rule: Any = None
    oracle: Any = None
    thresholds: Any = None


_ENTRIES = msgspec.json.Decoder(list[_Entry])


def other_scores(record: Mapping[str, Any]) -> list[_Entry]:
    """A record's scores beyond its first, without their curves."""
    value = record.get("other_scores")
    try:
        if type(value) is msgspec.Raw:
            return _ENTRIES.decode(value)
        return msgspec.convert(value or [], list[_Entry])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def scored(trials: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each score of each trial: those of ``trials``, and one for every other score of a finished one.

    A ``primary`` row is that of a trial's first score, which the suite chose before anything was measured.
    """
    found: list[Row] = []
    finished = trials[trials["status"] == "ok"]
    for place, position in zip(finished.index, finished["position"], strict=True):
        for entry in other_scores(records[position]):
            metrics, intervals, counts = (mapping(v) for v in (entry.metrics, entry.intervals, entry.confusion))
            new: Row = {"place": place, "score": _text(entry.score), "threshold_rule": _text(entry.threshold_rule)}
            new["oracle"] = entry.oracle is True
            new |= {name: number(counts.get(name)) for name in _COUNTS}
            for name in QUALITY:
                bounds = numbers(intervals.get(name))
                new[name] = number(metrics.get(name))
                new[f"{name}_low"], new[f"{name}_high"] = bounds if len(bounds) == 2 else (math.nan, math.nan)
            found.append(new)
    trials = trials.assign(primary=True)
    if not found:
        return trials
    more = pd.DataFrame(found)
    others = trials.loc[more.pop("place")].reset_index(drop=True).assign(primary=False)
    others[more.columns] = more
    return pd.concat([trials, others], ignore_index=True)


def quality(scored: pd.DataFrame) -> pd.DataFrame:
    """One row for each score of a scenario with finished trials, best ROC AUC first within a data set.

    Takes what ``scored`` returns, or ``trials`` alone for the first score of each. Only the first takes part in a
    contest: the best of several would be chosen by the test labels.

    The two uncertainties there are stay apart, for each metric ``m``: ``m_low``, ``m_high`` are the trials' bootstrap
    bounds over the test rows, averaged over seeds; ``m_sd`` is the sample standard deviation over seeds of the values,
    whose mean is ``m``, and ``m_worst``, ``m_best`` their extremes. A handful of seeds is too few to turn their spread
    into an interval that is both honest and useful, so a lead has to hold in both respects:

    For ``m`` in ``RANKED``: ``m_top`` tells whether the row cannot be told apart from the best of its data set (the
    intervals overlap, or one is unknown, or its best seed reaches the leader's worst), ``m_sole`` whether all such rows
    are one detector with rivals to lead. ``seeds`` counts the finished ones, ``asked`` all of them.
    """
    bounds = [f"{m}{side}" for m in QUALITY for side in ("", "_low", "_high")]
    finished = scored[scored["status"] == "ok"]
    if "primary" not in finished:
        finished = finished.assign(primary=True)
    seeds = finished.groupby([*ROW, "score", "seed"], dropna=False, sort=False)[[*bounds, *_COUNTS]].mean()
    grouped = seeds.groupby(_SCORED, sort=False)
    table, spread, worst, best = grouped.mean(), grouped.std(), grouped.min(), grouped.max()
    for m in QUALITY:
        table[f"{m}_sd"], table[f"{m}_worst"], table[f"{m}_best"] = spread[m], worst[m], best[m]
    by_row = finished.groupby(_SCORED, sort=False)
    table["seeds"] = grouped.size()
    table["trials"] = by_row.size()
    table["collapsed"] = by_row["collapsed"].sum()
    table["oracle"] = by_row["oracle"].any()
    for name in ("threshold_rule", "protocol", "suite", "primary"):
        table[name] = by_row[name].first()
    order = [*BLOCK, "roc_auc", *_SCORED[2:]]
    asked = scored.groupby(ROW, sort=False)["seed"].nunique(dropna=False).rename("asked")
    table = table.reset_index().merge(asked.reset_index(), on=ROW, how="left")
    table = table.sort_values(order, ascending=[name != "roc_auc" for name in order])
    return _ranked(table.reset_index(drop=True))


_SCORED = [*ROW, "score"]


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    blocks = [table[k] for k in BLOCK]
    for m in RANKED:
        # A threshold tuned on test labels competes with none that was not.
        value = table[m].where(table["primary"].astype(bool))
        if m == "f1":
            value = value.where(~table["oracle"].astype(bool))
        best = value.groupby(blocks).transform("max")
        leads = value == best
        floor = table[f"{m}_low"].where(leads).groupby(blocks).transform("min")
        worst = table[f"{m}_worst"].where(leads).groupby(blocks).transform("min")
        top = value.notna() & (leads | ~((table[f"{m}_high"] < floor) & (table[f"{m}_best"] < worst)))
        table[f"{m}_top"] = top
        leaders = table["detector"].where(top).groupby(blocks).transform("nunique")
        rivals = table["detector"].where(value.notna()).groupby(blocks).transform("nunique")
        table[f"{m}_sole"] = top & (leaders == 1) & (rivals > 1)
    return table


def throughput(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a scenario with timed trials, fastest training first within a data set and detector.

    A trial's rate is that of its median sample. ``train`` and ``scoring`` are the geometric means of the trials' rates,
    ``_low`` and ``_high`` the 95 % t interval of their logarithms: it covers what differs from run to run. Two or three
    trials say little about their own spread, so it is pooled over all rows of the same backend (or classical detector)
    on the same device, as in an analysis of variance; rows with one trial take part in none and get no interval.
    ``ratio`` is to the slowest row of the same detector and data set; see ``Pairs``.
    """
    timed = trials[(trials["status"] == "ok") & trials["timed"] & (trials["train"].notna() | trials["scoring"].notna())]
    grouped = timed.groupby(ROW, sort=False)
    table = pd.DataFrame({"trials": grouped.size(), "samples": grouped["samples"].sum()})
    for name in ("train", "scoring"):
        logs = np.log(timed[name].where(timed[name] > 0)).groupby([timed[k] for k in ROW], sort=False)
        centre, half = logs.mean(), _half_width(logs.var(), logs.count())
        table[name], table[f"{name}_low"], table[f"{name}_high"] = map(np.exp, (centre, centre - half, centre + half))
    table[[*MEDIANS]] = grouped[[*MEDIANS]].median()
    table["marks"] = grouped["marks"].agg(_count_marks)
    order = [*GROUP, "train", *RUNNER, "scenario"]
    table = table.reset_index().sort_values(order, ascending=[name != "train" for name in order])
    table = table.reset_index(drop=True)
    pairs = Pairs(timed)
    ratios: list[Ratio] = []
    for _, group in groupby(table[ROW].itertuples(index=False, name=None), key=by_group):
        members = list(group)
        slowest = members[-1]
        ratios += [pairs.ratio(row, slowest) if row != slowest else _itself(len(members)) for row in members]
    for part in ("value", "low", "high"):
        table[f"ratio_{part}"] = [getattr(r, part) for r in ratios]
    return table


def _half_width(variance: pd.Series[float], count: pd.Series[int]) -> pd.Series[float]:
    """Half of the 95 % interval of each row's mean, from the standard deviation pooled over the rows that share it.

    s² = Σ (nᵢ − 1) sᵢ² / Σ (nᵢ − 1); NaN for a row of one trial, which shows no spread of its own.
    """
    keys = variance.index.to_frame(index=False)
    runner = keys["backend"].where(keys["backend"] != "", keys["detector"])
    shared = [keys["environment"].to_numpy(), runner.to_numpy(), keys["mode"].to_numpy(), keys["device"].to_numpy()]
    own = (count - 1).clip(lower=0)
    df = own.groupby(shared).transform("sum").astype(float)
    pooled = (own * variance.fillna(0.0)).groupby(shared).transform("sum") / df.where(df > 0)
    half: pd.Series[float] = (pooled / count).pow(0.5) * _t(df.to_numpy(dtype=np.float64))
    return half.where(own > 0)


def _count_marks(marks: pd.Series[Any]) -> dict[str, int]:
    found = Counter(mark for trial in marks for mark in trial)
    return {mark: found[mark] for mark in sorted(found)}


def _itself(rows: int) -> Ratio:
    """The slowest of several against itself; of one row alone there is nothing to tell."""
    return Ratio(1.0 if rows > 1 else math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Standing:
    """Who leads one data set by ROC AUC, and who cannot be told apart from the leader. Rows are of ``quality``."""

    environment: str
    dataset: str
    leader: Row
    rivals: list[Row]
    """The best row of each other detector that cannot be told apart from the leader."""
    follower: Row | None
    """The best row of the best other detector."""
    trained: Row
    """The best row that is not a sanity line; the leader where there are only sanity lines."""
    trivial: bool
    """Whether ``norm`` comes within ``TRIVIAL_MARGIN`` of the best."""
    by_chance: bool
    """Whether the leader cannot be told apart from guessing, AUC 0.5."""


def standings(quality: pd.DataFrame) -> list[Standing]:
    """One for each data set with a ROC AUC, in the order of the table."""
    return list(_standings(quality[quality["roc_auc"].notna() & quality["primary"].astype(bool)]))


def _standings(quality: pd.DataFrame) -> Iterator[Standing]:
    for (environment, dataset), group in groupby(rows(quality), key=itemgetter(*BLOCK)):
        block = list(group)
        tied = {row["detector"] for row in block if row["roc_auc_top"]}
        best: dict[str, Row] = {}
        for row in block:
            best.setdefault(row["detector"], row)
        leader, *others = best.values()
        norm = best["norm"]["roc_auc"] if "norm" in best else -math.inf
        yield Standing(
            environment=environment,
            dataset=dataset,
            leader=leader,
            rivals=[row for row in others if row["detector"] in tied],
            follower=others[0] if others else None,
            trained=next((row for row in (leader, *others) if row["detector"] not in SANITY), leader),
            trivial=bool(others) and leader["roc_auc"] - norm <= TRIVIAL_MARGIN + 1e-9,
            by_chance=not leader["roc_auc_low"] > 0.5,
        )


def failures(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each scenario, status and reason that did not end well, with the seeds and the number of trials."""
    failed = trials[trials["status"] != "ok"]
    grouped = failed.groupby([*ROW, "status", "reason"], sort=True)
    return grouped.agg(seeds=("seed", _unique), trials=("seed", "size")).reset_index()


def _unique(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
