"""Hybrids judge what the network learnt, are set by a suite, and run on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import datasets
from backends import reference
from backends.spec import NetworkSpec, TrainingSettings
from bench.detect import registry
from bench.detect.hybrids import rank
from bench.suites import suite
from bench.suites.checks import SuiteError

COMPANIONS = {
    "latent_isolation_forest": ("isolation_forest", {"n_estimators": 20}),
    "latent_one_class_svm": ("one_class_svm", {"nu": 0.3}),
    "latent_knn": ("knn", {"n_neighbors": 3}),
}


@pytest.fixture(scope="module")
def data():
    return datasets.load("correlated?rows=1500", seed=3)


def trained(name: str, data, **parameters):
    spec = NetworkSpec(features=data.features, hidden=(16,), latent=3)
    settings = TrainingSettings(precision="float64", seed=5)
    return registry.load(name)(backend=reference, spec=spec, settings=settings, epochs=2, **parameters).fit(
        data.X_train
    )


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_latent_hybrid_scores_as_its_classical_detector_does_on_the_latent_means(name, data):
    companion, parameters = COMPANIONS[name]
    hybrid, vae = trained(name, data, **parameters), trained("vae", data)
    mu, tested = (vae.encode(rows)[0] for rows in (data.X_train, data.X_test))
    expected = registry.load(companion)(seed=5, threads=1, **parameters).fit(mu).decision_function(tested)
    np.testing.assert_array_equal(hybrid.decision_function(data.X_test), expected)


def test_a_rank_average_is_the_mean_of_its_members_ranks_among_the_training_rows(data):
    average = trained("rank_average", data, members=("knn", "vae"), score="mae")
    members = [trained("vae", data, score="mae"), registry.load("knn")(seed=5).fit(data.X_train)]
    ranks = [
        [(known <= score).mean() for score in member.decision_function(data.X_test)]
        for member in members
        for known in [member.decision_function(data.X_train)]
    ]
    n = len(data.X_train)
    np.testing.assert_allclose(average.decision_function(data.X_test), np.mean(ranks, axis=0), atol=2 / n)


def test_ranks_lie_between_0_and_1_and_rise_beyond_all_that_is_known():
    known = np.arange(1.0, 10.0)
    found = rank(np.array([0.0, 1.0, 5.5, 9.0, 10.0, 1e6, 1e9]), known)
    np.testing.assert_allclose(found[:4], [0.0, 0.1, 0.5, 0.9])
    assert (np.diff(found) > 0).all()
    assert found[-1] < 1.0
    np.testing.assert_array_equal(rank(np.array([2.0, 3.0]), np.full(4, 2.0)), [0.8, 1.0])


def suite_of(parameters, names=("rank_average",)):
    table = {"scenarios": [{"datasets": ["blobs"], "detectors": list(names), "parameters": parameters}]}
    return suite._suite(table, "mine", "mine.toml")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"rank_average": {"members": ["isolation_forest", "knn"]}}, "members must be 'vae' and one or more"),
        ({"rank_average": {"members": ["vae"]}}, "members must be 'vae' and one or more"),
        ({"rank_average": {"members": ["vae", "autoencoder"]}}, "members must be 'vae' and one or more"),
        ({"rank_average": {"members": ["vae", "rank_average"]}}, "members must be 'vae' and one or more"),
        ({"rank_average": {"members": ["vae", "knn", "knn"]}}, "each once"),
        ({"rank_average": {"members": ["vae", "knnn"]}}, "did you mean 'knn'"),
        ({"rank_average": {"score": "maee"}}, "rank_average.score"),
        ({"latent_knn": {"n_neighbours": 3}}, "did you mean 'n_neighbors'"),
        ({"latent_knn": {"n_neighbors": 0}}, "latent_knn: n_neighbors must be a positive integer"),
        ({"vae": {"n_neighbors": 3}}, "vae has no parameter"),
    ],
)
def test_a_suite_that_sets_a_hybrid_wrongly_is_refused_in_one_line(parameters, said):
    with pytest.raises(SuiteError, match=said) as refused:
        suite_of(parameters)
    assert "\n" not in str(refused.value)


def test_the_parameters_of_the_classical_part_are_part_of_the_scenario():
    plain, three = (
        next(s for s in suite_of(parameters, ["latent_knn"]).scenarios(1) if s.detector == "latent_knn")
        for parameters in ({}, {"latent_knn": {"n_neighbors": 3}})
    )
    assert three.parameters == {"n_neighbors": 3}
    assert three.hash != plain.hash
    assert plain.training.scores == ()  # a hybrid has one score, its own


SUITE = """
    backends = {backends}
    [training]
    epochs = 2
    hidden = [8]
    latent = 2
    [[scenarios]]
    datasets = ["blobs-2d"]
    detectors = ["latent_knn"]
    parameters = {{ latent_knn = {{ n_neighbors = 7 }} }}
    [[scenarios]]
    datasets = ["blobs-2d"]
    detectors = ["rank_average"]
    backends = {backends:.1}
    parameters = {{ rank_average = {{ members = ["vae", "norm"] }} }}
"""


class TomlList(list):
    """A list of strings; its format tells how many of them there are."""

    def __format__(self, limit: str) -> str:
        shown = self[: int(limit.removeprefix("."))] if limit else self
        return "[" + ", ".join(f'"{each}"' for each in shown) + "]"


def test_hybrids_run_on_every_backend_and_their_record_tells_what_was_fitted_when(
    bench, suite_file, read_records, installed
):
    text = SUITE.format(backends=TomlList(installed))
    chosen = ("--detectors", "latent_knn,rank_average", "--seeds", "3", "--jobs", "2", "--out", "out")
    done = bench("run", suite_file(text), *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    records = read_records()
    ran = {(record["detector"], record["backend"]) for record in records}
    assert ran == {*(("latent_knn", name) for name in installed), ("rank_average", installed[0])}
    for record in records:
        assert record["metrics"]["roc_auc"] > 0.5
        assert record["phases"]["finish"] > 0.0
        assert record["score"] is None
        assert any("result seconds" in note for note in record["notes"])
        assert len(record["top_anomalies"]) == 5
        wanted = {"n_neighbors": 7} if record["detector"] == "latent_knn" else {"members": ["vae", "norm"]}
        assert record["settings"].items() >= {"epochs": 2, **wanted}.items()
