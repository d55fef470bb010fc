"""Figures: one file each under a safe name, drawn without a warning whatever the names, and old ones removed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import figures, palette, write_report
from reports.blocks import Document, Drawing
from reports.document import document
from reports.sections import pictures
from reports.sections import speed as section
from reports.tables import curves as prepared
from reports.tables.material import Material


def drawn(records: list[dict[str, Any]]) -> dict[str, figures.Drawn]:
    return {figure.file: figure for figure in figures.draw(document(Material(records)).drawings)}


def test_every_figure_the_report_shows_exists_and_is_an_image(run: Any, tmp_path: Path) -> None:
    text = write_report(run(seeds=[0]), tmp_path).read_text()
    shown = re.findall(r"!\[(.+)\]\((figures/[\w.-]+\.svg)\)", text)
    assert len(shown) == 6
    for alt, path in shown:
        assert alt
        assert ElementTree.parse(tmp_path / path).getroot().tag.endswith("svg")
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {path.split("/")[1] for _, path in shown}


def test_several_processes_draw_and_write_the_same(process: None, run: Any, tmp_path: Path) -> None:
    one, two = (write_report(run(), tmp_path / str(processes), processes=processes).parent for processes in (1, 2))
    names = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert len(names) > 5
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_a_figure_that_has_nothing_to_show_leaves_no_gap(record: Any, tmp_path: Path) -> None:
    text = write_report([record(detector="knn", roc_curve=None)], tmp_path).read_text()
    assert "-scores.svg" in text
    assert "-roc.svg" not in text
    assert "\0" not in text
    assert "\n\n\n" not in text


def test_figures_that_no_longer_apply_go_and_other_peoples_files_stay(
    record: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_draw", lambda png, drawing: figures.Drawn(drawing.file, b"<svg/>"))
    write_report([record("blobs"), record("correlated", roc_curve=None)], tmp_path)
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    write_report([record("blobs", timed=False)], tmp_path)
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        "blobs-roc.svg",
        "blobs-scores.svg",
        "blobs-loss.svg",
        "answer.svg",
        "mine.svg",
    }


names = st.lists(st.text(max_size=80) | st.sampled_from(["digits:4", "digits-4", "Digits 4"]), unique=True, min_size=1)


@given(names)
@settings(deadline=None, max_examples=80)
def test_file_names_are_safe_bounded_and_unique_even_where_case_is_ignored(datasets: list[str]) -> None:
    stems = pictures.stems([("", dataset) for dataset in datasets])
    assert len({stem.lower() for stem in stems}) == len(datasets)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,48}", stem) for stem in stems)


def test_names_with_mathematics_or_foreign_letters_are_drawn_without_a_warning(record: Any) -> None:
    found = drawn([record("file:/数据/$x_{$.csv", backend="mlx$"), record("file:/数据/$x_{$.csv", detector="knn")])
    assert set(found) == {
        "file-x-csv-roc.svg",
        "file-x-csv-scores.svg",
        "file-x-csv-loss.svg",
        "throughput.svg",
        "roofline.svg",
        "answer.svg",
    }


def test_a_backend_keeps_its_colour_in_every_figure(run: Any) -> None:
    every = document(Material(run(seeds=[0]))).drawings
    drawings = [drawing for drawing in every if drawing.kind != "scores"]  # the best row of each detector alone
    for figure in figures.draw(drawings):
        for backend in ("torch", "keras", "jax"):
            assert palette.backend_colour(backend).lower().encode() in figure.svg.lower(), (figure.file, backend)


def test_many_scenarios_leave_the_best_of_each_detector_and_backend_in_the_picture(run: Any) -> None:
    records = run(seeds=[0])
    for k in range(4):
        records += [
            r | {"mode": f"m{k}", "scenario_hash": f"{k}{r['scenario_hash']}"}
            for r in run(detectors=["vae"], seeds=[0])
        ]
    material = Material(records)
    series = prepared.series(material, material.quality)
    shown, words = prepared.chosen(series)
    assert len(series) == 23
    assert {(s.detector, s.backend) for s in shown} == {(s.detector, s.backend) for s in series}
    assert len(shown) == 11
    assert "11 of 23" in words


def curves(records: list[dict[str, Any]]) -> dict[str, Drawing]:
    """What is drawn over batch size and over rows; each is drawn."""
    found = Document("", "", [], [], section.section(Material(records))).drawings
    sweeps = {drawing.file: drawing for drawing in found if drawing.kind in ("batch", "rows")}
    assert all(figure.svg for figure in figures.draw(list(sweeps.values())))
    return sweeps


def sweep(record: Any, over: str) -> list[dict[str, Any]]:
    """Two backends over four batch sizes, or over as many numbers of rows."""
    values = [32, 128, 512, 2048] if over == "batch" else [10_000, 100_000, 1_000_000, 10_000_000]
    return [
        record(f"blobs?rows={n}" if over == "rows" else "blobs", backend=backend, mode="tuned", **{over: n})
        for backend in ("torch", "jax")
        for n in values
    ]


def test_three_batch_sizes_make_a_figure_with_the_limit_and_two_make_none(record: Any) -> None:
    records = sweep(record, "batch")
    figure = curves(records)["blobs-vae-2-batch.svg"]
    assert "Grey: the rate of a step's matrix products alone" in figure.caption
    for record_ in records:
        record_["metrics"].pop("limit_samples_per_second")
    assert "Grey" not in curves(records)["blobs-vae-2-batch.svg"].caption
    assert not any("batch" in name for name in curves([r for r in records if r["settings"]["batch_size"] < 500]))


def test_data_sets_that_differ_in_rows_alone_make_a_figure(record: Any) -> None:
    records = sweep(record, "rows")
    figure = curves(records)["blobs-vae-2-rows.svg"]
    assert "Grey: the size of the data" in figure.caption
    for backend in ("torch", "jax"):
        assert palette.backend_colour(backend).lower().encode() in figures.draw([figure])[0].svg.lower()
    other = [r | {"dataset": r["dataset"] + f"&features={i % 4}"} for i, r in enumerate(records)]
    assert not any(name.endswith("-rows.svg") for name in curves(other))


def test_figures_of_different_environments_do_not_overwrite_each_other(record: Any) -> None:
    found = [drawing.file for drawing in document(Material([record(), record(environment_hash="e2")])).drawings]
    assert len(set(found)) == len(found)
    assert {"digits-4-a-roc.svg", "digits-4-b-roc.svg", "a-throughput.svg", "b-throughput.svg"} <= set(found)


def test_the_mean_roc_curve_of_equal_curves_is_that_curve() -> None:
    fpr = np.linspace(0, 1, 201)
    tpr = fpr**0.3
    x, y = prepared.mean_curve([(fpr, tpr), (fpr, tpr)])
    np.testing.assert_allclose(y[1:], tpr)
    assert (x[0], y[0]) == (0, 0)


def test_empty_or_broken_curves_leave_a_figure_out_and_nothing_else(record: Any) -> None:
    broken = record(roc_curve={"fpr": [0, 1], "tpr": [0]}, histogram={"edges": [1]}, loss=[None, 2.0], samples=None)
    broken["metrics"].pop("train_samples_per_second")
    assert set(drawn([broken])) == {"answer.svg"}
