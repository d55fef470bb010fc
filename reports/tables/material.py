"""All that a report is made from: the records, and the tables that its sections share, each made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from reports.arrays import Shelf
from reports.surveys import UNBOUNDED
from reports.tables.equality import Equality, equalities
from reports.tables.frames import BLOCK, split
from reports.tables.quality import Standing, quality, standings
from reports.tables.ratios import Race, races
from reports.tables.speed import Slower, slower
from reports.tables.studies import competing, studies
from reports.tables.throughput import throughput
from reports.tables.training_data import data_curves, standing
from reports.tables.trials import scored, short, trials
from reports.tables.variants import plain_alone, variants

Records = Sequence[Mapping[str, Any]]

MOST_DATASETS = 24
"""Data sets that get figures: a report on hundreds is read by its tables."""
MANY_DATASETS = 12
"""Above so many data sets a report begins with the ranks, and the section of each data set is folded."""


class Material:
    """The records of a report and what is computed from them.

    Parameters
    ----------
    records : sequence of mappings
        As for ``reports.write_report``.
    shelf : Shelf, optional
        Where the arrays of the records lie.
    warnings : sequence of str
        One line each, about records that could not be read.
    """

    @UNBOUNDED
    def __init__(self, records: Records, shelf: Shelf | None = None, warnings: Sequence[str] = ()) -> None:
        self.records, self.shelf, self.warnings = records, shelf or Shelf(None), warnings
        self.trials = short(trials(records))
        self.studies = studies(self.trials)
        chosen = competing(self.trials, self.studies)
        self.data_curves = data_curves(chosen)
        self.variants = variants(self.trials, records)
        self.competing = plain_alone(standing(chosen), self.variants)
        """The trials without those of a sweep's settings that were not chosen, and without variants."""

    @cached_property
    def quality(self) -> pd.DataFrame:
        return quality(scored(self.competing, self.records))

    @cached_property
    def throughput(self) -> pd.DataFrame:
        return throughput(self.competing)

    @cached_property
    def first_scores(self) -> pd.DataFrame:
        """The rows of ``quality`` that compete: those of each trial's first score."""
        return self.quality[self.quality["primary"].astype(bool)]

    @cached_property
    def standings(self) -> list[Standing]:
        return standings(self.quality)

    @cached_property
    def races(self) -> list[Race]:
        return races(self.trials, self.throughput)

    @cached_property
    def slower(self) -> list[Slower]:
        """Modes that promise speed and are slower than ``idiomatic``, the worst first."""
        return slower(self.trials, self.throughput)

    @cached_property
    def equalities(self) -> list[Equality]:
        return equalities(self.trials, self.records)

    @property
    def environments(self) -> list[str]:
        """Their labels; one of them is empty where there is only one."""
        return list(dict.fromkeys(self.trials["environment"]))

    @property
    def many(self) -> bool:
        """Whether there are too many data sets to be read one by one."""
        return self.quality["dataset"].nunique() > MANY_DATASETS

    @cached_property
    def pictured(self) -> list[tuple[str, str]]:
        """Environment and name of the data sets that get figures."""
        return [(environment, dataset) for (environment, dataset), _ in self.blocks[:MOST_DATASETS]]

    @cached_property
    def blocks(self) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
        """The rows of ``quality`` by environment and data set."""
        return split(self.quality, BLOCK)

    @cached_property
    def finished(self) -> dict[tuple[str, ...], pd.DataFrame]:
        """The finished trials by environment and data set."""
        return dict(split(self.competing[self.competing["status"] == "ok"], BLOCK))


def label(environment: str) -> str:
    """What a heading says of its environment."""
    return f" · environment {environment}" if environment else ""
