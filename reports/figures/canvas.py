"""What every figure is drawn on, how it looks, and how it becomes bytes: the same for the same data, without a date."""

from __future__ import annotations

import io
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from reports import DISTRIBUTION, numbers
from reports.blocks import clean
from reports.palette import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

WIDTH = 9.0
"""Inches; at SVG's 72 points an inch the figure is 648 points, or 864 pixels, wide: the width of a page on GitHub. Set
across both columns of a paper, 7 inches, its letters are those of a caption."""
_DOTS = 300
"""An inch of a PNG, and of what is drawn as dots inside an SVG: clouds of points."""

LOOK: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # no ticks are above an axes, and looking for some takes a fifth of finding the layout
    "axes.titlesize": 9.5,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#E8E8E8",
    "legend.frameon": False,
    "lines.dashed_pattern": (7.0, 4.0),
    "lines.scale_dashes": False,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",
    "svg.hashsalt": DISTRIBUTION,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": "#666666",
    "xtick.labelcolor": INK,
    "ytick.color": "#666666",
    "ytick.labelcolor": INK,
}


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


@cache
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def words(text: object, longest: int = 32) -> str:
    """Text from outside as the font can draw it, on one short line."""
    line = "".join(c if ord(c) in _drawable() else "□" for c in clean(text))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def tick(value: float, _: int = 0) -> str:
    """Compact and free of the offset texts that would collide with titles."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1000:
        scaled = numbers.si(size)
        text = re.sub(r"\.0+(?=\D|$)|(\.\d*?[1-9])0+(?=\D|$)", r"\1", scaled)
    else:
        text = f"{size:.3g}"
    return f"−{text}" if value < 0 else text


def columns_of(count: int, most: int) -> int:
    """Columns of small panels that leave the last line as full as can be, at least two thirds of the most."""
    if count <= most:
        return count
    return min(range(most, (2 * most - 1) // 3, -1), key=lambda columns: (-count % columns, -columns))
