"""Files that are scored: what a model reads as in training, what is told, and the row that is at fault."""

from __future__ import annotations

import datetime
import os
from decimal import Decimal

import msgspec
import numpy as np
import pandas as pd
import pytest

from bench.cli import main
from bench.keep import models
from datasets import tables

ROWS = 240


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """The commands set threads in the environment of their process, which here is that of the tests."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def rows(seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(0, 30, (ROWS, 3)).round(3), columns=["a", "b", "c"])
    frame["kind"] = rng.choice(["1", "2", "x"], ROWS)
    frame["label"] = (np.arange(ROWS) % 10 == 0).astype(int)
    frame.loc[frame["label"] == 1, ["a", "b"]] += 100.0
    return frame


def comma(frame, *names):
    return frame.assign(**{name: frame[name].map(lambda value: f"{value:.3f}".replace(".", ",")) for name in names})


@pytest.fixture
def fit(tmp_path, capsys):
    """Fits to a table that is written as it is; returns the model and what was printed."""

    def run(frame, reference="", *more, separator=","):
        path = tmp_path / "train.csv"
        frame.to_csv(path, index=False, sep=separator)
        model = tmp_path / "norm.model"
        capsys.readouterr()
        assert main(["fit", f"file:{path}{reference}", "--detector", "norm", "--out", str(model), *more]) == 0
        return model, capsys.readouterr().out

    return run


@pytest.fixture
def score(tmp_path, capsys):
    """Scores a table by a model; returns the scores and what was told, or what it was refused with."""

    def run(model, frame, suffix="parquet", separator=",", more=()):
        path = tmp_path / f"new.{suffix}"
        if suffix == "parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep=separator)
        out = tmp_path / "scores.csv"
        out.unlink(missing_ok=True)
        capsys.readouterr()
        status = main(["score", str(model), str(path), "--out", str(out), *more])
        told = capsys.readouterr().err
        if status == 0:
            return pd.read_csv(out)["score"].to_numpy(), told
        assert status == 2
        assert len(told.splitlines()) == 1
        assert not out.exists()
        return None, told

    return run


def test_fit_tells_each_decision_once_and_score_reads_by_the_same_reading(fit, score):
    frame = comma(rows(), "a", "b").assign(
        share=[f"{value / 7:.1f} %" for value in rows()["c"]], flag=["yes", "no"] * (ROWS // 2), id=range(ROWS)
    )
    model, out = fit(frame, separator=";")
    notes = [line for line in out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: Read with decimal commas: a, b.",
        "note: Read with per cent signs: share.",
        "note: Read with yes as 1, no as 0: flag.",
        "note: Dropped as row numbers (?keep=COLUMN takes them in): id.",
    ]
    again, told = score(model, frame, "csv", ";")
    assert "note: Read with decimal commas, as in training: a, b." in told
    assert "note: Not read by the model: label, id." in told
    numbers = rows().assign(share=frame["share"].str.rstrip(" %").astype(float) / 100, flag=frame["flag"] == "yes")
    typed, _ = score(model, numbers)
    np.testing.assert_allclose(again, typed, rtol=1e-6)


def test_a_reading_stays_with_the_model(fit):
    model, _ = fit(comma(rows(), "a"), "?missing=unknown", separator=";")
    dialect = models.read(model).preprocessing.dialect
    assert {name: str(reading) for name, reading in dialect.columns.items()} == {"a": "decimal commas"}
    assert dialect.missing == ("unknown",)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_number_that_meant_missing_in_training_means_it_later(fit, score, suffix):
    frame = rows()
    model, _ = fit(frame.assign(a=frame["a"].mask(frame.index % 7 == 0, -999)), "?missing=-999")
    later = frame.assign(a=frame["a"].mask(frame.index % 5 == 0, -999))
    empty = frame.assign(a=frame["a"].mask(frame.index % 5 == 0))
    np.testing.assert_array_equal(score(model, later, suffix)[0], score(model, empty, suffix)[0])
    assert not np.array_equal(score(model, later, suffix)[0], score(model, frame, suffix)[0])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_that_were_words_in_training_are_words_later(fit, score, suffix):
    frame = rows().assign(port=np.arange(ROWS) % 3)
    model, _ = fit(frame, "?text=port")
    assert models.read(model).preprocessing.categories["port"] == ("0", "1", "2")
    known, _ = score(model, frame, suffix)
    as_words, _ = score(model, frame.assign(port=frame["port"].astype(str)), suffix)
    np.testing.assert_array_equal(known, as_words)
    assert not np.array_equal(known, score(model, frame.assign(port=7), suffix)[0])


@pytest.mark.parametrize("reading", [{"thousands": "?"}, {"decimal": ";"}, {"truth": ["a"]}])
def test_a_model_with_an_impossible_reading_is_refused(fit, tmp_path, capsys, reading):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    model, _ = fit(comma(rows(), "a"), separator=";")
    with safe_open(model, framework="numpy") as file:
        card = msgspec.json.decode(file.metadata()[models.KEY])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    card["preprocessing"]["dialect"]["columns"]["a"] |= reading
    save_file(arrays, model, metadata={models.KEY: msgspec.json.encode(card).decode()})
    assert main(["score", str(model), str(tmp_path / "train.csv")]) == 2
    assert "cannot be read as a model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.assign(a=[Decimal(str(value)) for value in frame["a"]]),
        lambda frame: frame.assign(a=frame["a"].astype(str)),
        lambda frame: frame.assign(a=frame["a"].astype("category")),
        lambda frame: frame.assign(a=frame["a"].astype("Float64")),
        lambda frame: frame.assign(kind=frame["kind"].astype("category")),
        lambda frame: frame.rename(columns=lambda name: f" {name} "),
    ],
)
def test_the_same_numbers_of_another_type_score_alike(fit, score, change):
    model, _ = fit(rows())
    expected, _ = score(model, rows())
    found, _ = score(model, change(rows()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_categories_are_words_whatever_a_file_holds_them_as(fit, score):
    model, _ = fit(rows())
    ones = rows().assign(kind="1")
    expected, _ = score(model, ones)
    for kind in (1, 1.0, Decimal(1)):
        np.testing.assert_array_equal(score(model, ones.assign(kind=kind))[0], expected)
    _, told = score(model, ones.assign(kind=pd.Timestamp("2026-01-01")))
    assert "Values that training did not have count as no category: kind '2026-01-01 00:00:00' (240)." in told


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (pd.Timestamp("2026-01-01"), "column 'a' holds '2026-01-01 00:00:00' (Timestamp), and the model wants numbers"),
        (datetime.date(2026, 1, 1), "column 'a' holds '2026-01-01' (date), and the model wants numbers"),
        ([[1]] * ROWS, "column 'a' holds no single values"),
        ("many", "row 0 holds 'many' in column 'a', which wants numbers"),
        ("1,5", "row 0 holds '1,5' in column 'a', which wants numbers"),
    ],
)
def test_a_column_that_is_no_number_is_refused_in_one_line(fit, score, values, told):
    model, _ = fit(rows())
    assert told in score(model, rows().assign(a=values))[1]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_stream_of_chunks_names_the_row_that_is_at_fault(fit, score, monkeypatch, suffix):
    model, _ = fit(rows())
    monkeypatch.setattr(tables, "CHUNK", 50)
    frame = rows().astype({"a": str})
    frame.loc[177, "a"] = "bad"
    _, told = score(model, frame, suffix)
    assert "row 177 holds 'bad' in column 'a', which wants numbers" in told
    assert ("(line 179)" in told) == (suffix == "csv")


def test_gaps_are_counted_and_a_repeated_header_is_named(fit, score, tmp_path):
    model, _ = fit(rows())
    frame = rows().astype({"a": str})
    frame.loc[[3, 4], "a"] = ["", "-"]
    assert "Missing values were filled as in training: a (2)." in score(model, frame, "csv")[1]
    frame = frame.astype(object)
    frame.loc[100] = list(frame.columns)
    assert "line 102 holds the header again" in score(model, frame, "csv")[1]


def test_names_and_identifiers_of_a_file_are_no_formulas_in_the_scores(fit, score, tmp_path):
    frame = rows().rename(columns={"a": "=cmd|' /C calc'!A0", "kind": "=id"})
    model, _ = fit(frame, "?drop=%3Did")
    given = frame.assign(**{"=id": ["=1+1", " @x", "\n=1", "\uff1d1", "-5", "plain"] * (len(frame) // 6)})
    score(model, given, more=["--id", "=id"])
    found = pd.read_csv(tmp_path / "scores.csv", dtype=str)
    assert found.columns[0] == "'=id"
    assert found["'=id"].head(6).tolist() == ["'=1+1", "' @x", "'\n=1", "'\uff1d1", "-5", "plain"]
    assert "'=cmd|' /C calc'!A0" in set(found["feature_1"])
    assert not any(cell.startswith("=") for column in found for cell in found[column])
