"""Digits: which rows train and what counts as the anomaly, IDX files and the ways they can be broken."""

from __future__ import annotations

import gzip
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from numpy.typing import NDArray

import datasets
from datasets import DatasetError, digits, storage

MNIST = {
    "train-images-idx3-ubyte": (300, 28, 28),
    "train-labels-idx1-ubyte": (300,),
    "t10k-images-idx3-ubyte": (60, 28, 28),
    "t10k-labels-idx1-ubyte": (60,),
}


def idx(values: NDArray[np.uint8]) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, dtype=">u4").tobytes() + values.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A data directory with a small MNIST; the first pixel of each image is its label."""
    (tmp_path / "mnist").mkdir()
    rng = np.random.default_rng(0)
    for part, rows in (("train", 300), ("t10k", 60)):
        labels = np.arange(rows, dtype=np.uint8) % 10
        images = rng.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        images[:, 0, 0] = labels
        for name, values in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
    return tmp_path


def shown(X: NDArray[np.float32]) -> list[int]:
    return [round(255 * value) for value in X[:, 0].tolist()]


def test_the_bundled_digits_train_without_the_anomalous_one() -> None:
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    known = {(image / 16).astype(np.float32).tobytes(): label for image, label in zip(images, labels, strict=True)}
    data = datasets.load("digits:7")
    assert {known[row.tobytes()] for row in np.vstack([data.X_train, data.X_val])} == set(range(10)) - {7}
    assert [known[row.tobytes()] == 7 for row in data.X_test] == data.y_test.astype(bool).tolist()
    assert data.y_test.sum() == (labels == 7).sum()
    assert data.unit_interval
    assert data.image_shape == (8, 8)


@pytest.mark.parametrize("place", ["", "elsewhere"], ids=["read from its file", "told by scikit-learn"])
def test_the_bundled_digits_are_scikit_learns(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sklearn.datasets.load_digits(return_X_y=True)
    if place:
        monkeypatch.setattr(digits, "find_spec", lambda name: ModuleSpec(name, None))
    else:
        monkeypatch.setattr(sklearn.datasets, "load_digits", None)
    for found, right in zip(digits._bundled(), expected, strict=True):
        assert np.array_equal(found, right)


def test_mnist_trains_on_the_other_nine_digits_of_the_training_file(mnist: Path) -> None:
    data = datasets.load("mnist:4", data_dir=mnist)
    assert set(shown(data.X_train)) | set(shown(data.X_val)) == set(range(10)) - {4}
    assert (len(data.X_train), len(data.X_val), len(data.X_test)) == (243, 27, 60)
    assert (np.array(shown(data.X_test)) == 4).tolist() == data.y_test.astype(bool).tolist()
    assert data.image_shape == (28, 28)
    assert len(data.provenance.files) == 4


def test_mnist_is_contaminated_from_the_training_file_and_its_test_part_stays_whole(mnist: Path) -> None:
    before, data = (datasets.load(f"mnist:4{options}", data_dir=mnist) for options in ("", "?train_contamination=0.1"))
    assert shown(data.X_train).count(4) == round(0.1 * len(data.X_train)) == 27
    assert 4 not in shown(data.X_val)
    np.testing.assert_array_equal(data.X_test, before.X_test)
    assert "27 of the 270 training rows (10.0%) are anomalies, unlabelled and from" in data.provenance.notes[0]


def test_a_mixed_split_leaves_the_anomalous_digit_in_training_and_says_so(mnist: Path) -> None:
    for reference in ("mnist:4?protocol=mixed-split", "mnist-one-class:4?protocol=mixed-split"):
        data = datasets.load(reference, data_dir=mnist)
        assert set(shown(data.X_train)) == set(range(10))
        assert "flawed on purpose" in data.provenance.protocol
        with pytest.raises(DatasetError, match="goes with protocol=held-out"):
            datasets.load(f"{reference}&train_contamination=0.1", data_dir=mnist)
    data = datasets.load("digits:4?protocol=mixed-split")
    assert (len(data.X_train), int(data.y_test.sum())) == (1079, 31)


def test_one_class_mnist_trains_on_one_digit_and_all_others_are_anomalous(mnist: Path) -> None:
    data = datasets.load("mnist-one-class:4", data_dir=mnist)
    assert set(shown(data.X_train)) | set(shown(data.X_val)) == {4}
    assert (np.array(shown(data.X_test)) != 4).tolist() == data.y_test.astype(bool).tolist()


def test_the_test_part_keeps_the_order_of_the_official_file_for_every_seed(mnist: Path) -> None:
    first, second = (datasets.load("mnist:4", seed=seed, data_dir=mnist) for seed in (0, 1))
    np.testing.assert_array_equal(first.X_test, second.X_test)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"])
def test_files_are_found_under_the_names_in_use(mnist: Path, name: str) -> None:
    packed = mnist / "mnist" / "train-images-idx3-ubyte.gz"
    expected = datasets.load("mnist:4", data_dir=mnist).checksum
    content = packed.read_bytes()
    packed.unlink()
    (mnist / "mnist" / name).write_bytes(content if name.endswith(".gz") else gzip.decompress(content))
    assert datasets.load("mnist:4", data_dir=mnist).checksum == expected


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\0\0\x08", "not an IDX file"),
        (b"P5 28 28 255" + bytes(784), "not an IDX file"),
        (idx(np.zeros((2, 3), np.uint8)), "not an IDX file of bytes in 3 dimensions"),
        (idx(np.zeros((300, 28, 28), np.uint8))[:-5], "announces 235,200 bytes and holds 235,195"),
        (idx(np.zeros((300, 28, 28), np.uint8)) + b"x", "announces 235,200 bytes and holds 235,201"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "announces"),
        (idx(np.zeros((300, 27, 28), np.uint8)), "shape (300, 27, 28)"),
        (idx(np.zeros((299, 28, 28), np.uint8)), "300 labels"),
    ],
)
def test_a_broken_idx_file_gets_one_line(mnist: Path, content: bytes, told: str) -> None:
    (mnist / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DatasetError) as failure:
        datasets.load("mnist:4", data_dir=mnist)
    assert told in str(failure.value)
    assert "train" in str(failure.value)
    assert "get" in str(failure.value)


def test_what_openml_returns_is_kept_as_the_idx_files_it_came_from(
    mnist: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {name: storage.read(mnist / "mnist" / f"{name}.gz", name=name)[0] for name in MNIST}
    images, labels = (
        np.concatenate([np.frombuffer(parts[name], np.uint8, offset=start) for name in names])
        for names, start in (
            (("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"), 16),
            (("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"), 8),
        )
    )

    def fetch(name: str, **options: object) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
        assert name == "mnist_784"
        return images.reshape(-1, 784).astype(np.int64), labels.astype(str).astype(object)

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    monkeypatch.setattr(storage, "reachable", lambda url: True)
    monkeypatch.setattr(digits, "PARTS", {"train": slice(0, 300), "t10k": slice(300, 360)})
    empty = tmp_path_factory.mktemp("empty")
    fetched = datasets.load("mnist:4", data_dir=empty)
    assert fetched.checksum == datasets.load("mnist:4", data_dir=mnist).checksum
    assert sorted(path.name for path in (empty / "mnist").iterdir()) == sorted(f"{name}.gz" for name in MNIST)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", None)
    assert datasets.load("mnist:4", data_dir=empty).checksum == fetched.checksum


def test_a_fetch_that_fails_names_the_file_and_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise OSError("the server\nis tired")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    monkeypatch.setattr(storage, "reachable", lambda url: True)
    with pytest.raises(DatasetError) as failure:
        datasets.load("mnist:4", data_dir=tmp_path)
    for word in ("train-images-idx3-ubyte.gz", str(tmp_path), "the server"):
        assert word in str(failure.value)


def test_the_real_mnist_has_its_official_sizes(real_data: Path) -> None:
    data = datasets.load("mnist:4", data_dir=real_data)
    assert len(data.X_train) + len(data.X_val) == 60_000 - 5_842
    assert (len(data.X_test), int(data.y_test.sum())) == (10_000, 982)
    one_class = datasets.load("mnist-one-class:4", data_dir=real_data)
    assert len(one_class.X_train) + len(one_class.X_val) == 5_842
    assert int(one_class.y_test.sum()) == 10_000 - 982


def test_a_truncated_real_file_gets_one_line(real_data: Path, tmp_path: Path) -> None:
    shutil.copytree(real_data / "mnist", tmp_path / "mnist", copy_function=shutil.copyfile)
    broken = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    broken.unlink()
    broken.write_bytes((real_data / "mnist" / broken.name).read_bytes()[:100_000])
    with pytest.raises(DatasetError, match=r"t10k-images-idx3-ubyte\.gz: .* ends too early .*; get it again from"):
        datasets.load("mnist:4", data_dir=tmp_path)
