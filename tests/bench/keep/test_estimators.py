"""Our networks by the conventions of scikit-learn, whose own checks they pass, and of PyOD. All runs on the reference
in NumPy, so that this process loads no framework."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import backends
import datasets
from bench.detect import registry
from bench.keep.estimators import AutoencoderDetector, VAEDetector

SMALL = {"backend": "reference", "precision": "float64", "hidden": (4,), "latent": 2, "epochs": 2, "batch_size": 16}


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    monkeypatch.setitem(backends.REGISTRY, "reference", backends.Registration("backends.reference", (), ""))


@pytest.fixture(scope="module")
def data():
    return datasets.load("blobs?rows=1000", seed=1)


@parametrize_with_checks([VAEDetector(**SMALL), AutoencoderDetector(**SMALL, score_kind="latent_distance")])
def test_scikit_learns_own_checks_pass(estimator, check):
    """None is expected to fail; scikit-learn itself skips the one on array libraries where SciPy does not take them."""
    check(estimator)


def test_an_estimator_scores_as_our_detector_does_with_the_sign_turned(data):
    estimator = VAEDetector(**SMALL).fit(data.X_train)
    theirs = estimator.detector_.decision_function(data.X_test)
    np.testing.assert_array_equal(estimator.score_samples(data.X_test), -theirs)
    assert roc_auc_score(data.y_test, theirs) > 0.6
    assert (estimator.predict(data.X_train) == -1).mean() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_allclose(estimator.explain(data.X_test[:5]).sum(axis=1), 1.0)


def test_a_pipeline_is_searched_and_a_classical_detector_stands_on_the_latent_means(data):
    X = np.concatenate([data.X_val, data.X_test])
    y = np.concatenate([np.ones(len(data.X_val)), np.where(data.y_test == 1, -1, 1)])
    order = np.random.default_rng(0).permutation(len(X))
    pipeline = make_pipeline(StandardScaler(), VAEDetector(**SMALL))
    search = GridSearchCV(pipeline, {"vaedetector__latent": [1, 2]}, scoring="roc_auc", cv=2).fit(X[order], y[order])
    assert search.best_score_ > 0.6
    hybrid = make_pipeline(StandardScaler(), VAEDetector(**SMALL), IsolationForest(random_state=0)).fit(data.X_train)
    assert hybrid[:-1].transform(data.X_test).shape == (len(data.X_test), 2)
    assert set(hybrid.predict(data.X_test)) <= {-1, 1}


@pytest.mark.parametrize("kind", ["reconstruction", "latent_distance"])
def test_a_pickled_estimator_scores_and_explains_as_before_without_its_training_rows(kind, data):
    estimator = VAEDetector(**SMALL, score_kind=kind).fit(data.X_train)
    saved = pickle.dumps(estimator)
    assert len(saved) < data.X_train.nbytes
    restored = pickle.loads(saved)
    np.testing.assert_array_equal(restored.score_samples(data.X_test), estimator.score_samples(data.X_test))
    np.testing.assert_array_equal(restored.explain(data.X_test[:3]), estimator.explain(data.X_test[:3]))


def test_a_clone_is_not_trained_and_trains_to_the_same_scores(data):
    first = VAEDetector(**SMALL, random_state=5).fit(data.X_train)
    copied = clone(first)
    assert not hasattr(copied, "detector_")
    again = copied.fit(data.X_train).score_samples(data.X_test)
    np.testing.assert_array_equal(again, first.score_samples(data.X_test))
    other = copied.set_params(random_state=6).fit(data.X_train).score_samples(data.X_test)
    assert (other != again).any()


@pytest.mark.parametrize("contamination", [0.0, -0.1, 0.6])
def test_a_contamination_that_is_no_share_is_refused(contamination, data):
    with pytest.raises(ValueError, match="contamination must be in"):
        VAEDetector(**SMALL, contamination=contamination).fit(data.X_train)


@pytest.mark.skipif(bool(registry.unavailable("pyod:ECOD")), reason="pyod is not installed")
def test_pyods_contract_flags_its_contamination_of_the_training_rows(data):
    from pyod.models.base import BaseDetector

    from bench.keep.pyod import VAE, Autoencoder

    for kind in (VAE, Autoencoder):
        detector = kind(**SMALL, contamination=0.05)
        assert isinstance(detector, BaseDetector)
        assert detector.fit(data.X_train) is detector
        np.testing.assert_array_equal(detector.decision_scores_, detector.decision_function(data.X_train))
        assert detector.labels_.mean() == pytest.approx(0.05, abs=0.005)
        np.testing.assert_array_equal(detector.predict(data.X_train), detector.labels_)
        assert roc_auc_score(data.y_test, detector.decision_function(data.X_test)) > 0.6
        assert detector.predict_proba(data.X_test).shape == (len(data.X_test), 2)
        assert detector.get_params()["contamination"] == 0.05
