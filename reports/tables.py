"""Records in, pandas tables out: one row a trial, then one row a scenario. Nothing here knows Markdown.

Trials of different environments, and of scenarios with different settings, are never averaged.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, permutations
from operator import itemgetter
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

QUALITY = ("roc_auc", "average_precision", "f1", "precision", "recall")
RANKED = QUALITY[:3]
SANITY = ("norm", "mahalanobis")
TRIVIAL_MARGIN = 0.01
"""A data set is trivial where ``norm`` comes this near to the best ROC AUC."""

BLOCK = ["environment", "dataset"]
GROUP = [*BLOCK, "detector", "variant"]
ROW = [*GROUP, "backend", "mode", "device", "scenario"]

_IDENTITY = ("dataset", "detector", "backend", "mode", "device", "arithmetic", "threads")
_TRIAL = ("environment_hash", "scenario", *_IDENTITY, "seed", "round")

_HUGE = sys.float_info.max
_Z = float(ndtri(0.975))

Row = dict[str, Any]
"""A row of a table, by its columns."""


def rows(frame: pd.DataFrame) -> list[Row]:
    return cast("list[Row]", frame.to_dict("records"))


def split(frame: pd.DataFrame, keys: list[str], sort: bool = False) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """The frame's parts by the values of text columns, in the order of appearance unless sorted."""
    return cast("list[tuple[tuple[str, ...], pd.DataFrame]]", list(frame.groupby(keys, sort=sort)))


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def number(value: object) -> float:
    """A finite float, else NaN: a record may hold null, or an infinity that some writer let through."""
    if type(value) is not float and type(value) is not int:
        return math.nan
    return float(value) if -_HUGE < value < _HUGE else math.nan


def numbers(value: object) -> list[float]:
    """The finite ones of a list of numbers."""
    return [v for v in map(number, value) if v == v] if isinstance(value, list) else []


def _text(value: object) -> str:
    """Text that can be written: JSON may hold unpaired surrogates, UTF-8 may not."""
    text = "" if value is None else str(value)
    return text if text.isascii() else text.encode(errors="replace").decode()


def _rate(rows: object, samples: list[float], otherwise: object) -> float:
    """Rows a second in the trial's median sample; a record without raw samples has the harness's own figure."""
    median = statistics.median(samples) if samples else math.nan
    return number(rows) / median if median > 0 and number(rows) > 0 else number(otherwise)


def _trial(record: Mapping[str, Any]) -> Row:
    metrics, intervals = mapping(record.get("metrics")), mapping(record.get("intervals"))
    samples = mapping(record.get("samples"))
    train, score = numbers(samples.get("train")), numbers(samples.get("score"))
    row: Row = {
        "environment_hash": _text(record.get("environment_hash")),
        "suite": _text(record.get("suite")),
        "dataset": _text(record.get("dataset")),
        "detector": _text(record.get("detector")),
        "backend": _text(record.get("backend")),
        "mode": _text(record.get("mode")),
        "device": _text(record.get("device")),
        "arithmetic": _text(record.get("precision")),
        "threads": number(record.get("threads")),
        "seed": number(record.get("seed")),
        "round": number(record.get("round")),
        "status": _text(record.get("status")) or "failed",
        "reason": _text(record.get("reason")) or ("" if record.get("status") else "the record has no status"),
        "scenario": _text(record.get("scenario_hash")),
        "threshold_rule": _text(record.get("threshold_rule")),
        "oracle": record.get("oracle") is True,
        "score": _text(record.get("score")),
        "collapsed": record.get("collapsed") is True or record.get("active_units") == 0,
        "timed": record.get("timed") is not False,
        "train": _rate(record.get("train_rows_per_sample"), train, metrics.get("train_samples_per_second")),
        "scoring": _rate(record.get("score_rows_per_sample"), score, metrics.get("score_samples_per_second")),
        "fit_seconds": statistics.median(train) if train else math.nan,
        "compile_seconds": number(metrics.get("compile_seconds")),
        "peak_memory_bytes": number(metrics.get("peak_memory_bytes")),
        "samples": len(train),
        "marks": tuple(sorted({_text(m) for m in marks})) if isinstance(marks := record.get("marks"), list) else (),
        "checksum": _text(mapping(record.get("data")).get("checksum")),
    }
    for name in QUALITY:
        row[name] = number(metrics.get(name))
        bounds = intervals.get(name)
        low, high = map(number, bounds) if isinstance(bounds, list) and len(bounds) == 2 else (math.nan, math.nan)
        row[f"{name}_low"], row[f"{name}_high"] = low, high
    return row


def trials(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a trial; ``position`` is the record's place in the input.

    Of several records of one trial the last counts: one that failed and was run again has two. ``environment`` names
    the environments ``A``, ``B``, ... in the order in which they first appear, or is empty where there is only one.
    """
    kept: dict[tuple[Any, ...], Row] = {}
    for position, record in enumerate(records):
        row = _trial(record)
        row["scenario"] = row["scenario"] or " ".join(str(row[k]) for k in _IDENTITY)
        row["position"] = position
        kept[tuple(row[k] for k in _TRIAL)] = row
    blank = _trial({}) | {"position": 0}
    frame = pd.DataFrame(list(kept.values()), columns=list(blank), dtype=object)
    frame = frame.astype({name: type(value) for name, value in blank.items() if isinstance(value, (int, float))})
    environments = frame["environment_hash"].drop_duplicates().tolist()
    labels = {h: _letters(i) if len(environments) > 1 else "" for i, h in enumerate(environments)}
    frame["environment"] = frame["environment_hash"].map(labels)
    frame["variant"] = _variants(frame, records)
    return frame


def _letters(index: int) -> str:
    """A ... Z, AA, AB, ..."""
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def _variants(frame: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells scenarios apart that share data set, detector, backend, mode and device; mostly nothing."""
    label = [*BLOCK, "detector", "backend", "mode", "device"]
    distinct = frame.drop_duplicates([*label, "scenario"])
    names: dict[tuple[str, ...], str] = {}
    for key, sharing in split(distinct[distinct.duplicated(label, keep=False)], label):
        scenarios = rows(sharing)
        settings = [
            {
                "precision": row["arithmetic"],
                "threads": row["threads"],
                "threshold": row["threshold_rule"],
                "score": row["score"],
                **mapping(records[row["position"]].get("settings")),
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


def quality(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a scenario with finished trials, best ROC AUC first within a data set.

    The two uncertainties there are stay apart, for each metric ``m``: ``m_low``, ``m_high`` are the trials' bootstrap
    bounds over the test rows, averaged over seeds; ``m_sd`` is the sample standard deviation over seeds of the values,
    whose mean is ``m``, and ``m_worst``, ``m_best`` their extremes. A handful of seeds is too few to turn their spread
    into an interval that is both honest and useful, so a lead has to hold in both respects:

    For ``m`` in ``RANKED``: ``m_top`` tells whether the row cannot be told apart from the best of its data set (the
    intervals overlap, or one is unknown, or its best seed reaches the leader's worst), ``m_sole`` whether all such rows
    are one detector with rivals to lead. ``seeds`` counts the finished ones, ``asked`` all of them.
    """
    bounds = [f"{m}{side}" for m in QUALITY for side in ("", "_low", "_high")]
    finished = trials[trials["status"] == "ok"]
    seeds = finished.groupby([*ROW, "seed"], dropna=False, sort=False)[bounds].mean()
    grouped = seeds.groupby(ROW, sort=False)
    table, spread, worst, best = grouped.mean(), grouped.std(), grouped.min(), grouped.max()
    for m in QUALITY:
        table[f"{m}_sd"], table[f"{m}_worst"], table[f"{m}_best"] = spread[m], worst[m], best[m]
    by_row = finished.groupby(ROW, sort=False)
    table["seeds"] = grouped.size()
    table["asked"] = trials.groupby(ROW, sort=False)["seed"].nunique(dropna=False).reindex(table.index)
    table["trials"] = by_row.size()
    table["collapsed"] = by_row["collapsed"].sum()
    table["oracle"] = by_row["oracle"].any()
    for name in ("threshold_rule", "score"):
        table[name] = by_row[name].first()
    table = table.reset_index().sort_values([*BLOCK, "roc_auc", *ROW[2:]], ascending=[True, True, False] + [True] * 6)
    return _ranked(table.reset_index(drop=True))


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    blocks = [table[k] for k in BLOCK]
    for m in RANKED:
        # A threshold tuned on test labels competes with none that was not.
        value = table[m].where(~table["oracle"].astype(bool)) if m == "f1" else table[m]
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
    for name in ("fit_seconds", "compile_seconds", "peak_memory_bytes"):
        table[name] = grouped[name].median()
    table["marks"] = grouped["marks"].agg(_count_marks)
    table = table.reset_index().sort_values([*GROUP, "train", *ROW[4:]], ascending=[True] * 4 + [False] + [True] * 4)
    table = table.reset_index(drop=True)
    pairs = Pairs(timed)
    ratios: list[Ratio] = []
    for _, group in groupby(table[ROW].itertuples(index=False, name=None), key=lambda row: row[:4]):
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
    found = [mark for trial in marks for mark in trial]
    return {mark: found.count(mark) for mark in sorted(set(found))}


@dataclass(frozen=True)
class Ratio:
    """How many times faster, with its 95 % interval (NaN where fewer than two trials pair up)."""

    value: float
    low: float
    high: float


class Pairs:
    """Trials of two scenarios that share seed and round: what disturbs the machine hits both alike.

    Two or three pairs say little about their own spread, so it is pooled over all data sets and detectors on which the
    same two backends met, mode and device included.
    """

    def __init__(self, timed: pd.DataFrame) -> None:
        self.rates: dict[tuple[str, ...], dict[tuple[float, float], float]] = {}
        for *row, seed, turn, train in timed[[*ROW, "seed", "round", "train"]].itertuples(index=False, name=None):
            trials = self.rates.setdefault(tuple(row), {})
            if train > 0:
                trials[seed, turn] = math.log(train)
        self.pool: dict[tuple[object, ...], tuple[float, int]] = {}
        for _, group in groupby(sorted(self.rates), key=lambda row: row[:4]):
            for one, other in permutations(group, 2):
                logs = self._logs(one, other)
                if len(logs) > 1:
                    squares, df = self.pool.get(self._runners(one, other), (0.0, 0))
                    own = len(logs) - 1
                    pooled = squares + own * statistics.variance(logs), df + own
                    self.pool[self._runners(one, other)] = pooled

    def ratio(self, fast: tuple[str, ...], slow: tuple[str, ...]) -> Ratio:
        """The geometric mean of the paired trials' ratios, and the t interval of its logarithm."""
        logs = self._logs(fast, slow)
        if not logs:
            return Ratio(math.nan, math.nan, math.nan)
        centre, half = math.fsum(logs) / len(logs), math.nan
        if len(logs) > 1:
            squares, df = self.pool[self._runners(fast, slow)]
            half = float(stdtrit(df, 0.975)) * math.sqrt(squares / df / len(logs))
        return Ratio(math.exp(centre), math.exp(centre - half), math.exp(centre + half))

    def _logs(self, fast: tuple[str, ...], slow: tuple[str, ...]) -> list[float]:
        one, other = self.rates[fast], self.rates[slow]
        return [one[trial] - other[trial] for trial in one.keys() & other.keys()]

    @staticmethod
    def _runners(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[object, ...]:
        return one[0], one[4:7], other[4:7]


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
    return list(_standings(quality[quality["roc_auc"].notna()]))


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


@dataclass(frozen=True)
class Race:
    """The two fastest backends that trained one detector on one data set in the same mode on the same device."""

    environment: str
    dataset: str
    detector: str
    mode: str
    device: str
    winner: str
    second: str
    lead: Ratio
    """The winner's training rate to the second's."""
    marks: frozenset[str]

    @property
    def holds(self) -> bool:
        """Whether the interval excludes that the second is as fast."""
        return self.lead.low > 1


def races(trials: pd.DataFrame, throughput: pd.DataFrame) -> list[Race]:
    """One for each data set, detector, mode and device that at least two backends have timed."""
    pairs = Pairs(trials[(trials["status"] == "ok") & trials["timed"]])
    fields: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows(throughput):
        if row["backend"] and row["train"] > 0:
            course = tuple(row[k] for k in (*GROUP, "mode", "device"))
            fields.setdefault(course, {}).setdefault(row["backend"], row)
    found = []
    for (environment, dataset, detector, _, mode, device), runners in fields.items():
        if len(runners) > 1:
            first, second = list(runners.values())[:2]
            lead = pairs.ratio(*(tuple(row[k] for k in ROW) for row in (first, second)))
            marks = frozenset(first["marks"]) | frozenset(second["marks"])
            names = first["backend"], second["backend"]
            found.append(Race(environment, dataset, detector, mode, device, *names, lead, marks))
    return found


def failures(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each scenario, status and reason that did not end well, with the seeds and the number of trials."""
    failed = trials[trials["status"] != "ok"]
    grouped = failed.groupby([*ROW, "status", "reason"], sort=True)
    return grouped.agg(seeds=("seed", _unique), trials=("seed", "size")).reset_index()


def _unique(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
