"""Plain data in, figures for paper out, drawn by matplotlib, which is loaded when something is drawn.

They are SVG with text as outlines: sharp at any zoom, small, free of fonts the reader may lack, and, without a date and
with fixed identifiers, the same bytes for the same data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from reports.blocks import Drawing
from reports.processes import mapped

DRAWERS = {
    "answer": "answer",
    "roc": "roc",
    "scores": "scores",
    "loss": "losses",
    "plane": "planes",
    "latent": "planes",
    "top": "planes",
    "learned": "learned",
    "throughput": "bars",
    "roofline": "roofline",
    "ranks": "ranks",
    "batch": "sweeps",
    "rows": "sweeps",
    "sweep": "studies",
    "robustness": "studies",
    "heat": "studies",
    "training": "training_data",
    "series": "series",
    "equality": "ladder",
}
"""The module of this package that draws each kind, by its function of the kind's name; file names end with the kind."""


@dataclass(frozen=True)
class Drawn:
    """One figure as bytes."""

    file: str
    svg: bytes
    png: bytes | None = None


def draw(drawings: Sequence[Drawing], png: bool = False, processes: int = 1) -> list[Drawn]:
    """The figures, drawn by so many processes."""
    processes = min(processes, len(drawings))
    if processes < 2:
        return [_draw(png, drawing) for drawing in drawings]
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401  (here once, not in each process)

    # those with many panels first, so that no process is left with one at the end
    order = sorted(range(len(drawings)), key=lambda place: drawings[place].kind not in ("scores", "loss", "plane"))
    drawn = mapped(partial(_draw, png), [drawings[place] for place in order], processes)
    by_place = dict(zip(order, drawn, strict=True))
    return [by_place[place] for place in range(len(drawings))]


def _draw(png: bool, drawing: Drawing) -> Drawn:
    import matplotlib

    from reports.figures import canvas

    plot: Callable[[Any], Any] = getattr(import_module(f"reports.figures.{DRAWERS[drawing.kind]}"), drawing.kind)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(canvas.LOOK)
        figure = plot(drawing.data)
        pixels = canvas.png(figure) if png else None
        return Drawn(drawing.file, canvas.svg(figure), pixels)
