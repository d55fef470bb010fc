"""Fitting, keeping and using a detector: ``bench fit`` and ``bench score``."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import datasets
from bench.cli import main
from bench.detect.sanity import Norm
from bench.keep import models, scoring
from datasets import tables

ROWS = 240


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands set threads in the environment of their process, which here is that of the tests."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def rows(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": [f"00{row}" for row in range(ROWS)],
            "amount": rng.normal(50, 20, ROWS).round(3),
            "count": rng.integers(0, 40, ROWS),
            "kind": rng.choice(["a", "b", "c"], ROWS),
            "label": np.where(np.arange(ROWS) % 10 == 0, "attack", "normal"),
        }
    )
    frame.loc[frame["label"] == "attack", "amount"] += 300.0
    frame.loc[5, "amount"] = np.nan
    return frame


@pytest.fixture
def training(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    rows().drop(columns="id").to_csv(path, index=False)
    return path


@pytest.fixture
def fit(tmp_path: Path, training: Path) -> Callable[..., Path]:
    """Fits a detector to the training file, or another data set, and returns the model's file."""

    def run(detector: str = "norm", *options: str, dataset: str = f"file:{training}") -> Path:
        model = tmp_path / f"{detector}.model"
        assert main(["fit", dataset, "--detector", detector, "--out", str(model), *options]) == 0
        return model

    return run


def score(model: Path, file: Path, *options: str, suffix: str = "csv") -> pd.DataFrame:
    out = file.parent / f"scores.{suffix}"
    assert main(["score", str(model), str(file), "--out", str(out), *options]) == 0
    return pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_network_scores_alike_in_every_backend(bench, tmp_path, training, installed):
    done = bench(
        "fit", f"file:{training}?scale=robust", "--detector", "vae", "--backend", installed[0], "--epochs", "4",
        "--batch-size", "16", "--hidden", "16,8", "--latent", "2", "--out", "vae.model",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ROC AUC" in done.stdout
    found = []
    for backend in installed:
        done = bench(
            "score", "vae.model", str(training), "--backend", backend, "--score", "elbo", "--out", "scores.csv"
        )
        assert done.returncode == 0, done.stderr
        found.append(pd.read_csv(tmp_path / "scores.csv"))
    for other in found[1:]:
        np.testing.assert_allclose(other["score"], found[0]["score"], rtol=1e-4)
        assert other["flagged"].tolist() == found[0]["flagged"].tolist()
    labels = rows()["label"] == "attack"
    assert found[0].loc[labels, "flagged"].all()


@pytest.mark.parametrize("detector", ["norm", "mahalanobis", "knn", "isolation_forest", "one_class_svm"])
def test_a_detector_without_weights_scores_as_when_it_was_fitted(fit, training, detector):
    model = fit(detector, "--seed", "3")
    data = datasets.load(f"file:{training}", seed=3)
    kept = models.read(model)
    again = models.restored(kept, models.DECISION)
    np.testing.assert_array_equal(
        again.decision_function(data.X_val[: models.PROBED]), kept.arrays[models.PROBE_SCORES][0]
    )
    labels = rows()["label"] == "attack"
    found = score(model, training)
    shown = list(found.columns)
    assert shown[:3] == ["row", "score", "flagged"]
    assert ("feature_1" in shown) == hasattr(again, "explain")
    assert found.loc[labels, "score"].median() > found.loc[~labels, "score"].quantile(0.9)


def test_raw_rows_become_the_same_float32_digits_as_in_training(fit, training):
    model = models.read(fit())
    data = datasets.load(f"file:{training}")
    (table,) = tables.chunks(training, "train.csv", text=["kind"])
    X = model.preprocessing(scoring._raw(table, model.preprocessing, "train.csv", 0))
    known = {row.tobytes() for row in X}
    for part in (data.X_train, data.X_val, data.X_test):
        assert {row.tobytes() for row in part} <= known


def test_rows_above_the_threshold_are_flagged_and_no_others(fit, training):
    model = fit("norm", "--threshold", "std:2", "--threshold-rows", "train")
    found, level = score(model, training), models.read(model).card.levels[0]
    data = datasets.load(f"file:{training}")
    scores = Norm().fit(data.X_train).decision_function(data.X_train)
    assert level == pytest.approx(scores.mean() + 2 * scores.std())
    assert found["flagged"].tolist() == (found["score"] > level).astype(int).tolist()
    assert 0 < found["flagged"].sum() < ROWS


@pytest.mark.parametrize("source", ["csv", "parquet"])
@pytest.mark.parametrize("result", ["csv", "parquet"])
def test_the_size_of_chunks_and_the_kind_of_file_change_no_score(fit, tmp_path, monkeypatch, source, result):
    model, new = fit(), rows(1)
    file = tmp_path / f"new.{source}"
    new.to_csv(file, index=False) if source == "csv" else new.to_parquet(file)
    whole = score(model, file, suffix=result)
    monkeypatch.setattr(tables, "CHUNK", 7)
    sizes = []
    chunks = tables.chunks
    monkeypatch.setattr(tables, "chunks", lambda *a, **k: (sizes.append(len(t)) or t for t in chunks(*a, **k)))
    pd.testing.assert_frame_equal(score(model, file, suffix=result), whole)
    assert max(sizes) == 7
    assert sum(sizes) == ROWS


def test_arrays_score_as_the_table_of_their_columns(fit, tmp_path):
    X = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    names = [f"x{column}" for column in range(4)]
    pd.DataFrame(X.astype(np.float64), columns=names).to_csv(tmp_path / "table.csv", index=False)
    np.save(tmp_path / "plain.npy", X)
    np.savez_compressed(tmp_path / "rows.npz", X=X)
    np.savez(tmp_path / "columns.npz", X=np.asfortranarray(X))
    model = fit("knn", dataset="shifted?features=4&rows=200")
    expected = score(model, tmp_path / "table.csv")
    for name in ("plain.npy", "rows.npz", "columns.npz"):
        np.testing.assert_allclose(score(model, tmp_path / name)["score"], expected["score"], rtol=1e-6)


def test_columns_without_names_are_taken_in_order_where_there_are_as_many(fit, tmp_path):
    images = datasets.load("digits:4").X_test
    np.save(tmp_path / "images.npy", images * 16)
    model = fit("norm", dataset="digits:4")
    expected = Norm().fit(datasets.load("digits:4").X_train).decision_function(images)
    np.testing.assert_allclose(score(model, tmp_path / "images.npy")["score"], expected, rtol=1e-6)


def test_a_file_is_scored_in_a_fraction_of_the_memory_it_would_fill(fit, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK", 512)
    file = tmp_path / "many.npy"
    np.save(file, np.random.default_rng(0).normal(size=(40_000, 20)))
    model = fit("norm", dataset="shifted?rows=200")
    score(model, file)  # imports are no part of it
    tracemalloc.start()
    try:
        assert len(score(model, file, suffix="parquet")) == 40_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < file.stat().st_size / 3


def test_columns_are_found_by_name_and_an_id_is_carried_through(fit, tmp_path):
    model, new = fit(), rows(2)
    file = tmp_path / "new.csv"
    new.to_csv(file, index=False)
    expected = score(model, file)
    new[["label", "kind", "id", "count", "amount"]].assign(more="x").to_csv(file, index=False)
    assert main(["score", str(model), str(file), "--out", str(tmp_path / "out.csv"), "--id", "id"]) == 0
    found = pd.read_csv(tmp_path / "out.csv", dtype={"id": str})
    assert found["id"].tolist() == new["id"].tolist()
    assert found["score"].tolist() == expected["score"].tolist()


def test_gaps_and_unseen_categories_are_scored_and_not_refused(fit, tmp_path):
    model, new = fit(), rows(3)
    new.loc[0, "amount"], new.loc[1, "kind"], new.loc[2, "kind"], new.loc[3, "amount"] = np.nan, None, "new", 1e300
    new.to_csv(tmp_path / "new.csv", index=False)
    assert np.isfinite(score(model, tmp_path / "new.csv")["score"]).all()


def test_columns_are_taken_as_they_are_where_a_data_set_tells_of_no_preprocessing(fit, tmp_path, monkeypatch):
    data = replace(datasets.load("shifted?rows=100&features=3"), preprocessing=None)
    monkeypatch.setattr(datasets, "load", lambda *_, **__: data)
    pd.DataFrame(data.X_test, columns=list(data.feature_names)).to_parquet(tmp_path / "new.parquet")
    found = score(fit(dataset="shifted"), tmp_path / "new.parquet")
    np.testing.assert_allclose(found["score"], Norm().fit(data.X_train).decision_function(data.X_test), rtol=1e-6)


def test_the_features_with_the_largest_shares_are_named(fit, training):
    found = score(fit(), training, "--top", "2")
    assert list(found.columns)[3:] == ["feature_1", "share_1", "feature_2", "share_2"]
    assert (found["share_1"] >= found["share_2"]).all()
    assert set(found.loc[rows()["label"] == "attack", "feature_1"]) == {"amount"}


def test_without_a_file_the_scores_are_the_standard_output(bench, fit, training):
    done = bench("score", str(fit()), str(training))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "row,score,flagged,feature_1,share_1,feature_2,share_2,feature_3,share_3"
    assert len(done.stdout.splitlines()) == ROWS + 1
    assert "rows flagged" in done.stderr


def test_a_suite_gives_settings_and_options_replace_them(fit, tmp_path):
    suite = tmp_path / "mine.toml"
    suite.write_text(
        '[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["knn"]\nparameters = { knn = { n_neighbors = 9 } }\n'
        'thresholds = [{ rule = "std", value = 4.0 }]\n'
    )
    scenario = models.read(fit("knn", "--suite", str(suite))).card.scenario
    assert scenario.parameters == {"n_neighbors": 9}
    assert str(scenario.thresholds[0]).startswith("mean + 4")
    scenario = models.read(fit("knn", "--suite", str(suite), "--parameter", "n_neighbors=2")).card.scenario
    assert scenario.parameters == {"n_neighbors": 2}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--detector", "knm"], "did you mean 'knn'?"),
        (["--detector", "norm", "--threshold", "oracle_f1"], "oracle_f1 reads the test rows"),
        (["--detector", "norm", "--threshold", "top_fraction:0.1"], "top_fraction reads the test rows"),
        (["--detector", "norm", "--threshold", "percentil:99"], "did you mean 'percentile'?"),
        (["--detector", "norm", "--threshold", "percentile:101"], "does not fit"),
        (["--detector", "norm", "--threshold", "evt:0.001"], "form the tail"),
        (["--detector", "norm", "--scores", "elbo"], "norm has one score of its own"),
        (["--detector", "knn", "--parameter", "neighbors=3"], "did you mean 'n_neighbors'?"),
        (["--detector", "pyod_vae"], "would be trained anew at every load"),
        (["--detector", "vae", "--backend", "pytorch"], "no backend 'pytorch'"),
        (["--detector", "vae", "--backend", "torch", "--likelihood", "bce"], "bce needs values in [0, 1]"),
        (["--detector", "vae", "--backend", "torch", "--dropout", "1.5"], "training.dropout"),
        (["--detector", "conv_vae", "--backend", "torch"], "needs images"),
        (["--detector", "conv1d_vae", "--backend", "torch"], "needs windows of a series"),
        (["--detector", "norm", "--suite", "nowhere"], "no such suite"),
        (["--detector", "one_class_svm", "--suite", "peers"], "no block runs the detector 'one_class_svm'"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(capsys, tmp_path, training, options, told):
    model = tmp_path / "none.model"
    assert told in refusal(capsys, "fit", f"file:{training}", "--out", model, *options)
    assert not model.exists()


def test_a_model_is_one_file_and_not_a_folder(capsys, tmp_path, training):
    assert "is a folder" in refusal(capsys, "fit", f"file:{training}", "--detector", "norm", "--out", tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda new: new.drop(columns="amount"), "no column 'amount', which the model reads"),
        (lambda new: new.rename(columns={"amount": "amont"}), "did you mean 'amont'?"),
        (lambda new: new.assign(amount="many"), "row 0 holds 'many' in column 'amount', which wants numbers"),
        (lambda new: new.iloc[:0], "holds no rows"),
    ],
)
def test_rows_that_the_model_cannot_read_are_refused_in_one_line(capsys, fit, tmp_path, change, told):
    change(rows()).to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "scores.csv"
    assert told in refusal(capsys, "score", fit(), tmp_path / "new.csv", "--out", out)
    assert not out.exists()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("new.csv", b"amount,count,kind\n1,2,a\n3,4\n", "line 3 has 2 fields, the header 3"),
        ("new.csv", b"\n\namount,count,kind\n1,2,a\n\xff,4,b\n", "line 5 is not UTF-8"),
        ("new.csv", b"amount,amount,count,kind\n1,2,3,a\n", "two columns are called 'amount'"),
        ("new.csv", b"", "not a table of comma-separated values"),
        ("new.parquet", b"PAR1", "not an intact parquet file"),
        ("new.npy", b"\x93NUMPY", "not an intact .npy"),
        ("new.npz", b"PK", "not an intact .npz"),
        ("new.xlsx", b"PK", "wants a name that ends in .csv, .parquet, .npz, .npy"),
        (None, b"", "there is no file"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(capsys, fit, tmp_path, name, content, told):
    file = tmp_path / (name or "gone.csv")
    if name:
        file.write_bytes(content)
    assert told in refusal(capsys, "score", fit(), file, "--out", tmp_path / "scores.csv")


def test_nothing_is_unpickled(capsys, fit, tmp_path):
    model = fit("norm", dataset="shifted?features=1&rows=100")
    rows = np.array([[{}]], dtype=object)
    np.save(tmp_path / "new.npy", rows, allow_pickle=True)
    np.savez(tmp_path / "new.npz", X=rows)
    for name in ("new.npy", "new.npz"):
        assert "not an intact" in refusal(capsys, "score", model, tmp_path / name)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--score", "elbo"], "no threshold for the score 'elbo'; it has decision"),
        (["--backend", "torch"], "norm runs on no backend"),
        (["--id", "ids"], "--id wants one column called 'ids'"),
        (["--id", "score"], "the result has a column of that name"),
        (["--out", "scores.txt"], "wants a name that ends in .csv or .parquet"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused_in_one_line(capsys, fit, training, options, told):
    assert told in refusal(capsys, "score", fit(), training, *options)


def test_neither_the_rows_nor_the_model_are_overwritten(capsys, fit, training):
    assert "is a file that is read" in refusal(capsys, "score", fit(), training, "--out", training)


def rewritten(model: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    with safe_open(model, framework="numpy") as file:
        card = msgspec.json.decode(file.metadata()[models.KEY])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(card, arrays)
    save_file(arrays, model, metadata={models.KEY: msgspec.json.encode(card).decode()})


def setting(path: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(card: dict[str, Any], arrays: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            card = card[name]
        card[last] = value

    return change


def array(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda card, arrays: arrays.pop(name) if value is None else arrays.update({name: value})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (setting("format", 2), "it is of format 2, and this version reads format 1"),
        (setting("scenario.detector", "os.system"), "no detector 'os.system'"),
        (setting("scenario.detector", "vae"), "do not go together"),
        (setting("scenario.parameters", {"command": "rm"}), "has no parameter 'command'"),
        (setting("scenario.thresholds", []), "thresholds: expected `array` of length >= 1"),
        (setting("scores", ["decision", "elbo"]), "one threshold for each"),
        (setting("scores", ["reconstruction"]), "has the scores decision"),
        (setting("scenario.backend", "torch"), "no suite could say this"),
        (setting("scenario.mode", "tuned"), "no suite could say this"),
        (setting("scenario.training", {}), "no suite could say this"),
        (setting("image", [0, 0]), "images of 0 × 0 pixels"),
        (setting("image", []), "images of no pixels"),
        (setting("levels", ["high"]), "levels"),
        (setting("seed", -1), "seed"),
        (setting("train_rows", 7), "'rows'"),
        (setting("preprocessing.numeric", ["amount"]), "preprocessing"),
        (array("rows", None), "the array 'rows' is missing"),
        (array("rows", np.zeros((3, 2), np.float32)), "the array 'rows'"),
        (array("probe", np.full((16, 5), np.nan, np.float32)), "the array 'probe'"),
        (array("probe_scores", np.zeros((1, 3))), "do not fit each other"),
        (array("more", np.zeros(3)), "holds an array 'more' that no model has"),
        (array("preprocessing.fill", None), "fill"),
    ],
)
def test_a_damaged_model_is_refused_in_one_line(capsys, fit, training, change, told):
    model = fit()
    rewritten(model, change)
    line = refusal(capsys, "score", model, training)
    assert f"{model} cannot be read as a model" in line
    assert told in line


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", bytes(100), b"\xff" * 64])
def test_what_is_no_model_is_refused_in_one_line(capsys, tmp_path, training, content):
    (tmp_path / "no.model").write_bytes(content)
    assert "cannot be read as a model" in refusal(capsys, "score", tmp_path / "no.model", training)
    assert "there is no model" in refusal(capsys, "score", tmp_path / "gone.model", training)


def test_a_model_that_scores_otherwise_than_when_it_was_saved_is_not_used(capsys, fit, training):
    model = fit()
    rewritten(model, lambda card, arrays: arrays.update(rows=arrays["rows"] + np.float32(1)))
    assert "scores otherwise here than when it was saved" in refusal(capsys, "score", model, training)


def test_a_model_whose_library_has_changed_since_says_so(capsys, fit, training):
    model = fit()
    rewritten(model, lambda card, arrays: (card["versions"].update(numpy="1.0"), arrays["rows"].__iadd__(1)))
    assert "it was made with numpy 1.0, here " in refusal(capsys, "score", model, training)


def test_a_model_with_more_neighbours_than_rows_is_refused_in_one_line(capsys, fit, training):
    model = fit("knn")
    rewritten(model, setting("scenario.parameters", {"n_neighbors": 10**6}))
    assert "cannot be fitted to the model's rows" in refusal(capsys, "score", model, training)
