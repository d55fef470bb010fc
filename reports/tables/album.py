"""What a screen shows of one data set, as plain data: scores under every threshold, the latent space, top anomalies.

A row of the quality table has the pictures of one trial, that of its lowest seed and first round; losses are those of
all its trials.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import numbers
from reports.arrays import DECISION, Shelf
from reports.blocks import clean
from reports.palette import DASHES, screen_colour
from reports.surveys import mapping, number
from reports.tables import counts, planes
from reports.tables.counts import Arrays
from reports.tables.curves import Series, all_rounded, histogram, losses, roc_curve, rounded
from reports.tables.equality import as_text
from reports.tables.learned import as_json, learned

MOST_SHOWN = 24
"""Rows of one data set that get pictures, the best first."""
MOST_PICTURED = 24
"""Rows of a whole report that show single test rows: they are what takes most room."""
MOST_OTHERS = 48
"""Further scores of networks, of a whole report, that a threshold can be moved on."""
MOST_POINTS = 1_000
"""Test rows in one picture of a latent space."""
MOST_PIXELS = 4_096
"""Of one image of a top anomaly."""

Plain = dict[str, Any]


class Album:
    """Collects pictures data set by data set, and keeps count of what they show."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.pictured = self.others = 0

    def of(self, found: Sequence[Series]) -> Plain:
        """The series of one data set, a row of the quality table each."""
        shown = [self._series(one) for one in found[:MOST_SHOWN]]
        return {"series": shown, "left_out": max(0, len(found) - MOST_SHOWN)}

    def _series(self, one: Series) -> Plain:
        first = one.first
        known: Plain = {
            "label": one.label,
            "colour": screen_colour(one.colour),
            "dash": DASHES[one.style],
            "auc": rounded(one.auc, 4),
            "ap": rounded(one.ap, 4),
            "seed": rounded(number(first.get("seed")), 12),
        }
        kind = first.get("score")
        keys = ["y_test", f"score.{kind if isinstance(kind, str) else DECISION}"]
        others = self._others(first)
        keys += [f"score.{as_text(entry.get('score'))}" for entry in others]
        single = self.pictured < MOST_PICTURED
        arrays = self.shelf.load(first, *keys, *(PICTURES if single else ()))
        further = []
        for entry, key in zip(others, keys[2:], strict=True):
            if counted := _counts(entry, arrays, key):
                further.append({"kind": clean(entry.get("score")), "histogram": _histogram(entry), "counts": counted})
        found = {
            "curve": _curve(first),
            "histogram": _histogram(first, self.shelf),
            "counts": _counts(first, arrays, keys[1]),
            "others": further,
            "loss": _losses(one.records, "loss"),
            "validation": _losses(one.records, "validation_loss"),
            "top": _top(first),
            "images": _images(first, arrays),
            "latent": _latent(arrays, keys[1]),
            "surface": _surface(first, self.shelf) if single else None,
            "learned": _learned(first, self.shelf) if single else None,
        }
        self.pictured += bool(found["latent"] or found["images"])
        self.others += len(further)
        return known | {key: value for key, value in found.items() if value}

    def _others(self, record: Mapping[str, Any]) -> list[Plain]:
        """What the record says of its further scores, as far as there is room."""
        listed = record.get("other_scores")
        known = [mapping(entry) for entry in (listed if isinstance(listed, list) else [])]
        return known[: MOST_OTHERS - self.others]


PICTURES = ("X_plane", "mu", "mu_pca", "mu_tsne", "mu_rows", "top_rows", "top_inputs", "top_reconstructions")


# ------------------------------------------------------------------------------------------------- curves and scores


def _curve(record: Mapping[str, Any]) -> Plain | None:
    """The ROC curve that the record has, with the numbers of rows that a precision needs."""
    curve, data = roc_curve(record), mapping(record.get("data"))
    if curve is None:
        return None
    anomalies, tested = number(data.get("anomalies")), number(data.get("test_rows"))
    size = {"anomalies": int(anomalies), "rows": int(tested)} if 0 < anomalies < tested else {}
    return {"fpr": all_rounded(curve[0]), "tpr": all_rounded(curve[1]), **size}


def _histogram(record: Mapping[str, Any], shelf: Shelf | None = None) -> Plain | None:
    found = histogram(record, shelf)
    return found and found | {"edges": all_rounded(found["edges"], 5)}


def _losses(records: Sequence[Mapping[str, Any]], key: str) -> Plain | None:
    found = losses(records, key)
    return found and {name: values if name == "epoch" else all_rounded(values) for name, values in found.items()}


def _counts(record: Mapping[str, Any], arrays: Arrays, key: str) -> Plain | None:
    known = counts.labelled(arrays, key)
    if known is None:
        return None
    listed = record.get("thresholds")
    marks: list[Plain] = []
    for entry in map(mapping, listed if isinstance(listed, list) else []):
        value = number(mapping(entry.get("metrics")).get("threshold"))
        if math.isfinite(value):
            rule = clean(entry.get("rule") or "threshold") + (" (oracle)" if entry.get("oracle") is True else "")
            marks.append({"rule": rule, "threshold": value})
    return counts.as_json(counts.count(*known, [mark["threshold"] for mark in marks]), marks)


# -------------------------------------------------------------------------------------------------------- single rows


def _latent(arrays: Arrays, key: str) -> Plain | None:
    """Where test rows lie in the latent space or in the plane, with class and score."""
    known = counts.labelled(arrays, key)
    if known is None:
        return None
    scores, anomalies = known
    chosen = arrays.get("mu_rows", np.arange(min(len(scores), MOST_POINTS)))
    if chosen.ndim != 1 or not len(chosen) or chosen.min() < 0 or chosen.max() >= len(scores):
        return None
    shown = np.unique(np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_POINTS)).round().astype(int))
    chosen = chosen[shown]
    views: Plain = {}
    plane = arrays.get("X_plane")
    if plane is not None and plane.shape == (len(scores), 2) and np.isfinite(plane).all():
        views["the data"] = [all_rounded(plane[chosen, axis]) for axis in (0, 1)]
    mu = arrays.get("mu")
    planes = {
        "latent means": mu if mu is not None and mu.ndim == 2 and mu.shape[1] == 2 else None,
        "principal components": arrays.get("mu_pca"),
        "t-SNE": arrays.get("mu_tsne"),
    }
    for name, plane in planes.items():
        if plane is not None and plane.shape == (len(arrays.get("mu_rows", ())), 2) and np.isfinite(plane).all():
            views[name] = [all_rounded(plane[shown, axis]) for axis in (0, 1)]
    if not views:
        return None
    return {
        "views": views,
        "row": chosen.tolist(),
        "anomaly": anomalies[chosen].astype(int).tolist(),
        "score": all_rounded(scores[chosen]),
    }


def _surface(record: Mapping[str, Any], shelf: Shelf) -> Plain | None:
    """The decision surface, a byte a place: the rank of its score among all of them; and the threshold's rank."""
    found, threshold = planes.surface(record, shelf), number(mapping(record.get("metrics")).get("threshold"))
    if found is None or not math.isfinite(threshold):
        return None
    scores = found["scores"]
    ordered = np.sort(scores.ravel())
    ranks = np.searchsorted(ordered, scores, side="right") / scores.size
    return {
        "low": all_rounded(found["low"]),
        "high": all_rounded(found["high"]),
        "width": scores.shape[1],
        "height": scores.shape[0],
        "ranks": base64.b64encode((255 * ranks).round().astype(np.uint8).tobytes()).decode(),
        "flagged": base64.b64encode((scores > threshold).astype(np.uint8).tobytes()).decode(),
    }


def _learned(record: Mapping[str, Any], shelf: Shelf) -> list[Plain] | None:
    found = learned(record, shelf)
    return as_json(found) if found else None


def _top(record: Mapping[str, Any]) -> list[Plain] | None:
    """The rows that score highest, each with the features that explain its score."""
    listed = record.get("top_anomalies")
    found = []
    for entry in map(mapping, listed if isinstance(listed, list) else []):
        features = entry.get("features")
        found.append(
            {
                "row": rounded(number(entry.get("row")), 12),
                "score": numbers.significant(number(entry.get("score")), 4),
                "anomaly": entry.get("anomaly") is True,
                "features": list(map(_feature, map(mapping, features if isinstance(features, list) else []))),
            }
        )
    return found or None


def _feature(feature: Mapping[str, Any]) -> Plain:
    return {
        "name": clean(feature.get("name")),
        "share": rounded(number(feature.get("share")), 3),
        "value": numbers.significant(number(feature.get("value"))),
        "reconstruction": numbers.significant(number(feature.get("reconstruction"))),
    }


def _images(record: Mapping[str, Any], arrays: Arrays) -> Plain | None:
    """The top rows of an image data set and their reconstructions, a byte a pixel."""
    shape = mapping(record.get("data")).get("image_shape")
    inputs, outputs = arrays.get("top_inputs"), arrays.get("top_reconstructions")
    labels, places = arrays.get("y_test"), arrays.get("top_rows")
    if inputs is None or outputs is None or labels is None or places is None or inputs.ndim != 2:
        return None
    if not (isinstance(shape, list) and len(shape) == 2 and all(type(side) is int and side > 0 for side in shape)):
        return None
    height, width = shape
    fits = inputs.shape == outputs.shape == (len(places), height * width) and height * width <= MOST_PIXELS
    if not fits or not (np.isfinite(inputs).all() and np.isfinite(outputs).all()):
        return None
    if not len(places) or places.min() < 0 or places.max() >= len(labels):
        return None
    low, high = float(inputs.min()), float(inputs.max())
    return {
        "width": width,
        "height": height,
        "rows": places.tolist(),
        "anomaly": [bool(label) for label in labels[places]],
        "inputs": [_pixels(image, low, high) for image in inputs],
        "outputs": [_pixels(image, low, high) for image in outputs],
    }


def _pixels(image: NDArray[Any], low: float, high: float) -> str:
    scaled = (image - low) / (high - low if high > low else 1.0)
    return base64.b64encode((255 * scaled.clip(0, 1)).round().astype(np.uint8).tobytes()).decode()
