"""The ladder's rung of lanes: what is trained in the lanes of one program is held against the same training alone.

Each lane has its own start, rows, draws, β and its warm-up, learning rate, dropout and decay, under both sources of
randomness; one stops before the others, and weights are set aside after different epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends import lanes
from backends import weights as canonical
from backends.interface import EpochLoss, Weights
from backends.spec import Device, NetworkSpec, Precision, TrainingSettings

LANES = "lanes"
ROWS = 150
"""Of each lane: four batches of 32 and a partial one."""
ENDS = (3, 1)
"""Epochs after which each lane stops."""
KEPT = (2, 1)
"""Epochs after which its weights are set aside."""

Data = Mapping[str, NDArray[np.float32]]
Observed = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """A network and the settings of its lanes."""

    name: str
    spec: NetworkSpec
    settings: tuple[TrainingSettings, ...]


def cases(precision: Precision, device: Device = "cpu", mode: str = "idiomatic", quick: bool = False) -> list[Case]:
    """A VAE with dropout and decay under native draws; on the whole ladder also under shared ones, with pseudo-inputs
    that begin as the lane's own rows.

    There, but in ``tuned``, where a program takes long to compile, also one with the likelihood ``gaussian``, whose σ
    each lane fits, and an autoencoder without dropout and decay. The quick ladder has none in float32, where there is
    only rounding left to see: to compile them takes as long as all else that climbs there.
    """
    if quick and precision == "float32":
        return []
    base = TrainingSettings(batch_size=32, precision=precision, device=device, mode=mode, seed=2**32 - 9)
    own = [
        {"seed": base.seed + lane, "beta": 0.4 + 0.3 * lane, "kl_warmup_epochs": 2 * lane} for lane in range(len(ENDS))
    ]
    some = [
        {"learning_rate": 1e-3 * (1 + lane), "dropout": 0.1 + 0.2 * lane, "weight_decay": 0.1 / (1 + lane)}
        for lane in range(len(ENDS))
    ]
    full = [one | more for one, more in zip(own, some, strict=True)]
    spec = NetworkSpec(20, (16,), 4)

    def case(name: str, spec: NetworkSpec, settings: list[dict[str, Any]], **common: Any) -> Case:
        return Case(name, spec, tuple(replace(base, **common, **one) for one in settings))

    found = [case("lanes, native", spec, full, random_source="native", optimizer="sgd")]
    if not quick:
        own_prior = replace(spec, prior="vamp", components=3)
        found.append(case("lanes, shared", own_prior, full, random_source="shared", optimizer="adam"))
    if not quick and mode != "tuned":
        gaussian, plain = replace(spec, likelihood="gaussian"), replace(spec, kind="autoencoder")
        found.append(case("lanes, gaussian", gaussian, full, random_source="shared", optimizer="adamw"))
        found.append(case("lanes, autoencoder", plain, own, random_source="shared", optimizer="rmsprop"))
    return found


def climb(backend: Any, case: Case, data: Data) -> tuple[Observed, Observed]:
    """What a case shows, and what its trainings show alone; nothing where the backend has no such lanes."""
    observed: Observed = {}
    expected: Observed = {}
    if lanes.refusal(backend, case.spec, case.settings[0], ROWS) is not None:
        return observed, expected
    train, validation = data["blobs/train"], data["blobs/validation"]
    rows = [np.ascontiguousarray(train[lane * ROWS :][:ROWS]) for lane in range(len(ENDS))]
    held_out = [np.ascontiguousarray(validation[lane * 40 :][:40]) for lane in range(len(ENDS))]
    starts = [canonical.initial_weights(case.spec, lane, rows[lane]) for lane in range(len(ENDS))]

    def note(side: Observed, lane: int, what: str, values: Any) -> None:
        side[f"{case.name} · lane {lane + 1}, {what}"] = np.array(values, dtype=np.float64, order="C")

    def note_change(side: Observed, lane: int, what: str, weights: Weights) -> None:
        for name, array in weights.items():
            note(side, lane, f"{what}, {name}", array - starts[lane][name])

    together = backend.build_lanes(case.spec, starts, case.settings)
    together.load_data(rows)
    together.compile()
    for epoch in range(max(ENDS)):
        together.run_epoch(epoch, [epoch < end for end in ENDS])
        losses, evaluated = together.epoch_losses(), together.evaluate(held_out)
        together.keep([epoch + 1 == kept for kept in KEPT])
        for lane, end in enumerate(ENDS):
            if epoch < end:
                note(observed, lane, f"epoch {epoch + 1}, losses", _parts(losses[lane]) + _parts(evaluated[lane]))
    for lane in range(len(ENDS)):
        note_change(observed, lane, "set aside", together.export_weights(lane, kept=True))
        note_change(observed, lane, "trained", together.export_weights(lane))

    for lane, end in enumerate(ENDS):
        alone = backend.build(case.spec, starts[lane], case.settings[lane])
        alone.load_data(rows[lane])
        for epoch in range(end):
            alone.run_epoch(epoch)
            losses_alone = _parts(alone.epoch_loss()) + _parts(alone.evaluate(held_out[lane]))
            note(expected, lane, f"epoch {epoch + 1}, losses", losses_alone)
            if epoch + 1 == KEPT[lane]:
                note_change(expected, lane, "set aside", alone.export_weights())
        note_change(expected, lane, "trained", alone.export_weights())
    return observed, expected


def _parts(loss: EpochLoss) -> list[float]:
    return [loss.loss, loss.reconstruction, loss.kl]
