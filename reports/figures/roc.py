"""ROC curves of one data set, whole and where false alarms are few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reports import numbers
from reports.figures.canvas import canvas, words
from reports.tables.resampling import GRID, roc_band, weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_RESAMPLES = 200


def roc(lines: Sequence[dict[str, Any]]) -> Canvas:
    """Of ``tables.curves.roc``."""
    drawn = canvas(3.3)
    whole, corner = drawn.subplots(1, 2, subplot_kw={"box_aspect": 1})
    whole.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8)
    handles = []
    for line in lines:
        bounds = [roc_band(scores, labels, weights(labels, _RESAMPLES)) for scores, labels in line["scored"]]
        look = {"color": line["colour"], "linestyle": line["style"], "linewidth": 1.3 + line["wider"]}
        label = f"{numbers.fixed(line['auc'], 3)}  {words(line['label'], 40)}"
        for axes in (whole, corner):
            if bounds:
                low, high = np.mean(bounds, axis=0)
                axes.fill_between(GRID, low, high, color=line["colour"], alpha=0.13, linewidth=0, zorder=2)
            handles += axes.plot(*line["curve"], zorder=3 + line["above"], label=label, **look)
    whole.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    corner.set(xlim=(-0.001, 0.101), ylim=(-0.01, 1.01), xlabel="false positive rate, up to 0.1")
    drawn.legend(
        handles=handles[::2], loc="outside right center", title="ROC AUC", alignment="left", handlelength=3, fontsize=8
    )
    return drawn
