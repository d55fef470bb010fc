"""How often the 95 % intervals of a record hold the true value, for few rows and many, and AUCs from 0.5 to 1.

``python tests/benchmarks/interval_coverage.py`` prints the table of docs/measuring.md, in about two minutes.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from scipy.stats import norm

from bench.quality import intervals
from bench.quality.metrics import _Ranking, quality

SIZES = ((2, 2), (5, 20), (50, 50), (500, 500))
"""Anomalies and normal rows."""
AUCS = (0.5, 0.7, 0.9, 0.97, 0.99, 1.0)
WIDTHS = {"alike": 1.0, "wide": 3.0}
"""Standard deviations of the anomalies' scores, where those of normal rows have 1."""
RESAMPLES = 200
FLAGGED = 0.05
"""Share of the normal rows that the threshold flags."""
POPULATION = 400_000


def shift(auc: float, width: float) -> float:
    """How far apart two normal distributions are that give this AUC; so far that no draw is out of order for 1."""
    return float(norm.ppf(auc)) * math.sqrt(1 + width**2) if auc < 1 else 1e6


def drawn(anomalies: int, normals: int, auc: float, kind: str, count: int, seed: int) -> np.ndarray:
    """Scores of shape (count, rows), the anomalies first."""
    rng, width = np.random.default_rng([seed, anomalies, normals]), WIDTHS[kind]
    high = rng.normal(shift(auc, width), width, (count, anomalies))
    return np.hstack([high, rng.normal(size=(count, normals))])


def of_auc(anomalies: int, normals: int, auc: float, kind: str, count: int, seed: int = 0) -> tuple[float, float]:
    """Share of ``count`` draws whose interval holds the true AUC, and the mean width."""
    labels = (np.arange(anomalies + normals) < anomalies).astype(int)
    covered, widths = 0, []
    for scores in drawn(anomalies, normals, auc, kind, count, seed):
        ranking = _Ranking(scores, labels, [])
        value = float(ranking.metrics(np.ones(len(labels), dtype=np.int8))[0])
        low, high = intervals.auc(value, ranking.auc_variance(), anomalies, normals)
        covered += low <= auc <= high
        widths.append(high - low)
    return covered / count, float(np.mean(widths))


def of_others(anomalies: int, normals: int, auc: float, kind: str, count: int, seed: int = 0) -> dict[str, float]:
    """The same of average precision, F1 and recall; the true values are those of many rows in the same proportion."""
    many = round(POPULATION * anomalies / (anomalies + normals))
    threshold = float(norm.isf(FLAGGED))
    whole = drawn(many, POPULATION - many, auc, kind, 1, seed + 1)[0]
    names = ("average_precision", "f1", "recall")
    true = quality(whole, (np.arange(POPULATION) < many).astype(int), [threshold], resamples=2).metrics
    labels = (np.arange(anomalies + normals) < anomalies).astype(int)
    covered = dict.fromkeys(names, 0)
    for number, scores in enumerate(drawn(anomalies, normals, auc, kind, count, seed)):
        found = quality(scores, labels, [threshold], seed=number, resamples=RESAMPLES).intervals
        for name in names:
            covered[name] += found[name][0] <= true[name] <= found[name][1]
    return {name: hits / count for name, hits in covered.items()}


def main(count: int, others: int) -> None:
    print("| rows | AUC | AUC covered | width | AUC covered, wide | AP | F1 | recall |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for anomalies, normals in SIZES:
        for auc in AUCS:
            covered, width = of_auc(anomalies, normals, auc, "alike", count)
            wide = of_auc(anomalies, normals, auc, "wide", count)[0]
            rest = of_others(anomalies, normals, auc, "alike", others)
            cells = [f"{covered:.3f}", f"{width:.3f}", f"{wide:.3f}", *(f"{share:.3f}" for share in rest.values())]
            print(f"| {anomalies} + {normals} | {auc:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]) if len(sys.argv) == 3 else (2_000, 400))
