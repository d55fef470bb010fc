"""What is drawn of one data set, as plain data: ROC curves, histograms of scores, losses. Paper and screen share it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports import palette
from reports.arrays import Shelf
from reports.blocks import clean
from reports.surveys import mapping, number
from reports.surveys import numbers as finite
from reports.tables.frames import ROW, Row, rows
from reports.tables.material import Material
from reports.tables.settings import networks, told, varying

Records = Sequence[Mapping[str, Any]]
Array = NDArray[np.float64]
Plain = dict[str, Any]

MOST_TRIALS = 50
"""Trials of a scenario that its curves are averaged over: more change no line that one could see."""
MOST_SERIES = 16
"""Rows of one data set that a figure on paper shows."""
MOST_PANELS = 9
MOST_EPOCHS = 300
"""Epochs of a loss curve; a longer one is thinned evenly."""
_MOST_BANDS, _BAND_TRIALS, _BAND_ROWS = 3, 3, 20_000
_SQUEEZED = 3
"""Bars that hold nearly all rows where an axis of equal steps shows no more than these."""


@dataclass(frozen=True)
class Series:
    """One row of the quality table with the records of its finished trials, by seed and round."""

    detector: str
    backend: str
    setting: str
    """Mode, device and variant where they tell rows apart; otherwise empty."""
    auc: float
    ap: float
    records: list[Mapping[str, Any]]

    @property
    def first(self) -> Mapping[str, Any]:
        return self.records[0]

    @property
    def short(self) -> str:
        return " · ".join(filter(None, map(clean, (self.detector, self.backend))))

    @property
    def label(self) -> str:
        return " · ".join(filter(None, [self.short, clean(self.setting)]))

    @property
    def colour(self) -> str:
        return palette.colour(self.detector, self.backend)

    @property
    def style(self) -> str:
        return palette.LINE_STYLES.get(self.detector, "-")


def series(material: Material, block: pd.DataFrame) -> list[Series]:
    """One for each row of a data set's part of ``quality``, in its order."""
    body = rows(block[block["primary"].astype(bool)])
    telling = varying(networks(body))
    environment, dataset = body[0]["environment"], body[0]["dataset"]
    finished = material.finished[environment, dataset].sort_values(["seed", "round"], kind="stable")
    places = finished.groupby(ROW, sort=False)["position"].agg(list).to_dict()
    return [_series(row, telling, places[tuple(row[key] for key in ROW)], material.records) for row in body]


def _series(row: Row, telling: Sequence[str], places: Sequence[int], records: Records) -> Series:
    return Series(
        detector=row["detector"],
        backend=row["backend"],
        setting=told(row, telling) if row["backend"] else row["variant"],
        auc=row["roc_auc"],
        ap=row["average_precision"],
        records=[records[place] for place in places[:MOST_TRIALS]],
    )


def best(found: Sequence[Series], key: Callable[[Series], object], what: str) -> tuple[list[Series], str]:
    """The first of each kind, at most ``MOST_SERIES``, those of other detectors before a detector's others; and words
    that say so where some are left out."""
    kinds: dict[object, Series] = {}
    for one in found:
        kinds.setdefault(key(one), one)
    firsts = list(kinds.values())
    detectors = [one.detector for one in firsts]
    again = [one.detector in detectors[:place] for place, one in enumerate(firsts)]
    places = sorted(range(len(firsts)), key=lambda place: (again[place], place))[:MOST_SERIES]
    left_out = f" Shown are {len(places)} of {len(found)}, the best of each {what}." if len(places) < len(found) else ""
    return [firsts[place] for place in sorted(places)], left_out


def chosen(found: Sequence[Series]) -> tuple[list[Series], str]:
    """At most ``MOST_SERIES``: where there are more, the best of each detector and backend, and words that say so."""
    if len(found) <= MOST_SERIES:
        return list(found), ""
    return best(found, lambda one: (one.detector, one.backend), "detector and backend")


# ----------------------------------------------------------------------------------------------------------------- ROC


def roc_curve(record: Mapping[str, Any]) -> tuple[Array, Array] | None:
    """False and true positive rates, where both are whole."""
    curve = mapping(record.get("roc_curve"))
    fpr, tpr = finite(curve.get("fpr")), finite(curve.get("tpr"))
    return (np.array(fpr), np.array(tpr)) if len(fpr) == len(tpr) > 1 else None


def mean_curve(curves: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Vertical averaging (Fawcett 2006, Pattern Recognition Letters 27:861, algorithm 3)."""
    if len(curves) == 1:
        return curves[0]
    grid = np.linspace(0.0, 1.0, 201)
    return np.r_[0.0, grid], np.r_[0.0, np.mean([np.interp(grid, fpr, tpr) for fpr, tpr in curves], axis=0)]


def roc(found: Sequence[Series], shelf: Shelf) -> tuple[list[Plain], str]:
    """A curve for each series, and words about those left out. ``scored`` are the scores and labels that its band is
    drawn from: of the best row of each of the best detectors, where rows are few enough for a band to be seen."""
    curves = {id(one): [curve for r in one.records if (curve := roc_curve(r)) is not None] for one in found}
    shown, left_out = chosen([one for one in found if curves[id(one)]])
    order = palette.in_order(one.backend for one in shown)
    banded: dict[str, Series] = {}
    for one in sorted(shown, key=lambda one: -one.auc):
        banded.setdefault(one.detector, one)
    lines = []
    for one in shown:
        wanted = one in list(banded.values())[:_MOST_BANDS]
        scored = [shelf.scores(record) for record in one.records[:_BAND_TRIALS]] if wanted else []
        place = order.index(one.backend)
        lines.append(
            {
                "label": one.label,
                "auc": one.auc,
                "colour": one.colour,
                "style": one.style,
                "above": 0.1 * place,
                "wider": 0.7 * (len(order) - 1 - place) if one.backend else 0.0,
                "curve": mean_curve(curves[id(one)]),
                "scored": [pair for pair in scored if pair is not None and len(pair[0]) <= _BAND_ROWS],
            }
        )
    return lines, left_out


# -------------------------------------------------------------------------------------------------------------- scores


def histogram(record: Mapping[str, Any], shelf: Shelf | None = None) -> Plain | None:
    """Counts of normal rows and anomalies between edges, and the ``axis`` that shows them.

    ``log`` where nearly all rows, or nearly all normal ones, would stand in ``_SQUEEZED`` bars of a linear one and no
    score is below zero: with bars of equal widths on that axis where the scores themselves were kept. ``clipped`` where
    nearly all rows would, and some score is below zero: then the axis ends where 99 % of the rows do, and ``beyond``
    counts the others. Else ``linear``.
    """
    known = mapping(record.get("histogram"))
    edges, normal, anomaly = (finite(known.get(key)) for key in ("edges", "normal", "anomaly"))
    if not len(edges) - 1 == len(normal) == len(anomaly) > 0:
        return None
    every = np.add(normal, anomaly)
    squeezed = _squeezed(every)
    if edges[0] > 0 and (squeezed or _squeezed(np.array(normal))):
        scored = shelf.scores(record) if shelf is not None else None
        if scored is not None and scored[0].min() > 0:
            return _logarithmic(*scored)
        return {"edges": edges, "normal": normal, "anomaly": anomaly, "axis": "log", "beyond": 0}
    if not squeezed:
        return {"edges": edges, "normal": normal, "anomaly": anomaly, "axis": "linear", "beyond": 0}
    last = int(np.searchsorted(np.cumsum(every), 0.99 * every.sum())) + 1
    last = min(max(last, 2), len(normal))
    beyond = int(every[last:].sum())
    found = {"edges": edges[: last + 1], "normal": normal[:last], "anomaly": anomaly[:last]}
    return found | {"axis": "clipped" if beyond else "linear", "beyond": beyond}


def _squeezed(counts: NDArray[Any]) -> bool:
    """Whether so few bars hold 95 % of the rows that nothing can be seen of them."""
    total = float(counts.sum())
    return total > 0 and len(counts) > 4 * _SQUEEZED and float(np.sort(counts)[-_SQUEEZED:].sum()) >= 0.95 * total


def _logarithmic(scores: Array, labels: NDArray[np.bool_]) -> Plain:
    edges = np.geomspace(scores.min(), scores.max() * (1 + 1e-9), 41)
    normal, anomaly = (np.histogram(scores[kind], edges)[0].astype(float).tolist() for kind in (~labels, labels))
    return {"edges": edges.tolist(), "normal": normal, "anomaly": anomaly, "axis": "log", "beyond": 0}


AXES = {
    "log": "The scores have a logarithmic axis{}: on a linear one nearly all rows would stand in a few bars.",
    "clipped": "The axis of the scores is clipped{}: the {} rows beyond it are not shown.",
}
"""What a caption says of the axis, of one panel or of those named."""


def scores(found: Sequence[Series], shelf: Shelf) -> tuple[list[Plain], str]:
    """A panel for the best row of each detector, by its first trial, and words about those left out."""
    shown, left_out = best([one for one in found if histogram(one.first)], lambda one: one.detector, "detector")
    panels = []
    for one in shown:
        threshold = number(mapping(one.first.get("metrics")).get("threshold"))
        panels.append(
            (histogram(one.first, shelf) or {})
            | {"name": one.short, "setting": one.setting, "colour": one.colour, "threshold": threshold}
            | {"clipped": number(mapping(one.first.get("histogram")).get("clipped")) > 0}
        )
    return panels, left_out


# -------------------------------------------------------------------------------------------------------------- losses


def losses(records: Records, key: str) -> Plain | None:
    """Epochs, and the mean, the lowest and the highest loss over the trials at each."""
    curves = [curve for record in records if len(curve := finite(record.get(key))) > 1]
    if not curves:
        return None
    length = min(map(len, curves))
    stacked = np.array([curve[:length] for curve in curves])
    kept = np.unique(np.linspace(0, length - 1, min(length, MOST_EPOCHS)).round().astype(int))
    found: Plain = {"epoch": (kept + 1).tolist(), "mean": stacked.mean(axis=0)[kept].tolist()}
    if len(curves) > 1:
        found |= {"low": stacked.min(axis=0)[kept].tolist(), "high": stacked.max(axis=0)[kept].tolist()}
    return found


def loss_panels(found: Sequence[Series]) -> tuple[list[Plain], int]:
    """A panel for each detector and setting with its backends' curves, and how many panels there would be."""
    panels: dict[tuple[str, str], list[Plain]] = {}
    backends = palette.in_order(one.backend for one in found)
    for one in sorted(found, key=lambda one: backends.index(one.backend)):
        curves = {kind: losses(one.records, key) for kind, key in (("-", "loss"), ("--", "validation_loss"))}
        if one.backend and curves["-"]:
            line = {"backend": one.backend, "colour": one.colour, "curves": {k: c for k, c in curves.items() if c}}
            panels.setdefault((one.detector, one.setting), []).append(line)
    shown = sorted(panels)[:MOST_PANELS]
    return [{"name": " · ".join(filter(None, key)), "lines": panels[key]} for key in shown], len(panels)


def rounded(value: float, digits: int = 5) -> float | None:
    """So many significant digits; None, which JSON has, for what is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def all_rounded(values: Any, digits: int = 4) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in np.asarray(values).astype(float).tolist()]
