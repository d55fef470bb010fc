"""How figures look: colours, line styles, and words and ticks that the font can draw."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from reports import DISTRIBUTION, numbers
from reports.tables import SANITY
from reports.writers.escape import clean

# Okabe and Ito's palette, which colour-blind readers can tell apart. A backend has the same colour in every figure.
BACKEND_COLOURS = {"torch": "#D55E00", "keras": "#0072B2", "jax": "#009E73"}
CLASSICAL_COLOURS = {"isolation_forest": "#CC79A7", "one_class_svm": "#E69F00", "knn": "#56B4E9"}
_OTHER_COLOURS = ("#332288", "#882255", "#999933", "#44AA99")
SANITY_COLOUR = "#8A8A8A"
INK, NORMAL_COLOUR = "#333333", "#C9CED6"
ANOMALY_COLOUR = "#AA3377"
"""Of anomalous rows where no backend is told apart."""
LINE_STYLES = {"vae": "-", "autoencoder": "--", "norm": ":", "mahalanobis": "-."}


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


def colour(detector: str, backend: str) -> str:
    """That of the backend, or of the detector where it has none."""
    if detector in SANITY:
        return SANITY_COLOUR
    return backend_colour(backend) if backend else CLASSICAL_COLOURS.get(detector, INK)


def backend_colour(backend: str) -> str:
    """The colour of a backend; one that is not known here has one of its own as well, by its name."""
    other = _OTHER_COLOURS[hashlib.sha256(backend.encode()).digest()[0] % len(_OTHER_COLOURS)]
    return BACKEND_COLOURS.get(backend, other)


def in_order(backends: Iterable[str]) -> list[str]:
    """The same order in every figure: the known ones first."""
    known = list(BACKEND_COLOURS)
    return sorted(set(backends), key=lambda b: (known.index(b) if b in known else len(known), b))


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
