"""Points of training under the roof of the machine; both axes are logarithmic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, tick, words
from reports.palette import INK, in_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def roofline(data: dict[str, Any]) -> Canvas:
    """Of ``sections.charts.roofline``."""
    from matplotlib.ticker import FuncFormatter

    drawn = canvas(3.6)
    axes = drawn.subplots()
    points, roofs = data["points"], data["roofs"]
    ridges = [roof["peak"] / roof["copy"] for roof in roofs]
    low, high = min(*ridges, *(p["x"] for p in points)) / 3, max(*ridges, *(p["x"] for p in points)) * 3
    for roof, ridge in zip(roofs, ridges, strict=True):
        heights = [low * roof["copy"], roof["peak"], roof["peak"]]
        axes.plot([low, ridge, high], heights, color="#8A8A8A", linewidth=2, zorder=1)
        name = words(roof["name"]) if len(roofs) > 1 else "large matrix products"
        look: dict[str, Any] = {"xytext": (-4, 4), "textcoords": "offset points", "ha": "right", "fontsize": 8}
        axes.annotate(name, (high, roof["peak"]), color=INK, **look)
    handles: dict[str, Any] = {}
    colours = {point["backend"]: point["colour"] for point in points}
    for backend in in_order(colours):
        handles[words(backend)] = axes.scatter([], [], color=colours[backend], s=30)
    for point in points:
        marker = _MARKERS[point["kind"] % len(_MARKERS)]
        look = {"marker": marker, "s": 34, "edgecolors": "white", "linewidths": 0.5}
        axes.scatter(point["x"], point["y"], color=point["colour"], zorder=3, **look)
    for place, kind in enumerate(data["kinds"][: len(_MARKERS)]):
        handles.setdefault(words(kind, 44), axes.scatter([], [], color=INK, marker=_MARKERS[place], s=30))
    hidden = len(data["kinds"]) - len(_MARKERS)
    if hidden > 0:
        handles[f"and {hidden} more kinds, without a label"] = axes.scatter([], [], s=0)
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set(xlabel="arithmetic intensity, FLOP per byte", ylabel="FLOP/s in matrix products")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(tick))
    drawn.legend(
        handles=list(handles.values()), labels=list(handles), loc="outside right center", alignment="left", fontsize=8
    )
    return drawn
