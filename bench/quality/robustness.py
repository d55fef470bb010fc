"""How much of a detector's quality is left when anomalies are moved, by at most ε, to look normal.

With s the detector's score, an anomaly x is moved by projected gradient descent (Madry et al. 2018):
x⁰ = x, xⁱ⁺¹ = Π(xⁱ − α sign ∂s/∂xⁱ) for ``STEPS`` steps with α = 2.5 ε / ``STEPS``. Π clips every value to
[x − ε, x + ε], and to the interval that holds all values of the training rows; a value that lies outside of that goes
no further out. Of all places an anomaly is tried at, also those of a smaller ε, it keeps the one where it scores
lowest, so that no curve rises by accident. Normal rows stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.adversarial import REACH, interval
from bench.detect.detector import Rows
from bench.quality.metrics import ranked

if TYPE_CHECKING:
    from datasets.dataset import Dataset

STEPS = 10
MOST_ANOMALIES = 2000
"""That are moved; of more, so many drawn by the seed."""


def robustness(detector: Any, data: Dataset, scores: Rows, epsilons: Sequence[float], seed: int) -> dict[str, Any]:
    """The ROC AUC over ε, from 0 on, as a record holds it.

    Parameters
    ----------
    detector : a trained detector with ``slope``
    data : Dataset
    scores : float array of shape (test rows,)
        What ``decision_function`` gave for the test rows.
    epsilons : sequence of float
        In the units of the scaled columns.
    seed : int
        Of the anomalies that are moved, where there are many.
    """
    chosen = np.flatnonzero(data.y_test)
    if len(chosen) > MOST_ANOMALIES:
        drawn = np.random.Generator(np.random.Philox(seed)).choice(len(chosen), MOST_ANOMALIES, replace=False)
        chosen = chosen[np.sort(drawn)]
    X, normal, lowest = data.X_test[chosen], scores[data.y_test == 0], scores[chosen]
    labels = np.repeat([0, 1], [len(normal), len(chosen)])
    bounds = interval(data.X_train)
    areas = [ranked(np.concatenate([normal, lowest]), labels)["roc_auc"]]
    for epsilon in sorted(epsilons):
        lowest = np.minimum(lowest, hidden(detector, X, epsilon, bounds))
        areas.append(ranked(np.concatenate([normal, lowest]), labels)["roc_auc"])
    return {"epsilons": [0.0, *sorted(epsilons)], "roc_auc": areas, "anomalies": len(chosen), "steps": STEPS}


def hidden(detector: Any, X: Rows, epsilon: float, bounds: Rows) -> Rows:
    """The lowest scores that rows reach within ε, shape (rows,); ``bounds`` are the ends of the interval."""
    low = np.maximum(X - np.float32(epsilon), np.minimum(X, bounds[0]))
    high = np.minimum(X + np.float32(epsilon), np.maximum(X, bounds[1]))
    at, lowest = X, np.full(len(X), np.inf)
    for _ in range(STEPS):
        step = np.float32(REACH * epsilon / STEPS) * np.sign(detector.slope(at)).astype(np.float32)
        at = np.clip(at - step, low, high)
        lowest = np.minimum(lowest, detector.decision_function(at))
    return lowest
