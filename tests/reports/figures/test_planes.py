"""Figures from the arrays that trials leave, the bootstrap behind them, and paths that lead out of the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score

from reports import figures, tables, write_report
from reports.arrays import Shelf
from reports.blocks import Drawing
from reports.document import document
from reports.tables import resampling, roofline
from reports.tables.material import Material


def arrays(rows: int = 60, features: int = 2, seed: int = 0, shift: float = 2.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (np.arange(rows) % 3 == 0).astype(np.uint8)
    X = rng.standard_normal((rows, features)).astype(np.float32)
    mu = rng.standard_normal((rows, 2)).astype(np.float32)
    found = {
        "y_test": labels,
        "score.elbo": (10 + rng.standard_normal(rows) + shift * labels).astype(np.float32),
        "mu": mu,
        "mu_pca": mu,
        "mu_tsne": mu,
        "mu_rows": np.arange(rows, dtype=np.int32),
        "top_rows": np.arange(4, dtype=np.int32),
        "top_inputs": X[:4],
        "top_reconstructions": X[:4] / 2,
    }
    return found | ({"X_plane": X} if features == 2 else {})


def written(record: Any, folder: Path, found: dict[str, np.ndarray], **more: Any) -> dict[str, Any]:
    (folder / "arrays").mkdir(exist_ok=True, parents=True)
    save_file(found, folder / "arrays" / "a.safetensors")
    made: dict[str, Any] = record(arrays="arrays/a.safetensors", **more)
    made["metrics"]["threshold"] = 11.0
    return made


def pictured(record: Any, folder: Path) -> dict[str, Drawing]:
    """What a report on one trial draws of its arrays, by kind."""
    drawings = document(Material([record], Shelf(folder))).drawings
    return {drawing.kind: drawing for drawing in drawings if figures.DRAWERS[drawing.kind] == "planes"}


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "figures").iterdir()}


def test_data_in_the_plane_gets_six_panels_and_a_latent_space_as_svg_and_png(record: Any, tmp_path: Path) -> None:
    few = {"timed": False, "loss": None, "validation_loss": None}  # figures that are looked at elsewhere
    report = write_report([written(record, tmp_path, arrays(), **few)], tmp_path, png=True)
    assert {"digits-4-plane.svg", "digits-4-latent.svg", "digits-4-plane.png"} <= names(tmp_path)
    assert "digits-4-top.svg" not in names(tmp_path), "rows that are no images were shown as some"
    text = report.read_text()
    assert "(figures/digits-4-plane.svg)" in text
    assert "Bands: 95 % of bootstrap resamples" in text
    assert (tmp_path / "figures/digits-4-plane.png").read_bytes().startswith(b"\x89PNG")
    write_report([record(**few)], tmp_path)
    assert not any("plane" in name or name.endswith("png") for name in names(tmp_path)), "old figures stayed"


def test_images_get_rows_of_input_reconstruction_and_error(record: Any, tmp_path: Path) -> None:
    made = written(record, tmp_path, arrays(features=6))
    made["data"]["image_shape"] = [2, 3]
    (drawn,) = figures.draw([pictured(made, tmp_path)["top"]])
    assert drawn.file == "digits-4-top.svg"
    svg = ElementTree.fromstring(drawn.svg)
    assert sum(element.tag.endswith("image") for element in svg.iter()) >= 12


def test_a_shape_that_the_rows_do_not_have_leaves_the_images_out(record: Any, tmp_path: Path) -> None:
    made = written(record, tmp_path, arrays(features=6))
    for odd in ([2, 4], [0, 6], ["2", 3], 6, None):
        made["data"]["image_shape"] = odd
        assert set(pictured(made, tmp_path)) == {"latent"}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("y_test", set()),
        ("score.elbo", set()),
        ("X_plane", {"latent"}),
        ("mu", {"plane", "latent"}),
        ("mu_rows", {"plane"}),
        ("top_rows", {"plane", "latent"}),
    ],
)
def test_arrays_that_are_missing_or_of_another_length_leave_figures_out_and_nothing_else(
    record: Any, tmp_path: Path, name: str, kinds: set[str]
) -> None:
    whole = arrays()
    other_length = whole | {name: whole[name][:-1].copy()}
    assert set(pictured(written(record, tmp_path, other_length), tmp_path)) == kinds
    del whole[name]
    left = pictured(written(record, tmp_path, whole), tmp_path)
    assert set(left) == kinds
    if name.startswith("mu"):  # what a panel of the others shows of it
        assert all(drawn.svg for drawn in figures.draw(list(left.values())))


def test_a_path_in_a_record_leads_nowhere_but_into_its_results(record: Any, tmp_path: Path) -> None:
    outside, inside = tmp_path / "secret", tmp_path / "results"
    written(record, outside, arrays())
    inside.mkdir()
    shelf = Shelf(inside)
    for path in ("../secret/arrays/a.safetensors", str(outside / "arrays/a.safetensors"), "", None, 7, "a\0b"):
        assert shelf.load({"arrays": path}, "y_test") == {}
    (inside / "broken").write_bytes(b"not tensors")
    assert shelf.load({"arrays": "broken"}, "y_test") == {}
    assert len(Shelf(outside).load({"arrays": "arrays/a.safetensors"}, "y_test")["y_test"]) == 60
    assert len(Shelf(inside, {"B": outside}).load({"arrays": "arrays/a.safetensors", "run": "B"}, "y_test")) == 1


def test_resampled_aucs_are_those_of_the_resampled_rows() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(80) < 0.3
    scores = np.round(rng.standard_normal(80) + labels, 1)  # rounded, so that some tie
    drawn = resampling.weights(labels, 5)
    for auc, counts in zip(resampling.aucs(scores, labels, drawn), drawn.astype(int), strict=True):
        again = np.repeat(np.arange(80), counts)
        assert auc == pytest.approx(roc_auc_score(labels[again], scores[again]))


def test_every_resample_has_both_classes() -> None:
    labels = np.array([True] + [False] * 9)
    drawn = resampling.weights(labels, 200)
    assert (drawn[:, labels].sum(axis=1) > 0).all()
    assert (drawn[:, ~labels].sum(axis=1) > 0).all()


def test_the_band_holds_the_curve_and_narrows_with_more_rows() -> None:
    def width(rows: int) -> float:
        found = arrays(rows)
        labels = found["y_test"] == 1
        low, high = resampling.roc_band(found["score.elbo"].astype(float), labels, resampling.weights(labels, 100))
        assert (low <= high).all()
        return float((high - low).mean())

    assert width(900) < 0.6 * width(90)


def test_a_point_of_the_roofline_is_the_step_s_products_over_the_bytes_it_cannot_do_without(record: Any) -> None:
    records = [record(batch=100, speed=1000.0)]
    trials = tables.trials(records)
    (point,) = roofline.points(trials, tables.throughput(trials), records)
    weights = (76_800 + 2 * 64 * 64) / 6
    assert point["intensity"] == pytest.approx(100 * 76_800 / (4 * (100 * 64 + 8 * weights)))
    assert point["performance"] == pytest.approx(point["train"] * 76_800)
    conv = [record(settings={"hidden": [64], "filters": [32], "batch_size": 100})]
    trials = tables.trials(conv)
    assert roofline.points(trials, tables.throughput(trials), conv) == []
