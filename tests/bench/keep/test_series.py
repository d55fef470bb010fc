"""A kept detector of windows: its threshold is of steps, and a file is scored as one series by its time."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
import pytest

import datasets
from backends import reference
from bench.keep import fitting, models, scoring
from bench.keep.models import ModelError
from bench.quality.steps import step_scores
from bench.suites.building import built
from datasets import DatasetError, windows

OPTIONS = "?window=16&stride=4&time=at"


def table(steps=400):
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=steps, freq="min").astype(str)})
    made["heat"] = (np.sin(np.arange(steps) / 9) + 0.1 * rng.standard_normal(steps)).round(4)
    made["kind"] = rng.choice(["up", "down"], steps)
    made["label"] = (np.arange(steps) // 10 == 36).astype(int)
    made.loc[made["label"] == 1, "heat"] = 3.0
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("series")
    table().to_csv(place / "rows.csv", index=False)
    return place


@pytest.fixture(scope="module")
def model(folder):
    """Fitted, written and read again."""
    reference = f"file:{folder / 'rows.csv'}{OPTIONS}"
    chosen, scenario = fitting.plan(reference, "knn", None, file=None, changes={}, seed=0, threads=1)
    fitted = fitting.fit(chosen, scenario, seed=0, data_dir=None)
    assert fitted.tested == "time steps"
    models.write(folder / "kept.model", fitted.model)
    return models.read(folder / "kept.model")


def scored(model, place, **more):
    detector = models.restored(model, models.DECISION)
    (found,) = scoring.score(model, detector, models.DECISION, place, place.name, **more)
    return found


def test_the_threshold_and_what_is_told_are_of_steps(model, folder):
    data = datasets.load(f"file:{folder / 'rows.csv'}{OPTIONS}")
    detector = models.restored(model, models.DECISION)
    steps = step_scores(detector.decision_function(data.X_val), data.series.val, 16)
    assert model.level(models.DECISION) == pytest.approx(np.percentile(steps, 95))


def test_each_row_has_the_mean_of_its_windows_in_the_order_of_the_file(model, folder):
    found = scored(model, folder / "rows.csv", key="at")
    assert found["at"].tolist() == table()["at"].tolist()
    assert found["flagged"][360:370].all()
    assert found["flagged"][:340].mean() < 0.2
    mixed = table().drop(columns="label").sample(frac=1, random_state=1)
    mixed.to_csv(folder / "mixed.csv", index=False)
    again = scored(model, folder / "mixed.csv", key="at")
    assert again["at"].tolist() == mixed["at"].tolist()
    merged = found.merge(again, on="at")
    np.testing.assert_array_equal(merged["score_x"], merged["score_y"])
    assert scored(model, folder / "rows.csv")["row"].tolist() == list(range(400))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.head(15), "holds 15 rows; the model scores windows of 16 steps"),
        (lambda rows: rows.drop(columns="at"), "no column 'at', by which the model sorts the rows"),
        (lambda rows: rows.drop(columns="heat"), "no column 'heat', which the model reads"),
        (
            lambda rows: rows.assign(at="01/02/2026"),
            "row 0, column 'at' holds '01/02/2026'; rows are sorted by",
        ),
        (lambda rows: rows.assign(at=7), "row 0 and row 1 have the same time in column 'at'"),
    ],
)
def test_rows_that_are_no_series_of_the_model_are_told_in_one_line(model, folder, change, told):
    change(table()).to_csv(folder / "other.csv", index=False)
    with pytest.raises((ModelError, DatasetError)) as failure:
        scored(model, folder / "other.csv")
    assert told in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("window", 1, "Expected `int` >= 2"),
        ("window", 60_000, "windows of 60000 steps every 4, 180,000 values each, are none"),
        ("stride", 17, "windows of 16 steps every 17"),
        ("time", 3, "Expected `str`, got `int`"),
    ],
)
def test_a_model_whose_windows_are_none_is_refused(model, key, value, told):
    fitted = {name.removeprefix(models.FITTED): a for name, a in model.arrays.items() if name.startswith(models.FITTED)}
    words = msgspec.to_builtins(model.card.preprocessing) | {key: value}
    with pytest.raises(DatasetError) as failure:
        windows.restored(words, fitted)
    assert told in str(failure.value)


def test_a_network_over_time_is_kept_with_the_window_that_it_convolves_over(folder):
    training = {"epochs": 1, "batch_size": 16, "hidden": [], "latent": 2, "filters": [3]}
    changes = {"training": training, "precisions": ["float64"]}
    name = f"file:{folder / 'rows.csv'}{OPTIONS}"
    _, scenario = fitting.plan(name, "conv1d_vae", "torch", file=None, changes=changes, seed=0, threads=1)
    data = datasets.load(name)
    shape = data.features, data.grid
    detector = built(scenario, *shape, seed=0, backend=reference).fit(data.X_train)
    place = folder / "network.model"
    models.write(place, models.snapshot(detector, scenario, data, 0, ("reconstruction",)))
    kept = models.read(place)
    assert (kept.card.image, data.features) == ((16,), 16 * 3)
    weights = {n.removeprefix(models.WEIGHTS): a for n, a in kept.arrays.items() if n.startswith(models.WEIGHTS)}
    assert weights["encoder.0.kernel"].shape == (3, 1, 3, 3)
    again = built(kept.card.scenario, data.features, kept.card.image, seed=0, backend=reference)
    scores = again.take(weights, data.X_train).decision_function(data.X_test)
    np.testing.assert_array_equal(scores, detector.decision_function(data.X_test))
    for wrong in ((4, 4), None):
        models.write(place, replace(kept, card=replace(kept.card, image=wrong)))
        with pytest.raises(ModelError, match="conv1d_vae needs windows of a series"):
            models.read(place)
