"""The report's figures: loss, scores and ROC curves for each data set, and throughput.

They are SVG with text as outlines: sharp at any zoom, small, free of fonts the reader may lack, and, without a date and
with fixed identifiers, the same bytes for the same records. matplotlib is loaded when something is drawn.
"""

from __future__ import annotations

import hashlib
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports import numbers
from reports.arrays import Shelf
from reports.figures import pictures, roofline
from reports.figures.canvas import canvas as new_canvas
from reports.figures.canvas import png as as_png
from reports.figures.canvas import svg as as_svg
from reports.figures.palette import INK, LINE_STYLES, LOOK, NORMAL_COLOUR, backend_colour, colour, in_order, tick, words
from reports.figures.pictures import Drawn
from reports.figures.sweeps import over_batch, over_rows
from reports.sections import ranks
from reports.sections.columns import varying, written
from reports.sharing import shared
from reports.surveys import held, mapping, number
from reports.surveys import numbers as finite
from reports.tables.frames import Row, split
from reports.tables.frames import rows as table_rows
from reports.tables.resampling import GRID, roc_band, weights
from reports.tables.speed import Curves, batch_curves, scale_curves
from reports.writers.escape import clean, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records = Sequence[Mapping[str, Any]]
Array = NDArray[np.float64]

KINDS = (
    *("-roc", "-scores", "-loss", "-plane", "-latent", "-top", "throughput", "roofline", "ranks", "-batch", "-rows"),
)
"""How the names of all figures end, so that an earlier report's can be told from a user's own files."""

_GAP = 0.7
"""Between groups of bars, in bars."""
_MOST_SERIES = 16
_MOST_PANELS = 9
_MOST_TRIALS = 50
"""Trials of a scenario that its curves are averaged over: more change no line that one could see."""
_MOST_BANDS = 3
_BAND_TRIALS, _BAND_RESAMPLES, _BAND_ROWS = 3, 200, 20_000
MOST_CURVES = 8
"""Groups of curves over batch, and over rows, that a report shows."""
MOST_DATASETS = 24
"""Data sets that get figures: a report on hundreds is read by its tables."""


@dataclass(frozen=True)
class Figure:
    """One drawn figure; ``dataset`` is None for what shows them all."""

    environment: str
    dataset: str | None
    name: str
    alt: str
    caption: str
    svg: bytes
    png: bytes | None = None
    curves: Curves | None = None
    """What a figure over batch or over rows shows."""

    @property
    def image(self) -> str:
        """The figure and its caption as Markdown."""
        return f"![{escape(self.alt)}](figures/{self.name})\n\n*{escape(self.caption)}*"


@dataclass(frozen=True)
class Sheet:
    """A figure that is yet to be drawn; whether it has anything to show turns out then."""

    environment: str
    dataset: str | None
    name: str
    plot: Callable[[], Drawn | None]
    curves: Curves | None = None

    @property
    def image(self) -> str:
        """A paragraph of Markdown to which ``placed`` brings the figure; no text from outside can have such signs."""
        return f"\0{self.name}\0"


def placed(text: str, figures: Iterable[Figure]) -> str:
    """The Markdown with its figures where their sheets were; a sheet that no figure came of leaves nothing."""
    images = {figure.name: figure.image for figure in figures}

    def image(found: re.Match[str]) -> str:
        return images[found[1]] + found[2] if found[1] in images else ""

    return re.sub("\0([^\0]*)\0(\n*)", image, text)


def sheets(
    trials: pd.DataFrame, quality: pd.DataFrame, throughput: pd.DataFrame, records: Records, shelf: Shelf | None = None
) -> list[Sheet]:
    """All figures of a report, those of the first ``MOST_DATASETS`` data sets only."""
    shelf = shelf or Shelf(None)
    blocks = list(dict.fromkeys(zip(quality["environment"], quality["dataset"], strict=True)))[:MOST_DATASETS]
    backends = throughput[(throughput["backend"] != "") & throughput["train"].notna()]
    places = _places(trials)
    found: list[Sheet] = []
    for (environment, dataset), stem in zip(blocks, _stems(blocks), strict=True):
        rows = quality[(quality["environment"] == environment) & (quality["dataset"] == dataset)]
        series = _series(rows, places, records)
        for kind, plot in _PLOTS.items():
            found.append(Sheet(environment, dataset, f"{stem}-{kind}.svg", partial(plot, series, shelf)))
    roofs = roofline.points(trials, throughput, records)
    for (environment,), rows in split(backends, ["environment"]):
        known = [row for row in roofs if row["environment"] == environment]
        found.append(Sheet(environment, None, _named("throughput", environment), partial(_bars, rows)))
        found.append(Sheet(environment, None, _named("roofline", environment), partial(roofline.draw, known)))
    for one in ranks.ranks(quality):
        found.append(Sheet(one.environment, None, _named("ranks", one.environment), partial(ranks.draw, one)))
    return found + _curves(throughput)


def draw(
    sheets: Sequence[Sheet], png: bool = False, processes: int = 1, meanwhile: Callable[[], None] | None = None
) -> list[Figure]:
    """The figures that have anything to show, drawn by so many processes; ``meanwhile`` is done beside them."""
    if sheets:
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401  (here once, not in each process)

    # those with many panels first, so that no process is left with one at the end
    order = sorted(range(len(sheets)), key=lambda place: not sheets[place].name.endswith(("-scores.svg", "-loss.svg")))
    found = shared(partial(_drawn, png), [sheets[place] for place in order], processes, meanwhile)
    drawn = dict(zip(order, found, strict=True))
    return [figure for place in range(len(sheets)) if (figure := drawn[place]) is not None]


def _drawn(png: bool, sheet: Sheet) -> Figure | None:
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        found = sheet.plot()
        if found is None:
            return None
        canvas, what, caption = found
        alt = what if sheet.dataset is None else f"{what} on {clean(sheet.dataset)}"
        pixels = as_png(canvas) if png else None
        return Figure(sheet.environment, sheet.dataset, sheet.name, alt, caption, as_svg(canvas), pixels, sheet.curves)


def _named(kind: str, environment: str) -> str:
    return f"{_slug(environment)}-{kind}.svg" if environment else f"{kind}.svg"


def _curves(throughput: pd.DataFrame) -> list[Sheet]:
    """The first ``MOST_CURVES`` figures over batch, and as many over rows."""
    sheets = []
    for kind, found, plot in (
        ("batch", batch_curves(throughput), _over_batch),
        ("rows", scale_curves(throughput), _over_rows),
    ):
        shown = found[:MOST_CURVES]
        titles = [(c.environment, f"{c.dataset} {c.curves[0].shared['detector']} {c.threads}") for c in shown]
        for curves, stem in zip(shown, _stems(titles), strict=True):
            sheets.append(Sheet(curves.environment, None, f"{stem}-{kind}.svg", partial(plot, curves), curves))
    return sheets


def _over_batch(curves: Curves) -> Drawn:
    canvas = new_canvas(3.4)
    caption = over_batch(canvas, curves)
    return canvas, f"Training throughput over batch size on {clean(curves.dataset)}", caption


def _over_rows(curves: Curves) -> Drawn:
    canvas = new_canvas(3.4)
    caption = over_rows(canvas, curves)
    return canvas, f"Time a row and memory over training rows on {clean(curves.dataset)}", caption


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "data"


def _stems(blocks: Sequence[tuple[str, str]]) -> list[str]:
    """File names from data set names: plain letters, bounded, and told apart by a hash where they would collide."""
    slugs = [_slug(f"{dataset} {environment}") for environment, dataset in blocks]
    count = Counter(slugs)
    digests = [hashlib.sha256(repr(block).encode()).hexdigest()[:8] for block in blocks]
    return [f"{s}-{d}" if count[s] > 1 else s for s, d in zip(slugs, digests, strict=True)]


# ---------------------------------------------------------------------------------------------- one data set's figures


def _of_rows(
    plot: Callable[[Mapping[str, Any], Shelf, str], Drawn | None], series: Sequence[_Series], shelf: Shelf
) -> Drawn | None:
    """A figure of single rows shows the best network that left arrays for it, by its first trial."""
    for s in sorted((s for s in series if s.backend), key=lambda s: -s.auc):
        if (found := plot(s.records[0], shelf, s.short)) is not None:
            return found
    return None


@dataclass(frozen=True)
class _Series:
    """One row of the quality table with the records of its finished trials, by seed and round."""

    detector: str
    backend: str
    setting: str
    """Mode, device and variant where they tell rows apart; otherwise empty."""
    auc: float
    records: list[Mapping[str, Any]]

    @property
    def short(self) -> str:
        return " · ".join(filter(None, [self.detector, self.backend]))

    @property
    def label(self) -> str:
        return words(" · ".join(filter(None, [self.short, self.setting])), 40)

    @property
    def colour(self) -> str:
        return colour(self.detector, self.backend)


_IDENTITY = ["environment", "dataset", "detector", "backend", "mode", "device", "threads", "scenario"]


def _places(trials: pd.DataFrame) -> dict[tuple[Any, ...], list[int]]:
    """The positions of the first finished trials of each row, by seed and round."""
    finished = trials[trials["status"] == "ok"].sort_values(["seed", "round"])
    few = finished.groupby(_IDENTITY, sort=False).head(_MOST_TRIALS)
    return {key: group.tolist() for key, group in few.groupby(_IDENTITY)["position"]}


def _series(rows: pd.DataFrame, places: Mapping[tuple[Any, ...], list[int]], records: Records) -> list[_Series]:
    telling = varying(table_rows(rows[rows["backend"] != ""]))
    return [
        _Series(
            detector=row["detector"],
            backend=row["backend"],
            setting=written(row, telling) if row["backend"] else row["variant"],
            auc=row["roc_auc"],
            records=[records[i] for i in places[tuple(row[k] for k in _IDENTITY)]],
        )
        for row in table_rows(rows)
    ]


def _pairs(records: Records, key: str, x: str, y: str) -> list[tuple[Array, Array]]:
    """The records' curves that are whole: two lists of numbers of one length."""
    found = []
    for record in records:
        curve = mapping(held(record, key))
        xs, ys = finite(curve.get(x)), finite(curve.get(y))
        if len(xs) == len(ys) > 1:
            found.append((np.array(xs), np.array(ys)))
    return found


def _chosen(series: Sequence[_Series]) -> tuple[list[_Series], str]:
    """At most ``_MOST_SERIES``: where there are more, the best of each detector and backend, and words that say so."""
    if len(series) <= _MOST_SERIES:
        return list(series), ""
    return _best(series, lambda s: (s.detector, s.backend), "detector and backend")


def _best(series: Sequence[_Series], key: Callable[[_Series], object], what: str) -> tuple[list[_Series], str]:
    """The first of each kind, at most ``_MOST_SERIES``, those of other detectors before a detector's others."""
    kinds: dict[object, _Series] = {}
    for s in series:
        kinds.setdefault(key(s), s)
    best = list(kinds.values())
    detectors = [s.detector for s in best]
    again = [s.detector in detectors[:place] for place, s in enumerate(best)]
    kept = sorted(sorted(range(len(best)), key=lambda place: (again[place], place))[:_MOST_SERIES])
    told = f" Shown are {len(kept)} of {len(series)}, the best of each {what}." if len(kept) < len(series) else ""
    return [best[place] for place in kept], told


def _roc(series: Sequence[_Series], shelf: Shelf) -> Drawn | None:
    shown, omitted = _chosen([s for s in series if _pairs(s.records, "roc_curve", "fpr", "tpr")])
    if not shown:
        return None
    canvas = new_canvas(3.3)
    whole, corner = canvas.subplots(1, 2, subplot_kw={"box_aspect": 1})
    whole.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8)
    order = in_order(s.backend for s in shown)
    bands = _bands(shown, shelf)
    handles = []
    for s in shown:
        curves = _pairs(s.records, "roc_curve", "fpr", "tpr")
        place = order.index(s.backend)
        if (band := bands.get(id(s))) is not None:
            for axes in (whole, corner):
                axes.fill_between(GRID, *band, color=s.colour, alpha=0.13, linewidth=0, zorder=2)
        for axes in (whole, corner):
            handles += axes.plot(
                *(curves[0] if len(curves) == 1 else _mean_curve(curves)),
                color=s.colour,
                linestyle=LINE_STYLES.get(s.detector, "-"),
                linewidth=1.3 + (0.7 * (len(order) - 1 - place) if s.backend else 0.0),
                zorder=3 + 0.1 * place,
                label=f"{numbers.fixed(s.auc, 3)}  {s.label}",
            )
    whole.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    corner.set(xlim=(-0.001, 0.101), ylim=(-0.01, 1.01), xlabel="false positive rate, up to 0.1")
    canvas.legend(
        handles=handles[::2], loc="outside right center", title="ROC AUC", alignment="left", handlelength=3, fontsize=8
    )
    caption = (
        "ROC curves, averaged over trials at equal false positive rates; right: few false alarms, enlarged. The grey "
        "diagonal is guessing. Curves that coincide lie on top of each other, the widest below."
    )
    if bands:
        caption += f" Bands: 95 % of bootstrap resamples of the test rows, of the best {len(bands)} detectors."
    return canvas, "ROC curves of all detectors", caption + omitted


def _bands(shown: Sequence[_Series], shelf: Shelf) -> dict[int, tuple[Array, Array]]:
    """Of the best row of each of the best detectors, averaged over its first trials; only where rows are few enough
    for a band to be seen."""
    best: dict[str, _Series] = {}
    for s in sorted(shown, key=lambda s: -s.auc):
        best.setdefault(s.detector, s)
    found = {}
    for s in list(best.values())[:_MOST_BANDS]:
        bounds = []
        for record in s.records[:_BAND_TRIALS]:
            scored = shelf.scores(record)
            if scored is not None and len(scored[0]) <= _BAND_ROWS:
                bounds.append(roc_band(*scored, weights(scored[1], _BAND_RESAMPLES)))
        if bounds:
            low, high = np.mean(bounds, axis=0)
            found[id(s)] = low, high
    return found


def _mean_curve(curves: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Vertical averaging (Fawcett 2006, Pattern Recognition Letters 27:861, algorithm 3)."""
    grid = np.linspace(0.0, 1.0, 201)
    return np.r_[0.0, grid], np.r_[0.0, np.mean([np.interp(grid, fpr, tpr) for fpr, tpr in curves], axis=0)]


def _scores(series: Sequence[_Series], shelf: Shelf) -> Drawn | None:
    drawable = [s for s in series if _histogram(s.records[0])]
    shown, omitted = _best(drawable, lambda s: s.detector, "detector")
    if not shown:
        return None
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    canvas = new_canvas((1.65 if not any(s.setting for s in shown) else 1.8) * rows + 0.55)
    grid = canvas.subplots(rows, columns, squeeze=False).ravel()
    for axes, s in zip(grid, shown, strict=False):
        _score_panel(axes, s)
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes in grid[::columns]:
        axes.set_ylabel("test rows")
    canvas.legend(
        handles=[
            Patch(facecolor=NORMAL_COLOUR, label="normal rows"),
            Patch(facecolor="#33333333", edgecolor=INK, linewidth=1.2, label="anomalies (in the series' colour)"),
            Line2D([], [], color="black", linestyle="--", linewidth=1, label="threshold"),
        ],
        loc="outside lower center",
        ncols=3,
    )
    caption = f"Test scores, logarithmic counts; seed {numbers.ranges([number(shown[0].records[0].get('seed'))])}."
    clipped = any((mapping(held(s.records[0], "histogram")).get("clipped") or 0) > 0 for s in shown)
    caption += " The last bin also counts the scores beyond it." if clipped else ""
    return canvas, "Histograms of the test scores with the threshold", caption + omitted


def _histogram(record: Mapping[str, Any]) -> tuple[list[float], list[float], list[float]] | None:
    histogram = mapping(held(record, "histogram"))
    edges, normal, anomaly = (finite(histogram.get(key)) for key in ("edges", "normal", "anomaly"))
    return (edges, normal, anomaly) if len(edges) - 1 == len(normal) == len(anomaly) > 0 else None


def _score_panel(axes: Axes, s: _Series) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    edges, normal, anomaly = _histogram(s.records[0]) or ([], [], [])
    axes.stairs(normal, edges, fill=True, color=NORMAL_COLOUR)
    axes.stairs(anomaly, edges, fill=True, color=s.colour, alpha=0.25)
    axes.stairs(anomaly, edges, color=s.colour, linewidth=1.3)
    threshold = finite([mapping(s.records[0].get("metrics")).get("threshold")])
    if threshold and edges[0] <= threshold[0] <= edges[-1]:
        axes.axvline(threshold[0], color="black", linestyle="--", linewidth=1)
    axes.set_title("\n".join(words(line, 28) for line in (s.short, s.setting) if line), fontsize=8.5)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 2 * max(*normal, *anomaly, 5.0))
    axes.yaxis.set_major_locator(LogLocator(10, numticks=5))
    axes.yaxis.set_minor_locator(LogLocator(10, subs=()))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(tick))


def _loss(series: Sequence[_Series], shelf: Shelf) -> Drawn | None:
    panels: dict[tuple[str, str], list[_Series]] = {}
    for s in series:
        if s.backend and any(len(finite(held(record, "loss"))) > 1 for record in s.records):
            panels.setdefault((s.detector, s.setting), []).append(s)
    if not panels:
        return None
    from matplotlib.lines import Line2D

    shown = sorted(panels)[:_MOST_PANELS]
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    canvas = new_canvas(2.5 * rows + 0.4)
    grid = canvas.subplots(rows, 2 * columns, squeeze=False).reshape(-1, 2)
    backends = in_order(s.backend for key in shown for s in panels[key])
    for pair, key in zip(grid, shown, strict=False):
        pair[0].set_title(words(" · ".join(filter(None, key)), 34))
        pair[1].set_title("logarithmic", color="#666666")
        pair[0].set_ylabel("loss")
        for axes, logarithmic in zip(pair, (False, True), strict=True):
            _loss_panel(axes, sorted(panels[key], key=lambda s: backends.index(s.backend)), logarithmic)
    for axes in grid[max(0, len(shown) - columns) : len(shown)].ravel():  # the lowest of each column
        axes.set_xlabel("epoch")
    for pair in grid[len(shown) :]:
        for axes in pair:
            axes.set_axis_off()
    handles = [Line2D([], [], color=backend_colour(b), linewidth=2.5, label=words(b)) for b in backends]
    handles.append(Line2D([], [], color=INK, linewidth=1.5, label="training"))
    handles.append(Line2D([], [], color=INK, linewidth=1.5, linestyle="--", label="validation"))
    canvas.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    caption = (
        "Loss by epoch: the mean over trials, the band from the lowest to the highest. Curves that coincide "
        "lie on top of each other, the widest below."
    )
    if len(panels) > len(shown):
        caption += f" The first {len(shown)} of {len(panels)} detectors and settings."
    return canvas, "Training and validation loss by epoch", caption


def _loss_panel(axes: Axes, series: Sequence[_Series], logarithmic: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    everything: list[float] = []
    for place, s in enumerate(series):
        for key, style in (("loss", "-"), ("validation_loss", "--")):
            curves = [c for record in s.records if len(c := finite(held(record, key))) > 1]
            if not curves:
                continue
            length = min(map(len, curves))
            stacked = np.array([curve[:length] for curve in curves])
            epochs = np.arange(1, length + 1)
            axes.fill_between(epochs, stacked.min(axis=0), stacked.max(axis=0), color=s.colour, alpha=0.12, linewidth=0)
            width = 1.2 + 1.1 * (len(series) - 1 - place)
            axes.plot(epochs, stacked.mean(axis=0), color=s.colour, linestyle=style, linewidth=width)
            everything += stacked.ravel().tolist()
    if logarithmic and min(everything) > 0:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        subs = (1, 2, 5) if high < 100 * low else (1,)
        axes.yaxis.set_major_locator(MaxNLocator(5) if high < 6 * low else LogLocator(10, subs=subs, numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


_PLOTS: dict[str, Callable[[Sequence[_Series], Shelf], Drawn | None]] = {
    "roc": _roc,
    "scores": _scores,
    "loss": _loss,
    "plane": partial(_of_rows, pictures.six_panels),
    "latent": partial(_of_rows, pictures.latent_space),
    "top": partial(_of_rows, pictures.top_images),
}


# ---------------------------------------------------------------------------------------------------------- throughput


def _bars(rows: pd.DataFrame) -> Drawn:
    """Small multiples by data set; in each, one group of bars for each detector, mode and device."""
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    datasets = list(dict.fromkeys(rows["dataset"]))
    shown = datasets[:MOST_DATASETS]
    columns = min(2, len(shown))
    lines = [shown[i : i + columns] for i in range(0, len(shown), columns)]
    panels = {dataset: _groups(rows[rows["dataset"] == dataset]) for dataset in shown}
    places = {name: sum(_height(*group) + _GAP for group in groups) - _GAP for name, groups in panels.items()}
    tallest = [max(places[d] for d in line) for line in lines]
    heights = [0.21 * most + 0.75 for most in tallest]
    canvas = new_canvas(sum(heights) + 0.4)
    grid = canvas.subplots(len(lines), columns, squeeze=False, height_ratios=heights).ravel()
    for place, (axes, dataset) in enumerate(zip(grid, shown, strict=False)):
        _bar_panel(axes, panels[dataset])
        axes.set_ylim(tallest[place // columns] - 0.4, -0.6)
        axes.set_title(words(dataset, 48))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(tick))
        axes.set_xlabel("training samples/s")
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    handles = [Patch(color=backend_colour(b), label=words(b)) for b in in_order(rows["backend"])]
    canvas.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    caption = "Training throughput; longer is faster. Lines: 95 % intervals, where several trials allow one."
    return (
        canvas,
        "Training throughput by backend",
        caption + (f" The first {len(shown)} of {len(datasets)} data sets." if len(datasets) > len(shown) else ""),
    )


def _groups(rows: pd.DataFrame) -> list[tuple[str, list[Row]]]:
    """The bars of one data set, by what they measured, with a name of a line or more."""
    telling = varying(table_rows(rows))
    order = in_order(rows["backend"])
    found = []
    for (detector, *_), group in split(rows, ["detector", *telling], sort=True):
        bars = sorted(table_rows(group), key=lambda row: order.index(row["backend"]))
        setting = textwrap.wrap(words(written(bars[0], telling), 60), 22)
        found.append(("\n".join([words(detector, 24), *setting]), bars))
    return found


def _height(name: str, bars: Sequence[Row]) -> float:
    """In bars; a line of a name is as high as two thirds of one."""
    return max(len(bars), 0.67 * (name.count("\n") + 1))


def _bar_panel(axes: Axes, groups: Sequence[tuple[str, list[Row]]]) -> None:
    every = [row for _, bars in groups for row in bars]
    # room for the figures behind the bars, and for intervals that are not much longer than they
    highest = [min(row["train_high"], 1.4 * row["train"]) for row in every if math.isfinite(row["train_high"])]
    limit = max([1.22 * max(row["train"] for row in every), *(1.17 * high for high in highest)])
    place, ticks = 0.0, []
    for name, bars in groups:
        height = _height(name, bars)
        places = place + (height - len(bars)) / 2 + np.arange(len(bars))
        axes.barh(places, [r["train"] for r in bars], height=0.82, color=[backend_colour(r["backend"]) for r in bars])
        for at, row in zip(places, bars, strict=True):
            end = row["train"]
            if math.isfinite(row["train_low"]):
                end = min(row["train_high"], 0.86 * limit)
                axes.plot([row["train_low"], end], [at, at], color=INK, linewidth=1.1)
                axes.plot(end, at, marker=">" if end < row["train_high"] else "|", color=INK, markersize=3)
            axes.text(max(end, row["train"]) + 0.02 * limit, at, numbers.si(row["train"]), va="center", fontsize=8)
        ticks.append(float(places.mean()))
        place += height + _GAP
    axes.set_yticks(ticks, [name for name, _ in groups])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.grid(False, axis="y")
    axes.set_xlim(0, limit)
