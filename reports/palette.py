"""Colours and line styles: the same for a backend or a detector in every figure, on paper and on a screen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SANITY = ("norm", "mahalanobis", "rarity")
"""Detectors that are there to be beaten: what does not beat them is worth nothing."""
# Okabe and Ito's palette, which colour-blind readers can tell apart. A backend has the same colour in every figure.
BACKEND_COLOURS = {"torch": "#D55E00", "keras": "#0072B2", "jax": "#009E73"}
CLASSICAL_COLOURS = {"isolation_forest": "#CC79A7", "one_class_svm": "#E69F00", "knn": "#56B4E9"}
_OTHER_COLOURS = ("#332288", "#882255", "#999933", "#44AA99")
SANITY_COLOUR = "#8A8A8A"
INK, NORMAL_COLOUR = "#333333", "#C9CED6"
ANOMALY_COLOUR = "#AA3377"
"""Of anomalous rows where no backend is told apart."""
LINE_STYLES = {"vae": "-", "autoencoder": "--", "norm": ":", "mahalanobis": "-."}
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
"""What a page's scripts call them."""


def colour(detector: str, backend: str) -> str:
    """That of the backend, or of the detector where it has none."""
    if detector in SANITY:
        return SANITY_COLOUR
    return backend_colour(backend) if backend else CLASSICAL_COLOURS.get(detector, INK)


def backend_colour(backend: str) -> str:
    """The colour of a backend; one that is not known here has one of its own as well, by its name."""
    other = _OTHER_COLOURS[hashlib.sha256(backend.encode()).digest()[0] % len(_OTHER_COLOURS)]
    return BACKEND_COLOURS.get(backend, other)


def screen_colour(hue: str) -> str:
    """A page writes ink in the colour of its theme."""
    return "ink" if hue == INK else hue


def in_order(backends: Iterable[str]) -> list[str]:
    """The same order in every figure: the known ones first."""
    known = list(BACKEND_COLOURS)
    return sorted(set(backends), key=lambda b: (known.index(b) if b in known else len(known), b))
