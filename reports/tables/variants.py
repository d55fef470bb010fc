"""Variants: what a suite's block trains beside its plain networks, and whether it detects better, seed by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import pandas as pd

from reports.surveys import mapping
from reports.tables.certainty import ROPE
from reports.tables.frames import BLOCK, RUNNER, Row, rows, split
from reports.tables.paired import holm
from reports.tables.studies import FEWEST_SEEDS, Array, Estimate, estimate, told

LEVEL = 0.05
"""Of a false claim about any variant of one detector on one data set, after Holm's correction."""

Verdict = Literal["helps", "hurts", "practically no difference", "no difference shown", "too few seeds"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Variant:
    """One variant of one detector on one data set."""

    environment: str
    dataset: str
    detector: str
    runner: tuple[str, ...]
    name: str
    """Its keys and values, ``free_bits=0.5``."""
    scenario: str
    plain: Estimate
    """ROC AUC of the plain network, with the same seeds."""
    gain: Estimate
    """What the variant has more, a mean over seeds of differences on the same rows."""
    p: float
    """Of no difference, by the paired t test over seeds, Holm-adjusted; not a number below three seeds."""
    collapsed: int
    """Trials whose posterior had collapsed when training ended."""
    trials: int

    @property
    def verdict(self) -> Verdict:
        if math.isnan(self.p):
            return "too few seeds"
        if self.p >= LEVEL:
            return "no difference shown"
        if abs(self.gain.mean) <= ROPE:
            return "practically no difference"
        return "helps" if self.gain.mean > 0 else "hurts"


def variants(trials: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> list[Variant]:
    """Every variant whose plain network was trained with the same seeds, in the order of the table of trials."""
    found: list[Variant] = []
    if not (trials["varied"] != "").any():
        return found
    ended = trials[(trials["status"] == "ok") & trials["roc_auc"].notna()]
    for key, part in split(ended, [*BLOCK, "detector", *RUNNER, "arithmetic", "protocol"]):
        auc = part.groupby(["scenario", "checksum", "seed"], sort=False)["roc_auc"].mean()
        firsts = rows(part.drop_duplicates("scenario"))
        plain = [row for row in firsts if not row["varied"]]
        made: list[Variant] = []
        for row in firsts:
            if not row["varied"] or (base := _plain(row, plain, records)) is None:
                continue
            pairs = pd.concat([auc[base["scenario"]], auc[row["scenario"]]], axis=1, join="inner").to_numpy()
            if not len(pairs):
                continue
            environment, dataset, detector, *runner = key
            name = ", ".join(f"{name}={told(value)}" for name, value in json.loads(row["varied"]).items())
            gains = pairs[:, 1] - pairs[:, 0]
            estimates = estimate(pairs[:, 0], (0.0, 1.0)), estimate(gains)
            own = part[part["scenario"] == row["scenario"]]
            made.append(
                Variant(
                    environment, dataset, detector, tuple(map(str, runner[:4])), name, row["scenario"], *estimates,
                    _paired_t(gains), int(own["collapsed"].sum()), len(own),
                )
            )  # fmt: skip
        found += _adjusted(made)
    return found


def plain_alone(trials: pd.DataFrame, found: Sequence[Variant]) -> pd.DataFrame:
    """The trials without those of variants, whose section has them: the best of many would have been chosen by what it
    is compared by."""
    out = {(variant.environment, variant.scenario) for variant in found}
    pairs = zip(trials["environment"], trials["scenario"], strict=True)
    return trials[[pair not in out for pair in pairs]].reset_index(drop=True) if out else trials


def _plain(row: Row, plain: Sequence[Row], records: Sequence[Mapping[str, Any]]) -> Row | None:
    """The one that differs from a variant in nothing but the variant's keys."""
    keys = json.loads(row["varied"]).keys()

    def others(one: Row) -> dict[str, Any]:
        settings = mapping(records[one["position"]].get("settings"))
        return {key: value for key, value in settings.items() if key not in keys}

    return next((one for one in plain if others(one) == others(row)), None)


def _paired_t(gains: Array) -> float:
    """The two-sided p of Student's paired t test."""
    from scipy.special import stdtr

    if len(gains) < FEWEST_SEEDS:
        return math.nan
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    if error == 0.0:
        return float(gains.mean() == 0.0)
    return 2.0 * float(stdtr(len(gains) - 1, -abs(float(gains.mean())) / error))


def _adjusted(made: Sequence[Variant]) -> list[Variant]:
    """With p corrected for their number."""
    known = [variant for variant in made if not math.isnan(variant.p)]
    raised = {v.scenario: p for v, p in zip(known, holm([v.p for v in known]), strict=True)}
    return [replace(variant, p=raised.get(variant.scenario, variant.p)) for variant in made]
