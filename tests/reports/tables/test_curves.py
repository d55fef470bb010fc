"""What is drawn of a data set: the axis of a histogram that one far score would squeeze, and losses over trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from reports.arrays import Shelf
from reports.document import document
from reports.tables import curves
from reports.tables.material import Material


def squeezed(record: Any, low: float, **more: Any) -> dict[str, Any]:
    normal, anomaly = [500.0, *[0.0] * 39], [12.0, *[0.0] * 38, 1.0]
    found: dict[str, Any] = record("blobs", **more)
    found["histogram"] = {"edges": np.linspace(low, 9000, 41).tolist(), "normal": normal, "anomaly": anomaly}
    return found


def test_scores_that_fill_an_axis_keep_it(record: Any) -> None:
    found = curves.histogram(record())
    assert found is not None
    assert (found["axis"], found["beyond"], len(found["normal"])) == ("linear", 0, 40)


def test_one_far_score_gives_a_logarithmic_axis_and_the_caption_says_so(record: Any) -> None:
    found = curves.histogram(squeezed(record, 0.5))
    assert found is not None
    assert found["axis"] == "log"
    drawings = document(Material([squeezed(record, 0.5)])).drawings
    (drawing,) = (drawing for drawing in drawings if drawing.kind == "scores")
    assert "logarithmic axis" in drawing.caption


@pytest.mark.parametrize(("low", "axis"), [(0.5, "log"), (-3.0, "linear")])
def test_normal_rows_in_few_bars_beside_anomalies_all_over_get_a_logarithmic_axis(
    record: Any, low: float, axis: str
) -> None:
    """Detectors that are nearly perfect: a clipped axis would hide what they found."""
    apart: dict[str, Any] = squeezed(record, low)
    apart["histogram"]["anomaly"] = [0.0, *[12.0] * 39]
    found = curves.histogram(apart)
    assert found is not None
    assert (found["axis"], found["beyond"]) == (axis, 0)


def test_scores_that_were_kept_are_counted_anew_in_bars_of_equal_width_on_that_axis(
    record: Any, tmp_path: Path
) -> None:
    labels = np.arange(300) % 10 == 0
    scores = np.exp(np.random.default_rng(0).standard_normal(300)) * np.where(labels, 1000, 1)
    save_file({"score.elbo": scores.astype(np.float32), "y_test": labels.astype(np.uint8)}, tmp_path / "a")
    found = curves.histogram(squeezed(record, 0.01, arrays="a"), Shelf(tmp_path))
    assert found is not None
    assert (sum(found["normal"]), sum(found["anomaly"])) == (270, 30)
    assert sum(count > 0 for count in found["normal"]) > 8
    assert np.diff(np.log(found["edges"])) == pytest.approx(np.diff(np.log(found["edges"]))[0])


def test_where_scores_may_be_negative_the_axis_is_clipped_and_says_how_many_lie_beyond(record: Any) -> None:
    found = curves.histogram(squeezed(record, -3.0))
    assert found is not None
    assert (found["axis"], found["beyond"]) == ("clipped", 1)
    assert sum(found["normal"]) + sum(found["anomaly"]) + found["beyond"] == 513
    drawings = document(Material([squeezed(record, -3.0)])).drawings
    (drawing,) = (drawing for drawing in drawings if drawing.kind == "scores")
    assert "clipped: the 1 rows beyond it are not shown" in drawing.caption


def test_losses_are_the_mean_and_the_extremes_over_trials() -> None:
    found = curves.losses([{"loss": [3.0, 1.0, 9.0]}, {"loss": [5.0, 2.0]}], "loss")
    assert found == {"epoch": [1, 2], "mean": [4.0, 1.5], "low": [3.0, 1.0], "high": [5.0, 2.0]}
    assert curves.losses([{"loss": [3.0]}, {}], "loss") is None
