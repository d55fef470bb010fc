"""The figures of one data set: on paper one file each, on a screen one panel whose parts belong together."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import pandas as pd

from reports import numbers
from reports.arrays import Shelf
from reports.blocks import Drawing, Figure, words
from reports.surveys import number
from reports.tables import curves, planes
from reports.tables.album import Album
from reports.tables.curves import Series
from reports.tables.learned import learned
from reports.tables.material import Material

NOTE = "Curves and scores are those of one trial, of the lowest seed; losses are those of all trials."


def figure(material: Material, block: pd.DataFrame, environment: str, dataset: str, album: Album) -> Figure:
    """Everything that is drawn of one data set: ``block`` are its rows of ``quality``."""
    found = curves.series(material, block)
    stem = stems(material.pictured)[material.pictured.index((environment, dataset))]
    drawings: list[Drawing] = []

    def add(kind: str, what: str, caption: str, data: Any) -> None:
        drawings.append(Drawing(f"{stem}-{kind}.svg", kind, f"{what} on {words(dataset)}", caption, data))

    _curves(found, material, add)
    _single_rows(found, material, add)
    return Figure("dataset", drawings, cache(partial(album.of, found)), NOTE)


def _curves(found: Sequence[Series], material: Material, add: Any) -> None:
    lines, left_out = curves.roc(found, material.shelf)
    if lines:
        caption = (
            "ROC curves, averaged over trials at equal false positive rates; right: few false alarms, enlarged. The "
            "grey diagonal is guessing. Curves that coincide lie on top of each other, the widest below."
        )
        if bands := sum(bool(line["scored"]) for line in lines):
            caption += f" Bands: 95 % of bootstrap resamples of the test rows, of the best {bands} detectors."
        add("roc", "ROC curves of all detectors", caption + left_out, lines)
    panels, left_out = curves.scores(found, material.shelf)
    if panels:
        seed = numbers.ranges([number(found[0].first.get("seed"))])
        caption = f"Test scores, logarithmic counts; seed {seed}.{_axes(panels)}{left_out}"
        add("scores", "Histograms of the test scores with the threshold", caption, panels)
    shown, count = curves.loss_panels(found)
    if shown:
        caption = (
            "Loss by epoch: the mean over trials, the band from the lowest to the highest. Curves that coincide "
            "lie on top of each other, the widest below."
        )
        if count > len(shown):
            caption += f" The first {len(shown)} of {count} detectors and settings."
        add("loss", "Training and validation loss by epoch", caption, shown)


def _axes(panels: Sequence[dict[str, Any]]) -> str:
    """What has to be said of the panels' axes."""
    said = " The last bin also counts the scores beyond it." if any(p["clipped"] for p in panels) else ""
    for axis, sentence in curves.AXES.items():
        own = [panel for panel in panels if panel["axis"] == axis]
        if own:
            whose = "" if len(own) == len(panels) else f" for {', '.join(words(panel['name']) for panel in own)}"
            beyond = sum(panel["beyond"] for panel in own)
            said += f" {sentence.format(whose, f'{beyond:,}')}"
    return said


def _single_rows(found: Sequence[Series], material: Material, add: Any) -> None:
    if (data := planes.of_best(found, material.shelf, planes.plane)) is not None:
        who, seed = words(data["who"]), numbers.ranges([data["seed"]])
        shown, every = len(data["points"]), len(data["scores"])
        tinted = " Tinted: where a row would be flagged." if data["surface"] else ""
        few = f" {shown:,} of {every:,} test rows are shown." if shown < every else ""
        add(
            "plane",
            f"Data, detections, scores, ROC, distribution and latent space of {who}",
            f"{who}, seed {seed}: the test rows, what the threshold makes of them, their scores, the ROC "
            f"curve with the threshold's place, the distribution of the scores, and the latent means.{tinted}{few}",
            data,
        )
    if (data := planes.of_best(found, material.shelf, planes.latent_space)) is not None:
        who, seed = words(data["who"]), numbers.ranges([data["seed"]])
        add(
            "latent",
            f"Latent space of {who}",
            f"Latent means of {len(data['scores']):,} test rows, {who}, seed {seed}, coloured by class and by the rank "
            "of the score. Left: principal components; right: t-SNE, whose distances between clusters mean nothing.",
            data,
        )
    # one that has a prior shows more than the best
    made = planes.of_best(found, material.shelf, _with_prior) or planes.of_best(found, material.shelf, _learned)
    if (data := made) is not None:
        who, seed = words(data["who"]), numbers.ranges([data["seed"]])
        add(
            "learned",
            f"What {who} has learned",
            f"What {who} has learned, seed {seed}: test rows and their reconstructions, rows that its decoder makes of "
            "the prior where it has one, and a walk along the two latent units that differ most between test rows, the "
            f"others at their mean.{'' if data['learned'].image else _SHADED if not data['learned'].plane else ''}",
            data,
        )
    if (data := planes.of_best(found, material.shelf, planes.top_images)) is not None:
        who, seed = words(data["who"]), numbers.ranges([data["seed"]])
        add(
            "top",
            f"The test images with the highest scores, {who}",
            f"The {len(data['inputs'])} test images that score highest, the highest on the left, {who}, seed {seed}, "
            "with what each really is: input, reconstruction, and the squared error of each pixel on one scale.",
            data,
        )


_SHADED = " Each line is a row and each column a feature, from low (light) to high (dark)."


def _learned(record: Mapping[str, Any], shelf: Shelf) -> dict[str, Any] | None:
    made = learned(record, shelf)
    return {"learned": made} if made else None


def _with_prior(record: Mapping[str, Any], shelf: Shelf) -> dict[str, Any] | None:
    return _learned(record, shelf) if "drawn" in shelf.load(record, "drawn") else None


# --------------------------------------------------------------------------------------------------------- file names


def file_name(kind: str, environment: str) -> str:
    """Of a figure that shows all data sets of an environment."""
    return f"{_slug(environment)}-{kind}.svg" if environment else f"{kind}.svg"


def stems(blocks: Sequence[tuple[str, str]]) -> list[str]:
    """File names from data set names: plain letters, bounded, and told apart by a hash where they would collide."""
    slugs = [_slug(f"{dataset} {environment}") for environment, dataset in blocks]
    count = Counter(slugs)
    digests = [hashlib.sha256(repr(block).encode()).hexdigest()[:8] for block in blocks]
    return [f"{s}-{d}" if count[s] > 1 else s for s, d in zip(slugs, digests, strict=True)]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "data"
