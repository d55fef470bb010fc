"""Detectors ranked over data sets: Friedman's test, then Wilcoxon's with Holm's correction (Demšar 2006)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from reports.palette import in_order
from reports.tables.certainty import Needed, Posterior, needed, signed_rank
from reports.tables.frames import Row, rows, split
from reports.tables.studies import FEWEST_SEEDS, Estimate, estimate

LEVEL = 0.05
COMMON = 0.8
"""Share of the data sets that a detector needs results on above, for the others to be left out rather than it."""
FEWEST = 3
"""Detectors and data sets below which ranks say nothing."""


@dataclass(frozen=True)
class Ranks:
    """Detectors of one environment and data sets that all of them have a ROC AUC on, each by one row."""

    environment: str
    table: pd.DataFrame
    """ROC AUC, one row a data set, one column a detector."""
    mean: pd.Series[float]
    """Mean rank of each, 1 the best."""
    left_out: int = 0
    """Data sets on which a detector has no result."""
    scenarios: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Whose row each value of ``table`` is."""

    @property
    def median(self) -> pd.Series[float]:
        """Median rank of each."""
        return self.table.rank(axis=1, ascending=False).median()

    @property
    def wins(self) -> pd.Series[int]:
        """Data sets on which each has the highest ROC AUC; of equal ones each has won."""
        return self.table.eq(self.table.max(axis=1), axis=0).sum()

    @property
    def least(self) -> float:
        """The smallest Holm-adjusted p that two detectors could have: 2 / 2ⁿ for n data sets, times the pairs."""
        sets, detectors = self.table.shape
        return 2.0 ** (1 - sets) * detectors * (detectors - 1) / 2

    @property
    def enough(self) -> bool:
        return self.least <= LEVEL


def ranks(quality: pd.DataFrame) -> list[Ranks]:
    """One for each environment with at least three detectors on at least three data sets.

    A detector that runs on several backends is shown by the first of them in a fixed order, since the best would be
    chosen by what is compared.
    """
    found = []
    known = quality[quality["primary"].astype(bool) & quality["roc_auc"].notna() & (quality["protocol"] == "")]
    for (environment,), part in split(known, ["environment"]):
        order = in_order(part["backend"])
        chosen: dict[tuple[str, str], Row] = {}
        for row in sorted(rows(part), key=lambda row: (order.index(row["backend"]), row["variant"], row["scenario"])):
            chosen.setdefault((row["dataset"], row["detector"]), row)
        long = pd.DataFrame(list(chosen.values()))
        everything = long.pivot(index="dataset", columns="detector", values="roc_auc")
        # a detector that failed on a few of many sets keeps its place, and these sets leave; one that is rare leaves
        wide = everything.loc[:, everything.notna().mean() > COMMON]
        table = wide.dropna(axis=0)
        if min(table.shape) < FEWEST:
            table = everything.dropna(axis=1)
        if min(table.shape) >= FEWEST:
            mean = table.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
            scenarios = long.pivot(index="dataset", columns="detector", values="scenario")
            scenarios = scenarios.loc[table.index, table.columns]
            found.append(Ranks(environment, table, mean, len(everything) - len(table), scenarios))
    return found


def adjusted(found: Ranks) -> pd.DataFrame:
    """Holm-adjusted p of Wilcoxon's signed-rank test for each pair of detectors."""
    import scikit_posthocs

    long = found.table.melt(ignore_index=False).reset_index()
    pairs: pd.DataFrame = scikit_posthocs.posthoc_wilcoxon(
        long, val_col="value", group_col="detector", p_adjust="holm", zero_method="zsplit", sort=True
    )
    return pairs


def first_and_others(found: Ranks) -> dict[str, Posterior]:
    """How sure it is that the detector with the best mean rank is better than each other one."""
    first, *others = found.mean.index
    return {name: signed_rank((found.table[first] - found.table[name]).to_numpy()) for name in others}


def to_part(found: Ranks, trials: pd.DataFrame) -> Needed | None:
    """What would tell the first two apart, at the level that Holm's correction asks of the smallest p; None where a
    data set's trials of the two share no seed."""
    first, second = found.mean.index[:2]
    differences = [(one[first] - one[second]).dropna().to_numpy() for one in _by_seed(found, trials)]
    if not all(map(len, differences)):
        return None
    detectors = found.table.shape[1]
    return needed(differences, LEVEL / (detectors * (detectors - 1) / 2))


def over_seeds(found: Ranks, trials: pd.DataFrame) -> dict[str, Estimate]:
    """Each one's mean rank over the data sets as one seed gives it: the mean over seeds, with its interval.

    Of the seeds that all have on every data set; empty where there are too few of them for an interval.
    """
    ranked = [one.dropna().rank(axis=1, ascending=False) for one in _by_seed(found, trials)]
    common = set.intersection(*(set(one.index) for one in ranked))
    if len(common) < FEWEST_SEEDS:
        return {}
    means = pd.concat(ranked).groupby(level=0).mean().loc[sorted(common)]
    return {name: estimate(means[name].to_numpy(), (1.0, float(len(found.mean)))) for name in found.mean.index}


def _by_seed(found: Ranks, trials: pd.DataFrame) -> list[pd.DataFrame]:
    """For each data set the ROC AUC, one row a seed, one column a detector."""
    own = trials[(trials["environment"] == found.environment) & (trials["status"] == "ok")]
    values = own.groupby(["dataset", "scenario", "seed"])["roc_auc"].mean()
    return [
        pd.DataFrame({name: values[dataset, found.scenarios.loc[dataset, name]] for name in found.mean.index})
        for dataset in found.table.index
    ]


def friedman(found: Ranks) -> tuple[float, float]:
    """Friedman's χ² with the correction for ties, and its p, as SciPy has it; ``scipy.stats`` is slow to load.

    χ² = (12 Σ Rⱼ² / (n k (k + 1)) − 3 n (k + 1)) / (1 − Σ (t³ − t) / (n (k³ − k))), Rⱼ the rank sum of a detector.
    """
    from scipy.special import chdtrc

    sets, detectors = found.table.shape
    ranked = found.table.rank(axis=1)
    ties = sum((count**3 - count) for _, row in ranked.iterrows() for count in row.value_counts())
    between = 12 * float((ranked.sum() ** 2).sum()) / (sets * detectors * (detectors + 1))
    corrected = 1 - float(ties) / (sets * (detectors**3 - detectors))
    statistic = (between - 3 * sets * (detectors + 1)) / corrected if corrected else float("nan")
    return statistic, float(chdtrc(detectors - 1, statistic))
