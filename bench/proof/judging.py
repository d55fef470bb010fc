"""What a rung allows, and who differs: what the climbers showed, compared by one rule a rung.

A rung holds where no error is over its bound; the first that does not tells where two models part: which case, which
step, which tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backends.spec import SCORES, Precision
from bench.proof import ladder, lanes, native
from bench.proof.ladder import REFERENCE, Observed

Measure = Literal[
    "largest difference",
    "relative to the largest",
    "relative to the norm",
    "relative, row by row",
    "share of what chance allows",
]


@dataclass(frozen=True)
class Rule:
    """How a rung measures a difference, and what it allows; None where it only reports."""

    measure: Measure
    float64: float | None
    float32: float | None


RULES: dict[str, Rule] = {
    # float32: half a unit in the last place, which storing a weight costs
    ladder.INITIAL: Rule("relative to the largest", 0.0, 2.0**-24),
    ladder.FORWARD: Rule("relative to the largest", 1e-12, 1e-5),
    ladder.LOSS: Rule("relative to the largest", 1e-12, 1e-5),
    ladder.GRADIENTS: Rule("relative to the largest", 1e-11, 1e-5),
    ladder.STEPS: Rule("relative to the norm", 1e-9, 1e-3),
    ladder.EPOCH: Rule("relative to the largest", 1e-10, 1e-5),
    # float32: ten times what rounding the first weights moves the reference by (docs/equality.md)
    ladder.TRAINING_LOSSES: Rule("relative to the largest", 1e-9, 3e-2),
    # In float32 rounding is amplified from step to step, so that these tell of it and judge nothing.
    ladder.TRAINING_WEIGHTS: Rule("largest difference", 1e-9, None),
    ladder.SCORING: Rule("relative, row by row", 1e-9, None),
    ladder.EXCHANGE: Rule("relative, row by row", 1e-10, 1e-4),
    ladder.AUC: Rule("largest difference", 1e-12, 1e-2),
    ladder.MANY: Rule("relative to the largest", 1e-12, 1e-5),
    ladder.SAVED: Rule("largest difference", 0.0, 0.0),
    native.LOSSES: Rule("relative to the largest", 1e-10, 1e-5),
    native.WEIGHTS: Rule("relative to the norm", 1e-9, 1e-3),
    lanes.LANES: Rule("relative to the norm", 1e-9, 1e-3),
    **dict.fromkeys(native.CHANCE, Rule("share of what chance allows", 1.0, 1.0)),
}


def judge(
    observed: Mapping[str, Observed], precision: Precision, expected: Mapping[str, Observed] | None = None
) -> dict[str, Any]:
    """Compares what the climbers showed: each backend with the reference, then each pair; one entry per rung.

    On the rungs that a backend climbs ``ALONE`` it is held against what is ``expected`` of it.
    """
    names = [name for name in observed if name != REFERENCE]
    with_reference = [(name, REFERENCE) for name in names if REFERENCE in observed]
    rungs = []
    first_failure = None
    for name in ladder.RUNGS:
        if not any(seen.get(name) for seen in observed.values()):
            continue  # no case that climbed has such a rung
        rule = RULES[name]
        bound: float | None = getattr(rule, precision)
        alone = name in ladder.ALONE
        comparisons = []
        for pair in [*with_reference, *([] if alone else combinations(names, 2))]:
            a, b = (observed[side].get(name, {}) for side in pair)
            if alone:
                b = (expected or {}).get(pair[0], {}).get(name, {})
                if not a and not b:
                    continue  # nothing of the kind is drawn
            # in float32 the reference, which is float64, shows more than a backend
            alike = precision == "float64" or REFERENCE not in pair or alone
            error, where = _compare(rule.measure, a, b, bound, alike)
            passed = bound is None or error <= bound
            shown = error if np.isfinite(error) else None
            comparisons.append({"between": list(pair), "error": shown, "where": where, "passed": passed})
            if not passed and first_failure is None:
                first_failure = {"rung": name, "between": list(pair), "where": where, "error": shown, "bound": bound}
        passed = all(comparison["passed"] for comparison in comparisons)
        rungs.append(
            {"name": name, "measure": rule.measure, "bound": bound, "passed": passed, "comparisons": comparisons}
        )
    return {
        "precision": precision,
        "passed": first_failure is None,
        "first_failure": first_failure,
        "rungs": rungs,
    }


def areas(observed: Observed, labels: NDArray[np.int8], precision: Precision) -> dict[str, NDArray[np.float64]]:
    """The ROC AUC of every kind of score that the test rows were given; not a number where the scores are not.

    In float32 without that of KL alone: of a network that is trained to its end it tells little of an anomaly, and
    rounding the first weights alone moves it by more than any bound (docs/equality.md).
    """
    from sklearn.metrics import roc_auc_score

    told = [kind for kind in SCORES if precision == "float64" or kind != "kl"]
    return {
        kind: np.array(roc_auc_score(labels, values) if np.isfinite(values).all() else np.nan)
        for kind, values in observed[ladder.SCORING].items()
        if kind in told
    }


def difference(measure: Measure, a: NDArray[Any], b: NDArray[Any]) -> float:
    """How far ``a`` is from ``b``; infinite where their shapes differ or either is not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    if np.array_equal(a, b):
        return 0.0
    with np.errstate(all="ignore"):
        apart = np.abs(a - b)
        error = apart.max()
        if measure == "relative to the largest":
            error = error / np.abs(b).max()
        elif measure == "relative to the norm":
            error = np.linalg.norm(apart) / np.linalg.norm(b)
        elif measure == "relative, row by row":
            error = np.max(apart[apart > 0] / np.abs(b[apart > 0]))
    # not a number where both norms under- or overflow; a maximum over several errors would lose it
    return float("inf") if np.isnan(error) else float(error)


def _compare(
    measure: Measure,
    a: Mapping[str, NDArray[Any]],
    b: Mapping[str, NDArray[Any]],
    bound: float | None,
    alike: bool,
) -> tuple[float, str]:
    """The largest error and the place of the first one over the bound, or else of the largest.

    What ``a`` shows ``b`` has to show too, and where they are ``alike`` the other way round.
    """
    errors = {
        what: difference(measure, a[what], b[what]) if what in a and what in b else float("inf")
        for what in {**a, **(b if alike else {})}
    }
    if not errors:
        return float("inf"), "nothing was observed"
    over = [what for what, error in errors.items() if bound is not None and error > bound]
    return max(errors.values()), over[0] if over else max(errors, key=lambda what: errors[what])
