"""Records in, a pandas table out: one row per trial.

Trials of different environments, and of scenarios with different settings, are never averaged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.surveys import ASKED, COUNTS, IDENTITY, QUALITY, Surveyed, columns, mapping, number, numbers, text
from reports.tables.frames import BLOCK, ROW, RUNNER, Row, numbered, rows, split


def trials(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per trial; ``position`` is the record's place in the input.

    Of several records of one trial the last counts: one that failed and was run again has two. ``environment`` names
    the environments of each run ``A``, ``B``, ... in the order in which they first appear, or is empty where there is
    only one. Environments without a timed trial, and with equal versions, are one: quality does not depend on the
    machine, as long as the rows are the same. ``run`` is what the records themselves are labelled with, mostly nothing.
    """
    found = records.columns if isinstance(records, Surveyed) else columns(records)
    frame = pd.DataFrame({name: pd.Series(found[name], dtype=found[name].dtype) for name in found if name not in ASKED})
    frame["position"] = np.arange(len(frame))
    nameless = frame["scenario"] == ""
    if nameless.any():
        parts = frame.loc[nameless, [*IDENTITY]].itertuples(index=False, name=None)
        frame.loc[nameless, "scenario"] = [" ".join(map(str, one)) for one in parts]
    frame = _last(frame, ["run", "environment_hash", "scenario", *IDENTITY, "seed", "round"])
    shown = frame["environment_hash"].replace(_pooled(frame, records))
    sources = list(zip(frame["run"], shown, strict=True))
    distinct = list(dict.fromkeys(sources))
    labels = {source: _letters(i) if len(distinct) > 1 else "" for i, source in enumerate(distinct)}
    frame["environment"] = pd.Series([labels[source] for source in sources], dtype=object)
    frame["variant"] = _variants(frame, records)
    return frame


def _pooled(frame: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The environment that another one is shown with, by their hashes."""
    timed = set(frame.loc[frame["timed"].astype(bool), "environment_hash"])
    found: dict[str, str] = {}
    first: dict[str, str] = {}
    for position, own in frame.drop_duplicates("environment_hash")[["position", "environment_hash"]].itertuples(
        index=False, name=None
    ):
        environment = mapping(records[position].get("environment"))
        packages = mapping(environment.get("packages"))
        if own in timed or not packages:
            continue
        software = {key: environment.get(key) for key in ("vaebench", "revision")} | packages
        software["python"] = mapping(environment.get("machine")).get("python")
        other = first.setdefault(repr(sorted(software.items(), key=lambda item: str(item[0]))), own)
        if other != own and not _other_rows(frame, [other, own]):
            found[own] = other
    return found


def _other_rows(frame: pd.DataFrame, environments: Sequence[str]) -> bool:
    """Whether some data set with some seed had different rows in these environments."""
    known = frame[frame["environment_hash"].isin(environments) & (frame["checksum"] != "")]
    return bool((known.groupby(["dataset", "seed"])["checksum"].nunique() > 1).any())


def short(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials with files named without their folders and options, where that is enough to tell them apart; ``reference``
    has the whole."""
    whole = frame["dataset"]
    names = {reference: _file_name(reference) for reference in whole.unique()}
    shared = Counter(names.values())
    told = {reference: name if shared[name] == 1 else reference for reference, name in names.items()}
    return frame.assign(reference=whole, dataset=whole.map(told).astype(object))


def _file_name(reference: str) -> str:
    """``file:mine.csv`` of ``file:/long/way/mine.csv?label=attack``."""
    family, colon, rest = reference.partition(":")
    if family != "file":
        return reference
    return f"{family}{colon}{rest.partition('?')[0].rpartition('/')[2] or rest}"


def _last(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Of the rows that agree in the keys the last one, where the first of them is."""
    group = numbered(frame, keys).to_numpy()
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
                **mapping(records[row["position"]].get("settings")),
            }
            for row in scenarios
        ]
        keys = list(dict.fromkeys(k for s in settings for k in s))
        seen = {k: [repr(s.get(k)) for s in settings] for k in keys}
        usual = {k: _usual(values) for k, values in seen.items() if len(set(values)) > 1}
        # a record holds a key that is younger than others only where it is not left at its default; of what is a table
        # of its own, such as adversarial, that is none
        absent = {k: "no" if any(isinstance(s.get(k), dict) for s in settings) else "default" for k in usual}
        texts = [
            ", ".join(
                f"{k} {_plain(s[k])}" if k in s else f"{absent[k]} {k}"
                for k, common in usual.items()
                if seen[k][place] != common
            )
            for place, s in enumerate(settings)
        ]
        for told, row in zip(texts, scenarios, strict=True):
            names[(*key, row["scenario"])] = told if texts.count(told) == 1 else f"scenario {row['scenario'][:8]}"
    if not names:
        return [""] * len(frame)
    return [names.get(key, "") for key in frame[[*label, "scenario"]].itertuples(index=False, name=None)]


def _usual(values: Sequence[str]) -> str | None:
    """What more than half of the scenarios have, so that only the others tell of it: a plain network needs no words."""
    value, count = Counter(values).most_common(1)[0]
    return value if 2 * count > len(values) else None


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "-".join(map(_plain, value.values()))
    return f"{value:g}" if isinstance(value, float) else text(value)


def having(records: Sequence[Mapping[str, Any]], key: str, positions: pd.Series[int]) -> NDArray[np.bool_]:
    """Whether the records at these positions have anything there: neither null nor empty."""
    if isinstance(records, Surveyed):
        return records.columns[f"has {key}"][positions.to_numpy()]
    return np.array([bool(records[position].get(key)) for position in positions], dtype=bool)


def different(records: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """The texts that records have there, each once."""
    found = records.columns[key] if isinstance(records, Surveyed) else [record.get(key) for record in records]
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


def failures(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each scenario, status and reason that did not end well, with the seeds and the number of trials."""
    failed = trials[trials["status"] != "ok"]
    grouped = failed.groupby([*ROW, "status", "reason"], sort=True)
    return grouped.agg(seeds=("seed", _unique), trials=("seed", "size")).reset_index()


def _unique(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
