"""Series in a report: means over seeds, kinds of anomaly added up, and the picture of one series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from reports import figures
from reports.arrays import Shelf
from reports.document import document
from reports.tables.material import Material
from reports.tables.series import channels, scores, series
from reports.writers import markdown

STEPS = 60


def trial(record: Any, folder: Path, detector: str, seed: int, vus: float) -> dict[str, Any]:
    labels, found = np.zeros(STEPS, dtype=np.uint8), np.zeros(STEPS, dtype=np.float32)
    labels[10:14] = labels[40] = 1
    found[11:13] = found[30] = 2.0
    edges = np.arange(0, STEPS + 1, 3)
    low = np.tile(np.sin(edges[:-1])[:, None], (1, 8)).astype(np.float32)
    place = f"{detector}-{seed}.safetensors"
    arrays = {"series.labels": labels, "series.scores": found, "series.edges": edges, "series.low": low}
    save_file(arrays | {"series.high": low + 1}, folder / place)
    told = {
        "steps": STEPS,
        "events": 2,
        "channels": [f"sensor_{k}" for k in range(8)],
        "threshold": 1.0,
        "threshold_rule": "percentile 95 of the validation scores",
        "metrics": {"vus_pr": vus + 0.01 * (seed - 1), "vus_roc": 0.9, "point_adjusted_f1": 0.99},
        "kinds": {"drift": [1, 1], "point": [seed % 2, 1]},
    }
    return dict(record("sensors", detector, seed=seed, scenario_hash=detector)) | {"series": told, "arrays": place}


@pytest.fixture
def material(record: Any, tmp_path: Path) -> Material:
    records = [trial(record, tmp_path, d, s, v) for d, v in (("knn", 0.5), ("vae", 0.7)) for s in (0, 1, 2)]
    return Material([*records, record("digits:4", "knn")], Shelf(tmp_path))


def test_scenarios_go_by_vus_with_means_over_seeds_and_kinds_of_all_seeds(material: Material) -> None:
    (((_, dataset), (vae, knn)),) = series(material.competing, material.records)
    assert (dataset, vae.row["detector"], knn.row["detector"]) == ("sensors", "vae", "knn")
    assert vae.metrics["vus_pr"].mean == pytest.approx(0.7)
    assert vae.metrics["vus_pr"].low < 0.7 < vae.metrics["vus_pr"].high
    assert vae.kinds == {"drift": (3, 3), "point": (1, 3)}


def test_a_picture_has_the_anomalies_the_flags_and_the_highest_score_of_each_stretch(material: Material) -> None:
    ((_, (vae, _)),) = series(material.competing, material.records)
    drawn, line = channels(vae.first, material.shelf), scores(vae, material.shelf)
    assert drawn is not None
    assert line is not None
    assert drawn["events"] == [[10, 14], [40, 41]]
    assert (len(drawn["channels"]), drawn["left_out"]) == (6, 2)
    assert line["flags"] == [[11, 13], [30, 31]]
    assert [place for place, value in enumerate(line["score"]) if value] == [3, 4, 10]


def test_arrays_that_are_not_whole_are_not_drawn(material: Material, tmp_path: Path) -> None:
    ((_, (vae, _)),) = series(material.competing, material.records)
    edges = np.array([0, 5, 4, STEPS])
    broken = {"series.labels": np.zeros(STEPS, dtype=np.uint8), "series.scores": np.zeros(STEPS), "series.edges": edges}
    low = np.zeros((3, 8), dtype=np.float32)
    save_file(broken | {"series.low": low, "series.high": low}, tmp_path / "vae-0.safetensors")
    assert channels(vae.first, material.shelf) is None
    assert scores(vae, material.shelf) is None


def test_the_report_says_that_point_adjusted_values_are_inflated_and_draws_the_series(material: Material) -> None:
    made = document(material)
    (drawing,) = [one for one in made.drawings if one.kind == "series"]
    assert [line["name"] for line in drawing.data["lines"]] == ["vae · torch", "knn"]
    (drawn,) = figures.draw([drawing])
    assert drawn.svg.startswith(b"<?xml")
    text = markdown.written(made)
    assert "point-adjusted F1, inflated" in text
    assert "1 of 3" in text
    assert "percentile 95 of the validation scores" in text
