"""Figures of single test rows: the plane, the latent space, images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports import numbers
from reports.figures.canvas import canvas, tick
from reports.palette import ANOMALY_COLOUR, INK, NORMAL_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_MAP = "cividis"
"""Made for readers who see colours differently (Nuñez et al. 2018)."""


def plane(found: dict[str, Any]) -> Canvas:
    """Data with two features, from the rows to the latent space: of ``tables.planes.plane``."""
    drawn = canvas(5.7)
    grid = drawn.subplots(2, 3)
    data, detections, errors, curve, distribution, latent = grid.ravel()
    points = found["points"]
    _classes(data, points, found["anomalous"])
    data.set_title("data")
    _detections(detections, found)
    if found["surface"] is not None:
        _surface(detections, found["surface"], found["threshold"])
    _by_score(drawn, errors, points, found["shown_scores"])
    errors.set_title("score, by rank")
    _roc(curve, found)
    _distribution(distribution, found["scores"], found["labels"], found["threshold"])
    if found["latent"] is None:
        latent.set_axis_off()
    else:
        _classes(latent, found["latent"]["points"], found["latent"]["anomalous"])
        latent.set_title(found["latent"]["title"])
    low, high = float(points[:, 1].min()), float(points[:, 1].max())
    for axes in (data, detections, errors):
        axes.set(xlabel="feature 1", ylabel="feature 2", ylim=(low - 0.05 * (high - low), high + 0.3 * (high - low)))
    for axes in (data, detections):  # the room above the highest row is theirs
        axes.legend(loc="upper left", ncols=2, fontsize=6.8, handletextpad=0.1, columnspacing=0.8, borderpad=0.1)
    for axes in (data, detections, errors, latent):
        _small(axes)
    return drawn


def _detections(axes: Axes, found: dict[str, Any]) -> None:
    points, marked, flagged = found["points"], found["anomalous"], found["flagged"]
    kinds: tuple[tuple[Any, str, dict[str, Any]], ...] = (
        (~marked & ~flagged, "normal, passed", {"color": NORMAL_COLOUR, "marker": "o", "s": 9}),
        (marked & flagged, "anomaly, flagged", {"color": ANOMALY_COLOUR, "marker": "o", "s": 12}),
        (~marked & flagged, "false alarm", {"color": INK, "marker": "x", "s": 16, "linewidths": 1.0}),
        (marked & ~flagged, "missed", {"facecolors": "none", "edgecolors": ANOMALY_COLOUR, "marker": "s", "s": 18}),
    )
    for chosen, label, look in kinds:
        axes.scatter(*points[chosen].T, label=f"{label}: {int(chosen.sum())}", rasterized=True, **look)
    axes.set_title("detections at the threshold")


def _surface(axes: Axes, surface: dict[str, Any], threshold: float) -> None:
    """The part of the plane in which rows are flagged, and its border: the decision surface."""
    scores, low, high = surface["scores"], surface["low"], surface["high"]
    x, y = (np.linspace(low[axis], high[axis], scores.shape[1 - axis]) for axis in (0, 1))
    if scores.min() < threshold < scores.max():
        axes.contourf(x, y, scores, [threshold, scores.max()], colors=[ANOMALY_COLOUR], alpha=0.12, zorder=0)
        axes.contour(x, y, scores, [threshold], colors=[INK], linewidths=1.0, zorder=1)


def latent(found: dict[str, Any]) -> Canvas:
    """Latent means by PCA and t-SNE, coloured by class and by score: of ``tables.planes.latent_space``."""
    views = list(found["views"].items())
    drawn = canvas(2.6)
    grid = drawn.subplots(1, 2 * len(views), squeeze=False)[0]
    for place, (title, points) in enumerate(views):
        by_class, by_score = grid[2 * place : 2 * place + 2]
        _classes(by_class, points, found["anomalous"])
        _by_score(drawn, by_score, points, found["scores"], bar=place == len(views) - 1)
        for axes, what in ((by_class, "class"), (by_score, "score")):
            axes.set_title(f"{title}, by {what}")
            axes.set_xticks([])
            axes.set_yticks([])
    grid[0].legend(loc="best", fontsize=7, handletextpad=0.2, frameon=True, framealpha=0.8, edgecolor="none")
    return drawn


def top(found: dict[str, Any]) -> Canvas:
    """The highest-scoring test images, their reconstructions and the errors: of ``tables.planes.top_images``."""
    inputs, outputs = found["inputs"], found["outputs"]
    drawn = canvas(3.7)
    grid = drawn.subplots(3, len(inputs), squeeze=False)
    errors = (outputs - inputs) ** 2
    high = float(max(inputs.max(), outputs.max()))
    grey = {"cmap": "gray_r", "vmin": min(0.0, float(inputs.min())), "vmax": high}
    looks = (
        ("input", inputs, grey),
        ("reconstruction", outputs, grey),
        ("squared error", errors, {"cmap": _MAP, "vmin": 0.0, "vmax": float(errors.max()) or 1.0}),
    )
    for line, (title, pictures, look) in zip(grid, looks, strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            shown = axes.imshow(picture.reshape(found["shape"]), interpolation="nearest", **look)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(False)
        line[0].set_ylabel(title)
    for axes, anomaly in zip(grid[0], found["anomalous"], strict=True):
        colour = ANOMALY_COLOUR if anomaly else INK
        axes.set_title("anomaly" if anomaly else "normal", fontsize=8.5, color=colour, loc="center")
    drawn.colorbar(shown, ax=list(grid.ravel()), fraction=0.012, pad=0.01, shrink=0.32, anchor=(0.0, 0.0))
    return drawn


# ------------------------------------------------------------------------------------------------------------- panels


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


def _roc(axes: Axes, found: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8)
    if found["roc"] is not None:
        axes.plot(*found["roc"], color=INK, linewidth=1.5)
    axes.plot(*found["here"], marker="o", color=ANOMALY_COLOUR, markersize=6, linestyle="", label="threshold")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="false positive rate", ylabel="true positive rate")
    axes.set_title(f"ROC, AUC {numbers.fixed(found['auc'], 3)}")
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
