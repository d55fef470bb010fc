"""The figures of speed, prepared for paper and screen: rates, the roofline, throughput over batch size and rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from reports import palette
from reports.blocks import Block, Drawing, Figure, clean, words
from reports.sections.pictures import file_name, stems
from reports.tables import roofline as roofs
from reports.tables.curves import rounded
from reports.tables.frames import Row, rows, split
from reports.tables.material import MOST_DATASETS, Material
from reports.tables.settings import networks, threads, told, varying
from reports.tables.sweeps import MOST_CURVES, MOST_LINES, Curve, Curves

Plain = dict[str, Any]

MOST_BARS = 48
"""Of one data set."""
MOST_POINTS = 400
"""Of one roofline."""
_PARTS = ("", "_low", "_high")


def _titled(dataset: str, environment: str) -> str:
    return clean(dataset) + (f" · environment {environment}" if environment else "")


# ---------------------------------------------------------------------------------------------------------------- bars


def rates(part: pd.DataFrame, environment: str) -> list[Block]:
    """Bars of training and scoring rates: ``part`` are an environment's rows of ``throughput``."""
    every = [(dataset, _panel(rows(block))) for (dataset,), block in split(part, ["dataset"])]
    panels = [(dataset, bars) for dataset, bars in every if any(bar["network"] and bar["train"] for bar in bars)]
    if not panels:
        return []
    shown = panels[:MOST_DATASETS]
    caption = "Training throughput; longer is faster. Lines: 95 % intervals, where several trials allow one."
    if len(panels) > len(shown):
        caption += f" The first {len(shown)} of {len(panels)} data sets."
    print_ = [{"name": clean(d), "bars": [b for b in bars if b["network"] and b["train"]]} for d, bars in shown]
    alt = "Training throughput by backend"
    drawing = Drawing(file_name("throughput", environment), "throughput", alt, caption, print_)
    return [Figure("bars", [drawing], partial(_bars_on_screen, shown, environment), caption)]


def _panel(body: Sequence[Row]) -> list[Plain]:
    """The bars of one data set, the networks' before the others', by detector, settings and backend."""
    telling = varying(networks(body))
    order = palette.in_order(row["backend"] for row in body)

    def place(row: Row) -> tuple[Any, ...]:
        settings = [row[key] for key in telling] if row["backend"] else []
        return not row["backend"], row["detector"], settings, order.index(row["backend"])

    several = len({row["detector"] for row in body}) > 1
    return [_bar(row, telling if row["backend"] else ("variant",), several) for row in sorted(body, key=place)]


def _bar(row: Row, telling: Sequence[str], several: bool) -> Plain:
    setting = clean(told(row, telling))
    names = [row["detector"]] if several or not row["backend"] else []
    return {
        "label": " · ".join(filter(None, [*map(clean, (*names, row["backend"])), setting])),
        "detector": clean(row["detector"]),
        "setting": setting,
        "backend": row["backend"],
        "colour": palette.colour(row["detector"], row["backend"]),
        "network": bool(row["backend"]),
        **{f"{kind}{part}": rounded(row[f"{kind}{part}"]) for kind in ("train", "scoring") for part in _PARTS},
    }


def _bars_on_screen(panels: Sequence[tuple[str, list[Plain]]], environment: str) -> list[Plain]:
    return [
        {
            "name": _titled(dataset, environment),
            "bars": [_on_screen(bar) for bar in bars[:MOST_BARS]],
            "left_out": max(0, len(bars) - MOST_BARS),
        }
        for dataset, bars in panels
    ]


def _on_screen(bar: Plain) -> Plain:
    known = {key: value for key, value in bar.items() if key not in ("detector", "setting", "backend")}
    return known | {"colour": palette.screen_colour(bar["colour"])}


# ------------------------------------------------------------------------------------------------------------ roofline


def roofline(material: Material, environment: str) -> list[Block]:
    """All points of one environment under the highest roof of its devices and thread counts."""
    points = roofs.points(material.trials, material.throughput, material.records)
    found = [row for row in points if row["environment"] == environment]
    if not found:
        return []
    telling = varying(found, ("detector", "mode", "arithmetic", "batch", "variant"))
    kinds = list(dict.fromkeys(_kind(row, telling) for row in found))
    highest: dict[tuple[str, int], tuple[float, float]] = {}
    for row in found:
        place = row["device"], row["threads"]
        matmul, copy = highest.get(place, (0.0, 0.0))
        highest[place] = max(matmul, row["matmul"]), max(copy, row["copy"])
    data = {
        "roofs": [
            {"name": f"{clean(device)}, {threads(count)}", "peak": matmul, "copy": copy}
            for (device, count), (matmul, copy) in highest.items()
        ],
        "kinds": [_kind_label(kind, telling) for kind in kinds],
        "points": [_point(row, kinds.index(_kind(row, telling))) for row in found],
    }
    caption = (
        "Roofline of training. The slope is the bandwidth of copying, the level the rate of large matrix products, "
        "as measured in the same run. A point counts the products alone, over the bytes that a step of Adam cannot "
        "do without: its rows once, and weights, gradient and two moments each read and written once. Data that stay "
        "in the caches may lie above the slope. Networks with convolutions are not shown."
    )
    drawing = Drawing(file_name("roofline", environment), "roofline", "Roofline", caption, data)
    return [Figure("roofline", [drawing], partial(_roofline_on_screen, data), caption)]


def _kind(row: Row, telling: Sequence[str]) -> tuple[Any, ...]:
    return (row["dataset"], *(row[key] for key in telling))


def _kind_label(kind: tuple[Any, ...], telling: Sequence[str]) -> str:
    row = dict(zip(telling, kind[1:], strict=True))
    return " · ".join(filter(None, [clean(kind[0]), clean(told(row, telling))]))


def _point(row: Row, kind: int) -> Plain:
    return {
        "kind": kind,
        "backend": row["backend"],
        "colour": palette.backend_colour(row["backend"]),
        "x": rounded(row["intensity"]),
        "y": rounded(row["performance"]),
        "products": rounded(row["flops"] * row["limit"]),
        "fraction": rounded(row["fraction"], 3),
    }


def _roofline_on_screen(data: Plain) -> list[Plain]:
    points = [point | {"backend": clean(point["backend"])} for point in data["points"][:MOST_POINTS]]
    return [data | {"points": points, "left_out": max(0, len(data["points"]) - MOST_POINTS)}]


# -------------------------------------------------------------------------------------------------------------- curves


def sweep(curves: Curves, over: str, every: Sequence[Curves]) -> Block:
    """Throughput over batch size, or time per row and memory over training rows; ``every`` are all of their kind."""
    shown = every[:MOST_CURVES]
    titles = [(c.environment, f"{c.dataset} {c.curves[0].shared['detector']} {c.threads}") for c in shown]
    stem = stems(titles)[[id(c) for c in shown].index(id(curves))]
    telling = varying((c.shared for c in curves.curves), ("detector", "mode", "arithmetic", "batch", "variant"))
    order = palette.in_order(c.shared["backend"] for c in curves.curves)
    lines = sorted(curves.curves, key=lambda c: order.index(c.shared["backend"]))[:MOST_LINES]
    looks = _Looks([line.shared for line in lines], telling)
    parts = [_titled(curves.dataset, curves.environment), clean(curves.device), threads(curves.threads)]
    shared = curves.curves[0].shared
    parts[1:1] = [] if "detector" in telling else [clean(shared["detector"])]
    parts += [clean(shared["variant"])] if "variant" not in telling and shared["variant"] else []
    data = {
        "name": " · ".join(parts),
        "lines": [looks.line(line) for line in lines],
        "limit": _limit(curves.curves),
        "size": _sizes(curves.curves),
    }
    hidden = len(curves.curves) - len(lines)
    more = f" {hidden} more lines are not shown." if hidden else ""
    what, caption = _OVER[over]
    caption += _GREY[over] if data["limit" if over == "batch" else "size"] else ""
    alt = f"{what} on {words(curves.dataset)}"
    drawing = Drawing(f"{stem}-{over}.svg", over, alt, caption + more, data)
    return Figure(over, [drawing], partial(_sweep_on_screen, data), caption + more)


_OVER = {
    "batch": (
        "Training throughput over batch size",
        "Training throughput over batch size. Lines up and down: 95 % intervals, where several trials allow one.",
    ),
    "rows": (
        "Time per row and memory over training rows",
        "Time per row and peak memory over training rows; level on the left is linear in the rows.",
    ),
}
"""What each kind of sweep shows, and its caption."""
_GREY = {
    "batch": " Grey: the rate of a step's matrix products alone, the highest of the precisions.",
    "rows": " Grey: the size of the data.",
}


class _Looks:
    """A colour for each backend, a style for each mode, a marker for all else."""

    def __init__(self, shared: Sequence[Row], telling: Sequence[str]) -> None:
        self.telling = telling
        self.modes = list(dict.fromkeys(row["mode"] for row in shared if row["backend"]))
        self.others = list(dict.fromkeys(map(_other, shared)))

    def line(self, curve: Curve) -> Plain:
        row = curve.shared
        setting = clean(told(row, self.telling))
        named = filter(None, [clean(row["backend"]), setting])
        return {
            "label": " · ".join(named) or clean(row["detector"]),
            "colour": palette.colour(row["detector"], row["backend"]),
            "style": ("-", "--", ":")[self.modes.index(row["mode"]) % 3] if row["backend"] else "-.",
            "marker": self.others.index(_other(row)) % 4,
            "x": curve.values,
            **{part or "y": [rounded(point[f"train{part}"]) for point in curve.points] for part in _PARTS},
            "memory": [rounded(point["peak_memory_bytes"] / 2**20) for point in curve.points],
        }


def _other(row: Row) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("detector", "arithmetic", "batch", "variant"))


def _limit(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """The highest limit at each place."""
    highest: dict[float, float] = {}
    for curve in curves:
        for place, row in zip(curve.values, curve.points, strict=True):
            if math.isfinite(row["limit"]):
                highest[place] = max(row["limit"], highest.get(place, 0.0))
    return [(place, float(f"{highest[place]:.5g}")) for place in sorted(highest)]


def _sizes(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """MiB of data at each number of rows; none where one is unknown."""
    sizes: dict[float, float] = {}
    for curve in curves:
        for place, row in zip(curve.values, curve.points, strict=True):
            sizes[place] = row["data_bytes"] / 2**20
    return sorted(sizes.items()) if all(map(math.isfinite, sizes.values())) else []


def _sweep_on_screen(data: Plain) -> list[Plain]:
    lines = [
        line | {"colour": palette.screen_colour(line["colour"]), "dash": palette.DASHES[line["style"]]}
        for line in data["lines"]
    ]
    return [data | {"lines": lines}]
