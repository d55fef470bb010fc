"""The golden copy's four optimisers, each against another way of writing what it computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.reference import Optimizer
from backends.spec import TrainingSettings

draws = {
    "seed": st.integers(0, 1000),
    "steps": st.integers(1, 6),
    "epsilon": st.sampled_from([1e-8, 1e-2, 1.0]),
    "decay": st.sampled_from([0.0, 0.3]),
}


def make_settings(optimizer: str, epsilon: float = 1e-2, decay: float = 0.0, momentum: float = 0.7) -> TrainingSettings:
    return TrainingSettings(
        optimizer=optimizer,
        learning_rate=0.1,
        beta1=0.8,
        beta2=0.95,
        rho=0.6,
        momentum=momentum,
        epsilon=epsilon,
        weight_decay=decay,
    )


def follow(s: TrainingSettings, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The weights after each step, shape (1 + steps, 3)."""
    arrays, optimizer, trajectory = {"w.bias": start}, Optimizer(s), [start]
    for gradient in gradients:
        optimizer.update(arrays, {"w.bias": gradient})
        trajectory.append(arrays["w.bias"])
    return np.array(trajectory)


def directions(s: TrainingSettings, g: np.ndarray) -> np.ndarray:
    """What each step multiplies the learning rate with, every running mean being a sum over the gradients' ages."""

    def total(decay: float, terms: np.ndarray) -> np.ndarray:
        return (decay ** np.arange(len(terms))[::-1, None] * terms).sum(0)

    found = []
    for past in (g[:t] for t in range(1, len(g) + 1)):
        if s.optimizer == "sgd":
            found.append(total(s.momentum, past))
        elif s.optimizer == "rmsprop":
            found.append(past[-1] / (np.sqrt((1 - s.rho) * total(s.rho, past**2)) + s.epsilon))
        else:
            ones = np.ones_like(past)
            m_hat = total(s.beta1, past) / total(s.beta1, ones)
            v_hat = total(s.beta2, past**2) / total(s.beta2, ones)
            found.append(m_hat / (np.sqrt(v_hat) + s.epsilon))
    return np.array(found)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
@given(**draws)
@settings(deadline=None, max_examples=20)
def test_a_coupled_optimizer_equals_its_moments_written_as_sums(optimizer, seed, steps, epsilon, decay):
    s, rng = make_settings(optimizer, epsilon, decay), np.random.default_rng(seed)
    start, gradients = rng.normal(size=3), rng.normal(size=(steps, 3))
    trajectory = follow(s, start, gradients)
    moved = directions(s, gradients + decay * trajectory[:-1])  # coupled: the weights are part of the gradient
    np.testing.assert_allclose(trajectory[-1], start - 0.1 * moved.sum(0), rtol=1e-9, atol=1e-12)


@given(**draws)
@settings(deadline=None, max_examples=20)
def test_adamw_shrinks_the_weights_beside_adam_steps_that_never_see_them(seed, steps, epsilon, decay):
    """The recursion θ ← (1 − lr λ) θ − lr d, solved: d depends on the gradients alone."""
    s, rng = make_settings("adamw", epsilon, decay), np.random.default_rng(seed)
    start, gradients = rng.normal(size=3), rng.normal(size=(steps, 3))
    shrunk = (1 - 0.1 * decay) ** np.arange(steps, -1, -1)[:, None]
    expected = shrunk[0] * start - (0.1 * shrunk[1:] * directions(s, gradients)).sum(0)
    np.testing.assert_allclose(follow(s, start, gradients)[-1], expected, rtol=1e-9, atol=1e-12)


@given(**draws, momentum=st.sampled_from([0.0, 0.7]))
@settings(deadline=None, max_examples=20)
def test_momentum_is_polyaks_heavy_ball(seed, steps, epsilon, decay, momentum):
    """θ[t+1] = θ[t] − lr g + μ (θ[t] − θ[t−1]) (Polyak 1964), which neither Nesterov's form nor dampening equals."""
    s, rng = make_settings("sgd", epsilon, decay, momentum), np.random.default_rng(seed)
    before = now = start = rng.normal(size=3)
    gradients = rng.normal(size=(steps, 3))
    for gradient in gradients:
        before, now = now, now - 0.1 * (gradient + decay * now) + momentum * (now - before)
    np.testing.assert_allclose(follow(s, start, gradients)[-1], now, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_tensors_share_no_moment(optimizer):
    s, rng = make_settings(optimizer, decay=0.1), np.random.default_rng(0)
    gradients = rng.normal(size=(4, 2, 3))
    arrays, together = {"a": np.ones(3), "b": np.ones(3)}, Optimizer(s)
    for a, b in gradients:
        together.update(arrays, {"a": a, "b": b})
    for number, name in enumerate(arrays):
        np.testing.assert_array_equal(arrays[name], follow(s, np.ones(3), gradients[:, number])[-1])
