"""Quality over what detectors were trained on: curves over a swept option of the data sets, and who stands for them.

A curve is one detector of one backend on one data set, over the values of one option, such as the number of training
rows or the share of anomalies among them. Nobody chooses these values by their result, so no study is made of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from reports.palette import SANITY
from reports.tables.frames import BLOCK, RUNNER, split
from reports.tables.studies import Array, Estimate, estimate, sorting, told

PREFIX = "data."
"""What swept options of data sets begin with."""
ROWS, CONTAMINATION = "train_rows", "train_contamination"
"""Options of every data set."""


@dataclass(frozen=True)
class Curve:
    """Quality of one detector and backend; the arrays are of shape (values, seeds) and have gaps where a trial has
    no result."""

    environment: str
    dataset: str
    """Without the option."""
    option: str
    detector: str
    backend: str
    runner: tuple[Any, ...]
    values: list[Any]
    rows: list[float]
    """Training rows at each value, a mean over seeds."""
    auc: Array
    ap: Array

    def quality(self, place: int) -> Estimate:
        return estimate(self.auc[place], (0.0, 1.0))

    def precision(self, place: int) -> Estimate:
        """Average precision."""
        return estimate(self.ap[place], (0.0, 1.0))

    @cached_property
    def gain(self) -> Estimate:
        """Of ROC AUC from the first value to the last, on the same seeds."""
        return estimate(self.auc[-1] - self.auc[0], (-1.0, 1.0))


def data_curves(trials: pd.DataFrame) -> list[Curve]:
    """Every curve with at least two values, from a table of trials in which each value has one setting; by data set,
    and in it by falling ROC AUC at the first value, sanity lines last."""
    found: list[Curve] = []
    swept = trials[trials["swept"].str.contains(PREFIX, regex=False)]
    values = [json.loads(text) for text in swept["swept"]]
    for key in dict.fromkeys(key for own in values for key in own if key.startswith(PREFIX)):
        option = key.removeprefix(PREFIX)
        here = [key in own for own in values]
        part = swept[here].assign(
            value=[told(own[key]) for own in values if key in own],
            plain=[own[key] for own in values if key in own],
            whole=[without(name, option) for name in swept["dataset"][here]],
        )
        for group, own in split(part, ["environment", "whole", "detector", *RUNNER, "arithmetic", "batch", "protocol"]):
            curve = _curve(option, group, own)
            if curve is not None:
                found.append(curve)
    return sorted(found, key=_in_order)


def _in_order(curve: Curve) -> Any:
    return curve.environment, curve.option, curve.dataset, curve.detector in SANITY, -curve.quality(0).mean


def _curve(option: str, group: tuple[Any, ...], part: pd.DataFrame) -> Curve | None:
    environment, dataset, detector, *runner = group
    ended = part[(part["status"] == "ok") & part["roc_auc"].notna()]
    order = sorted(ended.drop_duplicates("value")[["plain", "value"]].itertuples(index=False), key=_place(option))
    if len(order) < 2:
        return None
    labels = [value for _, value in order]
    metrics = ["roc_auc", "average_precision", "train_rows"]
    by_seed = ended.pivot_table(index="value", columns="seed", values=metrics, aggfunc="mean", dropna=False)

    def table(metric: str) -> Array:
        return by_seed[metric].loc[labels].to_numpy(dtype=np.float64)

    return Curve(
        environment, dataset, option, detector, runner[0], tuple(runner[:4]),
        values=[plain for plain, _ in order],
        rows=[estimate(line).mean for line in table("train_rows")],
        auc=table("roc_auc"),
        ap=table("average_precision"),
    )  # fmt: skip


def _place(option: str) -> Any:
    """What sorts an option's values: in rising order, but 0 training rows, which are all of them, at the end."""

    def key(pair: tuple[Any, str]) -> Any:
        every = option == ROWS and pair[0] == 0
        return (every, sorting(pair[0]))

    return key


def without(reference: str, option: str) -> str:
    """A reference without one of its options."""
    name, _, options = reference.partition("?")
    rest = "&".join(one for one in options.split("&") if one and not one.startswith(f"{option}="))
    return f"{name}?{rest}" if rest else name


def standing(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with one value of each swept option of data sets: what has none set, else the first value.

    The others are no contests of their own: they would count one data set many times.
    """
    swept = trials["swept"].str.contains(PREFIX, regex=False)
    if not swept.any():
        return trials
    found: dict[tuple[str, str], dict[str, Any]] = {}
    wholes: dict[tuple[str, str], tuple[str, str]] = {}
    for environment, dataset, text in trials[swept][[*BLOCK, "swept"]].itertuples(index=False, name=None):
        own = {key: value for key, value in json.loads(text).items() if key.startswith(PREFIX)}
        whole = dataset
        for key in own:
            whole = without(whole, key.removeprefix(PREFIX))
        wholes[environment, dataset] = environment, whole
        rank = whole != dataset, [sorting(value) for value in own.values()]
        found.setdefault((environment, whole), {})[dataset] = rank
    kept = {key: min(ranks, key=ranks.__getitem__) for key, ranks in found.items()}
    pairs = zip(trials["environment"], trials["dataset"], swept, strict=True)
    shown = [not own or kept[wholes[name, dataset]] == dataset for name, dataset, own in pairs]
    return trials[shown].reset_index(drop=True)
