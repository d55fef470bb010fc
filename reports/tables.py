"""Records in, pandas tables out: one row a trial, then one row a scenario. Nothing here knows Markdown.

Trials of different environments, and of scenarios with different settings, are never averaged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from reports.coded import Coded
from reports.frames import BLOCK, GROUP, ROW, RUNNER, Row, rows, split
from reports.pairs import Pairs, Ratio, by_group
from reports.surveys import COUNTS, IDENTITY, QUALITY, Surveyed, columns, held, mapping, number, numbers, text

RANKED = QUALITY[:3]
SANITY = ("norm", "mahalanobis", "rarity")
TRIVIAL_MARGIN = 0.01
"""A data set is trivial where ``norm`` comes this near to the best ROC AUC."""

MEDIANS = (
    *("fit_seconds", "compile_seconds", "first_step_seconds", "result_seconds", "latency_p50", "latency_p99"),
    *("peak_memory_bytes", "peak_device_memory_bytes", "data_memory_bytes", "joules", "limit", "fraction"),
    *("train_rows", "data_bytes"),
)
"""What a row of ``throughput`` has the median of its trials of."""

_Z = float(ndtri(0.975))


def trials(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a trial; ``position`` is the record's place in the input.

    Of several records of one trial the last counts: one that failed and was run again has two. ``environment`` names
    the environments of each run ``A``, ``B``, ... in the order in which they first appear, or is empty where there is
    only one; ``run`` is what the records themselves are labelled with, mostly nothing.
    """
    found = records.columns if isinstance(records, Surveyed) else columns([records])
    frame = pd.DataFrame(
        {name: pd.Series(c.objects(), dtype=object) if isinstance(c, Coded) else c for name, c in found.items()},
        copy=False,
    )
    frame["position"] = np.arange(len(frame))
    nameless = frame["scenario"] == ""
    if nameless.any():
        parts = frame.loc[nameless, [*IDENTITY]].itertuples(index=False, name=None)
        frame.loc[nameless, "scenario"] = [" ".join(map(str, one)) for one in parts]
    frame = _last(frame, ["run", "environment_hash", "scenario", *IDENTITY, "seed", "round"])
    sources = list(zip(frame["run"], frame["environment_hash"], strict=True))
    distinct = list(dict.fromkeys(sources))
    labels = {source: _letters(i) if len(distinct) > 1 else "" for i, source in enumerate(distinct)}
    frame["environment"] = pd.Series([labels[source] for source in sources], dtype=object)
    frame["variant"] = _variants(frame, records)
    return frame


def _last(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Of the rows that agree in the keys the last one, where the first of them is."""
    group = _numbered(frame, keys).to_numpy()
    last = np.zeros(group.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(last, group, np.arange(len(frame)))
    return frame if len(last) == len(frame) else frame.iloc[last].reset_index(drop=True)


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
        for told, row in zip(texts, scenarios, strict=True):
            alone = told and texts.count(told) == 1
            names[(*key, row["scenario"])] = told if alone else f"scenario {row['scenario'][:8]}"
    if not names:
        return [""] * len(frame)
    return [names.get(key, "") for key in frame[[*label, "scenario"]].itertuples(index=False, name=None)]


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else text(value)


def _t(df: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Two-sided 95 % quantile of Student's t; the normal one where the degrees of freedom are beyond counting."""
    return np.asarray(np.where(df > 1e6, _Z, stdtrit(np.clip(df, 1.0, 1e6), 0.975)))


def having(records: Sequence[Mapping[str, Any]], key: str, positions: pd.Series[int]) -> NDArray[np.bool_]:
    """Whether the records at these positions have anything there: neither null nor empty."""
    if isinstance(records, Surveyed) and (kept := records.kept.get(key)) is not None:
        return np.array(list(map(bool, kept.values)), dtype=bool)[kept.codes[positions.to_numpy()]]
    return np.array([bool(records[position].get(key)) for position in positions], dtype=bool)


def different(records: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """The texts that records have there, each once."""
    if isinstance(records, Surveyed) and (kept := records.kept.get(key)) is not None:
        found = kept.present()
    else:
        found = [record.get(key) for record in records]
    return list(dict.fromkeys(one for one in found if isinstance(one, str) and one))


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
    several = finished["position"][having(records, "other_scores", finished["position"])]
    for place, position in several.items():
        for entry in other_scores(records[position]):
            metrics, intervals, counts = (mapping(v) for v in (entry.metrics, entry.intervals, entry.confusion))
            new: Row = {"place": place, "score": text(entry.score), "threshold_rule": text(entry.threshold_rule)}
            new["oracle"] = entry.oracle is True
            new |= {name: number(counts.get(name)) for name in COUNTS}
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
    scenarios = _numbered(scored, ROW)
    rows_of = _numbered(finished.assign(scenario=scenarios), ["scenario", "score"])
    seeds = finished[[*bounds, *COUNTS]].groupby([rows_of, finished["seed"]], dropna=False, sort=False).mean()
    grouped = seeds.groupby(level=0, sort=False)
    table, spread, worst, best = grouped.mean(), grouped.std(), grouped.min(), grouped.max()
    for m in QUALITY:
        table[f"{m}_sd"], table[f"{m}_worst"], table[f"{m}_best"] = spread[m], worst[m], best[m]
    by_row = finished.groupby(rows_of, sort=False)
    table["seeds"] = grouped.size()
    table["trials"] = by_row.size()
    table["collapsed"] = by_row["collapsed"].sum()
    table["oracle"] = by_row["oracle"].any()
    for name in ("threshold_rule", "protocol", "suite", "primary"):
        table[name] = by_row[name].first()
    asked = scored["seed"].groupby(scenarios, sort=False).nunique(dropna=False)
    table["asked"] = asked[scenarios[finished.index].groupby(rows_of, sort=False).first()].to_numpy()
    order = [*BLOCK, "roc_auc", *_SCORED[2:]]
    table = by_row[_SCORED].first().join(table)
    table = table.sort_values(order, ascending=[name != "roc_auc" for name in order])
    return _ranked(table.reset_index(drop=True))


_SCORED = [*ROW, "score"]


def _numbered(frame: pd.DataFrame, keys: list[str]) -> pd.Series[int]:
    """Rows that agree in the keys have one number, in the order of appearance: to group by it later is cheap."""
    return frame.groupby(keys, sort=False, dropna=False).ngroup()


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
    numbered = _numbered(timed, ROW)
    grouped = timed.groupby(numbered, sort=False)
    table = grouped[ROW].first()
    runner = table["backend"].where(table["backend"] != "", table["detector"])
    shared = [table["environment"], runner, table["mode"], table["device"]]
    table["trials"], table["samples"] = grouped.size(), grouped["samples"].sum()
    for name in ("train", "scoring"):
        logs = np.log(timed[name].where(timed[name] > 0)).groupby(numbered, sort=False)
        centre, half = logs.mean(), _half_width(logs.var(), logs.count(), shared)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = map(np.exp, (centre, centre - half, centre + half))
    table[[*MEDIANS]] = grouped[[*MEDIANS]].median()
    table["marks"] = grouped["marks"].agg(_count_marks)
    order = [*GROUP, "train", *RUNNER, "scenario"]
    table = table.sort_values(order, ascending=[name != "train" for name in order])
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


def _half_width(variance: pd.Series[float], count: pd.Series[int], shared: list[pd.Series[Any]]) -> pd.Series[float]:
    """Half of the 95 % interval of each row's mean, from the standard deviation pooled over the rows that share it.

    s² = Σ (nᵢ − 1) sᵢ² / Σ (nᵢ − 1); NaN for a row of one trial, which shows no spread of its own.
    """
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
