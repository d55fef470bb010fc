"""The golden copy against what defines it: its loss, finite differences of that loss, an epoch and the scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, expit
from scipy.stats import norm

from backends import randomness
from backends.interface import BackendError, Model
from backends.reference import Network, Optimizer, ReferenceModel, build, forward
from backends.spec import ACTIVATIONS, DECODERS, LIKELIHOODS, NetworkSpec, TrainingSettings, contradiction
from backends.weights import INPUTS, LOG_SIGMA, LOG_VARIANCE, PRIOR, initial_weights, shapes, sigma, variances

PLAIN = TrainingSettings(seed=1)


def make_image_spec(image: tuple[int, int], shape: list[tuple[int, int]], **parts) -> NetworkSpec:
    filters, strides = zip(*shape, strict=True)
    return make_spec(features=image[0] * image[1], image=image, filters=filters, strides=strides, **parts)


parts = {
    "hidden": st.lists(st.integers(1, 4), max_size=3).map(tuple),
    "latent": st.integers(1, 3),
    "kind": st.sampled_from(["vae", "autoencoder"]),
    "likelihood": st.sampled_from(LIKELIHOODS),
    "activation": st.sampled_from(ACTIVATIONS),
    "prior": st.sampled_from([("normal", 0), ("mixture", 1), ("mixture", 3), ("vamp", 1), ("vamp", 3)]),
}
FORMULAS = {
    "relu": lambda a: np.maximum(0, a),
    "leaky_relu": lambda a: np.maximum(0.01 * a, a),
    "elu": lambda a: np.maximum(0, a) + np.exp(np.minimum(0, a)) - 1,
    "tanh": lambda a: (1 - np.exp(-2 * a)) / (1 + np.exp(-2 * a)),
    "sigmoid": expit,
    "gelu": lambda a: a * (1 + erf(a / np.sqrt(2))) / 2,
    "silu": lambda a: a / (1 + np.exp(-a)),
}
"""The activations as docs/model.md writes them."""


def make_spec(prior: tuple[str, int], kind: str, **parts) -> NetworkSpec:
    name, components = prior if kind == "vae" else ("normal", 0)
    return NetworkSpec(kind=kind, prior=name, components=components, **parts)


networks = st.builds(make_spec, features=st.integers(1, 5), **parts) | st.builds(
    make_image_spec,
    image=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    shape=st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1, 2])), min_size=1, max_size=3),
    kernel=st.sampled_from([3, 5]),
    decoder=st.sampled_from(DECODERS),
    **parts,
)


def make_network(spec: NetworkSpec, asked: TrainingSettings) -> Network:
    return Network(spec, make_weights(spec, asked.seed), asked)


def make_weights(spec: NetworkSpec, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.6, shape) for name, shape in shapes(spec).items()}


def loss(network: Network, x, epsilon, masks, kl_weight: float, corruption=None) -> float:
    """The design's formula, row by row."""
    learned: list[tuple[np.ndarray, np.ndarray]] = []  # the parts of a VampPrior, the same for every row

    def apply(name: str, h: np.ndarray) -> np.ndarray:
        kernel, bias = network.arrays[f"{name}.kernel"], network.arrays[f"{name}.bias"]
        return forward(network.layers[name], h[None], kernel, bias)[0]

    def hidden(part: str, row: int | None, h: np.ndarray) -> np.ndarray:
        for name in (name for name in network.layers if name.startswith(part)):
            h = FORMULAS[network.spec.activation](apply(name, h))
            if name in masks and row is not None:
                h = h * masks[name][row] / (1 - network.dropout)
        return h

    def log_ratio(z: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> float:
        """log q(z|x) − log p(z) by SciPy's densities."""
        log_p = norm.logpdf(z).sum()
        if network.spec.prior == "mixture":
            means, logvars, logits = (network.arrays[name] for name in PRIOR)
            each = norm.logpdf(z, means, np.exp(logvars / 2)).sum(axis=1)
            log_p = np.log(np.exp(each) @ np.exp(logits) / np.exp(logits).sum())
        elif network.spec.prior == "vamp":
            if not learned:
                encoded = [hidden("encoder", None, u) for u in network.arrays[INPUTS]]
                learned.extend((apply("mu", h), np.exp(apply("logvar", h) / 2)) for h in encoded)
            each = [norm.logpdf(z, *one).sum() for one in learned]
            log_p = np.log(np.mean(np.exp(each)))
        return norm.logpdf(z, mu, np.exp(logvar / 2)).sum() - log_p

    def bound(row: int, mu: np.ndarray, logvar: np.ndarray) -> float:
        """Minus the importance-weighted bound; β weighs log p(z) − log q(z|x)."""
        found = []
        for e in epsilon[row].reshape(network.importance_samples, -1):
            z = mu + np.exp(logvar / 2) * e
            output = apply("output", hidden("decoder", row, z))
            found.append(-reconstructed(row, output) - kl_weight * log_ratio(z, mu, logvar))
        return -np.log(np.mean(np.exp(found)))

    def reconstructed(row: int, output: np.ndarray) -> float:
        if network.spec.likelihood == "mse":
            return sum((output - x[row]) ** 2)
        if network.spec.likelihood == "diagonal_gaussian":
            scale = np.sqrt(np.exp(network.arrays[LOG_VARIANCE]) + np.exp(-12))
            return -norm.logpdf(x[row], output, scale).sum()
        # −log σ(a) = log(1 + exp(−a)) = logaddexp(0, −a), and 1 − σ(a) = σ(−a)
        return sum(x[row] * np.logaddexp(0, -output) + (1 - x[row]) * np.logaddexp(0, output))

    total, errors, units = 0.0, [], []
    for row in range(len(x)):
        seen = x[row] if corruption is None else x[row] + network.input_noise * corruption[row]
        encoded, kl = hidden("encoder", row, seen), 0.0
        if network.spec.kind == "vae":
            mu, logvar = apply("mu", encoded), apply("logvar", encoded)
            if network.importance_samples > 1:
                total += bound(row, mu, logvar) / len(x)
                continue
            z = mu if epsilon is None else mu + np.exp(logvar / 2) * epsilon[row]
            units.append(-0.5 * (1 + logvar - mu**2 - np.exp(logvar)))
            kl = 0.0 if network.free_bits else sum(units[-1])
            kl = log_ratio(z, mu, logvar) if network.spec.prior != "normal" else kl
        else:
            z = apply("latent", encoded)
        output = apply("output", hidden("decoder", row, z))
        if network.spec.likelihood == "gaussian":
            reconstruction = 0.0  # of the whole batch, below
            errors.append(x[row] - output)
        else:
            reconstruction = reconstructed(row, output)
        total += (reconstruction + kl_weight * kl) / len(x)
    if units and network.free_bits:
        total += kl_weight * sum(max(network.free_bits, unit) for unit in np.mean(units, axis=0))
    return total + gaussian_loss(np.array(errors)) if errors else total


def gaussian_loss(errors: np.ndarray) -> float:
    """The mean over rows of −log N(x; x̂, σ² I), for the σ at which it is least, by SciPy's density.

    Every error counts as if a noise of the variance e⁻¹² had been added to it.
    """
    sigma = np.sqrt(np.mean(errors**2) + np.exp(-12))
    densities = norm.logpdf(errors, scale=sigma) - np.exp(-12) / (2 * sigma**2)
    return -densities.sum() / len(errors)


@given(
    spec=networks,
    seed=st.integers(0, 1000),
    kl_weight=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    draw=st.booleans(),
    dropout=st.sampled_from([0.0, 0.4]),
    free_bits=st.sampled_from([0.0, 0.3]),
    noise=st.sampled_from([0.0, 0.5]),
    samples=st.sampled_from([1, 3]),
)
@settings(deadline=None, max_examples=80, derandomize=True)
def test_gradient_equals_finite_differences_of_the_written_loss(
    spec, seed, kl_weight, draw, dropout, free_bits, noise, samples
):
    asked = TrainingSettings(
        seed=seed, dropout=dropout, free_bits=free_bits, input_noise=noise, importance_samples=samples
    )
    if contradiction(spec, asked) or not draw:
        asked = replace(asked, free_bits=0.0, importance_samples=1)
    network, rng = make_network(spec, asked), np.random.default_rng(seed + 1)
    x = rng.random((3, spec.features))
    drawn = 3, spec.latent * asked.importance_samples
    epsilon = rng.normal(size=drawn) if draw and spec.kind == "vae" else None
    masks = {name: rng.random((3, width)) >= dropout for name, width in spec.dropped().items()} if dropout else {}
    given = x, epsilon, masks, kl_weight, rng.normal(size=x.shape) if noise else None
    reconstruction, kl, gradients = network.gradient(*given)
    assert reconstruction + kl_weight * kl == pytest.approx(loss(network, *given), rel=1e-10)
    assert sorted(gradients) == sorted(network.arrays.keys() - {LOG_SIGMA})
    step = 1e-6
    for name, gradient in gradients.items():
        array = network.arrays[name]
        place = tuple(rng.integers(0, length) for length in array.shape)
        value, losses = array[place], []
        for moved in (value + step, value - step):
            array[place] = moved
            losses.append(loss(network, *given))
        array[place] = value
        slope = (losses[0] - losses[1]) / (2 * step)
        # An activation whose kink lies within the step has no slope there; none of the fixed examples comes that near.
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-6), name


@given(spec=networks, seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_slopes_equal_finite_differences_of_the_scores(spec, seed):
    rng = np.random.default_rng(seed)
    model = build(spec, make_weights(spec, seed), TrainingSettings(precision="float64", beta=0.7, seed=seed))
    X, row, step = rng.random((3, spec.features)), int(rng.integers(3)), 1e-6
    place = int(rng.integers(spec.features))
    for kind in spec.scores:
        scores = []
        for moved in (X[row, place] + step, X[row, place] - step):
            changed = X.copy()
            changed[row, place] = moved
            scores.append(model.score(changed, kind))
        expected = (scores[0] - scores[1]) / (2 * step)
        # as above: no kink is that near in these fixed examples
        assert model.slope(X, kind)[row, place] == pytest.approx(expected[row], rel=1e-5, abs=1e-6), kind


@pytest.mark.parametrize("kind", ["vae", "autoencoder"])
def test_an_epoch_visits_the_shared_order_and_drops_the_partial_batch(kind):
    spec = NetworkSpec(3, (4,), 2, kind)
    s = TrainingSettings(batch_size=4, seed=7, precision="float64", kl_warmup_epochs=2, dropout=0.3)
    X = np.random.default_rng(0).random((11, 3))
    model = build(spec, initial_weights(spec, 0), s)
    model.load_data(X)
    model.run_epoch(1)
    network, optimizer = Network(spec, initial_weights(spec, 0), s), Optimizer(s)
    order, noise = randomness.permutation(7, 1, 11), randomness.noise(7, 1, 11, 2)
    masks = randomness.dropout_masks(7, 1, 11, {"encoder.0": 4, "decoder.0": 4}, 0.3)
    for batch in (slice(0, 4), slice(4, 8)):
        epsilon = noise[batch] if kind == "vae" else None
        dropped = {name: mask[batch] for name, mask in masks.items()}
        optimizer.update(network.arrays, network.gradient(X[order[batch]], epsilon, dropped, 0.5)[2])
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


def test_a_unit_whose_mean_kl_is_free_is_not_pushed_to_the_prior_and_another_is():
    spec, x = NetworkSpec(3, (4,), 2), np.random.default_rng(0).random((6, 3))
    units = make_network(spec, PLAIN).unit_kl(*make_network(spec, PLAIN).encode(x))
    (free, pushed), level = np.argsort(units.mean(axis=0)), 1.01 * units.mean(axis=0).min()
    assert units[:, free].max() > level, "the mean over the rows could be taken for a row's own"
    network = make_network(spec, replace(PLAIN, free_bits=level))
    without, with_kl = (network.gradient(x, None, {}, weight) for weight in (0.0, 2.0))
    moved = with_kl[2]["mu.bias"] - without[2]["mu.bias"]
    assert moved[free] == 0.0
    assert abs(moved[pushed]) > 0.01
    assert with_kl[1] == pytest.approx(level + units.mean(axis=0)[pushed])
    # scores and validation have the KL itself
    np.testing.assert_allclose(network.terms(x)[1], units.sum(axis=1))


def test_the_importance_weighted_score_is_the_bound_by_densities_and_lies_below_the_elbo():
    spec, X = NetworkSpec(3, (4,), 2, likelihood="bce"), np.random.default_rng(0).random((6, 3))
    model = build(spec, initial_weights(spec, 0), TrainingSettings(precision="float64", seed=5, beta=3.0))
    mu, logvar = model.encode(X)
    log_weights = []
    for e in randomness.scoring_noise(5, 2):
        z = mu + np.exp(logvar / 2) * e
        mean = model.generate(z)
        log_p = (X * np.log(mean) + (1 - X) * np.log1p(-mean)).sum(axis=1) + norm.logpdf(z).sum(axis=1)
        log_weights.append(log_p - norm.logpdf(z, mu, np.exp(logvar / 2)).sum(axis=1))
    np.testing.assert_allclose(model.score(X, "iwae"), -np.log(np.mean(np.exp(log_weights), axis=0)), rtol=1e-12)
    assert (model.score(X, "iwae") < -np.mean(log_weights, axis=0)).all()


def make_gaussian(kind: str = "vae") -> tuple[ReferenceModel, np.ndarray]:
    spec = NetworkSpec(5, (4,), 2, kind, "gaussian")
    X = np.random.default_rng(0).normal(size=(40, 5))
    settings = TrainingSettings(batch_size=8, precision="float64", learning_rate=0.01)
    return build(spec, initial_weights(spec, 0), settings), X


@pytest.mark.parametrize("kind", ["vae", "autoencoder"])
def test_the_gaussian_that_scores_is_the_density_of_the_sigma_of_the_last_epoch(kind):
    model, X = make_gaussian(kind)
    model.load_data(X)
    for epoch in range(3):
        model.run_epoch(epoch)
    found = sigma(model.export_weights())
    expected = -norm.logpdf(X, loc=model.reconstruct(X), scale=found).sum(axis=1)
    np.testing.assert_allclose(model.score(X), expected, rtol=1e-12)
    # a batch's mean is D (log σ + ½ log 2πe), so that the epoch's tells the mean of its batches' log σ
    assert model.epoch_loss().reconstruction == pytest.approx(5 * norm.entropy(scale=found))


def test_a_feature_that_is_hard_to_reconstruct_gets_a_larger_variance_and_counts_for_less():
    spec = NetworkSpec(2, (), 1, "autoencoder", "diagonal_gaussian")
    rng = np.random.default_rng(0)
    X = np.stack([rng.normal(size=400), np.repeat(0.5, 400)], axis=1)
    asked = TrainingSettings(batch_size=40, precision="float64", learning_rate=0.05, weight_decay=1e-6)
    weights = initial_weights(spec, 0) | {"output.kernel": np.zeros((1, 2))}
    model = build(spec, weights | {"latent.kernel": np.zeros((2, 1))}, asked)
    model.load_data(X)
    for epoch in range(30):
        model.run_epoch(epoch)
    trained = variances(model.export_weights())
    assert trained is not None
    assert trained[0] == pytest.approx(X[:, 0].var(), rel=0.15)
    assert trained[1] < 1e-3
    far = np.array([[1.0, 0.5], [0.0, 1.5]])
    first, second = model.score(far)
    assert second > 100 * first
    expected = -norm.logpdf(far, model.reconstruct(far), np.sqrt(trained)).sum(axis=1)
    np.testing.assert_allclose(model.score(far), expected, rtol=1e-12)


def test_no_other_sigma_makes_a_batch_likelier_than_the_one_that_it_is_trained_with():
    model, X = make_gaussian()
    network, output = model.network, model.reconstruct(X)
    losses = []
    best = np.log(network.variance(output, X)) / 2
    for away in (-0.01, 0.0, 0.01):
        network.arrays[LOG_SIGMA] = np.array([best + away])
        losses.append(network.reconstruction(output, X).mean())
    assert losses[1] < min(losses[0], losses[2])
    assert losses[1] == pytest.approx(network.batch_reconstruction(output, X), rel=1e-4)


def test_rows_that_are_reconstructed_exactly_do_not_drive_sigma_to_zero():
    model, X = make_gaussian()
    assert model.network.variance(X, X) == pytest.approx(np.exp(-12))
    assert np.isfinite(model.network.batch_reconstruction(X, X))
    assert all(np.isfinite(array).all() for array in model.network.gradient(X, None, {}, 1.0)[2].values())


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_errors_are_those_of_the_mean_whatever_the_likelihood(likelihood):
    spec = NetworkSpec(3, (4,), 2, likelihood=likelihood)
    weights = initial_weights(spec, 0) | ({LOG_SIGMA: np.array([-0.7])} if likelihood == "gaussian" else {})
    model = build(spec, weights, TrainingSettings(precision="float64", beta=3.0))
    X = np.random.default_rng(0).random((6, 3))
    mean = model.reconstruct(X)
    np.testing.assert_allclose(model.score(X, "mse"), ((mean - X) ** 2).sum(axis=1))
    np.testing.assert_allclose(model.score(X, "mae"), np.abs(mean - X).sum(axis=1))
    np.testing.assert_allclose(model.score(X, "elbo"), model.score(X) + 3.0 * model.score(X, "kl"))
    if likelihood == "bce":
        np.testing.assert_allclose(model.score(X, "bce"), -(X * np.log(mean) + (1 - X) * np.log1p(-mean)).sum(axis=1))


def test_evaluation_and_elbo_weigh_the_kl_fully_whatever_the_warmup():
    spec = NetworkSpec(3, (4,), 2)
    model = build(spec, initial_weights(spec, 0), TrainingSettings(precision="float64", beta=3.0, kl_warmup_epochs=5))
    X = np.random.default_rng(0).random((6, 3))
    mu, logvar = model.encode(X)
    kl = -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)
    assert model.evaluate(X).loss == pytest.approx(model.evaluate(X).reconstruction + 3.0 * kl.mean())
    np.testing.assert_allclose(model.score(X, "elbo"), ((model.reconstruct(X) - X) ** 2).sum(axis=1) + 3.0 * kl)


def test_logits_of_any_size_give_a_finite_cross_entropy():
    network = make_network(NetworkSpec(2, (), 1, likelihood="bce"), PLAIN)
    logits = np.array([[-1e4, 1e4], [1e4, -1e4]])
    np.testing.assert_allclose(network.reconstruction(logits, np.array([[0.0, 1.0], [0.0, 1.0]])), [0.0, 2e4])
    np.testing.assert_array_equal(network.mean(logits), [[0.0, 1.0], [1.0, 0.0]])


def test_the_reference_offers_the_whole_interface_and_refuses_single_precision():
    spec = NetworkSpec(3)
    assert isinstance(build(spec, initial_weights(spec, 0), TrainingSettings(precision="float64")), Model)
    with pytest.raises(BackendError, match=r"^precision 'float32' does not work here \(the reference is float64\)"):
        build(spec, initial_weights(spec, 0), TrainingSettings())
