"""Rules that turn scores into a threshold without ever seeing a test label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Rule = Literal["percentile", "std", "contamination", "top_fraction"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Threshold:
    """A rule and its one number; rows that score above the threshold are flagged.

    ========================  =========================================================================
    ``percentile``, q         the q-th percentile of the validation scores (normal rows); q in (0, 100)
    ``std``, k                mean + k standard deviations of the validation scores; k > 0
    ``contamination``, c      the validation score that a share c of normal rows exceeds; c in (0, 0.5]
    ``top_fraction``, f       the share f of the *test* rows that scores highest; f in (0, 1); labels unused
    ========================  =========================================================================
    """

    rule: Rule = "percentile"
    value: Annotated[float, Meta(gt=0)] = 95.0

    def __post_init__(self) -> None:
        upper = {"percentile": 100.0, "std": np.inf, "contamination": 0.5, "top_fraction": 1.0}
        if self.rule not in upper:
            raise ValueError(f"threshold rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        if not 0.0 < self.value <= upper[self.rule] or (self.rule == "top_fraction" and self.value == 1.0):
            raise ValueError(f"threshold value {self.value:g} does not fit the rule {self.rule}")

    def __call__(self, validation: NDArray[np.floating], test: NDArray[np.floating]) -> float:
        """The threshold, from the scores of the validation rows and of the test rows."""
        match self.rule:
            case "percentile":
                return float(np.percentile(validation, self.value))
            case "std":
                return float(validation.mean() + self.value * validation.std())
            case "contamination":
                return float(np.quantile(validation, 1.0 - self.value))
            case "top_fraction":
                return float(np.quantile(test, 1.0 - self.value, method="lower"))

    def __str__(self) -> str:
        match self.rule:
            case "percentile":
                return f"percentile {self.value:g} of the validation scores"
            case "std":
                return f"mean + {self.value:g} standard deviations of the validation scores"
            case "contamination":
                return f"contamination {self.value:g}: exceeded by that share of the validation scores"
            case "top_fraction":
                return f"top {100 * self.value:g} % of the test scores, labels unused"
