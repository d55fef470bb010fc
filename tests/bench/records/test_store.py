"""The store: nothing that was written is lost, nothing broken gets through."""

from __future__ import annotations

import pickle

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records import store, stored
from reports import surveys

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


def record(seed: int = 0, **more) -> dict:
    base = {
        "schema": 1,
        "suite": "s",
        "dataset": "d",
        "detector": "norm",
        "scenario_hash": "a",
        "environment_hash": "e",
    }
    return base | {"seed": seed, "round": 0, "status": "ok"} | more


@given(st.lists(JSON, max_size=5), st.integers(0, 400))
@settings(deadline=None, max_examples=60)
def test_whatever_a_torn_line_holds_the_records_before_and_after_it_survive(tmp_path_factory, values, cut):
    directory = tmp_path_factory.mktemp("records")
    for number, value in enumerate(values):
        store.append(directory, record(number, extra=value))
    path = directory / store.FILE
    before = path.read_bytes() if values else b""
    torn = b'{"schema": 1, "torn": "' + b"x" * cut
    with path.open("ab") as file:
        file.write(torn)
    store.append(directory, record(99))
    assert path.read_bytes().startswith(before)
    found, warnings = store.read(directory)
    assert [r["seed"] for r in found] == [*range(len(values)), 99]
    assert [r["extra"] for r in found[:-1]] == values
    assert warnings == []


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"{broken", "not a whole JSON"),
        (b"\xff\xfe", "not a whole JSON"),
        (b"[1]", "schema None"),
        (b'{"schema": 99}', "schema 99"),
        (b'{"schema": 1}', "no usable 'dataset'"),
        (b'{"schema": 1, "dataset": ["a"]}', "no usable 'dataset'"),
    ],
)
def test_a_line_that_is_no_record_is_left_out_with_a_warning_that_names_it(tmp_path, line, word):
    store.append(tmp_path, record(0))
    with (tmp_path / store.FILE).open("ab") as file:
        file.write(line + b"\n")
    store.append(tmp_path, record(1))
    found, (warning,) = store.read(tmp_path)
    assert [r["seed"] for r in found] == [0, 1]
    assert "line 2" in warning
    assert word in warning
    for_report, warnings = stored.read(tmp_path, surveys.columns)
    assert ([r["seed"] for r in for_report], warnings) == ([0, 1], [warning])


@given(st.lists(JSON, max_size=5))
@settings(deadline=None, max_examples=40)
def test_a_report_gets_what_the_records_hold(tmp_path_factory, values):
    directory = tmp_path_factory.mktemp("records")
    for number, value in enumerate(values):
        store.append(directory, record(number, samples=value, settings=value, roc_curve=value, notes=value))
    (directory / store.FILE).touch()
    plain, lines = store.read(directory)[0], stored.read(directory, surveys.columns)[0]
    assert len(lines) == len(plain)
    for one, other in zip(plain, lines, strict=True):
        for key in one.keys() - {"extra", "samples"}:
            assert surveys.held(other, key) == one[key], key


def test_a_large_value_that_is_no_json_counts_as_missing_in_a_report(tmp_path):
    store.append(tmp_path, record(0, loss=["?"], settings={"a": "?"}))
    path = tmp_path / store.FILE
    path.write_bytes(path.read_bytes().replace(b"?", b"\xff"))
    ((line,), _) = stored.read(tmp_path, surveys.columns)
    assert [surveys.held(line, key) for key in ("seed", "loss", "settings")] == [0, None, None]


def test_a_warning_names_the_line_whatever_block_it_is_in(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "_PIECE", 200)
    lines = [msgspec.json.encode(record(number)) for number in range(9)]
    lines[4:4] = [b"", b"{broken"]
    (tmp_path / store.FILE).write_bytes(b"\n".join(lines))
    found, (warning,) = stored.read(tmp_path, surveys.columns)
    assert [r["seed"] for r in found] == list(range(9))
    assert "line 6 " in warning


def test_several_processes_read_what_one_reads(tmp_path, monkeypatch):
    for number in range(60):
        more = {"equality": [{"passed": True}], "notes": ["a"] if number % 7 else [], "loss": [0.5, number]}
        store.append(tmp_path, record(number % 40, backend="torch", metrics={"roc_auc": number / 60}, **more))
    path = tmp_path / store.FILE
    lines = path.read_bytes().splitlines(keepends=True)
    lines[33:33] = [b"\n", b"{broken\n"]
    path.write_bytes(b"".join(lines))
    plain, told = store.read(tmp_path)
    one, warnings = stored.read(tmp_path, surveys.columns)
    monkeypatch.setattr(stored, "_MANY", 0)
    monkeypatch.setattr(stored, "_PIECE", 500)
    monkeypatch.setattr(stored, "_SHARE", 2000)
    several, again = stored.read(tmp_path, surveys.columns, processes=2)
    assert warnings == again == told == ["line 35 of records.jsonl is not a whole JSON object and was left out"]
    expected = surveys.columns([plain])
    for found in (one, several):
        assert [r["seed"] for r in found] == [r["seed"] for r in plain]
        assert [r["metrics"]["roc_auc"] for r in found.latest()] == [
            r["metrics"]["roc_auc"] for r in store.latest(plain)
        ]
        assert found.columns.keys() == expected.keys()
        for name, column in expected.items():
            values, others = (getattr(c, "objects", lambda c=c: c)() for c in (column, found.columns[name]))
            np.testing.assert_array_equal(values, others, err_msg=name)


def test_a_record_is_whole_when_it_is_given_to_another_process(tmp_path):
    store.append(tmp_path, record(3, loss=[1.0, 2.0]))
    ((line,), _) = stored.read(tmp_path, surveys.columns)
    other = pickle.loads(pickle.dumps(line))
    assert surveys.held(other, "loss") == [1.0, 2.0]
    assert dict(line).keys() == other.keys()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 1)), max_size=9))
@settings(deadline=None, max_examples=30)
def test_the_latest_record_of_each_trial_is_the_same_however_records_are_read(tmp_path_factory, trials):
    directory = tmp_path_factory.mktemp("records")
    (directory / store.FILE).touch()
    for place, (scenario, seed, turn) in enumerate(trials):
        store.append(directory, record(seed, scenario_hash=scenario, round=turn, score=str(place)))
    latest = stored.read(directory, surveys.columns)[0].latest()
    assert [r["score"] for r in latest] == [r["score"] for r in store.latest(store.read(directory)[0])]
    assert len(latest.columns["score"]) == len(latest)


def test_a_directory_without_records_is_an_error_in_one_line(tmp_path):
    with pytest.raises(store.RecordsError, match=r"no records\.jsonl here"):
        store.read(tmp_path)


def test_a_skipped_trial_counts_as_unfinished_and_its_later_record_replaces_it():
    skipped, ran = record(0, status="skipped"), record(0)
    assert store.finished([skipped], timed=True) == {}
    assert store.latest([skipped, record(1), ran]) == [ran, record(1)]


def test_a_failed_trial_is_finished():
    assert len(store.finished([record(0, status="failed")], timed=True)) == 1
