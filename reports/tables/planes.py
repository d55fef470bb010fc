"""Single test rows, as plain data, from the arrays that trials with ``pictures`` leave: plane, latent space, images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.arrays import Shelf
from reports.surveys import mapping, number
from reports.tables.curves import Series, roc_curve

Plain = dict[str, Any]

_MOST_POINTS = 3_000
"""Test rows that a figure on paper shows."""


def of_best(found: Sequence[Series], shelf: Shelf, make: Callable[[Mapping[str, Any], Shelf], Plain | None]) -> Any:
    """What is made of the best network that left arrays for it, by its first trial, with ``who`` and ``seed``."""
    for one in sorted((one for one in found if one.backend), key=lambda one: -one.auc):
        if (made := make(one.first, shelf)) is not None:
            return made | {"who": one.short, "seed": number(one.first.get("seed"))}
    return None


def plane(record: Mapping[str, Any], shelf: Shelf) -> Plain | None:
    """Data with two features, from the rows to the latent space; None for other data."""
    scored = shelf.scores(record)
    found = shelf.load(record, "X_plane", "mu", "mu_pca", "mu_rows")
    threshold = number(mapping(record.get("metrics")).get("threshold"))
    points = found.get("X_plane")
    if scored is None or points is None or points.shape != (len(scored[0]), 2) or not np.isfinite(threshold):
        return None
    scores, anomalous = scored
    flagged = scores > threshold
    shown = np.arange(0, len(scores), max(1, -(-len(scores) // _MOST_POINTS)))
    latent = _latent(found, len(scores))
    return {
        "points": points[shown],
        "anomalous": anomalous[shown],
        "flagged": flagged[shown],
        "shown_scores": scores[shown],
        "scores": scores,
        "labels": anomalous,
        "threshold": threshold,
        "roc": roc_curve(record),
        "auc": number(mapping(record.get("metrics")).get("roc_auc")),
        "here": (
            float((flagged & ~anomalous).sum() / (~anomalous).sum()),
            float((flagged & anomalous).sum() / anomalous.sum()),
        ),
        "surface": surface(record, shelf),
        "latent": latent and {"points": latent[1], "anomalous": anomalous[latent[2]], "title": latent[0]},
    }


def surface(record: Mapping[str, Any], shelf: Shelf) -> Plain | None:
    """Scores over the plane with its corners; None where the record kept none."""
    found = shelf.load(record, "surface", "surface_low", "surface_high")
    if len(found) < 3 or found["surface"].ndim != 2 or min(found["surface"].shape) < 2:
        return None
    corners = found["surface_low"], found["surface_high"]
    if any(corner.shape != (2,) for corner in corners) or not all(np.isfinite(part).all() for part in found.values()):
        return None
    low, high = (corner.astype(np.float64) for corner in corners)
    return {"scores": found["surface"].astype(np.float64), "low": low, "high": high} if (high > low).all() else None


def _latent(found: Mapping[str, NDArray[Any]], count: int) -> tuple[str, NDArray[Any], NDArray[Any]] | None:
    """The latent means themselves where there are two, else their principal components."""
    rows = found.get("mu_rows", np.empty(0, dtype=int))
    for name, title in (("mu", "latent means"), ("mu_pca", "latent means, PCA")):
        if name in found and _fits(found[name], rows, count):
            return title, found[name], rows
    return None


def _fits(points: NDArray[Any], rows: NDArray[Any], count: int) -> bool:
    """Whether each point belongs to a test row."""
    whole = points.shape == (len(rows), 2) and len(rows) > 0 and bool(np.isfinite(points).all())
    return whole and int(rows.min()) >= 0 and int(rows.max()) < count


def latent_space(record: Mapping[str, Any], shelf: Shelf) -> Plain | None:
    """Latent means by PCA and t-SNE, with class and score."""
    scored = shelf.scores(record)
    found = shelf.load(record, "mu_pca", "mu_tsne", "mu_rows")
    if scored is None or "mu_rows" not in found:
        return None
    scores, anomalous = scored
    rows = found["mu_rows"]
    views = {
        title: found[name]
        for title, name in (("PCA", "mu_pca"), ("t-SNE", "mu_tsne"))
        if name in found and _fits(found[name], rows, len(scores))
    }
    return {"views": views, "anomalous": anomalous[rows], "scores": scores[rows]} if views else None


def top_images(record: Mapping[str, Any], shelf: Shelf) -> Plain | None:
    """The highest-scoring test images and their reconstructions; None for rows that are no images."""
    shape = mapping(record.get("data")).get("image_shape")
    found = shelf.load(record, "top_rows", "top_inputs", "top_reconstructions", "y_test")
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(side) is int and side > 0 for side in shape):
        return None
    if len(found) < 4 or found["top_inputs"].shape != found["top_reconstructions"].shape:
        return None
    inputs, outputs = found["top_inputs"].astype(float), found["top_reconstructions"].astype(float)
    rows, labels = found["top_rows"], found["y_test"]
    images = inputs.ndim == 2 and len(inputs) > 0 and inputs.shape[1] == shape[0] * shape[1]
    if not images or len(rows) != len(inputs) or rows.max() >= len(labels):
        return None
    return {"shape": shape, "inputs": inputs, "outputs": outputs, "anomalous": labels[rows] == 1}
