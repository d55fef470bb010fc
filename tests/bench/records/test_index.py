"""The index: a start knows every record without reading all, and is never told of one that is not there."""

from __future__ import annotations

import msgspec
import pytest

from bench.records import index, store
from bench.records.index import Index


def record(seed: int = 0, **more) -> dict:
    base = {"schema": 1, "dataset": "d", "detector": "norm", "scenario_hash": "a", "environment_hash": "e"}
    return base | {"seed": seed, "round": 0, "status": "ok"} | more


@pytest.fixture
def saved(tmp_path):
    """A directory with three records and the index of them."""
    made = Index(tmp_path)
    for seed in range(3):
        made.append(record(seed))
    made.save()
    return tmp_path


def seeds(directory):
    return [key[1] for key in Index(directory).finished(timed=True)]


def test_a_start_reads_only_what_was_appended_since(saved, monkeypatch):
    store.append(saved, record(7))
    lines = []
    one = Index._add
    monkeypatch.setattr(
        Index, "_add", lambda self, found, *place: (lines.append(found["seed"]), one(self, found, *place))
    )
    assert seeds(saved) == [0, 1, 2, 7]
    assert lines == [7]


def test_a_record_is_found_again_by_its_place(saved):
    found = Index(saved)
    assert [found.record(entry)["seed"] for entry in found.entries] == [0, 1, 2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b"\xc1" * 100),
        lambda path: path.write_bytes(msgspec.msgpack.encode([1, 2**62, b"", []])),
        lambda path: path.write_bytes(msgspec.msgpack.encode([1, -5, b"", []])),
    ],
)
def test_an_index_that_is_damaged_costs_nothing_but_time(saved, spoil):
    spoil(saved / index.FILE)
    assert seeds(saved) == [0, 1, 2]


def test_an_index_whose_last_byte_was_lost_is_made_anew(saved):
    path = saved / index.FILE
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    found = Index(saved)
    assert [found.record(entry)["seed"] for entry in found.entries] == [0, 1, 2]


def test_the_index_of_another_file_is_not_believed(saved):
    (saved / store.FILE).unlink()
    for seed in (5, 6, 7):
        store.append(saved, record(seed))
    assert seeds(saved) == [5, 6, 7]


def test_records_that_were_taken_away_are_not_finished(saved):
    lines = (saved / store.FILE).read_bytes().splitlines(keepends=True)
    (saved / store.FILE).write_bytes(lines[0])
    assert seeds(saved) == [0]


def test_a_skipped_trial_counts_as_unfinished_and_a_failed_one_does_not(tmp_path):
    made = Index(tmp_path)
    made.append(record(0, status="skipped"))
    made.append(record(1, status="failed"))
    assert seeds(tmp_path) == [1]


def test_a_trial_for_its_quality_alone_does_not_stand_in_for_a_timed_one(tmp_path):
    made = Index(tmp_path)
    made.append(record(0, timed=False))
    assert made.finished(timed=True) == {}
    assert len(made.finished(timed=False)) == 1


def test_a_record_that_lacks_only_its_line_break_is_kept_when_one_is_appended(saved):
    path = saved / store.FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert seeds(saved) == [0, 1, 2]
    store.append(saved, record(9))
    assert seeds(saved) == [0, 1, 2, 9]
    assert [one["seed"] for one in store.read(saved)[0]] == [0, 1, 2, 9]


def test_half_a_record_on_a_full_disk_is_taken_back(saved, monkeypatch):
    before = (saved / store.FILE).read_bytes()
    real = open

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            if len(content) < 30:
                raise OSError(28, "No space left on device")
            return self.file.write(content[:30])

    monkeypatch.setattr(type(saved), "open", lambda self, *mode, **more: Full(real(self, *mode, **more)))
    with pytest.raises(OSError, match="No space"):
        store.append(saved, record(9))
    monkeypatch.undo()
    assert (saved / store.FILE).read_bytes() == before


def test_a_line_longer_than_any_record_is_left_out_without_being_read(saved, monkeypatch):
    monkeypatch.setattr(store, "LONGEST", 4096)
    path = saved / store.FILE
    path.write_bytes(path.read_bytes() + b'{"schema": 1, "x": "' + b"a" * 3_000_000 + b'"}\n')
    store.append(saved, record(9))
    found, (warning,) = store.read(saved)
    assert [one["seed"] for one in found] == [0, 1, 2, 9]
    assert "line 4" in warning
    assert seeds(saved) == [0, 1, 2, 9]
