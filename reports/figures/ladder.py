"""The largest error of every rung of each verification, beside its bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports import numbers
from reports.figures.canvas import canvas, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_SHADES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_FLOOR = 1e-17
"""Where an error of 0 is drawn."""


def equality(ladders: Sequence[dict[str, Any]]) -> Canvas:
    """Of ``sections.equality``: a name and rungs with ``error`` and ``bound`` for each."""
    rungs: dict[str, None] = {}
    for ladder in ladders:
        rungs |= dict.fromkeys(rung["name"] for rung in ladder["rungs"])
    order = list(rungs)
    drawn = canvas(0.26 * len(order) + 1.0)
    axes = drawn.subplots()
    axes.set_xscale("log")
    for place, ladder in enumerate(ladders):
        shade = _SHADES[place % len(_SHADES)]
        shift = (place - (len(ladders) - 1) / 2) * 0.22
        errors = [
            (max(r["error"], _FLOOR), order.index(r["name"]) + shift) for r in ladder["rungs"] if r["error"] is not None
        ]
        bounds = [(r["bound"], order.index(r["name"]) + shift) for r in ladder["rungs"] if r["bound"]]
        for points, marker, label in ((errors, "o", words(ladder["name"], 48)), (bounds, "|", None)):
            if points:
                axes.plot(*zip(*points, strict=True), marker, color=shade, label=label, markersize=5 if label else 9)
    axes.xaxis.set_major_formatter(lambda value, _: numbers.bound(value))
    axes.set_yticks(range(len(order)), [words(name) for name in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlabel("largest error (dot) and bound (stroke)")
    drawn.legend(loc="outside upper center", ncols=min(len(ladders), 3), fontsize=8)
    return drawn
