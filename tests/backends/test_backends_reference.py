"""The golden copy against what defines it: its loss, finite differences of that loss, and Adam's own recursion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import randomness
from backends.interface import BackendError, Model
from backends.reference import Adam, Network, build
from backends.spec import NetworkSpec, TrainingSettings
from backends.weights import initial_weights

networks = st.builds(
    NetworkSpec,
    features=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    latent=st.integers(1, 3),
    kind=st.sampled_from(["vae", "autoencoder"]),
    likelihood=st.sampled_from(["mse", "bce"]),
)


def make_network(spec: NetworkSpec, seed: int) -> Network:
    rng = np.random.default_rng(seed)
    return Network(
        spec, {name: rng.normal(0, 0.6, array.shape) for name, array in initial_weights(spec, seed).items()}, seed
    )


def loss(network: Network, x: np.ndarray, epsilon: np.ndarray | None, kl_weight: float) -> float:
    """The design's formula, in plain loops over rows."""
    total = 0.0
    mu, logvar = network.encode(x)
    for row in range(len(x)):
        z = mu[row] if epsilon is None else mu[row] + np.exp(logvar[row] / 2) * epsilon[row]
        output = network.decode(z[None])[0]
        if network.spec.likelihood == "mse":
            reconstruction = sum((output - x[row]) ** 2)
        else:
            p = 1 / (1 + np.exp(-output))
            reconstruction = -sum(x[row] * np.log(p) + (1 - x[row]) * np.log(1 - p))
        kl = 0.0
        if network.spec.kind == "vae":
            kl = -0.5 * sum(1 + logvar[row] - mu[row] ** 2 - np.exp(logvar[row]))
        total += (reconstruction + kl_weight * kl) / len(x)
    return total


@given(spec=networks, seed=st.integers(0, 1000), kl_weight=st.sampled_from([0.0, 0.3, 1.0, 4.0]), draw=st.booleans())
@settings(deadline=None, max_examples=40, derandomize=True)
def test_gradient_equals_finite_differences_of_the_written_loss(spec, seed, kl_weight, draw):
    network, rng = make_network(spec, seed), np.random.default_rng(seed + 1)
    x = rng.random((4, spec.features))
    epsilon = rng.normal(size=(4, spec.latent)) if draw and spec.kind == "vae" else None
    reconstruction, kl, gradients = network.gradient(x, epsilon, kl_weight)
    assert reconstruction + kl_weight * kl == pytest.approx(loss(network, x, epsilon, kl_weight), rel=1e-10)
    assert sorted(gradients) == sorted(network.arrays)
    step = 1e-6
    for name, gradient in gradients.items():
        array = network.arrays[name]
        place = tuple(rng.integers(0, length) for length in array.shape)
        value, losses = array[place], []
        for moved in (value + step, value - step):
            array[place] = moved
            losses.append(loss(network, x, epsilon, kl_weight))
        array[place] = value
        slope = (losses[0] - losses[1]) / (2 * step)
        # A ReLU whose kink lies within the step has no slope there; none of the fixed examples comes that near.
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-6), name


@given(seed=st.integers(0, 1000), steps=st.integers(1, 6), epsilon=st.sampled_from([1e-8, 1e-2, 1.0]))
@settings(deadline=None, max_examples=20)
def test_adam_equals_its_moments_written_as_sums(seed, steps, epsilon):
    s = TrainingSettings(learning_rate=0.1, beta1=0.8, beta2=0.95, epsilon=epsilon)
    gradients = np.random.default_rng(seed).normal(size=(steps, 3))
    arrays, adam, expected = {"w": np.zeros(3)}, Adam(s), np.zeros(3)
    for t in range(1, steps + 1):
        adam.update(arrays, {"w": gradients[t - 1]})
        ages = np.arange(t)[::-1, None]
        m_hat = (s.beta1**ages * gradients[:t]).sum(0) / (s.beta1**ages).sum()
        v_hat = (s.beta2**ages * gradients[:t] ** 2).sum(0) / (s.beta2**ages).sum()
        expected = expected - 0.1 * m_hat / (np.sqrt(v_hat) + epsilon)
    np.testing.assert_allclose(arrays["w"], expected, rtol=1e-9)


def test_an_epoch_visits_the_shared_order_and_drops_the_partial_batch():
    spec = NetworkSpec(3, (), 2)
    s = TrainingSettings(batch_size=4, seed=7, precision="float64", kl_warmup_epochs=2)
    X = np.random.default_rng(0).random((11, 3))
    model = build(spec, initial_weights(spec, 0), s)
    model.load_data(X)
    model.run_epoch(1)
    network, adam = Network(spec, initial_weights(spec, 0), s.seed), Adam(s)
    order, noise = randomness.permutation(7, 1, 11), randomness.noise(7, 1, 11, 2)
    for batch in (slice(0, 4), slice(4, 8)):
        adam.update(network.arrays, network.gradient(X[order[batch]], noise[batch], 0.5)[2])
    for name, array in model.export_weights().items():
        np.testing.assert_array_equal(array, network.arrays[name])


def test_reconstruction_probability_is_the_mean_over_draws_of_the_posterior():
    spec = NetworkSpec(3, (4,), 2)
    model = build(spec, initial_weights(spec, 0), TrainingSettings(precision="float64", seed=5))
    X = np.random.default_rng(0).random((6, 3))
    mu, logvar = model.encode(X)
    draws = [
        ((model.network.decode(mu + np.exp(logvar / 2) * epsilon) - X) ** 2).sum(axis=1)
        for epsilon in randomness.scoring_noise(5, 2)
    ]
    np.testing.assert_allclose(model.score(X, "reconstruction_probability"), np.mean(draws, axis=0), rtol=1e-12)
    assert not np.allclose(model.score(X, "reconstruction_probability"), model.score(X))


def test_evaluation_and_elbo_weigh_the_kl_fully_whatever_the_warmup():
    spec = NetworkSpec(3, (4,), 2)
    model = build(spec, initial_weights(spec, 0), TrainingSettings(precision="float64", beta=3.0, kl_warmup_epochs=5))
    X = np.random.default_rng(0).random((6, 3))
    mu, logvar = model.encode(X)
    kl = -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)
    assert model.evaluate(X).loss == pytest.approx(model.evaluate(X).reconstruction + 3.0 * kl.mean())
    np.testing.assert_allclose(model.score(X, "elbo"), ((model.reconstruct(X) - X) ** 2).sum(axis=1) + 3.0 * kl)


def test_logits_of_any_size_give_a_finite_cross_entropy():
    network = make_network(NetworkSpec(2, (), 1, likelihood="bce"), 0)
    logits = np.array([[-1e4, 1e4], [1e4, -1e4]])
    np.testing.assert_allclose(network.reconstruction(logits, np.array([[0.0, 1.0], [0.0, 1.0]])), [0.0, 2e4])
    np.testing.assert_array_equal(network.mean(logits), [[0.0, 1.0], [1.0, 0.0]])


def test_the_reference_offers_the_whole_interface_and_refuses_single_precision():
    spec = NetworkSpec(3)
    assert isinstance(build(spec, initial_weights(spec, 0), TrainingSettings(precision="float64")), Model)
    with pytest.raises(BackendError, match=r"^precision 'float32' does not work here \(the reference is float64\)"):
        build(spec, initial_weights(spec, 0), TrainingSettings())
