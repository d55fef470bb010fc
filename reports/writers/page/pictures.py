"""What is drawn of one data set: curves, scores under every threshold, losses, the latent space, the top anomalies.

A row of the quality table has the pictures of one trial, that of its lowest seed and first round; losses are those of
all its trials.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports import numbers
from reports.arrays import Shelf
from reports.figures.palette import INK, LINE_STYLES, colour
from reports.sections.columns import varying, written
from reports.sections.verification import as_text
from reports.surveys import held, mapping, number
from reports.surveys import numbers as finite
from reports.tables import counts
from reports.tables.counts import Arrays
from reports.tables.frames import ROW, Row, rows
from reports.writers.escape import clean

MOST_SERIES = 24
"""Rows of one data set that get pictures, the best first."""
MOST_PICTURED = 24
"""Rows of a whole report that show single test rows: they are what takes most room."""
MOST_OTHERS = 48
"""Further scores of networks, of a whole report, that a threshold can be moved on."""
MOST_POINTS = 1_000
"""Test rows in one picture of a latent space."""
MOST_EPOCHS = 300
"""Epochs of a loss curve; a longer one is thinned evenly."""
MOST_TRIALS = 50
"""Trials of a scenario that its losses are taken over."""
MOST_PIXELS = 4_096
"""Of one image of a top anomaly."""

DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}

Records = Sequence[Mapping[str, Any]]
Plain = dict[str, Any]


class Album:
    """Collects pictures data set by data set, and keeps count of what they show.

    Parameters
    ----------
    trials : DataFrame
        Of ``tables.trials``.
    records : sequence of mappings
    shelf : Shelf
        Where the arrays of the records lie.
    """

    def __init__(self, trials: pd.DataFrame, records: Records, shelf: Shelf) -> None:
        finished = trials[trials["status"] == "ok"].sort_values(["seed", "round"], kind="stable")
        self.positions: dict[Any, list[int]] = finished.groupby(ROW, sort=False)["position"].agg(list).to_dict()
        self.records, self.shelf = records, shelf
        self.pictured = self.others = 0

    def of(self, part: pd.DataFrame) -> list[Plain]:
        """The series of one data set, a row of the quality table each."""
        shown = part.iloc[:MOST_SERIES]
        telling = varying(rows(part[part["backend"] != ""]))
        return [self._series(row, telling) for row in rows(shown)]

    def _series(self, row: Row, telling: Sequence[str]) -> Plain:
        own = [self.records[i] for i in self.positions[tuple(row[key] for key in ROW)][:MOST_TRIALS]]
        first = own[0]
        setting = written(row, telling) if row["backend"] else row["variant"]
        label = " · ".join(clean(part) for part in (row["detector"], row["backend"], setting) if part)
        series: Plain = {
            "label": label,
            "colour": _colour(row["detector"], row["backend"]),
            "dash": DASHES[LINE_STYLES.get(row["detector"], "-")],
            "auc": rounded(row["roc_auc"], 4),
            "ap": rounded(row["average_precision"], 4),
            "seed": rounded(number(first.get("seed")), 12),
        }
        kind = first.get("score")
        keys = ["y_test", f"score.{kind if isinstance(kind, str) else 'decision'}"]
        wanted = self.pictured < MOST_PICTURED
        others = self._others(first)
        keys += [f"score.{as_text(entry.get('score'))}" for entry in others]
        arrays = self.shelf.load(first, *keys, *(PICTURES if wanted else ()))
        found = {
            "curve": _curve(first),
            "histogram": _histogram(first),
            "counts": _counts(first, arrays, keys[1]),
            "others": [
                {"kind": clean(entry.get("score")), "histogram": _histogram(entry), "counts": known}
                for entry, key in zip(others, keys[2:], strict=True)
                if (known := _counts(entry, arrays, key))
            ],
            "loss": _losses(own, "loss"),
            "validation": _losses(own, "validation_loss"),
            "top": _top(first),
            "images": _images(first, arrays),
            "latent": _latent(arrays, keys[1]),
        }
        self.pictured += bool(found["latent"] or found["images"])
        self.others += len(found["others"] or ())
        return series | {key: value for key, value in found.items() if value}

    def _others(self, record: Mapping[str, Any]) -> list[Plain]:
        """What the record says of its further scores, as far as there is room."""
        listed = held(record, "other_scores")
        known = [mapping(entry) for entry in (listed if isinstance(listed, list) else [])]
        return known[: MOST_OTHERS - self.others]


PICTURES = ("X_plane", "mu", "mu_pca", "mu_tsne", "mu_rows", "top_rows", "top_inputs", "top_reconstructions")


def _colour(detector: str, backend: str) -> str:
    found = colour(detector, backend)
    return "ink" if found == INK else found


def rounded(value: float, digits: int = 5) -> float | None:
    """So many significant digits; None, which JSON has, for what is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _rounded(values: NDArray[Any], digits: int = 4) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values.astype(float).tolist()]


# ------------------------------------------------------------------------------------------------- curves and scores


def _curve(record: Mapping[str, Any]) -> Plain | None:
    """The ROC curve that the record has, with the numbers of rows that a precision needs."""
    curve, data = mapping(held(record, "roc_curve")), mapping(held(record, "data"))
    fpr, tpr = finite(curve.get("fpr")), finite(curve.get("tpr"))
    if len(fpr) != len(tpr) or len(fpr) < 2:
        return None
    anomalies, tested = number(data.get("anomalies")), number(data.get("test_rows"))
    known = 0 < anomalies < tested
    size = {"anomalies": int(anomalies), "rows": int(tested)} if known else {}
    return {"fpr": _rounded(np.array(fpr)), "tpr": _rounded(np.array(tpr)), **size}


def _histogram(record: Mapping[str, Any]) -> Plain | None:
    found = mapping(held(record, "histogram"))
    edges, normal, anomaly = (finite(found.get(key)) for key in ("edges", "normal", "anomaly"))
    if not len(edges) - 1 == len(normal) == len(anomaly) > 0:
        return None
    return {"edges": _rounded(np.array(edges), 5), "normal": normal, "anomaly": anomaly}


def _counts(record: Mapping[str, Any], arrays: Arrays, key: str) -> Plain | None:
    known = counts.labelled(arrays, key)
    if known is None:
        return None
    listed = held(record, "thresholds")
    marks: list[Plain] = []
    for entry in map(mapping, listed if isinstance(listed, list) else []):
        value = number(mapping(entry.get("metrics")).get("threshold"))
        if math.isfinite(value):
            rule = clean(entry.get("rule") or "threshold") + (" (oracle)" if entry.get("oracle") is True else "")
            marks.append({"rule": rule, "threshold": value})
    return counts.as_json(counts.count(*known, [mark["threshold"] for mark in marks]), marks)


# ------------------------------------------------------------------------------------------------------------- losses


def _losses(records: Records, key: str) -> Plain | None:
    """Epochs, and the mean, the lowest and the highest loss over the trials at each."""
    curves = [c for record in records if len(c := finite(held(record, key))) > 1]
    if not curves:
        return None
    length = min(map(len, curves))
    stacked = np.array([curve[:length] for curve in curves])
    kept = np.unique(np.linspace(0, length - 1, min(length, MOST_EPOCHS)).round().astype(int))
    found: Plain = {"epoch": (kept + 1).tolist(), "mean": _rounded(stacked.mean(axis=0)[kept])}
    if len(curves) > 1:
        found |= {"low": _rounded(stacked.min(axis=0)[kept]), "high": _rounded(stacked.max(axis=0)[kept])}
    return found


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
    mu = arrays.get("mu")
    planes = {
        "latent means": mu if mu is not None and mu.ndim == 2 and mu.shape[1] == 2 else None,
        "principal components": arrays.get("mu_pca"),
        "t-SNE": arrays.get("mu_tsne"),
    }
    for name, plane in planes.items():
        if plane is not None and plane.shape == (len(arrays.get("mu_rows", ())), 2) and np.isfinite(plane).all():
            views[name] = [_rounded(plane[shown, axis]) for axis in (0, 1)]
    plane = arrays.get("X_plane")
    if plane is not None and plane.shape == (len(scores), 2) and np.isfinite(plane).all():
        views["the data"] = [_rounded(plane[chosen, axis]) for axis in (0, 1)]
    if not views:
        return None
    return {
        "views": views,
        "row": chosen.tolist(),
        "anomaly": anomalies[chosen].astype(int).tolist(),
        "score": _rounded(scores[chosen]),
    }


def _top(record: Mapping[str, Any]) -> list[Plain] | None:
    """The rows that score highest, each with the features that explain its score."""
    listed = held(record, "top_anomalies")
    found = []
    for entry in map(mapping, listed if isinstance(listed, list) else []):
        features = entry.get("features")
        found.append(
            {
                "row": rounded(number(entry.get("row")), 12),
                "score": numbers.significant(number(entry.get("score")), 4),
                "anomaly": entry.get("anomaly") is True,
                "features": [
                    {
                        "name": clean(feature.get("name")),
                        "share": rounded(number(feature.get("share")), 3),
                        "value": numbers.significant(number(feature.get("value"))),
                        "reconstruction": numbers.significant(number(feature.get("reconstruction"))),
                    }
                    for feature in map(mapping, features if isinstance(features, list) else [])
                ],
            }
        )
    return found or None


def _images(record: Mapping[str, Any], arrays: Arrays) -> Plain | None:
    """The top rows of an image data set and their reconstructions, a byte a pixel."""
    shape = mapping(held(record, "data")).get("image_shape")
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
