"""PyOD's networks keep the contract of detectors, and compute what the record says they do."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bench.detect import registry
from bench.quality.thresholds import Threshold
from bench.run.trial import run_trial
from bench.suites import suite
from bench.suites.checks import SuiteError
from bench.suites.scenario import Scenario, Trial
from making import peers

PEERS = ("pyod_vae", "pyod_autoencoder")
needs_pyod = pytest.mark.skipif(bool(registry.unavailable("pyod_vae")), reason=str(registry.unavailable("pyod_vae")))


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyOD's distances in plain NumPy: compiling them takes longer than all that is tested here."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def process(uncompiled: None) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        yield pool


@needs_pyod
def test_a_peer_keeps_the_contract_and_computes_our_loss_on_our_network(process):
    for name in PEERS:
        check(process.submit(peers.contract, name).result())


def check(found: dict[str, Any]) -> None:
    scores = found["scores"]
    assert scores.shape == found["labels"].shape
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(found["again"], scores)
    np.testing.assert_array_equal(found["same_seed"], scores)
    assert found["far"].min() > np.median(found["usual"])
    assert roc_auc_score(found["labels"], scores) > 0.5
    visited, rows = found["rows_per_fit"]
    assert visited == peers.EPOCHS * (rows - rows % peers.BATCH)
    assert found["threads"] == 1
    theirs, ours = found["losses"]
    assert theirs == pytest.approx(ours, rel=1e-5)


@needs_pyod
def test_a_peers_record_tells_the_library_the_differences_and_the_rows_of_all_epochs(process):
    parameters = {"epochs": 3, "batch_size": 100, "hidden": [8], "latent": 2}
    scenario = Scenario(
        "blobs?rows=1500", "pyod_autoencoder", None, None, "cpu", "float32", 1, (Threshold(),), None, parameters
    )
    trial = Trial("mine", scenario, seed=0, round=0)
    record = run_trial(trial, {"machine": {"memory_bytes": 0}, "packages": {}}, timeout=120)
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["peer"]["library"] == "pyod"
    assert any("ReLU" in sentence for sentence in record["peer"]["differences"])
    assert record["train_rows_per_sample"] == 3 * 800  # 855 training rows, and the last 55 fill no batch
    assert record["phases"]["import"] > 0.1
    assert record["settings"] == parameters


@pytest.mark.parametrize("name", PEERS)
def test_without_pyod_a_suite_is_valid_and_its_trials_are_skipped_with_what_to_install(name, monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda package: None if package == "pyod" else object())
    table = {"scenarios": [{"datasets": ["blobs"], "detectors": [name], "parameters": {name: {"epochs": 2}}}]}
    planned = suite._suite(table, "mine", "mine.toml").trials(1)
    trial = next(trial for trial in planned if trial.scenario.detector == name)
    record = run_trial(trial, {"machine": {"memory_bytes": 0}, "packages": {}}, timeout=1)
    assert record["status"] == "skipped"
    assert record["reason"] == "pyod is not installed: pip install 'vaebench[peers]'"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"hidden": []}, "must be positive"),
        ({"latent": 0}, "must be positive"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"beta": -1.0}, "beta must be 0 or more"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"hidden": 64}, "hidden"),
    ],
)
def test_a_suite_that_sets_a_peer_wrongly_is_refused(parameters, said):
    table = {"scenarios": [{"datasets": ["blobs"], "detectors": ["knn"], "parameters": {"pyod_vae": parameters}}]}
    with pytest.raises(SuiteError, match=said):
        suite._suite(table, "mine", "mine.toml")


def test_the_suite_peers_trains_them_as_it_trains_ours():
    (block,) = tomllib.loads((suite.SHIPPED / "peers.toml").read_text())["scenarios"]
    assert {"epochs", "batch_size", "hidden", "latent"} <= set(block["training"])
    for name in PEERS:
        assert name in block["detectors"]
        assert block["parameters"][name] == block["training"]
