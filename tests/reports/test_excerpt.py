"""One table by itself: the same numbers in every format, and names from outside that stay text in each."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from reports import excerpt, tables

TEXTS = ("markdown", "latex", "csv", "json")
BREAKOUTS = ("a|b", "<script>alert(1)</script>", r"\input{/etc/passwd}", "50%_$x^2${}~#&", "a\n\\end{tabular}", "‮abc")


@pytest.mark.parametrize("table", ["quality", "throughput"])
@pytest.mark.parametrize("form", [*TEXTS, "parquet"])
def test_every_table_is_written_in_every_format_and_twice_the_same(run: Any, table: str, form: str) -> None:
    records = run(["digits:4", "blobs"], ["vae", "knn"], seeds=[0, 1])
    found = excerpt.written(records, table, form)
    assert found == excerpt.written(records, table, form)
    assert len(found) > 500


def test_the_formats_for_programs_hold_every_column_in_full_precision(run: Any) -> None:
    records = run(["digits:4", "blobs"], ["vae", "knn"], seeds=[0, 1])
    expected = tables.quality(tables.trials(records))
    csv = pd.read_csv(io.BytesIO(excerpt.written(records, "quality", "csv")))
    found = pd.DataFrame(json.loads(excerpt.written(records, "quality", "json")))
    parquet = pd.read_parquet(io.BytesIO(excerpt.written(records, "quality", "parquet")))
    for frame in (csv, found, parquet):
        assert list(frame["dataset"]) == list(expected["dataset"])
        assert frame["roc_auc"].to_numpy() == pytest.approx(expected["roc_auc"].to_numpy(), rel=1e-14)
        assert {"roc_auc_low", "roc_auc_high", "roc_auc_sd", "seeds", "threshold_rule"} <= set(frame.columns)
    speed = pd.read_csv(io.BytesIO(excerpt.written(records, "throughput", "csv")))
    assert speed["train_samples_per_second"].iloc[0] == pytest.approx(
        tables.throughput(tables.trials(records))["train"].iloc[0], rel=1e-14
    )


def test_a_turned_table_has_a_column_for_each_data_set_and_a_row_for_each_detector_and_backend(run: Any) -> None:
    records = run(["digits:4", "blobs"], ["vae", "knn"], seeds=[0, 1])
    frame = pd.read_csv(io.BytesIO(excerpt.written(records, "quality", "csv", "roc_auc")))
    assert {"digits:4", "blobs"} <= set(frame.columns)
    assert len(frame) == 4
    quality = tables.quality(tables.trials(records))
    one = quality[(quality["dataset"] == "blobs") & (quality["backend"] == "jax")]["roc_auc"].item()
    assert frame[frame["backend"] == "jax"]["blobs"].item() == pytest.approx(one)
    text = excerpt.written(records, "quality", "markdown", "roc_auc").decode()
    assert "`digits:4`" in text.splitlines()[0]
    assert f"{one:.3f}" in text


def test_a_turned_table_to_be_read_has_one_row_where_each_data_set_has_a_batch_size_of_its_own(record: Any) -> None:
    records = [record("digits:4", batch=32), record("blobs", batch=128), record("blobs", "knn")]
    text = excerpt.written(records, "quality", "markdown", "roc_auc").decode()
    assert text.count("`vae`") == 1
    assert "batch" not in text
    assert b"batch" in excerpt.written(records, "quality", "csv", "roc_auc")
    several = [*records, record("blobs", batch=512)]
    assert excerpt.written(several, "quality", "markdown", "roc_auc").decode().count("`vae`") == 3


def test_a_turned_table_keeps_rows_apart_that_differ_in_their_settings(record: Any) -> None:
    twice = [record(scenario_hash="a"), record(scenario_hash="b", auc=0.5)]
    for one, latent in zip(twice, (2, 8), strict=True):
        one["settings"] = {**one["settings"], "latent": latent}
    frame = pd.read_csv(io.BytesIO(excerpt.written(twice, "quality", "csv", "roc_auc")))
    assert frame["variant"].tolist() == ["latent 2", "latent 8"]


def test_a_metric_that_the_table_has_no_column_of_is_refused_with_those_it_has(run: Any) -> None:
    with pytest.raises(excerpt.NoTableError, match=r"'threshold' \(it can about roc_auc"):
        excerpt.written(run(), "quality", "csv", "threshold")
    with pytest.raises(excerpt.NoTableError, match="no metric"):
        excerpt.written(run(), "equality", "csv", "roc_auc")


def test_records_without_a_finished_trial_have_no_table(record: Any) -> None:
    failed = [record(status="failed", reason="out of memory", metrics={})]
    with pytest.raises(excerpt.NoTableError, match="no trial has anything to show in the throughput table"):
        excerpt.written(failed, "throughput", "markdown")


def test_equality_has_a_row_for_each_rung(record: Any) -> None:
    claim = {
        "verified": "2026-11-22",
        "quick": False,
        "precision": "float64",
        "device": "cpu",
        "mode": "idiomatic",
        "passed": True,
        "backends": {"torch": {"torch": "2.13.0"}},
        "steps": 500,
        "errors": {"forward": [3e-16, 1e-13], "training: weights": [2e-6, None]},
        "failure": None,
    }
    frame = pd.read_csv(io.BytesIO(excerpt.written([record(equality=[claim])], "equality", "csv")))
    assert list(frame["rung"]) == ["forward", "training: weights"]
    assert frame["error"].tolist() == [3e-16, 2e-6]
    text = excerpt.written([record(equality=[claim])], "equality", "markdown").decode()
    assert "3.0e-16" in text
    assert "1e-13" in text


@pytest.mark.parametrize("name", BREAKOUTS)
def test_names_that_try_to_break_out_stay_text(record: Any, name: str) -> None:
    records = [record(dataset=name), record(dataset="other")]
    html = MarkdownIt("commonmark").enable("table").render(excerpt.written(records, "quality", "markdown").decode())
    assert "<script" not in html
    assert html.count("<tr>") == 3
    assert html.count("<td") == 2 * html.count("<th ") + 2 * html.count("<th>")
    tex = excerpt.written(records, "quality", "latex").decode()
    body = tex[tex.index(r"\midrule") : tex.index(r"\bottomrule")].splitlines()[1:-1]
    assert len(body) == 2
    known = r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|texttt|[&%$#_{}]|\\)"
    for line in body:
        assert not re.search(r"\\", re.sub(known, "", line.replace(r"$\pm$", "").replace(r"$\approx$", ""))), line
        bare = re.sub(r"\\.", "", line)
        assert bare.count("&") == body[1].count(" & ")
        assert bare.count("{") == bare.count("}")
        assert "%" not in bare


def test_latex_has_the_rules_of_booktabs_and_one_specification_a_column(run: Any) -> None:
    tex = excerpt.written(run(["digits:4"], ["vae", "knn"]), "quality", "latex").decode()
    specification = re.search(r"\\begin\{tabular\}\{([lr]+)\}", tex)
    assert specification
    header = tex.splitlines()[3]
    assert header.count("&") + 1 == len(specification[1])
    assert [line.strip() for line in tex.splitlines() if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
