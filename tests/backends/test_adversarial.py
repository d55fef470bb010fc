"""Inputs that training moves: they go where the loss is high, no further than ε and no further than the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backends import randomness
from backends.adversarial import Adversarial
from backends.reference import ReferenceModel, build
from backends.spec import NetworkSpec, TrainingSettings
from backends.weights import initial_weights

SPEC = NetworkSpec(5, (6,), 2, activation="tanh")
SETTINGS = TrainingSettings(batch_size=8, precision="float64", dropout=0.3)
EPSILON = 0.3
WEIGHT = 0.5


def make_model(how: Adversarial | None) -> ReferenceModel:
    model = build(SPEC, initial_weights(SPEC, 0), replace(SETTINGS, adversarial=how))
    model.load_data(np.random.default_rng(0).random((8, 5)))
    return model


def drawn() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    found = randomness.shared_epoch(SPEC, SETTINGS, 0, 8)
    return found.noise, dict(found.masks)


def loss(model: ReferenceModel, at: np.ndarray) -> float:
    """Of the rows at other places, which are to be reconstructed as they are."""
    reconstruction, kl, _ = model.network.gradient(at, *drawn(), WEIGHT, None, model.data)
    return reconstruction + WEIGHT * kl


def moved(how: Adversarial) -> tuple[ReferenceModel, np.ndarray]:
    model = make_model(how)
    return model, model.moved(model.data, *drawn(), WEIGHT)


def test_one_step_goes_epsilon_up_the_slope_of_the_loss_and_stays_in_the_data():
    model, found = moved(Adversarial("fgsm", EPSILON))
    X = model.data
    slope = np.zeros_like(X)
    for place in np.ndindex(X.shape):
        near = [X.copy(), X.copy()]
        for at, step in zip(near, (1e-6, -1e-6), strict=True):
            at[place] += step
        slope[place] = loss(model, near[0]) - loss(model, near[1])
    np.testing.assert_allclose(found, np.clip(X + EPSILON * np.sign(slope), X.min(), X.max()), rtol=1e-12)
    assert (np.abs(found - X) < EPSILON - 1e-9).any(), "nothing was held at the edge of the data"


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_more_steps_stay_within_epsilon_and_the_data_and_raise_the_loss(steps):
    model, found = moved(Adversarial("pgd", EPSILON, steps))
    X = model.data
    assert np.abs(found - X).max() == pytest.approx(EPSILON)
    assert (found.min(), found.max()) == (X.min(), X.max())
    assert loss(model, found) > 1.1 * loss(model, X)
    if steps == 1:
        np.testing.assert_array_equal(found, moved(Adversarial("fgsm", EPSILON))[1])
    else:
        assert loss(model, found) >= loss(model, moved(Adversarial("fgsm", EPSILON))[1])


def test_the_last_of_ten_steps_is_as_long_as_the_first():
    """α = 2.5 ε / K: after one of ten steps a value has gone a quarter of ε."""
    model = make_model(Adversarial("pgd", EPSILON, 10))
    assert model.settings.adversarial.rate == pytest.approx(EPSILON / 4)
    assert Adversarial("fgsm", EPSILON).rate == EPSILON


def test_training_is_on_the_moved_rows_and_validation_on_the_rows_as_they_are():
    plain, adversarial = make_model(None), make_model(Adversarial("pgd", EPSILON, 3))
    assert plain.evaluate(plain.data) == adversarial.evaluate(plain.data)
    for model in (plain, adversarial):
        model.run_epoch(0)
    assert adversarial.epoch_loss().loss > 1.1 * plain.epoch_loss().loss


def test_an_attack_has_the_steps_of_its_method():
    assert (Adversarial("pgd", 0.1).steps, Adversarial("fgsm", 0.1).steps) == (5, 1)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (("cw", 0.1), "method must be one of"),
        (("pgd", 0.0), "epsilon must be positive"),
        (("pgd", float("nan")), "epsilon must be positive"),
        (("pgd", 0.1, 0), "steps must be between 1 and 100"),
        (("pgd", 0.1, 101), "steps must be between 1 and 100"),
        (("fgsm", 0.1, 2), "fgsm takes one step"),
    ],
)
def test_an_impossible_attack_is_refused_in_one_line(fields, complaint):
    with pytest.raises(ValueError, match=rf"^[^\n]*{complaint}[^\n]*$"):
        Adversarial(*fields)
