"""Sweeps: the settings that were tried, which one is chosen without the test labels, and which the labels would choose.

A study is one detector on one data set and one backend, trained under several values of some keys. Only settings that
ended well with every seed of their study are chosen from, so that all are compared over the same seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.tables.frames import BLOCK, RUNNER, split

Array = NDArray[np.float64]

FEWEST_SEEDS = 3
"""Seeds below which a spread over them tells no interval."""
MOST_LEVELS = 8
"""Different numbers of a key above which they are put together, as many in each of ``BINS``."""
BINS = 5

WITHOUT_LABELS, LABELLED = "validation", "labelled"
"""What a setting is chosen by: the validation loss, or ROC AUC over test rows that were taken out for that."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval by Student's t; without one below ``FEWEST_SEEDS``."""

    mean: float
    low: float = math.nan
    high: float = math.nan
    seeds: int = 1


def estimate(values: Sequence[float] | Array, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """Of one value a seed; the interval keeps within ``bounds``, where no value can lie outside."""
    from scipy.special import stdtrit

    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Estimate(math.nan, seeds=0)
    mean, seeds = float(known.mean()), len(known)
    if seeds < FEWEST_SEEDS:
        return Estimate(mean, seeds=seeds)
    half = float(stdtrit(seeds - 1, 0.975)) * float(known.std(ddof=1)) / math.sqrt(seeds)
    return Estimate(mean, max(bounds[0], mean - half), min(bounds[1], mean + half), seeds)


@dataclass(frozen=True)
class Level:
    """One value of a swept key, or neighbouring values put together, and the settings that have it."""

    label: str
    settings: tuple[int, ...]
    """Places in the study."""


@dataclass(frozen=True)
class Choice:
    """A setting, what it was chosen by, and what the oracle's is better by on the same seeds."""

    by: str
    setting: int
    quality: Estimate
    gap: Estimate


@dataclass(frozen=True)
class Study:
    """The settings of one study in the order of their values; ``auc`` and its like are of shape (settings, seeds)."""

    environment: str
    dataset: str
    detector: str
    backend: str
    runner: tuple[Any, ...]
    likelihood: str
    keys: tuple[str, ...]
    values: list[dict[str, Any]]
    scenarios: list[str]
    seeds: list[float]
    auc: Array
    ap: Array
    validation: Array
    labelled: Array
    seconds: float
    failed: int = 0
    """Settings left out: some seed of theirs did not end well."""

    def quality(self, setting: int) -> Estimate:
        return estimate(self.auc[setting], (0.0, 1.0))

    @property
    def means(self) -> Array:
        """Mean ROC AUC over seeds of each setting."""
        return np.asarray(self.auc.mean(axis=1))

    @property
    def criterion(self) -> Array:
        """Mean validation loss over seeds of each setting, the lower the better; not a number where there is none."""
        return np.asarray(self.validation.mean(axis=1))

    @cached_property
    def oracle(self) -> int:
        """The setting with the highest mean ROC AUC on the test rows: what nobody can choose without their labels."""
        return int(np.argmax(self.means))

    @cached_property
    def choices(self) -> list[Choice]:
        """What is chosen without labels, where there is a validation loss, and what by labelled validation rows."""
        found = []
        if np.isfinite(self.criterion).all():
            found.append(self._choice(WITHOUT_LABELS, int(np.argmin(self.criterion))))
        if np.isfinite(self.labelled).all():
            found.append(self._choice(LABELLED, int(np.argmax(self.labelled.mean(axis=1)))))
        return found

    @property
    def shown(self) -> int:
        """The setting that stands for the study where one is needed: the last of its choices, which used most; the
        first one where nothing chooses."""
        return self.choices[-1].setting if self.choices else 0

    @property
    def agreement(self) -> float:
        """Spearman's rank correlation of falling validation loss and ROC AUC over the settings: whether the loss knows
        what detects."""
        if len(self.values) < 3 or not np.isfinite(self.criterion).all():
            return math.nan
        ranks = pd.DataFrame({"loss": -self.criterion, "auc": self.means}).rank()
        if (ranks.nunique() < 2).any():
            return math.nan
        return float(ranks["loss"].corr(ranks["auc"]))

    def levels(self, key: str) -> list[Level]:
        """The values of a key in rising order; many numbers are put together, as many settings in each part."""
        found: dict[str, list[int]] = {}
        for place, values in enumerate(self.values):
            found.setdefault(told(values[key]), []).append(place)
        first = {label: self.values[places[0]][key] for label, places in found.items()}
        if len(found) <= MOST_LEVELS or not all(map(is_number, first.values())):
            order = sorted(found, key=lambda label: sorting(first[label]))
            return [Level(label, tuple(found[label])) for label in order]
        places = sorted(range(len(self.values)), key=lambda place: self.values[place][key])
        return [
            Level(f"{told(self.values[part[0]][key])}–{told(self.values[part[-1]][key])}", tuple(map(int, part)))
            for part in np.array_split(places, BINS)
        ]

    def over_others(self, settings: Sequence[int]) -> Estimate:
        """Quality of settings together: their mean of each seed."""
        return estimate(self.auc[list(settings)].mean(axis=0), (0.0, 1.0))

    def chosen_of(self, settings: Sequence[int]) -> Estimate | None:
        """Quality of the one among settings that is chosen without labels."""
        own = self.criterion[list(settings)]
        return self.quality(settings[int(np.argmin(own))]) if np.isfinite(own).all() else None

    def effect(self, key: str) -> float:
        """How far apart the means of a key's values lie."""
        means = [self.over_others(level.settings).mean for level in self.levels(key)]
        return max(means) - min(means)

    def _choice(self, by: str, setting: int) -> Choice:
        return Choice(by, setting, self.quality(setting), estimate(self.auc[self.oracle] - self.auc[setting]))


def studies(trials: pd.DataFrame) -> list[Study]:
    """Every study with at least two settings that ended well, from the table of trials."""
    found = []
    swept = trials[trials["swept"] != ""]
    for key, part in split(swept, [*BLOCK, "detector", *RUNNER, "arithmetic", "likelihood", "protocol"]):
        study = _study(key, part)
        if study is not None:
            found.append(study)
    return found


def _study(key: tuple[Any, ...], part: pd.DataFrame) -> Study | None:
    environment, dataset, detector, *runner, likelihood, _ = key
    ended = part[(part["status"] == "ok") & part["roc_auc"].notna()]
    settings = {name: json.loads(text) for name, text in zip(part["scenario"], part["swept"], strict=True)}
    by_seed = ended.pivot_table(
        index="scenario", columns="seed", values=["roc_auc", "average_precision", "validation", "labelled_auc"],
        aggfunc="mean", dropna=False,
    )  # fmt: skip
    if by_seed.empty:
        return None
    whole = np.isfinite(by_seed["roc_auc"].to_numpy(dtype=np.float64)).all(axis=1)
    names = [str(name) for name in by_seed.index[whole]]
    keys = tuple(
        key
        for key in dict.fromkeys(key for name in names for key in settings[name])
        if len({told(settings[name].get(key)) for name in names}) > 1
    )
    if len(names) < 2 or not keys:
        return None
    names.sort(key=lambda name: [sorting(settings[name].get(key)) for key in keys])

    def table(metric: str) -> Array:
        return by_seed[metric].loc[names].to_numpy(dtype=np.float64)

    return Study(
        environment, dataset, detector, runner[0], tuple(runner), likelihood, keys,
        values=[{key: settings[name].get(key) for key in keys} for name in names],
        scenarios=names,
        seeds=list(by_seed["roc_auc"].columns),
        auc=table("roc_auc"),
        ap=table("average_precision"),
        validation=table("validation"),
        labelled=table("labelled_auc"),
        seconds=float(part["wall_seconds"].sum()),
        failed=part["scenario"].nunique() - len(names),
    )  # fmt: skip


def competing(trials: pd.DataFrame, found: Sequence[Study]) -> pd.DataFrame:
    """The trials without those of settings that their study did not choose: the best of many would have been chosen by
    what it is compared by."""
    tried = {(study.environment, name) for study in found for name in study.scenarios}
    kept = {(study.environment, study.scenarios[study.shown]) for study in found}
    out = tried - kept
    if not out:
        return trials
    pairs = zip(trials["environment"], trials["scenario"], strict=True)
    return trials[[pair not in out for pair in pairs]].reset_index(drop=True)


def told(value: object) -> str:
    """A swept value in few letters: ``0.001``, ``128-64``."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return "-".join(map(told, value)) or "none"
    return "—" if value is None else str(value)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def sorting(value: object) -> tuple[int, float, str]:
    """Numbers by size, then lists by length and parts, then words."""
    if isinstance(value, (int, float)):
        return 0, float(value), ""
    if isinstance(value, list):
        return 1, float(len(value)), " ".join(f"{v:020.6f}" if is_number(v) else str(v) for v in value)
    return 2, 0.0, str(value)
