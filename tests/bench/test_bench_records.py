"""The store: nothing that was written is lost, nothing broken gets through."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import records
from reports import tables

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
        records.append(directory, record(number, extra=value))
    path = directory / records.FILE
    before = path.read_bytes() if values else b""
    torn = b'{"schema": 1, "torn": "' + b"x" * cut
    with path.open("ab") as file:
        file.write(torn)
    records.append(directory, record(99))
    assert path.read_bytes().startswith(before)
    found, warnings = records.read(directory)
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
    records.append(tmp_path, record(0))
    with (tmp_path / records.FILE).open("ab") as file:
        file.write(line + b"\n")
    records.append(tmp_path, record(1))
    found, (warning,) = records.read(tmp_path)
    assert [r["seed"] for r in found] == [0, 1]
    assert "line 2" in warning
    assert word in warning
    for_report, warnings = records.read_for_report(tmp_path)
    assert ([r["seed"] for r in for_report], warnings) == ([0, 1], [warning])


@given(st.lists(JSON, max_size=5))
@settings(deadline=None, max_examples=40)
def test_a_report_gets_what_the_records_hold(tmp_path_factory, values):
    directory = tmp_path_factory.mktemp("records")
    for number, value in enumerate(values):
        records.append(directory, record(number, samples=value, settings=value, roc_curve=value, notes=value))
    (directory / records.FILE).touch()
    plain, stored = records.read(directory)[0], records.read_for_report(directory)[0]
    assert len(stored) == len(plain)
    for one, other in zip(plain, stored, strict=True):
        for key in one.keys() - {"extra", "samples"}:
            assert tables.held(other, key) == one[key], key


def test_a_large_value_that_is_no_json_counts_as_missing_in_a_report(tmp_path):
    records.append(tmp_path, record(0, loss=["?"], settings={"a": "?"}))
    path = tmp_path / records.FILE
    path.write_bytes(path.read_bytes().replace(b"?", b"\xff"))
    ((stored,), _) = records.read_for_report(tmp_path)
    assert [tables.held(stored, key) for key in ("seed", "loss", "settings")] == [0, None, None]


def test_a_warning_names_the_line_whatever_block_it_is_in(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK_BYTES", 200)
    lines = [msgspec.json.encode(record(number)) for number in range(9)]
    lines[4:4] = [b"", b"{broken"]
    (tmp_path / records.FILE).write_bytes(b"\n".join(lines))
    found, (warning,) = records.read_for_report(tmp_path)
    assert [r["seed"] for r in found] == list(range(9))
    assert "line 6 " in warning


def test_a_directory_without_records_is_an_error_in_one_line(tmp_path):
    with pytest.raises(records.RecordsError, match=r"no records\.jsonl here"):
        records.read(tmp_path)


def test_a_skipped_trial_counts_as_unfinished_and_its_later_record_replaces_it():
    skipped, ran = record(0, status="skipped"), record(0)
    assert records.finished([skipped], timed=True) == {}
    assert records.latest([skipped, record(1), ran]) == [ran, record(1)]


def test_a_failed_trial_is_finished():
    assert len(records.finished([record(0, status="failed")], timed=True)) == 1
