"""Quality by scenario, from the table of trials; and who leads each data set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import pandas as pd

from reports.palette import SANITY
from reports.surveys import COUNTS, QUALITY
from reports.tables.frames import BLOCK, ROW, Row, numbered, rows

RANKED = QUALITY[:3]

TRIVIAL_MARGIN = 0.01
"""A data set is trivial where ``norm`` comes this near to the best ROC AUC."""


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
    scenarios = numbered(scored, ROW)
    rows_of = numbered(finished.assign(scenario=scenarios), ["scenario", "score"])
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
