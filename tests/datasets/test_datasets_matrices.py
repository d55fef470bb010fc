"""Large matrices lie in files without a name: the same data set, and nothing left behind."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest

import datasets
from datasets import matrices
from datasets.dataset import DatasetError


@pytest.mark.parametrize("reference", ["blobs?rows=3000", "correlated?rows=3000"])
def test_a_mapped_data_set_is_the_same_and_leaves_no_file(monkeypatch, tmp_path, reference):
    held = datasets.load(reference, seed=3)
    monkeypatch.setattr(matrices, "MAPPED_ABOVE", 20_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mapped = datasets.load(reference, seed=3)
    assert isinstance(mapped.X_train.base, np.memmap)
    assert type(mapped.X_train) is np.ndarray
    assert mapped.checksum == held.checksum
    assert mapped.unit_interval == held.unit_interval
    assert not list(tmp_path.iterdir())


def test_a_file_s_rows_are_mapped_where_they_are_many(monkeypatch, tmp_path):
    rows = np.arange(4000)
    X = np.random.default_rng(0).normal(size=(4000, 3))
    np.savez(tmp_path / "rows.npz", X=X[rows % 2000], y=rows % 10 == 0)  # some rows stand there twice
    held = datasets.load(f"file:{tmp_path}/rows.npz")
    monkeypatch.setattr(matrices, "MAPPED_ABOVE", 5_000)
    mapped = datasets.load(f"file:{tmp_path}/rows.npz")
    assert isinstance(mapped.X_train.base, np.memmap)
    assert mapped.checksum == held.checksum


def test_rows_that_are_taken_out_of_a_mapped_matrix_lie_in_a_file_too(monkeypatch):
    X = np.arange(60, dtype=np.float32).reshape(20, 3)
    rows = np.arange(20) % 3 > 0
    assert matrices.taken(X, np.ones(20, bool)) is X
    monkeypatch.setattr(matrices, "MAPPED_ABOVE", 50)
    found = matrices.taken(X, rows)
    assert isinstance(found.base, np.memmap)
    assert np.array_equal(found, X[rows])


def test_what_fits_nowhere_is_refused_in_one_line():
    with pytest.raises(matrices.NoRoom, match=r"^1,000,000,000,000 rows of 20 features want .* TMPDIR [^\n]*$"):
        matrices.empty(10**12, 20)


def test_a_full_disk_names_the_data_set(monkeypatch):
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(matrices, "MAPPED_ABOVE", 0)
    monkeypatch.setattr(matrices.os, "posix_fallocate", full, raising=False)
    with pytest.raises(DatasetError, match=r"^data set 'blobs': .*: No space left on device; TMPDIR [^\n]*$"):
        datasets.load("blobs", seed=0)
