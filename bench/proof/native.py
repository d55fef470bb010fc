"""The ladder's upper part: the ``native`` source of randomness, with which every timed trial trains.

A model tells what its epochs drew. Training is followed by the reference from those draws, so that what was told is
what was used; and the draws themselves are held against what chance draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends import reference
from backends import weights as canonical
from backends.interface import Backend, BackendError, EpochLoss, Model, Weights
from backends.randomness import Epoch
from backends.spec import Device, NetworkSpec, Precision, TrainingSettings
from bench.worker import draws

LOSSES = "native: losses"
WEIGHTS = "native: weights"
ORDER = f"native: {draws.ORDER}"
NOISE = f"native: {draws.NOISE}"
DROPOUT = f"native: {draws.DROPOUT}"
SEEDS = "native: seeds"
RUNGS = (LOSSES, WEIGHTS, ORDER, NOISE, DROPOUT, SEEDS)
CHANCE = (ORDER, NOISE, DROPOUT, SEEDS)
"""The rungs that hold the share of what chance allows."""

OTHER_SEEDS = (3, 3 + 2**16, 3 + 2**31)
"""Unlike only in bits that a narrower integer would lose."""

OTHER_ROWS = 700
"""Rows that a model is given first, at most: five batches and a partial one."""

STREAMED = "native streamed"
STREAMING = ("fused", "tuned")
"""The modes that can be given more rows than the device holds."""

Data = Mapping[str, NDArray[np.float32]]
Observed = dict[str, dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Case:
    """A network that trains on what its backend draws by itself, first on the last of the same rows."""

    name: str
    data: str
    spec: NetworkSpec
    settings: TrainingSettings
    rows: int
    epochs: int
    seeds: tuple[int, ...] = OTHER_SEEDS
    """Of further models, whose first epochs have to be unlike each other."""


def cases(precision: Precision, device: Device = "cpu", mode: str = "idiomatic", quick: bool = False) -> list[Case]:
    """All that can be drawn, in a dense VAE; the whole ladder has an autoencoder, images, windows and, where the mode
    streams, rows that come in parts too.

    Momentum has a state to be kept and, unlike Adam, does not make much of gradients that are nearly 0: so float32 can
    be held to the bounds of a few steps, over hundreds of them.
    """
    base = TrainingSettings(
        seed=2**32 - 5,
        random_source="native",
        precision=precision,
        device=device,
        mode=mode,
        optimizer="sgd",
        learning_rate=1e-3,
        kl_warmup_epochs=4,
    )
    found = [
        Case(
            "native",
            "blobs",
            NetworkSpec(20, (16,), 6, activation="tanh"),
            replace(base, dropout=0.2, input_noise=0.3),
            10**9,
            3,
        ),
    ]
    if not quick:
        plain = replace(base, batch_size=32, kl_warmup_epochs=0)
        draws = replace(base, batch_size=32, importance_samples=2)
        spec = NetworkSpec(20, (16,), 4, "autoencoder", "gaussian")
        found.append(Case("native autoencoder", "blobs", spec, plain, 500, 2))
        images = NetworkSpec(64, (16,), 2, likelihood="bce", image=(8, 8), filters=(4, 8), decoder="projected")
        found.append(Case("native convolutional", "digits", images, draws, 300, 2))
        windows = NetworkSpec(20, (16,), 2, image=(5,), filters=(4, 8))
        found.append(Case("native windows", "blobs", windows, plain, 300, 2))
    if mode in STREAMING and not quick:
        # parts of 16 batches, each of 64 blocks of eight rows, the last smaller
        parts = replace(base, batch_size=32, stream_rows=520)
        found.append(Case(STREAMED, "blobs", NetworkSpec(20, (16,), 4), parts, 2000, 2))
    return found


def climb(backend: Backend, case: Case, data: Data) -> tuple[Observed, Observed]:
    """What one case shows, and what the reference, following its draws, says that it should.

    Raises RuntimeError, in one line, for a model that does not tell its draws.
    """
    observed: Observed = {rung: {} for rung in RUNGS}
    expected: Observed = {rung: {} for rung in RUNGS}
    settings, rows = case.settings, data[f"{case.data}/train"][: case.rows]
    start, later = (canonical.initial_weights(case.spec, seed=seed) for seed in (0, 1))
    model = backend.build(case.spec, start, settings)
    golden = reference.build(case.spec, model.export_weights(), _golden(settings))

    def note(rung: str, what: str, shown: Any, right: Any) -> None:
        for side, values in ((observed, shown), (expected, right)):
            side[rung][f"{case.name} · {what}"] = np.array(values, dtype=np.float64, order="C")

    def compare(when: str, loss: EpochLoss, right: EpochLoss) -> None:
        exact = settings.precision == "float64"
        parts = [(one.loss, one.reconstruction, one.kl) if exact else one.loss for one in (loss, right)]
        note(LOSSES, f"{when}, loss, reconstruction and KL" if exact else f"{when}, loss", *parts)

    def compare_weights(when: str, since: Weights) -> None:
        """What changed: the weights themselves would hide it in single precision."""
        now, right = model.export_weights(), golden.export_weights()
        for name in right:
            note(WEIGHTS, f"{when}, {name}", now[name] - since[name], right[name] - since[name])

    def train(chosen: NDArray[np.float32], epochs: range, when: str) -> list[Epoch]:
        since = model.export_weights()
        model.load_data(chosen)
        golden.load_data(chosen)
        losses, told = [], []
        for epoch in epochs:
            model.run_epoch(epoch)
            losses.append(model.epoch_loss())
            if len(losses) in (1, len(epochs)):  # to be asked between epochs leaves training as it is
                told.append(_told(model, epochs[: len(losses)]))
            if when == "" and epoch == epochs[0]:
                others.update({seed: _first_epoch(backend, case, rows, seed) for seed in case.seeds})
        drawn = told[-1]
        alike = all(_same(a, b) for earlier in told for a, b in zip(earlier, drawn, strict=False))
        note(ORDER, f"{when}what is told stays what was told", 0.0 if alike else draws.FALSE, 0.0)
        for number, (epoch, loss, one) in enumerate(zip(epochs, losses, drawn, strict=True)):
            try:
                golden.follow(epoch, one)
            except ValueError as error:
                raise RuntimeError(f"what epoch {number + 1} is told to have drawn does not fit: {error}") from None
            compare(f"{when}epoch {number + 1}", loss, golden.epoch_loss())
        compare_weights(f"{when}trained", since)
        return drawn

    others: dict[int, Epoch] = {}
    # neither they nor their number must be what it trains on later
    train(np.ascontiguousarray(rows[::-1][:OTHER_ROWS]), range(1), "on other rows, ")
    drawn = train(rows, range(case.epochs), "")
    part = draws.part_of(model)
    found = draws.judged(drawn, len(rows), settings.batch_size, settings.dropout, part=part)
    found["seeds"] = draws.seeds(others, len(rows), settings.batch_size, settings.dropout, part)
    for about, shares in found.items():
        for what, share in shares.items():
            note(f"native: {about}", what, share, 0.0)
    model.import_weights(later)
    golden.import_weights({name: array.astype(settings.storage) for name, array in later.items()})
    since = golden.export_weights()
    model.run_epoch(case.epochs)
    golden.follow(case.epochs, _told(model, range(case.epochs + 1))[-1])
    compare("on imported weights", model.epoch_loss(), golden.epoch_loss())
    compare_weights("on imported weights", since)
    return observed, expected


def _golden(settings: TrainingSettings) -> TrainingSettings:
    return replace(settings, precision="float64", device="cpu", mode="idiomatic")


def _told(model: Model, epochs: range) -> list[Epoch]:
    if not hasattr(model, "draws"):
        raise RuntimeError("the model has no draws(epochs), so that its native training cannot be followed")
    try:
        return list(model.draws(epochs))
    except BackendError as error:
        raise RuntimeError(f"native training cannot be followed: {error}") from None


def _first_epoch(backend: Backend, case: Case, rows: NDArray[np.float32], seed: int) -> Epoch:
    """What another model of this process draws first, its seed alone being another."""
    weights = canonical.initial_weights(case.spec, seed=0)
    model = backend.build(case.spec, weights, replace(case.settings, seed=seed))
    model.load_data(rows)
    return _told(model, range(1))[0]


def _same(one: Epoch, other: Epoch) -> bool:
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [(one.order, other.order)]
    pairs += [(array, other.arrays[name]) for name, array in one.arrays.items()]
    return all(np.array_equal(a, b) for a, b in pairs)
