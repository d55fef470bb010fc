"""The store: nothing that was written is lost, nothing broken gets through."""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records import index, store, view
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


def read(directory):
    return view.read({"": directory})


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
        (msgspec.json.encode(record(1) | {"seed": True}), "no usable 'seed'"),
        (msgspec.json.encode(record(1, metrics={"roc_auc": 1.7})), "has roc_auc 1.7, which lies between 0 and 1,"),
        (msgspec.json.encode(record(1, metrics={"f1": -3})), "has f1 -3,"),
        (msgspec.json.encode(record(1, metrics={"recall": 10**18})), "has recall 1000000000000000000,"),
        (msgspec.json.encode(record(1, intervals={"accuracy": [0.5, 95]})), "an interval of accuracy"),
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
    for_report, warnings = read(tmp_path)
    assert ([r["seed"] for r in for_report], warnings) == ([0, 1], [warning])
    assert [entry.seed for entry in index.Index(tmp_path).entries] == [0, 1]


def test_a_share_that_rounding_moved_or_that_is_missing_leaves_its_record(tmp_path):
    for seed, value in enumerate((1, 0, 1.0000000000000002, -1e-17, None, "high", True)):
        store.append(tmp_path, record(seed, metrics={"roc_auc": value}, intervals={"roc_auc": [value, value], "x": 7}))
    with (tmp_path / store.FILE).open("ab") as file:
        file.write(
            msgspec.json.encode(record(7, metrics={"roc_auc": 8}, intervals=[])).replace(b":8", b":1e999") + b"\n"
        )
    for found, warnings in (store.read(tmp_path), read(tmp_path)):
        assert ([one["seed"] for one in found], warnings) == (list(range(8)), [])


NUMBERS = [b"1e999", b"-1E+400", b"9" * 400, b"7" * 5000, b"0.0e-999", b"NaN", b"-Infinity", b"01", b"1.", b"+1"]
TEXTS = [
    b'"\\ud800"',
    b'"\\udc00 and more of it"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"a\x00b"',
    b'"\\u0000"',
    b'"\\q"',
    b'"',
]
SHAPES = [
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b"[1e999, NaN]",
    b'[1e999, "\\ud800"]',
    b"[1,]",
    b"{}",
    b'"7"',
    b"true",
    b"{1:2}",
]


@pytest.mark.parametrize("key", ["extra", "metrics", "loss", "equality", "settings", "notes", "seed", "schema"])
def test_the_view_and_the_store_take_and_leave_the_same_lines_with_the_same_words(tmp_path, key):
    whole = msgspec.json.encode(record(1))
    lines = [whole[:-1] + b"," + msgspec.json.encode(key) + b":" + value + b"}" for value in NUMBERS + TEXTS + SHAPES]
    twice = [b'{"seed": 5,' + msgspec.json.encode(record(6))[1:], b"\xef\xbb\xbf" + whole, whole + whole, b"\r", b"  "]
    lines = [line.replace(b'"round":0', b'"round":%d' % number) for number, line in enumerate([*lines, *twice])]
    for content in ([*lines, b""], lines, [lines[0], b"\0" * 100, b"", whole]):
        (tmp_path / store.FILE).write_bytes(b"\n".join(content))
        plain, told = store.read(tmp_path)
        found, warnings = read(tmp_path)
        assert warnings == told
        assert len(found) == len(found.columns["seed"])
        assert [r["round"] for r in found] == [r["round"] for r in store.latest(plain)]
        assert [repr(r.get(key)) for r in found] == [repr(r.get(key)) for r in store.latest(plain)]


def test_a_line_nested_deeper_than_python_reads_is_left_out_with_a_warning(tmp_path):
    for depth in (sys.getrecursionlimit(), 100_000):
        line = msgspec.json.encode(record(1))[:-1] + b',"extra":' + b"[" * depth + b"]" * depth + b"}\n"
        (tmp_path / store.FILE).write_bytes(line + msgspec.json.encode(record(2)))
        told = ["line 1 of records.jsonl is not a whole JSON object and was left out"]
        assert store.read(tmp_path) == ([record(2)], told)
        found, warnings = read(tmp_path)
        assert ([dict(r) for r in found], warnings) == ([record(2)], told)


def test_a_line_longer_than_any_piece_is_read_and_what_is_written_meanwhile_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(view, "_PIECE", 1000)
    path = tmp_path / store.FILE
    path.write_bytes(msgspec.json.encode(record(0, extra="x" * 10_000)) + b"\n" + msgspec.json.encode(record(1)))
    (share,) = view.shares(tmp_path)
    seeds, faults = [], []
    for batch in view.batches(share, view.lines_decoder({}, ())):
        seeds += [r["seed"] for r in batch.records]
        faults += batch.faults
        with path.open("ab") as file:
            file.write(b"\n" + msgspec.json.encode(record(9)) + b"\n{torn")
    assert (seeds, faults) == ([0, 1], [])


@pytest.mark.parametrize("share", [1, 150, 700, 5000])
def test_several_processes_read_what_one_reads(process, tmp_path, monkeypatch, share):
    for number in range(60):
        more = {"equality": [{"passed": True}], "notes": ["a"] if number % 7 else [], "loss": [0.5, number]}
        store.append(tmp_path / "a", record(number % 40, backend="torch", metrics={"roc_auc": number / 60}, **more))
        store.append(tmp_path / "b", record(number, score="x" * number))
    path = tmp_path / "a" / store.FILE
    lines = path.read_bytes().splitlines(keepends=True)
    lines[33:33] = [b"\n", b"{broken\n"]
    path.write_bytes(b"".join(lines))
    runs = {name: tmp_path / name for name in ("a", "b")}
    one, warnings = view.read(runs)
    monkeypatch.setattr(view, "_SHARE", share)
    monkeypatch.setattr(view, "_PIECE", 500)
    several, again = view.read(runs, processes=2)
    assert warnings == again == ["a: line 35 of records.jsonl is not a whole JSON object and was left out"]
    assert list(several) == list(one)
    assert len(one) == 100
    for name, column in one.columns.items():
        np.testing.assert_array_equal(several.columns[name], column, err_msg=name)


@given(st.lists(JSON, max_size=5))
@settings(deadline=None, max_examples=40)
def test_a_report_gets_what_the_records_hold(tmp_path_factory, values):
    directory = tmp_path_factory.mktemp("records")
    for number, value in enumerate(values):
        store.append(directory, record(number, samples=value, settings=value, roc_curve=value, notes=value))
    (directory / store.FILE).touch()
    plain, found = store.read(directory)[0], read(directory)[0]
    assert list(found) == plain
    expected = surveys.columns(plain) | surveys.asked(plain)
    assert found.columns.keys() == expected.keys()
    for name, column in expected.items():
        np.testing.assert_array_equal(found.columns[name], column, err_msg=name)


def test_a_warning_names_the_line_whatever_piece_it_is_in(tmp_path, monkeypatch):
    monkeypatch.setattr(view, "_PIECE", 200)
    lines = [msgspec.json.encode(record(number)) for number in range(9)]
    lines[4:4] = [b"", b"{broken"]
    (tmp_path / store.FILE).write_bytes(b"\n".join(lines))
    found, (warning,) = read(tmp_path)
    assert [r["seed"] for r in found] == list(range(9))
    assert "line 6 " in warning


@given(st.lists(st.tuples(*map(st.sampled_from, ("ab", "ef", (0, 1, True, 2**70), (0, 1)))), max_size=9))
@settings(deadline=None, max_examples=60)
def test_the_latest_record_of_each_trial_is_the_same_however_records_are_read(tmp_path_factory, trials):
    directory = tmp_path_factory.mktemp("records")
    (directory / store.FILE).touch()
    for place, (scenario, environment, seed, turn) in enumerate(trials):
        more = {"scenario_hash": scenario, "environment_hash": environment, "round": turn, "score": str(place)}
        store.append(directory, record(seed, **more))
    found = read(directory)[0]
    assert [r["score"] for r in found] == [r["score"] for r in store.latest(store.read(directory)[0])]
    assert list(found.columns["score"]) == [r["score"] for r in found]


def test_runs_side_by_side_keep_their_records_apart(tmp_path):
    for name in ("one", "two"):
        store.append(tmp_path / name, record(0, run="lost", backend=name))
        with (tmp_path / name / store.FILE).open("ab") as file:
            file.write(b"{torn\n")
    found, warnings = view.read({name: tmp_path / name for name in ("one", "two")})
    assert [(r["run"], r["backend"]) for r in found] == [("one", "one"), ("two", "two")]
    assert list(found.columns["run"]) == ["one", "two"]
    assert [warning.split(" of ")[0] for warning in warnings] == ["one: line 2", "two: line 2"]


def test_records_of_two_machines_with_equal_seeds_are_both_there():
    here, there = record(0), record(0, environment_hash="other")
    assert store.latest([here, there, record(0, score="again")]) == [record(0, score="again"), there]


def test_a_directory_without_records_is_an_error_in_one_line(tmp_path):
    with pytest.raises(store.RecordsError, match=r"no records\.jsonl here"):
        store.read(tmp_path)


def test_a_later_record_replaces_that_of_a_skipped_trial():
    skipped, ran = record(0, status="skipped"), record(0)
    assert store.latest([skipped, record(1), ran]) == [ran, record(1)]
