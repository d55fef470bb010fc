"""Rules that turn scores into a threshold without ever seeing a test label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Rule = Literal["percentile", "std", "mad", "contamination", "evt", "top_fraction"]
RULES: tuple[Rule, ...] = get_args(Rule)

TAIL = 0.1
"""Share of the scores that the tail of ``evt`` is fitted to."""
FEWEST_EXCESSES = 10


@dataclass(frozen=True)
class Threshold:
    """A rule and its one number; rows that score above the threshold are flagged.

    ========================  =========================================================================
    ``percentile``, q         the q-th percentile of the validation scores (normal rows); q in (0, 100)
    ``std``, k                mean + k standard deviations of the validation scores; k > 0
    ``mad``, k                median + k deviations of the validation scores, the deviation estimated by their median
                              absolute deviation · 1.4826, which single large scores do not move; k > 0
    ``contamination``, c      the validation score that a share c of normal rows exceeds; c in (0, 0.5]
    ``evt``, q                what a share q of normal rows exceeds, after a generalised Pareto distribution fitted to
                              the highest tenth of the validation scores (Siffer et al. 2017); q in (0, 0.1]
    ``top_fraction``, f       the share f of the *test* rows that scores highest; f in (0, 1); labels unused
    ========================  =========================================================================
    """

    rule: Rule = "percentile"
    value: Annotated[float, Meta(gt=0)] = 95.0

    def __post_init__(self) -> None:
        upper = {
            "percentile": 100.0,
            "std": np.inf,
            "mad": np.inf,
            "contamination": 0.5,
            "evt": TAIL,
            "top_fraction": 1.0,
        }
        if self.rule not in upper:
            raise ValueError(f"threshold rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        if not 0.0 < self.value <= upper[self.rule] or (self.rule == "top_fraction" and self.value == 1.0):
            raise ValueError(f"threshold value {self.value:g} does not fit the rule {self.rule}")

    def __call__(self, validation: NDArray[np.floating], test: NDArray[np.floating]) -> float:
        """The threshold, from the scores of the validation rows and of the test rows.

        Raises ValueError, in one line, where ``evt`` has too few scores to fit a tail to.
        """
        match self.rule:
            case "percentile":
                return float(np.percentile(validation, self.value))
            case "std":
                return float(validation.mean() + self.value * validation.std())
            case "mad":
                from scipy.stats import median_abs_deviation

                return float(np.median(validation) + self.value * median_abs_deviation(validation, scale="normal"))
            case "contamination":
                return float(np.quantile(validation, 1.0 - self.value))
            case "evt":
                return _peaks_over_threshold(validation, self.value)
            case "top_fraction":
                return float(np.quantile(test, 1.0 - self.value, method="lower"))

    def __str__(self) -> str:
        match self.rule:
            case "percentile":
                return f"percentile {self.value:g} of the validation scores"
            case "std":
                return f"mean + {self.value:g} standard deviations of the validation scores"
            case "mad":
                return f"median + {self.value:g} deviations (by the median absolute one) of the validation scores"
            case "contamination":
                return f"contamination {self.value:g}: exceeded by that share of the validation scores"
            case "evt":
                return f"extreme-value tail of the validation scores, exceeded by a share of {self.value:g}"
            case "top_fraction":
                return f"top {100 * self.value:g} % of the test scores, labels unused"


def _peaks_over_threshold(scores: NDArray[np.floating], probability: float) -> float:
    """z with P(score > z) = ``probability``: t + σ / γ · ((q n / N)^(−γ) − 1), after Siffer et al. 2017, equation 1.

    t is the level that a share ``TAIL`` of the n scores exceeds, N how many do, γ and σ the shape and the scale of the
    generalised Pareto distribution that is most likely for what they exceed it by.
    """
    from scipy.stats import genpareto

    scores = np.asarray(scores, dtype=np.float64)
    level = float(np.quantile(scores, 1.0 - TAIL))
    excesses = scores[scores > level] - level
    if len(excesses) < FEWEST_EXCESSES:
        raise ValueError(
            f"threshold rule evt: {len(excesses)} of {len(scores)} scores form the tail; it takes {FEWEST_EXCESSES}"
        )
    unit = float(excesses.mean())  # the optimiser's tolerances are absolute
    shape, _, scale = genpareto.fit(excesses / unit, floc=0.0)
    left = min(1.0, probability * len(scores) / len(excesses))
    return level + unit * float(genpareto.isf(left, shape, scale=scale))
