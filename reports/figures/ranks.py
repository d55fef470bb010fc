"""The critical-difference diagram of detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.figures.canvas import canvas, words
from reports.palette import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def ranks(data: dict[str, Any]) -> Canvas:
    """Of ``mean`` ranks by detector and the ``pairs``' p."""
    import scikit_posthocs

    mean = data["mean"]
    drawn = canvas(0.9 + 0.22 * len(mean))
    axes = drawn.subplots()
    named = {name: words(name) for name in mean.index}
    scikit_posthocs.critical_difference_diagram(
        mean.rename(named),
        data["pairs"].rename(index=named, columns=named),
        ax=axes,
        label_fmt_left="{label}  {rank:.2f} ",
        label_fmt_right=" {rank:.2f}  {label}",
        label_props={"fontsize": 8.5},
        elbow_props={"linewidth": 1.1},
        color_palette=dict.fromkeys(named.values(), INK),  # colours tell backends, and here are none
    )
    axes.grid(False)
    return drawn
