"""One trial tells every score under every threshold, and keeps the arrays that comparisons and pictures need."""

from __future__ import annotations

import os
import subprocess

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import confusion_matrix, roc_auc_score

import backends
from bench.quality.evaluation import few_rows
from making.command import COMMAND

SUITE = """
    seeds = [1]
    pictures = true
    protocol = "done right"
    thresholds = [{{ rule = "std", value = 2.0 }}, {{ rule = "percentile", rows = "train" }}, {{ rule = "oracle_f1" }}]
    [training]
    epochs = 2
    hidden = [8]
    latent = 2
    scores = ["reconstruction", "elbo"]
    [[scenarios]]
    datasets = ["blobs-2d"]
    detectors = ["vae", "norm"]
    backends = ["{backend}"]
    [[published]]
    datasets = ["blobs-2d"]
    detector = "vae"
    metric = "roc_auc"
    value = 0.5
    score = "elbo"
    source = "Nobody (2020), table 1"
"""


@pytest.fixture(scope="module")
def backend():
    name = next((name for name in ("jax", "torch", "keras") if backends.unavailable(name) is None), None)
    if name is None:
        pytest.skip("no framework is installed")
    return name


@pytest.fixture(scope="module")
def evaluated(process, compiled, backend, tmp_path_factory):
    """The results directory of the suite, run once, and its records by detector."""
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / "mine.toml").write_text(SUITE.format(backend=backend))
    command = [COMMAND, "run", "mine.toml", "--out", "out", "--jobs", "2"]
    environ = os.environ | compiled | {"XDG_STATE_HOME": str(folder / "state")}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (folder / "out" / "records.jsonl").read_bytes().splitlines()
    records = [msgspec.json.decode(line) for line in lines]
    return folder / "out", {record["detector"]: record for record in records}


def test_one_trial_tells_two_scores_under_three_thresholds(evaluated):
    directory, records = evaluated
    record = records["vae"]
    arrays = load_file(directory / record["arrays"])
    labels = arrays["y_test"]
    (other,) = record["other_scores"]
    assert (record["score"], other["score"], record["protocol"]) == ("reconstruction", "elbo", "done right")
    for entry in (record, other):
        scores = arrays[f"score.{entry['score']}"]
        assert entry["metrics"]["roc_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
        assert [found["rule"] for found in entry["thresholds"]] == [
            "mean + 2 standard deviations of the validation scores",
            "percentile 95 of the training scores",
            "oracle: largest F1 on the test labels",
        ]
        assert [found["oracle"] for found in entry["thresholds"]] == [False, False, True]
        assert entry["confusion"] == entry["thresholds"][0]["confusion"]
        for found in entry["thresholds"]:
            flags = scores > np.float32(found["metrics"]["threshold"])
            counts = confusion_matrix(labels, flags).ravel().tolist()
            assert [found["confusion"][name] for name in ("tn", "fp", "fn", "tp")] == counts
            low, high = found["intervals"]["f1"]
            assert low <= found["metrics"]["f1"] <= high
        assert max(found["metrics"]["f1"] for found in entry["thresholds"]) == entry["thresholds"][2]["metrics"]["f1"]
    assert (arrays["score.reconstruction"] != arrays["score.elbo"]).any()
    assert arrays["X_plane"].shape == (len(labels), 2)
    assert arrays["mu"].shape == arrays["mu_pca"].shape == arrays["mu_tsne"].shape == (len(arrays["mu_rows"]), 2)
    assert (np.diff(arrays["score.reconstruction"][arrays["top_rows"]]) <= 0).all()
    (entry,) = record["published"]
    assert (entry["value"], entry["score"], entry["source"]) == (0.5, "elbo", "Nobody (2020), table 1")


def test_a_gaussian_tells_its_sigma_and_every_score_that_each_network_has(here, suite_file, read_records, backend):
    text = SUITE.replace('"reconstruction", "elbo"', '"kl", "elbo", "mse"').replace("epochs = 2", "epochs = 20")
    text = text.replace(
        "latent = 2", 'latent = 2\n    likelihood = "gaussian"\n    batch_size = 32\n    learning_rate = 0.01'
    )
    text = text.replace("pictures = true", "").replace('"norm"', '"autoencoder"')
    done = here("run", suite_file(text.format(backend=backend)), "--out", "out", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    records = {record["detector"]: record for record in read_records()}
    kinds = {
        n: [r["score"], *(other["score"] for other in r["other_scores"])] for n, r in records.items() if r["score"]
    }
    assert kinds == {"vae": ["kl", "elbo", "mse"], "autoencoder": ["elbo", "mse"]}
    # the blobs have two dimensions and so has the latent space, which an autoencoder makes the most of
    assert 0 < records["autoencoder"]["sigma"] < records["vae"]["sigma"] < 1
    assert "sigma" not in records["norm"]


def test_the_anomalies_that_a_record_explains_are_those_that_score_highest(evaluated):
    directory, records = evaluated
    arrays = load_file(directory / records["norm"]["arrays"])
    assert "score.decision" in arrays
    assert "mu" not in arrays
    assert "published" not in records["norm"]
    assert records["norm"]["other_scores"] == []
    for name, scores in (("vae", "score.reconstruction"), ("norm", "score.decision")):
        kept = load_file(directory / records[name]["arrays"])
        found = records[name]["top_anomalies"]
        highest = np.argsort(-kept[scores], kind="stable")[:5]
        assert [one["row"] for one in found] == highest.tolist()
        assert [one["score"] for one in found] == pytest.approx(kept[scores][highest])
        for one in found:
            assert one["anomaly"] == bool(kept["y_test"][one["row"]])
            shares = [feature["share"] for feature in one["features"]]
            assert shares == sorted(shares, reverse=True)
            assert sum(shares) == pytest.approx(1.0)  # there are but two features
            values = {feature["name"]: feature["value"] for feature in one["features"]}
            assert sorted(values.values()) == pytest.approx(sorted(kept["X_plane"][one["row"]].tolist()), abs=1e-6)
    first = records["vae"]["top_anomalies"][0]
    errors = [(feature["value"] - feature["reconstruction"]) ** 2 for feature in first["features"]]
    assert [feature["share"] for feature in first["features"]] == pytest.approx(
        np.divide(errors, sum(errors)), abs=1e-4
    )


@pytest.mark.parametrize(
    ("anomalies", "normals", "said"),
    [(20, 20, None), (2, 2, "only 2 anomalies and 2 normal rows"), (1, 500, "only 1 anomaly and 500 normal rows")],
)
def test_a_record_says_how_few_test_rows_there_are(anomalies, normals, said):
    found = few_rows(np.arange(anomalies + normals) < anomalies)
    assert found is None if said is None else said in found
