"""What every figure is drawn on, and how it becomes bytes: the same for the same records, without a date."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

WIDTH = 9.0
"""Inches; at SVG's 72 points an inch the figure is 648 points, or 864 pixels, wide: the width of a page on GitHub. Set
across both columns of a paper, 7 inches, its letters are those of a caption."""
_DOTS = 300
"""An inch of a PNG, and of what is drawn as dots inside an SVG: clouds of points."""


def canvas(height: float) -> Canvas:
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(WIDTH, height), layout="constrained")


def settle(drawn: Canvas) -> None:
    """Finds the layout once, else matplotlib draws the whole figure once more for each format."""
    layout = drawn.get_layout_engine()
    if layout is not None:
        layout.execute(drawn)
        drawn.set_layout_engine(None)


def svg(drawn: Canvas) -> bytes:
    settle(drawn)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", dpi=_DOTS, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png(drawn: Canvas) -> bytes:
    settle(drawn)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=_DOTS, metadata={"Software": None})
    return buffer.getvalue()
