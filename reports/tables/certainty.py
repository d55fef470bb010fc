"""How sure a difference between two detectors over data sets is, and what it would take to be surer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROPE = 0.01
"""Differences of ROC AUC up to this are practically none: the region of practical equivalence is [−0.01, 0.01]."""
PRIOR = 0.5
"""Weight of the prior's one observation, of no difference, beside a data set's 1."""
DRAWS = 20_000
_PRODUCTS = 2_000_000_000
"""Multiplications that one comparison may take: with many data sets there are fewer draws."""
POWER = 0.8
_EFFICIENCY = 3 / math.pi
"""Of Wilcoxon's signed-rank test beside Student's t, for normal differences (Hodges and Lehmann 1956)."""


@dataclass(frozen=True)
class Posterior:
    """Probabilities, given the data sets, that the first is practically better, that neither is, and that the second
    is; they sum to 1."""

    first: float
    neither: float
    second: float


def signed_rank(differences: Sequence[float] | Array, rope: float = ROPE, draws: int = DRAWS) -> Posterior:
    """The Bayesian signed-rank test of Benavoli, Corani, Demšar and Zaffalon (2017), *Time for a change*, JMLR 18(77),
    section 4.2: a Dirichlet process over the differences, its prior one difference of 0 of weight s = ½.

    With w ~ Dir(s, 1, …, 1) over z₀ = 0 and the n differences, a draw's θ are Σᵢⱼ wᵢ wⱼ where zᵢ + zⱼ lies above 2r,
    within ±2r or below −2r; what is returned is how often each of the three is the largest. It is drawn with a fixed
    seed. baycomp has the same test, and no release since 2023.

    Parameters
    ----------
    differences : float array of shape (data sets,), first minus second
    rope : float
        r, half the width of the region of practical equivalence, in the units of the differences.
    """
    z = np.concatenate([[0.0], np.asarray(differences, dtype=np.float64)])
    sums = z[:, None] + z[None, :]
    above, below = (sums > 2 * rope).astype(np.float64), (sums < -2 * rope).astype(np.float64)
    draws = max(1_000, min(draws, _PRODUCTS // (2 * len(z) ** 2)))
    weights = np.random.default_rng(0).dirichlet(np.concatenate([[PRIOR], np.ones(len(z) - 1)]), draws)
    first = ((weights @ above) * weights).sum(axis=1)
    second = ((weights @ below) * weights).sum(axis=1)
    largest = np.argmax(np.stack([first, 1.0 - first - second, second], axis=1), axis=1)
    shares = np.bincount(largest, minlength=3) / draws
    return Posterior(*map(float, shares))


@dataclass(frozen=True)
class Needed:
    """What would tell two detectors apart: data sets in all with the seeds there are, and seeds in all on the data sets
    there are; infinite where no number does, None for seeds where their spread is unknown."""

    sets: float
    seeds: float | None


def needed(differences: Sequence[Array], level: float, power: float = POWER) -> Needed:
    """How many data sets, or seeds, Wilcoxon's signed-rank test takes to find a difference as large as the one seen.

    With δ the mean and v = τ² + σ² / s the variance over data sets of the differences, σ² that over a data set's s
    seeds, n data sets suffice where n δ² · 3/π ≥ (z₁₋α/₂ + z_power)² v: the sample size of Student's t test in its
    normal form (Cohen 1988), over the efficiency of Wilcoxon's test. More seeds make σ² / s smaller and leave τ².

    Parameters
    ----------
    differences : one float array a data set, of the differences with each of its seeds
    level : float
        α, two-sided, with whatever correction for other comparisons.
    """
    from scipy.special import ndtri

    means = np.array([values.mean() for values in differences])
    variance, delta = float(means.var(ddof=1)), float(means.mean())
    quantiles = float(ndtri(1 - level / 2) + ndtri(power)) ** 2
    if delta == 0.0:
        return Needed(math.inf, math.inf if all(len(values) > 1 for values in differences) else None)
    allowed = delta**2 * _EFFICIENCY / quantiles
    sets = max(math.ceil(variance / allowed - 1e-9), 2)
    if any(len(values) < 2 for values in differences):
        return Needed(sets, None)
    own = float(np.mean([values.var(ddof=1) for values in differences]))
    between = max(0.0, variance - float(np.mean([values.var(ddof=1) / len(values) for values in differences])))
    left = len(differences) * allowed - between
    return Needed(sets, max(math.ceil(own / left), 1) if left > 0 else math.inf)
