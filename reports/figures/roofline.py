"""The roofline (Williams et al. 2009): what a machine allows at an arithmetic intensity, and where training stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.figures import canvas
from reports.figures.palette import INK, backend_colour, in_order, tick, words
from reports.figures.pictures import Drawn
from reports.sections.columns import varying, written
from reports.surveys import held, mapping, number
from reports.tables.frames import ROW, Row, rows

Records = Sequence[Mapping[str, Any]]

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_MOST_LABELS = 7


def points(trials: pd.DataFrame, throughput: pd.DataFrame, records: Records) -> list[Row]:
    """One for each row of ``throughput`` whose limit and dense network are known.

    ``intensity`` is in floating-point operations a byte: those of a step's matrix products, over the bytes that a step
    cannot do without. These are the batch's rows once, and for every weight itself, its gradient and Adam's two
    moments, each read and written once, in float32. ``performance`` counts the products alone, a second.
    """
    timed = trials[(trials["status"] == "ok") & trials["timed"] & trials["limit"].notna()]
    first = timed.drop_duplicates(ROW).set_index(ROW)["position"].to_dict()
    found = []
    for row in rows(throughput):
        position = first.get(tuple(row[key] for key in ROW))
        if position is None:
            continue
        limit, settings, data = (mapping(held(records[position], key)) for key in ("limits", "settings", "data"))
        flops, features = number(limit.get("flops_per_sample")), number(data.get("features"))
        matmul, copy = (number(limit.get(f"{key}_per_second")) for key in ("matmul_flops", "copy_bytes"))
        hidden = settings.get("hidden")
        if not isinstance(hidden, list) or not hidden or settings.get("filters"):
            continue
        if not min(flops, features, matmul, copy, row["train"], row["batch"]) > 0:
            continue
        # a dense network has 6 operations a weight and sample, but the input's gradient is not asked for
        weights = (flops + 2 * features * number(hidden[0])) / 6
        traffic = 4 * (row["batch"] * features + 8 * weights)
        found.append(
            row
            | {
                "intensity": row["batch"] * flops / traffic,
                "performance": row["train"] * flops,
                "matmul": matmul,
                "copy": copy,
            }
        )
    return [row for row in found if math.isfinite(row["intensity"] * row["performance"])]


def draw(found: Sequence[Row]) -> Drawn | None:
    """All points of one environment under the highest roof of its devices and thread counts."""
    if not found:
        return None
    from matplotlib.ticker import FuncFormatter

    drawn = canvas.canvas(3.6)
    axes = drawn.subplots()
    roofs = sorted({(row["device"], row["threads"], row["matmul"], row["copy"]) for row in found})
    low = min(min(row["intensity"] for row in found), min(m / c for *_, m, c in roofs)) / 3
    high = max(max(row["intensity"] for row in found), max(m / c for *_, m, c in roofs)) * 3
    best: dict[tuple[str, int], tuple[float, float]] = {}
    for device, threads, matmul, copy in roofs:
        known = best.get((device, threads), (0.0, 0.0))
        best[device, threads] = max(known[0], matmul), max(known[1], copy)
    for (device, threads), (matmul, copy) in best.items():
        axes.plot([low, matmul / copy, high], [low * copy, matmul, matmul], color="#8A8A8A", linewidth=2, zorder=1)
        name = f"{device}, {threads} thread{'' if threads == 1 else 's'}" if len(best) > 1 else "large matrix products"
        axes.annotate(
            words(name), (high, matmul), xytext=(-4, 4), textcoords="offset points", ha="right", fontsize=8, color=INK
        )
    telling = varying(found, ("detector", "mode", "arithmetic", "batch", "variant"))
    kinds = list(dict.fromkeys((row["dataset"], *(row[key] for key in telling)) for row in found))
    labelled: dict[str, Any] = {}
    for backend in in_order(row["backend"] for row in found):
        labelled[words(backend)] = axes.scatter([], [], color=backend_colour(backend), s=30)
    for row in found:
        place = kinds.index((row["dataset"], *(row[key] for key in telling)))
        marker = _MARKERS[place % len(_MARKERS)]
        look: dict[str, Any] = {"marker": marker, "s": 34, "edgecolors": "white", "linewidths": 0.5}
        axes.scatter(row["intensity"], row["performance"], color=backend_colour(row["backend"]), zorder=3, **look)
        if place < _MOST_LABELS:
            text = " · ".join(filter(None, [row["dataset"], written(row, telling)]))
            labelled.setdefault(words(text, 44), axes.scatter([], [], color=INK, marker=marker, s=30))
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set(xlabel="arithmetic intensity, FLOP a byte", ylabel="FLOP/s in matrix products")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(tick))
    drawn.legend(
        handles=list(labelled.values()), labels=list(labelled), loc="outside right center", alignment="left", fontsize=8
    )
    hidden = f" {len(kinds) - _MOST_LABELS} more kinds of points have no label." if len(kinds) > _MOST_LABELS else ""
    return (
        drawn,
        "Roofline",
        (
            "Roofline of training. The slope is the bandwidth of copying, the level the rate of large matrix products, "
            "as measured in the same run. A point counts the products alone, over the bytes that a step of Adam cannot "
            "do without; data that stay in the caches may lie above the slope." + hidden
        ),
    )
