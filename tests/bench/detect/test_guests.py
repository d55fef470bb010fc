"""PyOD's detectors as guests: they keep our contract, and are named, set and missed like ours."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import datasets
from bench.detect import guests, registry
from bench.run.trial import run_trial
from bench.suites import suite
from bench.suites.checks import SuiteError
from bench.suites.scenario import Trial

needs_pyod = pytest.mark.skipif(bool(registry.unavailable("pyod:ECOD")), reason="pyod is not installed")
HANDFUL = ("ECOD", "COPOD", "HBOS", "LOF", "PCA", "IForest")


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyOD in plain NumPy: compiling it takes longer than all that is tested here."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")


@pytest.fixture(scope="module")
def data():
    return datasets.load("blobs?rows=1200", seed=3)


@needs_pyod
@pytest.mark.parametrize("name", HANDFUL)
def test_a_guest_keeps_the_contract_of_detectors(name, data):
    def fitted(seed: int):
        return registry.load(f"pyod:{name}")(seed=seed, threads=1).fit(data.X_train)

    detector = fitted(4)
    scores = detector.decision_function(data.X_test)
    assert scores.shape == (len(data.X_test),)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(detector.decision_function(data.X_test), scores)
    np.testing.assert_array_equal(fitted(4).decision_function(data.X_test), scores)
    far = detector.decision_function(data.X_train[:100] * 0 + 30.0)
    assert far.min() > np.median(detector.decision_function(data.X_train[:100]))
    alone = detector.decision_function(data.X_test[:1])
    told = any("alone a row scores otherwise" in note for note in detector.notes)
    assert told == (not np.allclose(alone, scores[:1], rtol=1e-6))


@needs_pyod
def test_a_guest_gets_the_seed_the_threads_and_the_suites_parameters(data):
    detector = registry.load("pyod:IForest")(seed=7, threads=2, n_estimators=9).fit(data.X_train[:300])
    assert (detector.model_.random_state, detector.model_.n_jobs, detector.model_.n_estimators) == (7, 2, 9)
    assert "random_state" not in (registry.parameters("pyod:IForest") or {})


class Drawing:
    """A detector that takes no ``random_state`` and draws from NumPy's global generator."""

    def fit(self, X):
        self.weights = np.random.rand(X.shape[1])

    def decision_function(self, X):
        return X @ self.weights + np.random.rand(len(X))


def test_a_guest_that_draws_from_the_global_generator_goes_by_its_seed_alone_and_leaves_it_as_it_was(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "drawing", SimpleNamespace(Drawing=Drawing))
    monkeypatch.setattr(guests, "version", lambda name: "3")
    about = {"name": "Drawing", "arguments": (), "options": (), "requires": ("drawing",)}
    guest = type("Drawing", (guests.Guest,), about)

    def scores(seed: int) -> np.ndarray:
        return guest(seed=seed).fit(data.X_train[:300]).decision_function(data.X_test)

    np.random.seed(1)
    first = scores(7)
    left = np.random.rand()
    np.random.seed(1)
    assert left == np.random.rand()
    np.testing.assert_array_equal(scores(7), first)
    assert (scores(8) != first).any()


@needs_pyod
def test_preparing_a_guest_leaves_its_scores_as_they_are(data):
    first, second = (registry.load("pyod:IForest")(seed=7) for _ in range(2))
    second.prepare(data.X_train)
    scores = [each.fit(data.X_train[:300]).decision_function(data.X_test) for each in (first, second)]
    np.testing.assert_array_equal(*scores)


def block(name: str, parameters: dict[str, Any]) -> suite.Suite:
    table = {"scenarios": [{"datasets": ["blobs"], "detectors": [name], "parameters": {name: parameters}}]}
    return suite._suite(table, "mine", "mine.toml")


@needs_pyod
@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("pyod:HBOSS", {}, "did you mean 'pyod:HBOS'"),
        ("pyod:iforest", {}, "did you mean 'pyod:IForest'"),
        ("pyod:zzzz", {}, "PyOD's are ABOD"),
        ("pyod:XGBOD", {}, "no detector 'pyod:XGBOD'"),  # it learns from labels
        ("pyod:HBOS", {"n_bin": 20}, "did you mean 'n_bins'"),
        ("pyod:IForest", {"random_state": 3}, "has no parameter 'random_state'"),
    ],
)
def test_a_suite_that_names_or_sets_a_guest_wrongly_is_refused(name, parameters, said):
    with pytest.raises(SuiteError, match=said):
        block(name, parameters)


def trial_of(name: str, parameters: dict[str, Any]) -> Trial:
    return next(trial for trial in block(name, parameters).trials(1) if trial.scenario.detector == name)


def test_without_pyod_a_suite_is_valid_and_its_trials_are_skipped_with_what_to_install(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda package: None)
    caches = (guests.catalogue, guests.guest)
    for cached in caches:
        cached.cache_clear()
    try:
        record = run_trial(
            trial_of("pyod:ECOD", {"contamination": 0.2}),
            {"machine": {"memory_bytes": 0}, "packages": {}},
            timeout=1,
        )
    finally:
        for cached in caches:
            cached.cache_clear()
    assert (record["status"], record["reason"]) == ("skipped", "pyod is not installed: pip install 'vaebench[pyod]'")


@needs_pyod
def test_a_guest_runs_as_a_trial_and_its_record_tells_the_version(process, monkeypatch):
    trial = Trial("mine", trial_of("pyod:HBOS", {"n_bins": 20}).scenario, seed=0, round=0, timed=False)
    record = run_trial(trial, {"machine": {"memory_bytes": 0}, "packages": {}}, timeout=120)
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["settings"] == {"n_bins": 20}
    assert any("is PyOD 3" in note for note in record["notes"])
    assert record["metrics"]["roc_auc"] > 0.9


def test_the_list_of_detectors_tells_how_a_guest_is_named(capsys):
    from bench.cli import main

    assert main(["list", "detectors"]) == 0
    printed = capsys.readouterr().out
    assert "pyod:NAME" in printed
    assert "latent_isolation_forest" in printed
