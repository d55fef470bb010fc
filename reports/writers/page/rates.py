"""What is drawn of speed: bars with intervals, the roofline, curves over batch size and over rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.figures.palette import INK, backend_colour, colour, in_order
from reports.sections.columns import threads, varying, written
from reports.surveys import held, mapping, number
from reports.tables.frames import Row, rows, split
from reports.tables.speed import Curve, Curves, batch_curves, scale_curves
from reports.writers.escape import clean
from reports.writers.page.pictures import DASHES, rounded

MOST_BARS = 48
"""Of one data set."""
MOST_DATASETS = 24
MOST_POINTS = 400
"""Of the roofline."""
MOST_CURVES = 8
"""Groups of curves over batch, and over rows."""
MOST_LINES = 16

VALUE_BYTES = 4
STEP_TRANSFERS = 10
"""How often a training step has to move one weight at least: read for the forward and the backward pass, its gradient
written; weight, gradient and Adam's two moments read and the first and the moments written."""

Records = Sequence[Mapping[str, Any]]
Plain = dict[str, Any]


def bars(throughput: pd.DataFrame) -> list[Plain]:
    """For each data set the rates of training and scoring, the networks' before the others'."""
    found: list[Plain] = []
    for (environment, dataset), part in split(throughput, ["environment", "dataset"]):
        if len(found) == MOST_DATASETS:
            break
        telling = [*varying(rows(part), ["detector"]), *varying(rows(part[part["backend"] != ""]))]
        order = in_order(part["backend"])
        body = [row for backend in order for row in rows(part[part["backend"] == backend])]
        body.sort(key=lambda row: (not row["backend"], row["detector"]))
        found.append(
            {
                "name": _titled(dataset, environment),
                "bars": [_bar(row, telling) for row in body[:MOST_BARS]],
                "left_out": max(0, len(body) - MOST_BARS),
            }
        )
    return found


def _titled(dataset: str, environment: str) -> str:
    return clean(dataset) + (f" · environment {environment}" if environment else "")


def _bar(row: Row, telling: Sequence[str]) -> Plain:
    found = colour(row["detector"], row["backend"])
    return {
        "label": _label(row, telling if row["backend"] else ("detector", "variant")),
        "colour": "ink" if found == INK else found,
        "network": bool(row["backend"]),
        **{f"{kind}{part}": rounded(row[f"{kind}{part}"]) for kind in ("train", "scoring") for part in _PARTS},
    }


_PARTS = ("", "_low", "_high")


def _label(row: Row, telling: Sequence[str]) -> str:
    """``vae · torch · tuned``, or ``torch · tuned`` where there is but one detector."""
    first = [row["detector"]] if "detector" in telling else []
    rest = written(row, [key for key in telling if key != "detector"])
    return " · ".join(clean(part) for part in (*first, row["backend"], rest) if part)


# ---------------------------------------------------------------------------------------------------------- roofline


def rooflines(throughput: pd.DataFrame, trials: pd.DataFrame, records: Records) -> list[Plain]:
    """One for each environment and device whose large products and copying were measured.

    A point is a scenario: the operations a second that its matrix products come to, over the operations for each byte
    that a training step cannot help but move: its batch of rows once, and each weight ``STEP_TRANSFERS`` times.
    """
    known = throughput[(throughput["backend"] != "") & (throughput["train"] > 0)]
    last = trials[(trials["status"] == "ok") & trials["limit"].notna()].drop_duplicates(
        ["environment", "scenario"], keep="last"
    )
    positions = dict(zip(zip(last["environment"], last["scenario"], strict=True), last["position"], strict=True))
    groups: dict[tuple[str, str], list[tuple[Row, Mapping[str, Any], Mapping[str, Any]]]] = {}
    for row in rows(known):
        place = positions.get((row["environment"], row["scenario"]))
        if place is not None:
            record = records[place]
            limit, data = mapping(held(record, "limits")), mapping(held(record, "data"))
            groups.setdefault((row["environment"], row["device"]), []).append((row, limit, data))
    found = []
    for (environment, device), members in groups.items():
        telling = varying((row for row, _, _ in members), ("dataset", "mode", "threads", "arithmetic", "batch"))
        points = [point for row, limit, data in members if (point := _point(row, limit, data, telling))]
        peak, copy = (max((number(m[1].get(key)) for m in members), default=math.nan, key=_known) for key in _ROOFS)
        if points and peak > 0 and copy > 0:
            found.append(
                {
                    "name": _titled(device, environment),
                    "peak": rounded(peak),
                    "copy": rounded(copy),
                    "points": points[:MOST_POINTS],
                    "left_out": max(0, len(points) - MOST_POINTS),
                }
            )
    return found


_ROOFS = ("matmul_flops_per_second", "copy_bytes_per_second")


def _known(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _point(
    row: Row, limit: Mapping[str, Any], data: Mapping[str, Any], telling: Sequence[str]
) -> dict[str, Any] | None:
    flops, features = number(limit.get("flops_per_sample")), number(data.get("features"))
    if not (flops > 0 and features > 0 and row["batch"] > 0):
        return None
    weights = flops / 6  # two operations a weight in each of three products (of the first layer, two)
    moved = VALUE_BYTES * (features + STEP_TRANSFERS * weights / row["batch"])
    return {
        "label": " · ".join(filter(None, [clean(row["detector"]), clean(row["backend"]), clean(_told(row, telling))])),
        "colour": backend_colour(row["backend"]),
        "mode": clean(row["mode"]),
        "x": rounded(flops / moved),
        "y": rounded(flops * row["train"]),
        "products": rounded(flops * row["limit"]),
        "fraction": rounded(row["fraction"], 3),
    }


def _told(row: Row, telling: Sequence[str]) -> str:
    """``kdd99 · tuned · 2 threads``"""
    first = [row["dataset"]] if "dataset" in telling else []
    return " · ".join([*first, written(row, [key for key in telling if key != "dataset"])]).strip(" ·")


# ------------------------------------------------------------------------------------------------------------- curves


def over_batch(throughput: pd.DataFrame) -> list[Plain]:
    """Training samples/s over the batch size."""
    return [_curves(curves, "train") for curves in batch_curves(throughput)[:MOST_CURVES]]


def over_rows(throughput: pd.DataFrame) -> list[Plain]:
    """Training samples/s over the number of training rows."""
    return [_curves(curves, "train") for curves in scale_curves(throughput)[:MOST_CURVES]]


def _curves(curves: Curves, key: str) -> Plain:
    telling = varying((c.shared for c in curves.curves), ("detector", "mode", "arithmetic", "batch", "variant"))
    modes = list(dict.fromkeys(c.shared["mode"] for c in curves.curves))
    parts = [_titled(curves.dataset, curves.environment), clean(curves.device), threads(curves.threads)]
    if "detector" not in telling:
        parts.insert(1, clean(curves.curves[0].shared["detector"]))
    if "variant" not in telling and (variant := clean(curves.curves[0].shared["variant"])):
        parts.append(variant)
    return {
        "name": " · ".join(parts),
        "lines": [_line(c, telling, modes, key) for c in curves.curves[:MOST_LINES]],
        "limit": _limit(curves.curves),
    }


def _line(curve: Curve, telling: Sequence[str], modes: Sequence[str], key: str) -> Plain:
    row = curve.shared
    label = " · ".join(filter(None, [clean(row["backend"]) or clean(row["detector"]), clean(written(row, telling))]))
    found = colour(row["detector"], row["backend"])
    return {
        "label": label,
        "colour": "ink" if found == INK else found,
        "dash": list(DASHES.values())[modes.index(row["mode"]) % len(DASHES)],
        "x": curve.values,
        **{part or "y": [rounded(point[f"{key}{part}"]) for point in curve.points] for part in _PARTS},
    }


def _limit(curves: Sequence[Curve]) -> list[list[float]]:
    """The highest limit at each place."""
    found: dict[float, float] = {}
    for curve in curves:
        for place, row in zip(curve.values, curve.points, strict=True):
            if math.isfinite(row["limit"]):
                found[place] = max(row["limit"], found.get(place, 0.0))
    return [[place, float(f"{found[place]:.5g}")] for place in sorted(found)]
