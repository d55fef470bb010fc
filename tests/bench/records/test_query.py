"""SQL over the records says what the records say, and reaches nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import main
from bench.records import query, store
from bench.records.metrics import METRICS
from bench.records.record import KEYS, SCHEMA

DOCS = (Path(__file__).parents[3] / "docs" / "report.md").read_text()
LINES = [line for line in DOCS.splitlines() if line.startswith("bench report") and "--sql" in line]


def record(seed: int = 0, **more):
    names = {"dataset": "blobs", "detector": "vae", "scenario_hash": "s", "environment_hash": "e", "status": "ok"}
    base = {"schema": SCHEMA, **names, "backend": "torch", "seed": seed, "round": 0}
    return base | {"metrics": {"roc_auc": 0.5 + seed / 10, "precision": 0.25}, "precision": "float32"} | more


@pytest.fixture
def run(tmp_path: Path, process: None) -> Path:
    for seed in range(3):
        store.append(tmp_path / "out", record(seed, notes=["a"] if seed else [], loss=[2.0, 1.0 + seed]))
    return tmp_path / "out"


def rows(run: Path, sql: str) -> list[dict]:
    return query.answer({"out": run}, sql)[0].to_pylist()


def test_keys_and_metrics_are_columns_by_their_names(run):
    found = rows(
        run, "SELECT run, line, seed, roc_auc, precision, arithmetic, loss->>-1 AS last FROM records ORDER BY 3"
    )
    assert found[2] == {
        "run": "out",
        "line": 3,
        "seed": 2,
        "roc_auc": 0.7,
        "precision": 0.25,
        "arithmetic": "float32",
        "last": "3.0",
    }


def test_the_table_has_the_last_record_of_each_trial_and_environment_of_each_run(run, tmp_path):
    store.append(run, record(1, status="failed"))
    store.append(run, record(1, environment_hash="other"))
    store.append(tmp_path / "two", record(1))
    with (run / store.FILE).open("ab") as file:
        file.write(b"{torn\n")
    found, warnings = query.answer(
        {"out": run, "two": tmp_path / "two"},
        "SELECT run, line, environment_hash, status FROM records WHERE seed = 1 ORDER BY ALL",
    )
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("out", 4, "e", "failed"),
        ("out", 5, "other", "ok"),
        ("two", 1, "e", "ok"),
    ]
    assert warnings == ["out: line 6 of records.jsonl is not a whole JSON object and was left out"]


VALUES = st.sampled_from([None, True, 0, 2**70, -5, 1.5, "x", "0.9", "", [1, "a"], {"a": {}}, {"a": 1e300}])


@given(st.dictionaries(st.sampled_from(sorted({*KEYS} - set(record()) | {"backend"})), VALUES), VALUES)
@settings(deadline=None, max_examples=15)
def test_a_value_of_another_type_than_its_column_is_null_and_none_is_lost(process, tmp_path_factory, more, metric):
    directory = tmp_path_factory.mktemp("out")
    store.append(directory, record(0, **more, metrics={"train_samples_per_second": metric}))
    (found,) = rows(directory, "FROM records")
    kinds = {"text": str, "integer": int, "number": (int, float), "flag": bool}
    for name, (key, kind) in query.COLUMNS.items():
        value = record(**more).get(key)
        if kind == "json":
            assert (found[name] and json.loads(found[name])) == value, name
        else:
            fits = isinstance(value, kinds[kind]) and (kind in ("text", "flag") or not isinstance(value, bool))
            assert found[name] == (value if (fits and value != 2**70) or (fits and kind == "number") else None), name
    numeric = isinstance(metric, int | float) and not isinstance(metric, bool)
    assert found["train_samples_per_second"] == (metric if numeric else None)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY records TO '{secret}.csv'",
        "ATTACH '{secret}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "CREATE TABLE mine AS FROM records",
        "DELETE FROM records",
        "EXPORT DATABASE '{secret}'",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT content FROM records, read_blob('{secret}')",
        "SELECT (SELECT count(*) FROM read_json('{secret}'))",
        "WITH secret AS (FROM read_text('{secret}')) FROM secret",
        "SELECT * FROM glob('{secret}*')",
        "SELECT * FROM query('FROM read_text(''{secret}'')')",
        "SELECT * FROM '{secret}'",
        "FROM 'https://localhost/x.parquet'",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM arrow_scan(1, 2, 3)",
        "SELECT getenv('HOME')",
        "SELECT current_setting('temp_directory')",
        "SELECT * FROM run_of_python",
        "SELECT nothing FROM records",
        "SELEC 1",
        "SELECT 'a",
        "",
        "SELECT " + "(" * 9000 + "1" + ")" * 9000,
        "SELECT '" + "x" * 30_000 + "'",
    ],
)
def test_what_is_no_query_over_the_records_is_refused_in_one_line(run, tmp_path, capfd, sql):
    secret = tmp_path / "secret.csv"
    secret.write_text("password\nhunter2\n")
    before = sorted(tmp_path.rglob("*"))
    run_of_python = [{"a": 1}]
    assert run_of_python
    assert main(["report", str(run), "--sql", sql.replace("{secret}", str(secret)), "--out", str(tmp_path / "o")]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("bench: --sql")
    assert "hunter2" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_engine_itself_refuses_files_even_where_a_query_were_let_through(run, monkeypatch, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("password\nhunter2\n")
    monkeypatch.setattr(query, "_check", lambda sql: None)
    for sql in (f"FROM read_text('{secret}')", f"COPY records TO '{secret}'", "SET threads = 1", "DELETE FROM records"):
        with pytest.raises(query.QueryError, match=r"disabled|locked|read-only"):
            rows(run, sql)
    assert secret.read_text() == "password\nhunter2\n"


@pytest.mark.skipif(os.name == "nt", reason="there the engine's own bound holds alone")
def test_a_query_that_takes_too_much_memory_is_refused(run):
    for sql in ("SELECT repeat('x', 4000000000) AS x", "SELECT list(range) AS x FROM range(1000000000)"):
        with pytest.raises(query.QueryError, match="memory"):
            rows(run, sql)


def test_a_query_that_takes_too_long_is_stopped(run, monkeypatch):
    monkeypatch.setattr(query, "SECONDS", 3)
    with pytest.raises(query.QueryError, match="more than 3 s"):
        rows(run, "SELECT sum(range % 7) FROM range(1000000000000)")


def test_a_result_is_written_in_every_form_of_a_table(run, tmp_path, capfdbinary):
    sql = "SELECT seed, roc_auc, notes, sum(seed) OVER () AS all FROM records ORDER BY seed LIMIT 2"
    written = {}
    for form in ("markdown", "csv", "json", "latex"):
        assert main(["report", str(run), "--sql", sql, "--format", form]) == 0
        written[form] = capfdbinary.readouterr().out.decode()
    assert written["csv"] == 'seed,roc_auc,notes,all\n0,0.5,[],3\n1,0.6,"[""a""]",3\n'
    assert json.loads(written["json"])[1] == {"seed": 1, "roc_auc": 0.6, "notes": '["a"]', "all": 3}
    assert written["markdown"].splitlines()[0].split() == ["|", "seed", "|", "roc\\_auc", "|", "notes", "|", "all", "|"]
    assert r"\begin{tabular}{rrlr}" in written["latex"]
    out = tmp_path / "found.parquet"
    assert main(["report", str(run), "--sql", sql, "--format", "parquet", "--out", str(out)]) == 0
    assert pyarrow.parquet.read_table(out).column("roc_auc").to_pylist() == [0.5, 0.6]


@pytest.mark.parametrize(
    ("sql", "form", "told"),
    [
        ("SELECT TIMESTAMP 'infinity' AS t", "csv", "column 't' cannot be written"),
        ("SELECT INTERVAL 1 MONTH AS i", "parquet", "Parquet cannot hold this"),
        ("SELECT TIME '24:00:00' AS t", "csv", "column 't' cannot be written (24:00:00 is no time of a day)"),
        ("SELECT {'a': [TIME '24:00:00']} AS s", "json", "column 's' cannot be written (24:00:00"),
        ("SELECT MAP {'a': TIME '24:00:00'} AS m", "parquet", "column 'm' cannot be written (24:00:00"),
    ],
)
def test_a_value_that_no_file_holds_is_refused_in_one_line(run, capsys, sql, form, told):
    assert main(["report", str(run), "--sql", sql, "--format", form, "--out", str(run / "found")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert "CAST" in line
    assert not (run / "found").exists()


def test_columns_of_one_name_are_refused(run, capsys):
    assert main(["report", str(run), "--sql", "SELECT 1 AS a, 2 AS a"]) == 2
    assert capsys.readouterr().err == "bench: two columns are called 'a'; name them apart with AS\n"


@pytest.mark.parametrize("option", [["--table", "quality"], ["--pivot", "roc_auc"], ["--png"], ["--format", "html"]])
def test_what_a_query_has_no_use_for_is_refused(run, capsys, option):
    assert main(["report", str(run), "--sql", "FROM records", *option]) == 2
    assert "--sql makes a table of its own" in capsys.readouterr().err


def test_the_engine_needs_no_extension_that_is_not_built_in():
    with duckdb.connect(config={"autoload_known_extensions": False}) as engine:
        how = "SELECT install_mode FROM duckdb_extensions() WHERE extension_name = 'json' AND loaded"
        assert engine.execute(how).fetchall() == [("STATICALLY_LINKED",)]


@pytest.mark.parametrize("line", LINES)
def test_the_queries_of_the_documentation_answer_from_records_of_a_run(process, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rates = {"quick": 1.0, "monday": 2.0, "tuesday": 1.0}
    for name, rate in rates.items():
        more = {"metrics": {"roc_auc": 0.9, "train_samples_per_second": rate}, "wall_seconds": 2.5}
        store.append(Path("results", name), record(**more, mode="tuned", phases={"import": 0.5, "train": 1.25}))
    assert main(shlex.split(line)[1:]) == 0
    cells = capsys.readouterr().out.splitlines()[-1].replace("|", " ").replace(",", " ").split()
    assert cells in (
        ["blobs", "vae", "torch", "0.9", "1"],
        ["vae", "torch", "tuned", "0", "2.5", "0.5", "1.25"],
        ["blobs", "vae", "torch", "tuned", "0.5"],
    )


def test_the_documentation_has_three_queries_and_every_column():
    assert len(LINES) == 3
    told = re.findall(r"^\| `(\w+)` \|", DOCS, flags=re.M)
    assert told == ["run", "line", *query.COLUMNS, *METRICS]
    for name, (key, kind) in query.COLUMNS.items():
        assert f"| `{name}` | {kind} | {KEYS[key].meaning} |" in DOCS
    for metric in METRICS.values():
        assert f"| `{metric.name}` | {metric.title} | {metric.unit or '–'} | {metric.better or '–'} |" in DOCS


def test_a_run_writes_no_key_and_no_metric_that_is_not_declared(here, installed, read_records):
    chosen = ("--datasets", "blobs", "--detectors", "norm,vae", "--backends", installed[0], "--threads", "1")
    done = here("run", "smoke", *chosen, "--out", "out")
    assert done.returncode in (0, 1), done.stderr
    for found in read_records():
        assert set(found) <= set(KEYS)
        assert set(found.get("metrics", {})) <= set(METRICS)
        for key in KEYS.values():
            if (value := found.get(key.name)) is not None and key.kind != "json":
                assert query._value(value, key.kind) == value, key.name


def test_a_share_that_is_none_leaves_its_record_out_of_every_query(tmp_path, process):
    shares = [1, 1.0000000000000002, None, "high", 1.7]
    trials = [record(seed, metrics={"roc_auc": share}, intervals={}) for seed, share in enumerate(shares)]
    for one in (*trials, record(5, intervals={"f1": [0.5, 95]}), record(6, metrics={}, intervals=7)):
        store.append(tmp_path, one)
    found, warnings = query.answer({"": tmp_path}, "SELECT seed, roc_auc FROM records ORDER BY seed")
    assert found["seed"].to_pylist() == [0, 1, 2, 3, 6]
    assert found["roc_auc"].to_pylist()[:4] == [1, 1.0000000000000002, None, None]
    assert [warning.split(" of ")[0] for warning in warnings] == ["line 5", "line 6"]
