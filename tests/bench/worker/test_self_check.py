"""Every timed trial proves itself: what does not follow the reference is found, and what does is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backends import reference
from backends.inference import Inference
from backends.interface import EpochLoss
from backends.randomness import Epoch
from backends.spec import NetworkSpec, TrainingSettings
from backends.weights import initial_weights
from bench.worker import draws, self_check
from bench.worker.self_check import SelfCheck

ROWS, BATCH, EPOCHS = 2_000, 64, 3
SPEC = NetworkSpec(6, (12, 8), 3)
SETTINGS = TrainingSettings(batch_size=BATCH, dropout=0.1, seed=5, precision="float64", kl_warmup_epochs=4)
RNG = np.random.default_rng(0)
X, X_VAL, X_TEST = (RNG.random((count, 6)).astype(np.float32) for count in (ROWS, 300, 9_000))

Change = Callable[[Any], None]


class Timed(reference.ReferenceModel):
    """The reference in the place of a backend, for faults to be planted into."""

    trained: Callable[[Epoch], Epoch] = staticmethod(lambda drawn: drawn)
    told: Callable[[Epoch], Epoch] = staticmethod(lambda drawn: drawn)

    def run_epoch(self, epoch: int) -> None:
        (drawn,) = super().draws([epoch])
        self.follow(epoch, self.trained(drawn))

    def draws(self, epochs: Any) -> Any:
        return map(self.told, super().draws(epochs))


def trial(
    change: Change = lambda model: None,
    settings: TrainingSettings = SETTINGS,
    spec: NetworkSpec = SPEC,
    building: float = 1e9,
) -> Any:
    """What the worker does with a trial, and what its check finds."""
    exact = replace(settings, random_source="shared", precision="float64")

    def build(spec: NetworkSpec, weights: Any, settings: TrainingSettings) -> Timed:
        model = Timed(spec, weights, exact)
        change(model)
        return model

    model = build(spec, initial_weights(spec, settings.seed, X), settings)
    model.load_data(X)
    left = []
    for epoch in range(EPOCHS):
        model.run_epoch(epoch)
        weights = {name: array.copy() for name, array in model.export_weights().items()}
        left.append((model.epoch_loss(), weights, model.evaluate(X_VAL).loss))
    check = SelfCheck(model, spec, settings, X, X_VAL, build)
    return check.conclude(left, 60.0, building, "reconstruction", X_TEST, model.score(X_TEST))


def test_a_trial_without_a_fault_follows_and_says_how_far():
    found = trial()
    assert (found["followed"], found["reason"]) == (True, None)
    assert (found["steps"], found["epochs"]) == (EPOCHS * (ROWS // BATCH), EPOCHS)
    # nothing, or the last digit of scores of other numbers of rows
    assert 0 <= found["error"] < 1e-14 < found["bound"] <= 1e-9
    assert found["precision"] == "float64"
    assert found["seconds"] > 0


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(6, (8,), 2, "autoencoder"),
        NetworkSpec(6, (8,), 2, likelihood="gaussian"),
        NetworkSpec(6, (8,), 2, prior="vamp", components=3),
    ],
    ids=["autoencoder", "gaussian", "vamp"],
)
def test_other_networks_are_followed_too(spec):
    assert trial(spec=spec)["followed"] is True


RICHER = NetworkSpec(6, (8,), 2, likelihood="diagonal_gaussian", prior="mixture", components=2)
DRAWS = replace(SETTINGS, importance_samples=2, input_noise=0.2)


def test_of_wide_noise_evenly_spaced_columns_are_looked_at_and_all_of_narrow_noise():
    rows, wide = 1 << 12, np.arange(300.0)
    drawn = Epoch(np.arange(rows), np.tile(wide, (rows, 1)), {"encoder.0": X[:rows] > 0.5}, np.tile(wide, (rows, 1)))
    found = draws.kept(drawn)
    assert found.noise[0].tolist() == np.linspace(0, 299, draws.UNITS, dtype=int).tolist()
    assert found.corruption[0].tolist() == np.linspace(0, 299, draws.CORRUPTED // rows, dtype=int).tolist()
    assert found.masks.keys() == drawn.masks.keys()
    few = replace(drawn, noise=drawn.noise[:, :9], corruption=drawn.corruption[:, :9])
    np.testing.assert_array_equal(draws.kept(few).noise, few.noise)
    np.testing.assert_array_equal(draws.kept(few).corruption, few.corruption)


def test_a_richer_model_is_followed_and_its_faults_are_not():
    assert trial(spec=RICHER, settings=DRAWS)["followed"] is True
    weaker = only_trained(lambda drawn: replace(drawn, corruption=0.97 * drawn.corruption))
    found = trial(weaker, DRAWS, RICHER)
    assert found["followed"] is False
    assert "step 31" in found["reason"]
    shared = both(lambda drawn: replace(drawn, corruption=drawn.corruption[:, :1] + np.zeros((1, 6))))
    found = trial(shared, DRAWS, RICHER)
    assert found["followed"] is False
    assert "input noise" in found["reason"]

    def untrained_prior(model: Any) -> None:
        model.network.prior_gradient = lambda z, weights, gradients: type(model.network).prior_gradient(
            model.network, z, weights, {}
        )

    found = trial(untrained_prior, DRAWS, RICHER)
    assert found["followed"] is False
    assert "step 62" in found["reason"]  # β is 0 in the first epoch, of 31 steps


def noise(change: Callable[[Any], Any]) -> Callable[[Epoch], Epoch]:
    return lambda drawn: replace(drawn, noise=change(drawn.noise))


def both(change: Callable[[Epoch], Epoch]) -> Change:
    def plant(model: Any) -> None:
        model.trained = model.told = change

    return plant


def only_trained(change: Callable[[Epoch], Epoch]) -> Change:
    def plant(model: Any) -> None:
        model.trained = change

    return plant


def only_told(change: Callable[[Epoch], Epoch]) -> Change:
    def plant(model: Any) -> None:
        model.told = change

    return plant


def overridden(name: str, make: Callable[[Any], Any]) -> Change:
    def plant(model: Any) -> None:
        setattr(model, name, make(getattr(model, name)))

    return plant


def one_epoch_again(model: Any) -> None:
    """Every epoch draws what the first drew."""
    kept: list[Epoch] = []

    def first(drawn: Epoch) -> Epoch:
        kept.append(drawn)
        return kept[0]

    both(first)(model)


def late_fault(model: Any) -> None:
    """The second epoch trains on the first half of its rows twice, and tells that it did not."""
    real, epochs = model.follow, []

    def follow(epoch: int, drawn: Epoch) -> None:
        epochs.append(epoch)
        half = drawn.order[: len(drawn.order) // 2]
        real(epoch, replace(drawn, order=np.concatenate([half, half])) if epoch == 1 else drawn)

    model.follow = follow


def other_start(model: Any) -> None:
    model.network.arrays = initial_weights(model.spec, seed=6)


def trained_while_compiling(model: Any) -> None:
    """``compile`` leaves moments behind."""
    start = model.export_weights()
    model.optimizer.update(dict(start), {name: array + 1 for name, array in start.items()})


FAULTS: dict[str, tuple[Change, str]] = {
    "noise of deviation 0.9": (both(noise(lambda e: 0.9 * e)), "noise"),
    "no noise in one unit": (both(noise(lambda e: e * [0, 1, 1])), "noise"),
    "less noise than is told": (only_trained(noise(lambda e: 0.97 * e)), "step 31"),
    "rows never shuffled": (both(lambda d: replace(d, order=np.sort(d.order))), "row order"),
    "half of the rows twice": (both(lambda d: replace(d, order=np.tile(d.order[: len(d.order) // 2], 2))), "row order"),
    "an order that is told and not used": (only_trained(lambda d: replace(d, order=d.order[::-1])), "step 31"),
    "the first epoch in every epoch": (one_epoch_again, "row order"),
    "no dropout": (both(lambda d: replace(d, masks={n: m | True for n, m in d.masks.items()})), "dropout"),
    "dropout that is told and not used": (
        only_trained(lambda d: replace(d, masks={n: ~m for n, m in d.masks.items()})),
        "step 31",
    ),
    "draws that do not fit": (only_told(noise(lambda e: e[:, :1])), "cannot be followed"),
    "noise that is not finite": (only_told(noise(lambda e: e * np.inf)), "cannot be followed"),
    "a fault in the second epoch alone": (late_fault, "step 62"),
    "other weights at the start": (other_start, "step 31"),
    "an optimiser that compile has moved": (trained_while_compiling, "step 31"),
    "losses that are too low": (
        overridden("epoch_loss", lambda real: lambda: EpochLoss(*(0.99 * part for part in vars(real()).values()))),
        "step 31, loss",
    ),
    "a validation loss of other rows": (
        overridden("evaluate", lambda real: lambda rows: real(rows[:-20])),
        "validation loss",
    ),
    "a validation loss without β": (
        overridden("evaluate", lambda real: lambda rows: replace(real(rows), loss=real(rows).reconstruction)),
        "validation loss",
    ),
    "scores of the last rows that are zero": (
        overridden("score", lambda real: lambda rows: np.where(np.arange(len(rows)) < len(rows) - 3, real(rows), 0)),
        "scores of the test rows",
    ),
    "scores beyond a chunk that are those of the chunk before": (
        overridden("score", lambda real: lambda rows: np.resize(real(rows)[:4096], len(rows))),
        "scores of the test rows",
    ),
    "scores in float32": (
        overridden("score", lambda real: lambda rows: real(rows).astype(np.float32)),
        "scores of the test rows",
    ),
}


@pytest.mark.parametrize(("plant", "where"), FAULTS.values(), ids=FAULTS)
def test_a_timed_run_with_a_fault_is_found_by_step_and_tensor(plant, where):
    with np.errstate(all="ignore"):
        found = trial(plant)
    assert found["followed"] is False
    assert where in found["reason"]


def test_in_float32_rounding_is_let_through_and_a_fault_is_not():
    """With the reference's own gradients rounded to 24 bits."""
    single = replace(SETTINGS, precision="float32")

    def rounding(model: Any) -> None:
        start = initial_weights(model.spec, model.settings.seed)
        model.network.arrays = {name: array.astype(np.float32).astype(float) for name, array in start.items()}
        self_check.round_steps(model, bits=24)

    def faulty(model: Any) -> None:
        rounding(model)
        model.trained = noise(lambda e: 0.9 * e)

    held = trial(rounding, single)
    assert held["followed"] is True
    assert held["error"] > 0
    assert trial(faulty, single)["followed"] is False


def test_where_time_is_short_the_draws_and_scores_are_looked_at_and_the_steps_are_not(monkeypatch):
    monkeypatch.setattr(self_check, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(self_check, "SHARE", 0.0)
    found = trial()
    assert (found["followed"], found["steps"]) == (None, 0)
    assert "more time than there is" in found["reason"]
    assert trial(both(noise(lambda e: 0.9 * e)))["followed"] is False


def test_where_an_epoch_is_too_long_its_first_steps_are_rehearsed(monkeypatch):
    monkeypatch.setattr(self_check, "LEAST_SECONDS", 0.02)
    monkeypatch.setattr(self_check, "SHARE", 0.0)
    monkeypatch.setattr(SelfCheck, "_seconds_per_step", lambda *_: 1e-3)
    found = trial(building=0.0)
    assert (found["followed"], found["epochs"], found["rehearsed"]) == (True, 0, True)
    assert 1 <= found["steps"] == int(self_check.SPARE * 0.02 / 4e-3) < ROWS // BATCH
    found = trial(only_trained(lambda d: replace(d, order=d.order[::-1])), building=0.0)
    assert found["followed"] is False
    assert "of a rehearsal" in found["reason"]


def test_a_model_that_does_not_tell_its_draws_is_not_followed_and_says_so():
    def silent(model: Any) -> None:
        model.draws = lambda epochs: Inference.native_draws(model, epochs)

    found = trial(silent)
    assert found["followed"] is None
    assert "does not tell what its epochs draw" in found["reason"]


# -------------------------------------------------------------------------------------------------- sound draws pass


@pytest.mark.parametrize("seed", range(5))
def test_sound_draws_are_far_from_the_limit(seed):
    settings = replace(SETTINGS, seed=seed, random_source="shared")
    model = reference.build(SPEC, initial_weights(SPEC, 0), settings)
    model.load_data(X)
    found = draws.judged(list(model.draws(range(EPOCHS))), ROWS, BATCH, settings.dropout)
    assert set(found) == {"row order", "noise", "dropout"}
    assert max(share for shares in found.values() for share in shares.values()) < 0.9
