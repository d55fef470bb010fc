"""What a trial tells of quality once its detector is trained: every score under every threshold, and the rows that
stand out.

All of it is off the clock. The first score's test rows were scored on it, and come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.detect.detector import Rows, one_a_row
from bench.quality.metrics import Quality, quality, ranked
from bench.quality.pictures import highest, pictures
from bench.quality.robustness import robustness
from bench.quality.steps import over_time
from bench.quality.thresholds import Threshold
from bench.records.arrays import Arrays

if TYPE_CHECKING:
    from datasets.dataset import Dataset

TOP = 5
"""Anomalies that a record explains."""
TOP_FEATURES = 3
"""Features that an explanation names."""
DECISION = "decision"
"""What the arrays call the scores of a detector that has but one kind."""


FEW_ROWS = 20
"""Test rows of a class under which a record says how few there are."""


class NotFinite(ArithmeticError):
    """A detector's scores are not all finite."""


def evaluate(
    detector: Any,
    data: Dataset,
    scores: Rows,
    *,
    kinds: Sequence[str],
    thresholds: Sequence[Threshold],
    pictured: bool,
    labelled: float = 0.0,
    epsilons: Sequence[float] = (),
    seed: int,
) -> tuple[dict[str, Any], Arrays]:
    """The part of a record that is about quality, and the arrays to keep beside it.

    Parameters
    ----------
    detector : a trained detector
    data : Dataset
    scores : float array of shape (test rows,)
        What ``decision_function`` gave for the test rows.
    kinds : sequence of str
        The scores that a network is asked for, the first of which ``scores`` is; none for a detector's only one.
    thresholds : sequence of Threshold
        The first is the one that the record's own metrics are of.
    pictured : bool
        Whether what the pictures of single rows need is kept.
    labelled : float
        This share of the test rows, of each class, is taken out of them: everything else is told of the rest, and of
        these what a choice between settings may go by, under ``labelled_validation``.
    epsilons : sequence of float
        How far anomalies are moved to look normal, under ``robustness``; none leaves it out.
    seed : int
        Of the bootstrap, of what the pictures sample, and of which rows are taken out or moved.

    Raises
    ------
    NotFinite
    """
    told: dict[str, Any] = {}
    if labelled:
        taken = taken_out(data.y_test, labelled, seed)
        told["labelled_validation"] = _labelled(detector, data, scores, kinds, taken)
        data = replace(data, X_test=np.ascontiguousarray(data.X_test[~taken]), y_test=data.y_test[~taken])
        scores = scores[~taken]
    wanted: Sequence[str | None] = kinds or (None,)
    entries, arrays = [], {"y_test": data.y_test.astype(np.uint8)}
    for kind in wanted:
        parts = _scores(detector, data, thresholds, None if kind == wanted[0] else kind, scores)
        if not all(np.isfinite(part).all() for part in parts.values()):
            raise NotFinite("the scores are not all finite" + (f", those of {kind}" if kind != wanted[0] else ""))
        levels = [
            threshold(parts.get("validation"), parts["test"], train=parts.get("train"), labels=data.y_test)
            for threshold in thresholds
        ]
        entries.append(_entry(kind, thresholds, quality(parts["test"], data.y_test, levels, seed=seed)))
        limits = np.finfo(np.float32)
        arrays[f"score.{kind or DECISION}"] = parts["test"].clip(limits.min, limits.max).astype(np.float32)
        if data.series is not None and kind == wanted[0]:
            told["series"], more = over_time(data.series, parts, thresholds[0])
            arrays |= more
    first, *others = entries
    found = first | told | {"other_scores": [_without_resamples(entry) for entry in others]}
    if epsilons:
        found["robustness"] = robustness(detector, data, scores, epsilons, seed)
    if (top := top_anomalies(detector, data, scores)) is not None:
        found["top_anomalies"] = top
    if pictured:
        arrays |= pictures(detector, data, scores, seed=seed)
    return found, arrays


def taken_out(labels: NDArray[np.integer[Any]], share: float, seed: int) -> NDArray[np.bool_]:
    """Which test rows are taken out: the share of each class, rounded, but at least one row and never all.

    The same rows for every detector of a data set and a seed. A class of one row keeps it, and gives none.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    taken = np.zeros(len(labels), dtype=bool)
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(labels == label))
        taken[rows[: min(max(round(share * len(rows)), 1), len(rows) - 1)]] = True
    return taken


def _labelled(
    detector: Any, data: Dataset, scores: Rows, kinds: Sequence[str], taken: NDArray[np.bool_]
) -> dict[str, Any]:
    """How many rows were taken out and, by score, the metrics over them; none where a class has no row among them, or a
    score is not finite."""
    y = data.y_test[taken]
    found: dict[str, Any] = {}
    for kind in kinds or (DECISION,):
        first = not kinds or kind == kinds[0]
        own = scores[taken] if first else np.asarray(detector.score(data.X_test[taken], kind), dtype=np.float64)
        if 0 < y.sum() < len(y) and np.isfinite(own).all():
            found[kind] = ranked(own, y)
    return {"rows": len(y), "anomalies": int(y.sum()), "metrics": found}


def _scores(
    detector: Any, data: Dataset, thresholds: Sequence[Threshold], kind: str | None, first: Rows
) -> dict[str, Rows]:
    """The scores of the test rows and of those that the thresholds read, in float64; without a kind the detector's
    own, of which those of the test rows are known."""
    rows = {"test": data.X_test, "validation": data.X_val, "train": data.X_train}
    wanted = dict.fromkeys(["test", *(threshold.rows or "validation" for threshold in thresholds)])

    def scored(part: str) -> Rows:
        if kind is not None:
            return np.asarray(detector.score(rows[part], kind), dtype=np.float64)
        found = first if part == "test" else detector.decision_function(rows[part])
        return one_a_row(found, len(rows[part]))

    return {part: scored(part) for part in wanted}


def _entry(kind: str | None, thresholds: Sequence[Threshold], found: Quality) -> dict[str, Any]:
    """What a record says of one score: flat for the first threshold, and a list of all."""
    return {
        "score": kind,
        "metrics": found.metrics,
        "intervals": found.intervals,
        "resamples": found.resamples,
        "confusion": found.confusion,
        "roc_curve": found.roc_curve,
        "histogram": found.histogram,
        "threshold_rule": str(thresholds[0]),
        "oracle": thresholds[0].oracle,
        "thresholds": [
            {"rule": str(threshold), "oracle": threshold.oracle, **asdict(flagged)}
            for threshold, flagged in zip(thresholds, found.thresholds, strict=True)
        ],
    }


def _without_resamples(entry: dict[str, Any]) -> dict[str, Any]:
    """They are the same for every score."""
    return {name: value for name, value in entry.items() if name != "resamples"}


def top_anomalies(detector: Any, data: Dataset, scores: Rows) -> list[dict[str, Any]] | None:
    """The ``TOP`` test rows that score highest, each with the features that have the largest shares of its score.

    ``row`` counts the test rows from 0; ``value`` and ``reconstruction`` are in the units of the preprocessed columns.
    None for a detector that does not explain the scores it gives.
    """
    if not hasattr(detector, "explain"):
        return None
    chosen = highest(scores, TOP)
    X = data.X_test[chosen]
    shares, reconstructions = detector.explain(X), detector.reconstruct(X)
    found = []
    for place, row in enumerate(chosen):
        features = np.argsort(-shares[place], kind="stable")[:TOP_FEATURES]
        found.append(
            {
                "row": int(row),
                "score": float(scores[row]),
                "anomaly": bool(data.y_test[row]),
                "features": [
                    {
                        "name": data.feature_names[feature],
                        "share": float(shares[place, feature]),
                        "value": _rounded(X[place, feature]),
                        "reconstruction": _rounded(reconstructions[place, feature]),
                    }
                    for feature in features
                ],
            }
        )
    return found


def few_rows(labels: NDArray[np.integer[Any]]) -> str | None:
    """A sentence on how few test rows of a class there are; None where both have ``FEW_ROWS``."""
    anomalies = int(np.sum(labels))
    normals = len(labels) - anomalies
    if min(anomalies, normals) >= FEW_ROWS:
        return None
    kinds = [
        f"{anomalies} {'anomaly' if anomalies == 1 else 'anomalies'}",
        f"{normals} normal row{'s' * (normals != 1)}",
    ]
    return (
        f"The test part has only {' and '.join(kinds)}: its intervals are wide, and even a perfect score says little."
    )


def _rounded(value: float) -> float:
    """To what float32 can tell of a scaled column, so that the mean of one is written as 0."""
    return round(float(value), 6) + 0.0
