"""What a network has learned, as plain data: rows beside their reconstructions, rows from the prior, a latent walk.

Rows are shown as images where they are some, else as lines of a table, a column a feature; of data with two features
they are points of the plane.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.arrays import Shelf
from reports.surveys import mapping

Array = NDArray[np.float64]
Plain = dict[str, Any]

ARRAYS = (
    *("seen_inputs", "seen_reconstructions", "seen_rows", "y_test", "drawn"),
    *("walk", "walk_axes", "walk_low", "walk_high"),
)
MOST_PIXELS = 200_000
"""Of one sheet."""
_GAP = 1
"""Pixels between the images of a sheet."""
_ACROSS = 8
"""Images of a sheet of samples side by side."""


@dataclass(frozen=True)
class Sheet:
    """Values to be shown as shades of grey, of shape (height, width), what they are, and what is down and across;
    not a number between the images."""

    title: str
    values: Array
    down: str = ""
    across: str = ""


@dataclass(frozen=True)
class Learned:
    """Sheets of a network's rows, whose shades have one scale; of data in the plane ``plane`` instead."""

    sheets: list[Sheet]
    low: float
    high: float
    image: bool
    plane: Plain | None = None


def learned(record: Mapping[str, Any], shelf: Shelf) -> Learned | None:
    """None where the record's arrays are not whole."""
    found = shelf.load(record, *ARRAYS)
    shape = mapping(record.get("data")).get("image_shape")
    if not _whole(found):
        return None
    inputs, outputs, walk = (found[name].astype(np.float64) for name in ("seen_inputs", "seen_reconstructions", "walk"))
    drawn = found["drawn"].astype(np.float64) if "drawn" in found else None
    features = inputs.shape[1]
    anomalous = found["y_test"][found["seen_rows"]] == 1
    axes = [f"latent unit {axis + 1}" for axis in found["walk_axes"].tolist()]
    if features == 2:
        plane = {"inputs": inputs, "outputs": outputs, "anomalous": anomalous, "drawn": drawn, "walk": walk}
        return Learned([], 0.0, 1.0, False, plane | {"axes": axes})
    sides = shape if isinstance(shape, list) and all(type(side) is int and side > 0 for side in shape) else []
    image = len(sides) == 2 and sides[0] * sides[1] == features
    sheets = _images(sides, inputs, outputs, drawn, walk, axes) if image else _lines(inputs, outputs, drawn, walk, axes)
    if any(sheet.values.size > MOST_PIXELS for sheet in sheets):
        return None
    low, high = (float(np.percentile(inputs, share)) for share in ((0, 100) if image else (1, 99)))
    return Learned(sheets, low, high if high > low else low + 1.0, image)


def _whole(found: Mapping[str, NDArray[Any]]) -> bool:
    needed = [name for name in ARRAYS if name != "drawn"]
    if not all(name in found for name in needed):
        return False
    inputs, walk, rows, axes = (found[name] for name in ("seen_inputs", "walk", "seen_rows", "walk_axes"))
    shaped = inputs.ndim == 2 and walk.ndim == 3 and inputs.size > 0 and walk.size > 0
    if not shaped or found["seen_reconstructions"].shape != inputs.shape or rows.shape != inputs.shape[:1]:
        return False
    features = inputs.shape[1]
    drawn = found.get("drawn", inputs)
    fits = walk.shape[2] == features and drawn.ndim == 2 and drawn.shape[1] == features and len(drawn) > 0
    fits = fits and axes.ndim == 1 and 1 <= len(axes) <= 2 and found["y_test"].ndim == 1
    inside = int(rows.min()) >= 0 and int(rows.max()) < len(found["y_test"])
    finite = all(np.isfinite(part).all() for part in (inputs, found["seen_reconstructions"], walk, drawn))
    return bool(fits and inside and finite)


def _images(
    shape: list[int], inputs: Array, outputs: Array, drawn: Array | None, walk: Array, axes: list[str]
) -> list[Sheet]:
    side = (-1, *shape)
    pairs = np.stack([inputs.reshape(side), outputs.reshape(side)])
    sheets = [Sheet("test rows (above) and their reconstructions; normal ones on the left", _mosaic(pairs))]
    if drawn is not None:
        whole = drawn[: len(drawn) - len(drawn) % _ACROSS] if len(drawn) > _ACROSS else drawn
        grid = whole.reshape(-1, min(_ACROSS, len(whole)), *shape)
        sheets.append(Sheet("drawn from the prior", _mosaic(grid)))
    walked = walk.reshape(*walk.shape[:2], *shape)
    across = axes[1] if len(axes) > 1 else ""
    return [*sheets, Sheet("a walk through the latent space", _mosaic(walked), axes[0], across)]


def _mosaic(images: Array) -> Array:
    """Images of shape (rows, columns, height, width) side by side."""
    rows, columns, height, width = images.shape
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP), np.nan)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + _GAP), column * (width + _GAP)
            sheet[top : top + height, left : left + width] = images[row, column]
    return sheet


def _lines(inputs: Array, outputs: Array, drawn: Array | None, walk: Array, axes: list[str]) -> list[Sheet]:
    """Rows of a table as lines of shades, a feature a column."""
    sheets = [
        Sheet("test rows, normal ones above", inputs, across="feature"),
        Sheet("their reconstructions", outputs, across="feature"),
    ]
    if drawn is not None:
        sheets.append(Sheet("drawn from the prior", drawn, across="feature"))
    middle = [length // 2 for length in walk.shape[:2]]
    sheets.append(Sheet(f"a walk along {axes[0]}", walk[:, middle[1]], across="feature"))
    if len(axes) > 1:
        sheets.append(Sheet(f"a walk along {axes[1]}", walk[middle[0]], across="feature"))
    return sheets


def as_json(found: Learned) -> list[Plain]:
    """The sheets for a screen, a byte a pixel: 0 between images, then dark to light."""
    shown = []
    for sheet in found.sheets:
        share = ((sheet.values - found.low) / (found.high - found.low)).clip(0, 1)
        bytes_ = np.where(np.isnan(share), 0, 1 + np.nan_to_num(254 * share).round()).astype(np.uint8)
        height, width = sheet.values.shape
        pixels = base64.b64encode(bytes_.tobytes()).decode()
        told = {"title": sheet.title, "down": sheet.down, "across": sheet.across}
        shown.append(told | {"width": width, "height": height, "pixels": pixels})
    return shown
