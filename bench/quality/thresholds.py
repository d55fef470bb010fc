"""Rules that turn scores into a threshold. None sees a test label but the two that are called *oracle*."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Rule = Literal["percentile", "std", "mad", "contamination", "evt", "top_fraction", "oracle_youden", "oracle_f1"]
RULES: tuple[Rule, ...] = get_args(Rule)
Rows = Literal["validation", "train", "test"]
ROWS: tuple[Rows, ...] = get_args(Rows)

Scores = NDArray[np.floating[Any]]

TAIL = 0.1
"""Share of the scores that the tail of ``evt`` is fitted to."""
FEWEST_EXCESSES = 10

_UPPER: dict[Rule, float] = {
    "percentile": 100.0,
    "std": np.inf,
    "mad": np.inf,
    "contamination": 0.5,
    "evt": TAIL,
    "top_fraction": 1.0,
}
_EXAMPLES: dict[Rule, float] = {"std": 3, "mad": 3, "contamination": 0.05, "evt": 1e-3, "top_fraction": 0.2}


@dataclass(frozen=True)
class Threshold:
    """A rule, its one number, and the rows whose scores it reads; rows that score above the threshold are flagged.

    ========================  =========================================================================
    ``percentile``, q         the q-th percentile of the scores; q in (0, 100), 95 where none is given
    ``std``, k                mean + k standard deviations of the scores; k > 0
    ``mad``, k                median + k deviations of the scores, the deviation estimated by their median
                              absolute deviation · 1.4826, which single large scores do not move; k > 0
    ``contamination``, c      the score that a share c of the rows exceeds; c in (0, 0.5]
    ``evt``, q                what a share q of the rows exceeds, after a generalised Pareto distribution fitted to
                              the highest tenth of the scores (Siffer et al. 2017); q in (0, 0.1]
    ``top_fraction``, f       the share f of the *test* rows that scores highest; f in (0, 1); labels unused
    ``oracle_youden``         where recall − false positive rate on the test labels is largest (Youden 1950)
    ``oracle_f1``             where F1 on the test labels is largest
    ========================  =========================================================================

    The scores are those of the ``validation`` rows, which are normal; of the ``train`` rows; or of all ``test`` rows
    without their labels, as published code often has it, and then the rule also sees the anomalies that it is to find.
    An oracle tells what the best threshold would have reached; nobody who has no labels can choose it.
    """

    rule: Rule = "percentile"
    value: Annotated[float, Meta(gt=0)] | None = None
    rows: Rows | None = None

    def __post_init__(self) -> None:
        """Puts in the values that were left out: equal rules are then equal values."""
        if self.rule not in RULES:
            raise ValueError(f"threshold rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        if self.value is None and self.rule == "percentile":
            object.__setattr__(self, "value", 95.0)
        if self.rows not in (*ROWS, None):
            raise ValueError(f"threshold rows must be one of {', '.join(ROWS)}, not {self.rows!r}")
        if self.oracle or self.rule == "top_fraction":
            if self.rows not in ("test", None):
                raise ValueError(f"threshold rule {self.rule} reads the test rows, not rows = {self.rows!r}")
            object.__setattr__(self, "rows", "test")
        elif self.rows is None:
            object.__setattr__(self, "rows", "validation")
        if self.oracle:
            if self.value is not None:
                raise ValueError(f"threshold rule {self.rule} takes no value, but was given {self.value:g}")
        elif self.value is None:
            raise ValueError(f"threshold rule {self.rule} needs a value, for example {_EXAMPLES[self.rule]:g}")
        elif not 0.0 < self.value <= _UPPER[self.rule] or (self.rule == "top_fraction" and self.value == 1.0):
            raise ValueError(f"threshold value {self.value:g} does not fit the rule {self.rule}")

    @property
    def oracle(self) -> bool:
        """Whether the rule reads the test labels."""
        return self.rule.startswith("oracle_")

    def __call__(
        self,
        validation: Scores | None,
        test: Scores | None,
        *,
        train: Scores | None = None,
        labels: NDArray[np.integer[Any]] | None = None,
    ) -> float:
        """The threshold, from the scores of the validation, the test and the training rows.

        Only what ``rows`` names is looked at, and of an oracle the test rows' labels (1 = anomaly) as well; the others
        may be None. Raises ValueError, in one line, where it is missing, or where ``evt`` has too few scores to fit a
        tail to.
        """
        scores = {"validation": validation, "test": test, "train": train}[self.rows or "validation"]
        if scores is None:
            raise ValueError(f"threshold rule {self.rule} needs the scores of the {self.rows} rows")
        if self.oracle:
            if labels is None:
                raise ValueError(f"threshold rule {self.rule} needs the labels of the test rows")
            return _best(scores, labels, _youden if self.rule == "oracle_youden" else _f1)
        value = self.value
        assert value is not None
        match self.rule:
            case "std":
                return float(scores.mean() + value * scores.std())
            case "mad":
                from scipy.stats import median_abs_deviation

                return float(np.median(scores) + value * median_abs_deviation(scores, scale="normal"))
            case "contamination":
                return float(np.quantile(scores, 1.0 - value))
            case "evt":
                return _peaks_over_threshold(scores, value)
            case "top_fraction":
                return float(np.quantile(scores, 1.0 - value, method="lower"))
            case _:
                return float(np.percentile(scores, value))

    def __str__(self) -> str:
        scores = {"validation": "validation scores", "train": "training scores", "test": "test scores, labels unused"}
        whose = f"of the {scores[self.rows or 'validation']}"
        match self.rule:
            case "percentile":
                return f"percentile {self.value:g} {whose}"
            case "std":
                return f"mean + {self.value:g} standard deviations {whose}"
            case "mad":
                return f"median + {self.value:g} deviations (by the median absolute one) {whose}"
            case "contamination":
                return f"contamination {self.value:g}: exceeded by that share {whose}"
            case "evt":
                return f"extreme-value tail, exceeded by a share of {self.value:g} {whose}"
            case "top_fraction":
                return f"top {100 * (self.value or 0.0):g} % {whose}"
            case "oracle_youden":
                return "oracle: largest recall − false positive rate (Youden's J) on the test labels"
            case "oracle_f1":
                return "oracle: largest F1 on the test labels"


Counts = NDArray[np.int64]


def _youden(true: Counts, false: Counts) -> NDArray[Any]:
    """Youden's J = TP / P − FP / N for each pair of counts, times P · N, so that it stays a whole number."""
    return np.asarray(true * false[-1] - false * true[-1])


def _f1(true: Counts, false: Counts) -> NDArray[Any]:
    """2 TP / (2 TP + FP + FN), for each pair of counts."""
    return np.asarray(2.0 * true / (true + false + true[-1]))


def _best(
    scores: Scores, labels: NDArray[np.integer[Any]], criterion: Callable[[Counts, Counts], NDArray[Any]]
) -> float:
    """The threshold at which a criterion on (true, false) positives is largest; of equal ones that which flags least.

    Tried is each score, so that what scores above it is flagged, and a threshold below them all.
    """
    scores = np.asarray(scores, dtype=np.float64)
    levels, group = np.unique(-scores, return_inverse=True)
    anomalies = np.bincount(group, weights=np.asarray(labels) == 1, minlength=len(levels)).astype(np.int64)
    rows = np.bincount(group, minlength=len(levels))
    true = np.append(0, np.cumsum(anomalies))
    false = np.append(0, np.cumsum(rows - anomalies))
    flagged = int(np.argmax(criterion(true, false)))
    return float(-levels[flagged]) if flagged < len(levels) else float(np.nextafter(scores.min(), -np.inf))


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
