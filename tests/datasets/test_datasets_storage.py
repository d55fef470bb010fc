"""Files from outside: bounds, damage, and the one line that each failure gets."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datasets
from datasets import DatasetError, storage
from datasets.storage import Download

FILE = Download("folder", ("rows.gz", "rows"), "https://example.org/rows.gz")


def put(data_dir: Path, name: str, content: bytes) -> Path:
    path = data_dir / "folder" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_packed_and_plain_files_read_alike_and_are_hashed_as_they_lie(tmp_path: Path) -> None:
    packed = gzip.compress(b"some rows")
    put(tmp_path, "rows", b"some rows")
    content, source = FILE.read(tmp_path)
    assert (content, source.name) == (b"some rows", "folder/rows")
    put(tmp_path, "rows.gz", packed)
    content, source = FILE.read(tmp_path)
    assert (content, source.name) == (b"some rows", "folder/rows.gz")
    assert source.sha256 == hashlib.sha256(packed).hexdigest()


def test_a_missing_file_is_told_by_name_folder_and_origin(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as failure:
        FILE.read(tmp_path)
    for word in ("folder/rows.gz", str(tmp_path), "https://example.org/rows.gz"):
        assert word in str(failure.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(bytes(5000))[:-12], "ends too early"),
        (b"<html>not found</html>", "not an intact gzip file"),
        (gzip.compress(b"abc")[:-8] + bytes(8), "not an intact gzip file"),
        (b"", "empty"),
    ],
    ids=["cut short", "no gzip", "wrong checksum", "empty"],
)
def test_a_damaged_file_is_told_with_where_to_get_it_again(tmp_path: Path, content: bytes, told: str) -> None:
    path = put(tmp_path, "rows.gz", content)
    with pytest.raises(DatasetError) as failure:
        FILE.read(tmp_path)
    assert str(path) in str(failure.value)
    assert told in str(failure.value)
    assert str(failure.value).endswith("get it again from https://example.org/rows.gz")


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = put(tmp_path, "rows.gz", gzip.compress(bytes(64 << 20)))
    with pytest.raises(DatasetError, match="more than the 1 MiB"):
        storage.read(path, name="rows.gz", limit=1 << 20)


def test_a_folder_in_the_place_of_a_file_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        storage.read(tmp_path, name="folder")


def test_the_data_directory_is_the_given_one_then_the_environments_then_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    assert storage.data_directory(Path("given")) == Path("given")
    assert storage.data_directory(None) == tmp_path
    monkeypatch.delenv("BENCH_DATA_DIR")
    assert "vaebench" in storage.data_directory(None).parts


@pytest.mark.parametrize("reference", ["mnist:4", "mnist-one-class:4", "kdd99", "kdd99-swapped", "nsl-kdd"])
def test_what_is_missing_is_known_without_loading_and_load_says_the_same(reference: str, tmp_path: Path) -> None:
    reason = datasets.missing(reference, tmp_path)
    assert reason is not None
    assert str(tmp_path) in reason
    with pytest.raises(DatasetError) as failure:
        datasets.load(reference, data_dir=tmp_path)
    assert str(failure.value) == reason


def test_with_a_network_only_what_cannot_be_fetched_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(storage, "reachable", lambda url: True)
    assert datasets.missing("mnist:4", tmp_path) is None
    assert datasets.missing("kdd99", tmp_path) is None
    assert "KDDTrain+.txt" in str(datasets.missing("nsl-kdd", tmp_path))


def test_a_server_that_is_not_there_is_out_of_reach(offline: Callable[[str], bool]) -> None:
    assert offline("http://127.0.0.1:9/") is False
    assert offline("no address") is False


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    storage.write_atomically(tmp_path / "new" / "file", b"whole")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(DatasetError, match="cannot be written"):
        storage.write_atomically(tmp_path / "plain" / "file", b"")


def test_what_goes_wrong_with_a_draft_is_told_of_the_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, kind in (("nowhere/rows.csv", FileNotFoundError), ("folder.csv", IsADirectoryError)):
        with pytest.raises(kind) as error:
            storage.replace(tmp_path / name, b"rows")
        assert str(error.value).endswith(f": '{tmp_path / name}'")


def test_arrow_that_cannot_open_a_draft_is_told_of_the_file_that_was_asked_for(tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "rows.parquet"
    with pytest.raises(FileNotFoundError) as error, storage.replacing(place) as draft:
        pq.write_table(pa.table({"a": [1]}), draft)
    assert str(error.value).endswith(f": '{place}'")
