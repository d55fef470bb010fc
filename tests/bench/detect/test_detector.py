"""The contract of detectors, over every one that needs no other library; the networks run on the reference in NumPy."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

import datasets
from backends import reference
from backends.spec import NetworkSpec, TrainingSettings
from backends.streaming import Stream
from bench.detect import registry, sanity
from bench.detect.classical import SHARED_ROWS
from datasets.dataset import Dataset

NAMES = [name for name in registry.REGISTRY if not name.startswith("pyod")]


@pytest.fixture(scope="module")
def data():
    return datasets.load("correlated?rows=1500", seed=3)


@pytest.fixture(scope="module")
def images():
    return datasets.load("digits:4", seed=3)


@pytest.fixture(scope="module")
def series():
    return datasets.load("sensors?steps=4000&anomalies=1&channels=2&window=9", seed=3)


@pytest.fixture
def fitting(name, data, images, series):
    """A data set that the detector takes."""
    return (data, series, images)[registry.convolved(name)]


def make(name: str, data: Dataset, seed: int = 0, epochs: int = 8, patience: int = 0):
    detector = registry.load(name)
    if registry.needs_backend(name):
        convolutions = {"image": data.grid, "filters": (8,)} if registry.convolved(name) else {}
        spec = NetworkSpec(features=data.features, hidden=(32,), latent=4, kind=detector.kind, **convolutions)
        settings = TrainingSettings(seed=seed, precision="float64")
        epochs = min(epochs, 2) if convolutions else epochs  # NumPy is slow at them
        return detector(backend=reference, spec=spec, settings=settings, epochs=epochs, patience=patience)
    return detector(seed=seed, threads=1)


@pytest.fixture(scope="module")
def trained(data, images, series):
    """``trained(name)``: the detector fitted to its data set once."""

    @functools.cache
    def fit(name: str):
        rows = (data, series, images)[registry.convolved(name)]
        detector = make(name, rows, seed=4)
        assert detector.fit(rows.X_train) is detector
        return detector

    return fit


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_finite_one_a_row_and_the_same_at_every_call(name, fitting, trained):
    detector = trained(name)
    scores = detector.decision_function(fitting.X_test)
    assert scores.shape == (len(fitting.X_test),)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, detector.decision_function(fitting.X_test))


@pytest.mark.parametrize("name", [name for name in NAMES if not registry.needs_backend(name)])
def test_scores_are_the_same_on_any_number_of_threads_and_in_order(name, data):
    rows = np.concatenate([data.X_train, data.X_test])
    assert len(rows) > SHARED_ROWS
    one, three = (registry.load(name)(threads=threads).fit(data.X_val) for threads in (1, 3))
    np.testing.assert_array_equal(three.decision_function(rows), one.decision_function(rows))


@pytest.mark.parametrize("name", NAMES)
def test_a_rows_score_does_not_depend_on_the_rows_around_it(name, fitting, trained):
    detector = trained(name)
    whole = detector.decision_function(fitting.X_test)
    order = np.random.default_rng(0).permutation(len(whole))[:50]
    np.testing.assert_allclose(detector.decision_function(fitting.X_test[order]), whole[order], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_larger_means_more_anomalous(name, fitting, trained):
    detector = trained(name)
    usual = detector.decision_function(fitting.X_train[:100])
    far = detector.decision_function(fitting.X_train[:100] * 0 + 30.0)
    assert far.min() > np.median(usual)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_scores(name, fitting, trained):
    first, second = trained(name), make(name, fitting, seed=4).fit(fitting.X_train)
    np.testing.assert_array_equal(first.decision_function(fitting.X_test), second.decision_function(fitting.X_test))


@pytest.mark.parametrize(("name", "image", "filters"), [("conv_vae", None, ()), ("vae", (4, 5), (8,))])
def test_a_detector_refuses_a_network_of_the_other_kind(name, image, filters):
    spec = NetworkSpec(features=20, image=image, filters=filters)
    with pytest.raises(ValueError, match="filters"):
        registry.load(name)(backend=reference, spec=spec, settings=TrainingSettings(precision="float64"), epochs=1)


def test_the_large_one_class_svm_says_so_and_ranks_as_the_exact_one(data):
    exact = registry.load("one_class_svm")(seed=0).fit(data.X_train)
    large = registry.load("one_class_svm")(seed=0, exact_rows=100).fit(data.X_train)
    assert exact.notes == []
    assert "Nystroem" in large.notes[0]
    a, b = exact.decision_function(data.X_test), large.decision_function(data.X_test)
    assert np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1] > 0.9


def test_the_large_one_class_svm_bears_rows_that_occur_many_times(data):
    few = data.X_train[:20]
    rows = few[np.random.default_rng(0).integers(0, len(few), 1500)]
    exact = registry.load("one_class_svm")(seed=0).fit(rows).decision_function(data.X_test)
    large = registry.load("one_class_svm")(seed=0, exact_rows=100).fit(rows).decision_function(data.X_test)
    assert np.corrcoef(np.argsort(np.argsort(exact)), np.argsort(np.argsort(large)))[0, 1] > 0.98


def test_knn_above_its_limit_searches_a_sample_and_says_so(data):
    detector = registry.load("knn")(seed=0, reference_rows=200).fit(data.X_train)
    assert detector.index_.n_samples_fit_ == 200
    assert "sample of 200" in detector.notes[0]


def test_mahalanobis_by_blocks_is_scikit_learns_ledoit_wolf(data, monkeypatch):
    monkeypatch.setattr(sanity, "BLOCK", 100)
    rows, tested = data.X_train[:450], data.X_test.astype(np.float64)
    expected = LedoitWolf().fit(rows.astype(np.float64))
    detector = registry.load("mahalanobis")().fit(rows)
    assert detector.shrinkage_ == pytest.approx(expected.shrinkage_, rel=1e-9)
    np.testing.assert_allclose(detector.decision_function(tested), np.sqrt(expected.mahalanobis(tested)), rtol=1e-9)


@pytest.mark.parametrize("name", ["vae", "autoencoder"])
def test_the_latent_distance_is_scikit_learns_ledoit_wolf_on_the_latent_means(name, data):
    detector = make(name, data).fit(data.X_train)
    known, tested = (detector.encode(rows)[0].astype(np.float64) for rows in (data.X_train, data.X_test))
    expected = np.sqrt(LedoitWolf().fit(known).mahalanobis(tested))
    np.testing.assert_allclose(detector.score(data.X_test, "latent_distance"), expected, rtol=1e-6)


def test_the_latent_distance_is_that_of_the_last_training(data):
    detector = make("vae", data).fit(data.X_train)
    detector.score(data.X_test, "latent_distance")
    again = detector.fit(data.X_val).score(data.X_test, "latent_distance")
    np.testing.assert_array_equal(again, make("vae", data).fit(data.X_val).score(data.X_test, "latent_distance"))


def test_a_latent_distance_that_is_the_detectors_own_score_is_fitted_before_training_ends(data):
    spec = NetworkSpec(features=data.features, hidden=(16,), latent=4)
    settings = TrainingSettings(precision="float64")
    detector = registry.load("vae")(backend=reference, spec=spec, settings=settings, epochs=1, score="latent_distance")
    assert detector.fit(data.X_train).latent_space is not None
    np.testing.assert_array_equal(
        detector.decision_function(data.X_test), detector.score(data.X_test, "latent_distance")
    )


def test_a_sampled_score_draws_each_rows_z_by_its_place_and_varies_as_the_posterior_does(data):
    detector = make("vae", data).fit(data.X_train)
    X = np.repeat(data.X_test[:1], 4_000, axis=0)
    scores = detector.score(X, "sampled")
    np.testing.assert_array_equal(scores, detector.score(X, "sampled"))
    mu, logvar = (part[0] for part in detector.encode(X))
    draws = np.random.default_rng(8).normal(mu, np.exp(logvar / 2), (4_000, len(mu)))
    expected = np.square(detector.model.generate(draws) - X).sum(axis=1)
    assert scores.mean() == pytest.approx(expected.mean(), rel=0.1)
    assert scores.std() == pytest.approx(expected.std(), rel=0.2)
    assert expected.std() > 0.01 * expected.mean()


def test_a_sampled_score_can_be_the_detectors_own(data):
    spec = NetworkSpec(features=data.features, hidden=(16,), latent=4)
    detector = registry.load("vae")(
        backend=reference, spec=spec, settings=TrainingSettings(precision="float64"), epochs=1, score="sampled"
    ).fit(data.X_train)
    detector.compile()
    np.testing.assert_array_equal(detector.decision_function(data.X_test), detector.score(data.X_test, "sampled"))


def test_a_collapsed_posterior_is_noticed(data):
    spec = NetworkSpec(features=data.features, hidden=(16,), latent=4)
    detector = registry.load("vae")(
        backend=reference,
        spec=spec,
        settings=TrainingSettings(beta=1000.0, learning_rate=1e-2, precision="float64"),
        epochs=10,
    )
    posterior = detector.fit(data.X_train).posterior(data.X_val)
    assert posterior["collapsed"] is True
    assert posterior["active_units"] == 0
    healthy = make("vae", data).fit(data.X_train).posterior(data.X_val)
    assert healthy["collapsed"] is False
    assert healthy["mean_kl"] > 0.5


def test_a_mixture_is_drawn_from_by_its_shares_and_is_what_the_kl_is_to(data):
    spec = NetworkSpec(data.features, (8,), 2, prior="mixture", components=3)
    settings = TrainingSettings(precision="float64")
    detector = registry.load("vae")(backend=reference, spec=spec, settings=settings, epochs=1).fit(data.X_train)
    means, shares = np.array([[-9.0, 0.0], [0.0, 9.0], [9.0, 0.0]]), np.array([0.5, 0.3, 0.2])
    narrow = {"prior.means": means, "prior.logvars": np.full((3, 2), -4.0), "prior.logits": np.log(shares) + 7}
    detector.model.import_weights(detector.model.export_weights() | narrow)
    points = detector.draw_prior(4000, np.random.default_rng(0))
    nearest = np.abs(points[:, None] - means).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(nearest) / 4000, shares, atol=0.03)
    np.testing.assert_allclose((points - means[nearest]).std(axis=0), np.exp(-2), rtol=0.05)
    found = detector.posterior(data.X_val)["mean_kl"]
    assert found == pytest.approx(detector.score(data.X_val, "kl").mean())
    assert found > 20  # the standard normal is nowhere near


def test_pseudo_inputs_begin_as_training_rows_and_the_prior_is_drawn_from_their_posteriors(data):
    spec = NetworkSpec(data.features, (8,), 2, prior="vamp", components=3)
    settings = TrainingSettings(precision="float64")
    detector = registry.load("vae")(backend=reference, spec=spec, settings=settings, epochs=1)
    detector.prepare(data.X_train)
    inputs = detector.model.export_weights()["prior.inputs"]
    assert np.abs(inputs[:, None] - data.X_train).max(axis=2).min(axis=1).max() < 0.05
    detector.fit(data.X_train)
    # two pseudo-inputs at one place, so that it has two thirds of the points
    rows = data.X_val[[0, 0, 5]].astype(np.float64)
    detector.model.import_weights(detector.model.export_weights() | {"prior.inputs": rows})
    means, logvars = detector.encode(rows)
    points = detector.draw_prior(6000, np.random.default_rng(0))
    shares = np.array([2 / 3, 1 / 3])
    np.testing.assert_allclose(points.mean(axis=0), shares @ means[1:], atol=0.06)
    spread = shares @ (np.exp(logvars[1:]) + means[1:] ** 2) - (shares @ means[1:]) ** 2
    np.testing.assert_allclose(points.var(axis=0), spread, rtol=0.1)
    assert detector.posterior(data.X_val)["mean_kl"] == pytest.approx(detector.score(data.X_val, "kl").mean())


def test_an_unknown_detector_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'knn'"):
        registry.load("knnn")


def test_a_network_tells_the_parts_in_which_its_rows_were_streamed(data):
    spec = NetworkSpec(data.features, (4,), 2)
    settings = TrainingSettings(precision="float64")
    detector = registry.load("vae")(backend=reference, spec=spec, settings=settings, epochs=1).fit(data.X_train)
    assert detector.streamed == ()
    detector.model.stream = Stream(np.zeros((5000, 3)), 1024, 128, 0, "float32")
    assert detector.streamed == ("5,000 training rows, streamed in parts of 1,024",)
