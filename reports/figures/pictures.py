"""Figures of single test rows, from the arrays that trials with ``pictures`` leave: the plane, latent space, images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports import numbers
from reports.arrays import Shelf
from reports.figures import canvas
from reports.figures.palette import ANOMALY_COLOUR, INK, NORMAL_COLOUR, tick
from reports.surveys import held, mapping, number
from reports.surveys import numbers as finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Drawn = tuple["Canvas", str, str]
"""The canvas, what it shows in a few words, and its caption."""

_MAP = "cividis"
"""Made for readers who see colours differently (Nuñez et al. 2018)."""
_MOST_POINTS = 3_000


def six_panels(record: Mapping[str, Any], shelf: Shelf, who: str) -> Drawn | None:
    """Data with two features, from the rows to the latent space; None for other data."""
    scored = shelf.scores(record)
    found = shelf.load(record, "X_plane", "mu", "mu_pca", "mu_rows")
    threshold = number(mapping(record.get("metrics")).get("threshold"))
    plane = found.get("X_plane")
    if scored is None or plane is None or plane.shape != (len(scored[0]), 2) or not np.isfinite(threshold):
        return None
    scores, anomalous = scored
    shown = np.arange(0, len(scores), max(1, -(-len(scores) // _MOST_POINTS)))
    X, marked, flagged = plane[shown], anomalous[shown], scores[shown] > threshold
    drawn = canvas.canvas(5.7)
    grid = drawn.subplots(2, 3)
    data, detections, errors, curve, distribution, latent = grid.ravel()

    _classes(data, X, marked)
    data.set_title("data")

    for chosen, label, look in (
        (~marked & ~flagged, "normal, passed", {"color": NORMAL_COLOUR, "marker": "o", "s": 9}),
        (marked & flagged, "anomaly, flagged", {"color": ANOMALY_COLOUR, "marker": "o", "s": 12}),
        (~marked & flagged, "false alarm", {"color": INK, "marker": "x", "s": 16, "linewidths": 1.0}),
        (marked & ~flagged, "missed", {"facecolors": "none", "edgecolors": ANOMALY_COLOUR, "marker": "s", "s": 18}),
    ):
        detections.scatter(*X[chosen].T, label=f"{label}: {int(chosen.sum())}", rasterized=True, **look)
    detections.set_title("detections at the threshold")

    _by_score(drawn, errors, X, scores[shown])
    errors.set_title("score, by rank")
    _roc(curve, record, int(anomalous.sum()), len(anomalous), scores, anomalous, threshold)
    _distribution(distribution, scores, anomalous, threshold)
    plane_of, rows = _latent(found, len(scores))
    if plane_of is None:
        latent.set_axis_off()
    else:
        _classes(latent, plane_of, anomalous[rows])
        flat = plane_of is found.get("mu")
        latent.set_title("latent means" if flat else "latent means, PCA")
    low, high = float(X[:, 1].min()), float(X[:, 1].max())
    for axes in (data, detections, errors):
        axes.set(xlabel="feature 1", ylabel="feature 2", ylim=(low - 0.05 * (high - low), high + 0.3 * (high - low)))
    for axes in (data, detections):  # the room above the highest row is theirs
        axes.legend(loc="upper left", ncols=2, fontsize=6.8, handletextpad=0.1, columnspacing=0.8, borderpad=0.1)
    for axes in (data, detections, errors, latent):
        _small(axes)
    few = f" {len(shown):,} of {len(scores):,} test rows are shown." if len(shown) < len(scores) else ""
    return (
        drawn,
        f"Data, detections, scores, ROC, distribution and latent space of {who}",
        (
            f"{who}, seed {_seed(record)}: the test rows, what the threshold makes of them, their scores, the ROC "
            f"curve with the threshold's place, the distribution of the scores, and the latent means.{few}"
        ),
    )


def latent_space(record: Mapping[str, Any], shelf: Shelf, who: str) -> Drawn | None:
    """Latent means by PCA and t-SNE, coloured by class and by score."""
    scored = shelf.scores(record)
    found = shelf.load(record, "mu_pca", "mu_tsne", "mu_rows")
    if scored is None or "mu_rows" not in found:
        return None
    scores, anomalous = scored
    rows = found["mu_rows"]
    planes = [(title, found[name]) for title, name in (("PCA", "mu_pca"), ("t-SNE", "mu_tsne")) if name in found]
    planes = [(title, plane) for title, plane in planes if _fits(plane, rows, len(scores))]
    if not planes:
        return None
    drawn = canvas.canvas(2.6)
    grid = drawn.subplots(1, 2 * len(planes), squeeze=False)[0]
    for place, (title, plane) in enumerate(planes):
        by_class, by_score = grid[2 * place : 2 * place + 2]
        _classes(by_class, plane, anomalous[rows])
        _by_score(drawn, by_score, plane, scores[rows], bar=place == len(planes) - 1)
        for axes, what in ((by_class, "class"), (by_score, "score")):
            axes.set_title(f"{title}, by {what}")
            axes.set_xticks([])
            axes.set_yticks([])
    grid[0].legend(loc="best", fontsize=7, handletextpad=0.2, frameon=True, framealpha=0.8, edgecolor="none")
    return (
        drawn,
        f"Latent space of {who}",
        (
            f"Latent means of {len(rows):,} test rows, {who}, seed {_seed(record)}, coloured by class and by the rank "
            "of the score. Left: principal components; right: t-SNE, whose distances between clusters mean nothing."
        ),
    )


def top_images(record: Mapping[str, Any], shelf: Shelf, who: str) -> Drawn | None:
    """The highest-scoring test images, their reconstructions and the errors; None for rows that are no images."""
    shape = mapping(held(record, "data")).get("image_shape")
    found = shelf.load(record, "top_rows", "top_inputs", "top_reconstructions", "y_test")
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(side) is int and side > 0 for side in shape):
        return None
    if len(found) < 4 or found["top_inputs"].shape != found["top_reconstructions"].shape:
        return None
    inputs, outputs = found["top_inputs"].astype(float), found["top_reconstructions"].astype(float)
    rows, labels = found["top_rows"], found["y_test"]
    if (
        inputs.ndim != 2
        or not len(inputs)
        or inputs.shape[1] != shape[0] * shape[1]
        or len(rows) != len(inputs)
        or rows.max() >= len(labels)
    ):
        return None
    drawn = canvas.canvas(3.7)
    grid = drawn.subplots(3, len(inputs), squeeze=False)
    errors = (outputs - inputs) ** 2
    high = float(max(inputs.max(), outputs.max()))
    looks = (
        ("input", inputs, {"cmap": "gray_r", "vmin": min(0.0, float(inputs.min())), "vmax": high}),
        ("reconstruction", outputs, {"cmap": "gray_r", "vmin": min(0.0, float(inputs.min())), "vmax": high}),
        ("squared error", errors, {"cmap": _MAP, "vmin": 0.0, "vmax": float(errors.max()) or 1.0}),
    )
    for line, (title, pictures, look) in zip(grid, looks, strict=True):
        for place, (axes, picture) in enumerate(zip(line, pictures, strict=True)):
            shown = axes.imshow(picture.reshape(shape), interpolation="nearest", **look)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(False)
            if place == 0:
                axes.set_ylabel(title)
            if title == "input":
                anomaly = labels[rows[place]] == 1
                colour = ANOMALY_COLOUR if anomaly else INK
                axes.set_title("anomaly" if anomaly else "normal", fontsize=8.5, color=colour, loc="center")
        if title == "squared error":
            drawn.colorbar(shown, ax=list(line), fraction=0.012, pad=0.01)
    return (
        drawn,
        f"The test images with the highest scores, {who}",
        (
            f"The {len(inputs)} test images that score highest, the highest on the left, {who}, seed {_seed(record)}, "
            "with what each really is: input, reconstruction, and the squared error of each pixel on one scale."
        ),
    )


# ------------------------------------------------------------------------------------------------------------- panels


def _seed(record: Mapping[str, Any]) -> str:
    return numbers.ranges([number(record.get("seed"))])


def _fits(plane: NDArray[Any], rows: NDArray[Any], count: int) -> bool:
    """Whether each point belongs to a test row."""
    whole = plane.shape == (len(rows), 2) and len(rows) > 0 and bool(np.isfinite(plane).all())
    return whole and int(rows.min()) >= 0 and int(rows.max()) < count


def _latent(found: Mapping[str, NDArray[Any]], count: int) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """The latent means themselves where there are two, else their principal components."""
    rows = found.get("mu_rows", np.empty(0, dtype=int))
    for name in ("mu", "mu_pca"):
        if name in found and _fits(found[name], rows, count):
            return found[name], rows
    return None, rows


def _classes(axes: Axes, plane: NDArray[Any], anomalous: NDArray[np.bool_]) -> None:
    axes.scatter(plane[~anomalous, 0], plane[~anomalous, 1], s=9, color=NORMAL_COLOUR, label="normal", rasterized=True)
    axes.scatter(
        plane[anomalous, 0],
        plane[anomalous, 1],
        s=12,
        marker="^",
        color=ANOMALY_COLOUR,
        edgecolors="white",
        linewidths=0.3,
        label="anomaly",
        rasterized=True,
    )


def _by_score(drawn: Canvas, axes: Axes, plane: NDArray[Any], scores: NDArray[np.float64], bar: bool = True) -> None:
    """By rank: a few scores are so high that all others would share one colour."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.linspace(0.0, 100.0, len(scores))
    points = axes.scatter(
        plane[order, 0], plane[order, 1], c=ranks[order], s=9, cmap=_MAP, vmin=0, vmax=100, rasterized=True
    )
    if bar:
        drawn.colorbar(points, ax=axes, label="percentile of the score", pad=0.02)


def _roc(
    axes: Axes,
    record: Mapping[str, Any],
    anomalies: int,
    rows: int,
    scores: NDArray[np.float64],
    anomalous: NDArray[np.bool_],
    threshold: float,
) -> None:
    curve = mapping(held(record, "roc_curve"))
    fpr, tpr = finite(curve.get("fpr")), finite(curve.get("tpr"))
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8)
    if len(fpr) == len(tpr):
        axes.plot(fpr, tpr, color=INK, linewidth=1.5)
    flagged = scores > threshold
    place = (flagged & ~anomalous).sum() / (rows - anomalies), (flagged & anomalous).sum() / anomalies
    axes.plot(*place, marker="o", color=ANOMALY_COLOUR, markersize=6, linestyle="", label="threshold")
    auc = number(mapping(record.get("metrics")).get("roc_auc"))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="false positive rate", ylabel="true positive rate")
    axes.set_title(f"ROC, AUC {numbers.fixed(auc, 3)}")
    axes.legend(loc="lower right", fontsize=7.5)


def _distribution(axes: Axes, scores: NDArray[np.float64], anomalous: NDArray[np.bool_], threshold: float) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    low = float(scores.min())
    high = max(float(np.percentile(scores, 99.5)), threshold, low + 1e-12)
    edges = np.linspace(low, high + 1e-3 * (high - low), 41).tolist()
    inside = scores.clip(low, high)
    axes.hist(inside[~anomalous], edges, color=NORMAL_COLOUR, label="normal")
    axes.hist(inside[anomalous], edges, histtype="step", color=ANOMALY_COLOUR, linewidth=1.3, label="anomaly")
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set_yscale("log")
    axes.set(xlabel="score", ylabel="test rows")
    axes.set_title("distribution of the scores")
    axes.set_ylim(0.7, 1.5 * axes.get_ylim()[1])
    axes.legend(loc="best", fontsize=7.5)
    _small(axes, y=False)
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _small(axes: Axes, y: bool = True) -> None:
    """Few ticks, written compactly."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in (axes.xaxis, axes.yaxis) if y else (axes.xaxis,):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(tick))
