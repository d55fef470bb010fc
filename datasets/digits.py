"""Handwritten digits with one digit as the anomaly, or as the norm: scikit-learn's 8×8 ones, and MNIST."""

from __future__ import annotations

import gzip
import math
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, Provenance, Request, SourceFile, require
from datasets.preprocessing import Preprocessing
from datasets.scaling import Scale, Scaler, blocks, done
from datasets.splitting import (
    FITTED_ON,
    SPLITS,
    Protocol,
    TrainingPart,
    check,
    check_protocol,
    contaminants,
    contaminated,
    fewer,
    parts,
    split,
)
from datasets.storage import Download, fetched, needs, write_atomically

OfficialProtocol = Literal["held-out", "mixed-split"]
"""The official test part is never trained on."""

DIMENSIONS = {"images": 3, "labels": 1}

MNIST = {
    (part, kind): Download(
        folder="mnist",
        names=tuple(f"{part}-{kind}{dash}idx{rank}-ubyte{suffix}" for suffix in (".gz", "") for dash in ("-", ".")),
        origin=f"https://ossci-datasets.s3.amazonaws.com/mnist/{part}-{kind}-idx{rank}-ubyte.gz",
    )
    for part in ("train", "t10k")
    for kind, rank in DIMENSIONS.items()
}
OPENML = "https://www.openml.org/"
PARTS = {"train": slice(0, 60_000), "t10k": slice(60_000, 70_000)}
"""Where the official parts lie in OpenML's single table."""


def load_digits(
    request: Request,
    digit: int = 4,
    *,
    scale: Scale = "none",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    protocol: Protocol = "held-out",
) -> Dataset:
    """Scikit-learn's bundled 8×8 digits: one digit (digits:4) is the anomaly, the other nine train."""
    _check(digit, request)
    images, labels = _bundled()
    order = np.argsort(labels == digit, kind="stable")  # the normal ones first
    images, anomalous = images[order], labels[order] == digit
    asked = TrainingPart(train_contamination, train_rows)
    chosen = parts(request, int((~anomalous).sum()), int(anomalous.sum()), protocol, asked)
    held_out = (
        f"Anomaly: digit {digit}, all of it in the test part; the other nine digits are drawn 60 % train, "
        "20 % validation, 20 % test{}"
    )
    how = held_out if protocol == "held-out" else f"Anomaly: digit {digit}. {SPLITS[protocol]}"
    return _assemble(
        request,
        _fitted(images[chosen.fitted], scale, 16, request.seed),
        (images[chosen.train], images[chosen.val], images[chosen.test]),
        anomalous[chosen.test],
        Provenance(
            source="The 1,797 digits that scikit-learn bundles (the test part of UCI's Optical Recognition of "
            "Handwritten Digits), 8×8 pixels, divided by 16.",
            protocol=how.format(_ending(scale, FITTED_ON[protocol])),
            notes=chosen.notes,
        ),
    )


def _bundled() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scikit-learn's table, which is read without the package of its data sets: that takes a second to import."""
    package = find_spec("sklearn")
    for folder in (package.submodule_search_locations if package else None) or ():
        file = Path(folder) / "datasets/data/digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits as bundled

    images, labels = bundled(return_X_y=True)
    return images, labels


@needs(*MNIST.values(), mirror=OPENML)
def load_mnist(
    request: Request,
    digit: int = 4,
    *,
    scale: Scale = "none",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    protocol: OfficialProtocol = "held-out",
) -> Dataset:
    """MNIST with its official split: one digit (mnist:4) is the anomaly, the other nine train."""
    _check(digit, request)
    normal = [other for other in range(10) if other != digit]
    return _split_mnist(request, digit, normal, scale, TrainingPart(train_contamination, train_rows), protocol)


@needs(*MNIST.values(), mirror=OPENML)
def load_mnist_one_class(
    request: Request,
    digit: int = 4,
    *,
    scale: Scale = "none",
    train_contamination: float = 0.0,
    train_rows: int = 0,
    protocol: OfficialProtocol = "held-out",
) -> Dataset:
    """MNIST with its official split: one digit (mnist-one-class:4) trains, the other nine are the anomaly."""
    _check(digit, request)
    return _split_mnist(request, digit, [digit], scale, TrainingPart(train_contamination, train_rows), protocol)


def _split_mnist(
    request: Request, digit: int, normal: list[int], scale: Scale, asked: TrainingPart, protocol: OfficialProtocol
) -> Dataset:
    check(request, asked)
    check_protocol(request, asked, protocol)
    if not all(file.find(request.data_dir) for file in MNIST.values()):
        with fetched(*MNIST.values(), data_dir=request.data_dir, mirror=OPENML):
            _fetch_mnist(request.data_dir)
    images: dict[str, NDArray[np.uint8]] = {}
    labels: dict[str, NDArray[np.uint8]] = {}
    files: list[SourceFile] = []
    for part in ("train", "t10k"):
        for kind, into in (("images", images), ("labels", labels)):
            into[part], source = _read_idx(MNIST[part, kind], DIMENSIONS[kind], request.data_dir)
            files.append(source)
        require(
            images[part].shape == (len(labels[part]), 28, 28) and labels[part].max() <= 9,
            f"{request.data_dir / 'mnist'}: the {part} files hold images of shape {images[part].shape} and "
            f"{len(labels[part])} labels, not as many 28×28 images as labels 0 to 9; get both again",
        )
    known = np.isin(labels["train"], normal)
    normality = f"digit {digit} is" if len(normal) == 1 else f"the digits other than {digit} are"
    if protocol == "held-out":
        candidates = np.flatnonzero(known)
        train, val, _ = split(len(candidates), request.seed, validation=0.1, test=0)
        train, notes = fewer(request, train, asked)
        chosen = contaminants(request, asked.contamination, len(train), np.flatnonzero(~known), spare=0)
        train, val = np.concatenate([candidates[train], chosen]), candidates[val]
        drawn = "of those the training files' are drawn 90 % train, 10 % validation"
    else:
        train, val, _ = split(len(known), request.seed, validation=0.1, test=0)
        chosen, notes = train[:0], ()
        drawn = (
            "flawed on purpose: all of the training files' digits, anomalies unlabelled among them, are drawn 90 % "
            "train, 10 % validation"
        )
    pixels = {part: shown.reshape(-1, 784) for part, shown in images.items()}
    return _assemble(
        request,
        _fitted(pixels["train"][train], scale, 255, request.seed),
        (pixels["train"][train], pixels["train"][val], pixels["t10k"]),
        ~np.isin(labels["t10k"], normal),
        Provenance(
            source="MNIST (LeCun, Cortes, Burges), 28×28 pixels, divided by 255.",
            protocol=f"Official split: {normality} normal; {drawn}; test is the whole test file, every other digit the "
            f"anomaly{_ending(scale)}",
            files=tuple(files),
            notes=(*notes, *contaminated(len(chosen), len(train), "from the training files")),
        ),
    )


def _fitted(training: NDArray[Any], scale: Scale, brightest: int, seed: int) -> Scaler:
    """Pixels are divided by the brightest one can be, unless a scale is asked for, which makes up for that."""
    return Scaler.fit(scale, lambda: blocks(training), training.shape[1], unit=brightest, seed=seed)


def _ending(scale: Scale, by: str = "training rows") -> str:
    return "." if scale == "none" else f"; pixels {done(scale, by)}."


def _assemble(
    request: Request,
    scaler: Scaler,
    pixels: tuple[NDArray[Any], ...],
    anomalous: NDArray[np.bool_],
    provenance: Provenance,
) -> Dataset:
    X_train, X_val, X_test = map(scaler.matrix, pixels)
    side = math.isqrt(scaler.features)
    names = tuple(f"pixel_{row}_{column}" for row in range(side) for column in range(side))
    return Dataset(
        name=request.name,
        X_train=X_train,
        X_val=X_val,
        X_test=X_test,
        y_test=anomalous.astype(np.int8),
        feature_names=names,
        provenance=replace(provenance, notes=provenance.notes + scaler.notes),
        image_shape=(side, side),
        preprocessing=Preprocessing(numeric=names, scaler=scaler),
    )


def _check(digit: int, request: Request) -> None:
    require(0 <= digit <= 9, f"data set '{request.name}': there is no digit {digit}; it wants 0 to 9")


def _read_idx(file: Download, dimensions: int, data_dir: Path) -> tuple[NDArray[np.uint8], SourceFile]:
    """An IDX file of unsigned bytes: magic 0 0 8 dimensions, big-endian 32-bit sizes, then the bytes."""
    content, source = file.read(data_dir)
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes((0, 0, 8, dimensions)):
        raise file.damaged(data_dir, f"not an IDX file of bytes in {dimensions} dimensions")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    if len(content) - start != math.prod(shape):
        raise file.damaged(data_dir, f"announces {math.prod(shape):,} bytes and holds {len(content) - start:,}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape), source


def _fetch_mnist(data_dir: Path) -> None:
    """Fetch MNIST by scikit-learn's OpenML loader and keep it as the four IDX files it came from."""
    from sklearn.datasets import fetch_openml

    with tempfile.TemporaryDirectory() as cache:
        images, labels = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False, data_home=cache)
    for part, rows in PARTS.items():
        for kind, values in (("images", images[rows].reshape(-1, 28, 28)), ("labels", labels[rows])):
            header = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, dtype=">u4").tobytes()
            content = header + values.astype(np.uint8).tobytes()
            write_atomically(data_dir / "mnist" / MNIST[part, kind].names[0], gzip.compress(content, mtime=0))
