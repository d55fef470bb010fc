"""Suites, scenarios and trials: what is hashed, what is varied, in which order trials run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from backends.adversarial import Adversarial
from bench.detect import registry
from bench.quality.thresholds import Threshold
from bench.suites import suite
from bench.suites.checks import SuiteError
from bench.suites.scenario import Scenario, Training


def scenario(**changes) -> Scenario:
    base = Scenario("blobs", "vae", "torch", "idiomatic", "cpu", "float32", 2, (Threshold(),), Training())
    return replace(base, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "blobs?rows=9"},
        {"detector": "autoencoder"},
        {"backend": "jax"},
        {"mode": "tuned"},
        {"device": "gpu"},
        {"precision": "float64"},
        {"threads": 1},
        {"thresholds": (Threshold("std", 3.0),)},
        {"training": Training(beta=0.5)},
        {"training": Training(optimizer="sgd")},
        {"training": Training(momentum=0.5)},
        {"training": Training(weight_decay=0.1)},
        {"training": Training(dropout=0.1)},
        {"training": Training(patience=1)},
        {"training": Training(filters=(8,))},
        {"parameters": {"a": 1}},
    ],
)
def test_the_hash_changes_with_everything_the_result_depends_on(changes):
    assert scenario(**changes).hash != scenario().hash


def test_the_hash_is_the_same_in_every_process(process):
    code = "from bench.suites import suite; print(suite.load('quick').scenarios(2)[0].hash)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == suite.load("quick").scenarios(2)[0].hash


@pytest.mark.parametrize("name", sorted(suite.shipped()))
def test_every_shipped_suite_loads_and_expands_without_repeating_a_scenario(name):
    loaded = suite.load(name)
    hashes = [each.hash for each in loaded.scenarios(2)]
    assert loaded.name == name
    assert loaded.description
    assert len(hashes) == len(set(hashes)) > 0


def test_quick_covers_every_detector_on_every_backend_with_two_seeds():
    loaded = suite.load("quick")
    cells = {(s.dataset, s.detector, s.backend) for s in loaded.scenarios(2)}
    for dataset in ("correlated", "digits:4", "kdd-synthetic"):
        for detector in ("vae", "autoencoder"):
            assert {(dataset, detector, backend) for backend in ("torch", "keras", "jax")} <= cells
        for detector in ("isolation_forest", "one_class_svm", "knn", "norm", "mahalanobis"):
            assert (dataset, detector, None) in cells
    assert loaded.seeds == (0, 1)


def test_rounds_interleave_all_scenarios_and_each_is_shuffled_anew_but_alike_in_every_run():
    loaded = suite.load("quick").vary(rounds=3)
    trials = loaded.trials(2)
    size = len(trials) // 3
    rounds = [trials[i * size : (i + 1) * size] for i in range(3)]
    for number, batch in enumerate(rounds):
        assert {trial.round for trial in batch} == {number}
        assert len({trial.key for trial in batch}) == size
    orders = [[(trial.scenario.hash, trial.seed) for trial in batch] for batch in rounds]
    assert orders[0] != orders[1] != orders[2]
    assert [trial.key for trial in loaded.trials(2)] == [trial.key for trial in trials]


def test_an_option_narrows_to_what_the_suite_names_and_adds_what_it_does_not():
    loaded = suite.load("quick")
    narrowed = loaded.vary(datasets=["digits:4"], backends=["jax"], detectors=["vae"])
    (only,) = narrowed.scenarios(1)
    assert (only.dataset, only.backend, only.detector) == ("digits:4", "jax", "vae")
    assert only.training.likelihood == "bce"
    added = loaded.vary(datasets=["blobs"], precisions=["float64"], detectors=["norm", "vae"])
    assert {s.dataset for s in added.scenarios(1)} == {"blobs"}
    assert {s.precision for s in added.scenarios(1) if s.backend} == {"float64"}
    assert {s.detector for s in added.scenarios(1)} == {"norm", "vae"}


def test_a_data_set_of_a_family_that_the_suite_names_runs_under_that_familys_settings():
    varied = suite.load("quick").vary(datasets=["digits:7"], detectors=["vae"])
    assert {(s.dataset, s.training.likelihood) for s in varied.scenarios(1)} == {("digits:7", "bce")}


def test_the_sanity_lines_join_every_block_by_themselves_and_can_be_narrowed_away(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["knn"]\n')
    loaded = suite.load(str(path))
    assert [s.detector for s in loaded.scenarios(1)] == ["knn", "norm", "mahalanobis"]
    assert [s.detector for s in loaded.vary(detectors=["knn"]).scenarios(1)] == ["knn"]
    added = suite.load("quick").vary(datasets=["blobs"]).scenarios(1)
    assert {"norm", "mahalanobis"} <= {s.detector for s in added}


def test_epochs_and_seeds_replace_the_suites_own():
    varied = suite.load("quick").vary(epochs=3, seeds=[5, 5, 6])
    assert {s.training.epochs for s in varied.scenarios(1) if s.training} == {3}
    assert {trial.seed for trial in varied.trials(1)} == {5, 6}
    assert len(varied.trials(1)) == 2 * len(varied.scenarios(1))


def test_a_block_replaces_single_training_keys_and_keeps_the_suites_others(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'datasets = ["blobs"]\ndetectors = ["vae"]\nbackends = ["torch"]\n[training]\nepochs = 7\nlatent = 3\n'
        "[[scenarios]]\ntraining = { latent = 5 }\n"
    )
    only = suite.load(str(path)).scenarios(1)[0]
    assert (only.training.epochs, only.training.latent) == (7, 5)


def networks(tmp_path, training: str) -> dict[str, Training]:
    """The training of each network in a suite that lists all four over one [training] table."""
    path = tmp_path / "mine.toml"
    path.write_text(
        f"[training]\n{training}\n"
        '[[scenarios]]\ndatasets = ["digits:4"]\nbackends = ["torch"]\n'
        'detectors = ["vae", "autoencoder", "conv_vae", "conv1d_vae"]\n'
    )
    return {s.detector: s.training for s in suite.load(str(path)).scenarios(1) if s.training}


def test_a_network_that_the_suite_does_not_size_gets_its_detectors_own_size(tmp_path):
    sizes = {name: (t.filters, t.hidden, t.latent) for name, t in networks(tmp_path, "").items()}
    dense = ((), (128, 64), 8)
    assert sizes == {
        "vae": dense,
        "autoencoder": dense,
        "conv_vae": ((32, 64), (16,), 2),
        "conv1d_vae": ((32, 64), (128, 64), 8),
    }


def test_a_size_that_the_suite_gives_holds_for_all_networks_but_filters_for_convolutional_ones_alone(tmp_path):
    found = networks(
        tmp_path, 'hidden = []\nlatent = 3\nfilters = [4]\nkernel = 5\nstrides = [1]\ndecoder = "projected"'
    )
    assert {(t.hidden, t.latent) for t in found.values()} == {((), 3)}
    assert [t.filters for t in found.values()] == [(), (), (4,), (4,)]
    shapes = [(t.kernel, t.strides, t.decoder) for t in found.values()]
    assert shapes == [(3, (), "mirrored")] * 2 + [(5, (1,), "projected")] * 2
    assert found["vae"] == networks(tmp_path, "hidden = []\nlatent = 3\nfilters = [9]")["vae"]


def test_a_detector_that_lacks_one_of_the_scores_is_scored_by_the_others(tmp_path):
    found = networks(tmp_path, 'scores = ["kl", "elbo", "mse"]')
    assert {name: t.scores for name, t in found.items()} == {
        "vae": ("kl", "elbo", "mse"),
        "autoencoder": ("elbo", "mse"),
        "conv_vae": ("kl", "elbo", "mse"),
        "conv1d_vae": ("kl", "elbo", "mse"),
    }


def test_a_score_may_wait_for_the_blocks_own_likelihood(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[training]\nscores = ["mse", "mae", "bce"]\n[[scenarios]]\ndatasets = ["digits:4"]\n'
        'detectors = ["vae"]\nbackends = ["torch"]\ntraining = { likelihood = "bce" }\n'
        '[[scenarios]]\ndatasets = ["digits:5"]\ndetectors = ["vae"]\nbackends = ["torch"]\n'
        'training = { scores = ["mse"] }\n'
    )
    assert suite.load(str(path)).scenarios(1)[0].training.scores == ("mse", "mae", "bce")
    with pytest.raises(SuiteError, match=r"^options: training.scores: vae: the score 'bce' needs .* 'mse' gives none$"):
        suite.load(str(path)).vary(datasets=["blobs"])


def test_every_training_key_reaches_the_backend():
    training = Training(
        **{"batch_size": 7, "optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.25, "weight_decay": 0.125},
        **{"dropout": 0.0625, "hidden": (6,), "latent": 3, "filters": (5, 4), "likelihood": "bce", "beta": 2.0},
        **{
            "kl_warmup_epochs": 9,
            "kl_cycle_epochs": 11,
            "prior": "mixture",
            "components": 7,
            "free_bits": 0.5,
            "input_noise": 0.375,
            "importance_samples": 3,
            "random_source": "shared",
            "stream_rows": 5000,
        },
        **{"activation": "silu", "kernel": 5, "strides": (1, 2), "decoder": "projected"},
        **{"adversarial": Adversarial("pgd", 0.1)},
    )
    convolutional = scenario(detector="conv_vae", training=training)
    settings = {**vars(convolutional.training_settings(1)), **vars(convolutional.network(64, (8, 8)))}
    used_by_the_harness = {"epochs", "patience", "scores", "small_data"}
    for name, value in vars(training).items():
        assert name in used_by_the_harness or settings[name] == value, name
    assert (settings["kind"], settings["image"]) == ("vae", (8, 8))


def test_a_network_is_refused_rows_that_its_convolutions_do_not_run_over():
    for detector, image in (("conv_vae", (64,)), ("conv1d_vae", (8, 8)), ("conv1d_vae", None)):
        trained = Training().resolved(registry.load(detector))
        with pytest.raises(ValueError, match=f"^{detector} needs (images|windows of a series), not rows of shape"):
            scenario(detector=detector, training=trained).network(64, image)
    dense = scenario(detector="vae", training=Training().resolved(registry.load("vae")))
    assert dense.network(64, (32,)).image is None, "dense networks take any rows"


def test_keys_that_came_later_change_no_hash_where_they_are_not_used():
    later = {"small_data", "activation", "kernel", "strides", "decoder", "adversarial", "stream_rows"}
    assert not later & Training().table.keys()
    assert Training(strides=(2, 2)).resolved(registry.load("conv_vae")).strides == ()
    assert Training(activation="gelu").table["activation"] == "gelu"
    assert scenario(training=Training(activation="gelu")).hash != scenario(training=Training()).hash


ATTACK = 'training = { adversarial = { method = "pgd", epsilon = 0.1 } }\n'


@pytest.mark.parametrize(
    ("detectors", "text", "said"),
    [
        (
            '["isolation_forest", "knn"]',
            ATTACK,
            "training.adversarial: needs a network, and there is none among isolation_forest, knn",
        ),
        ('["norm"]', ATTACK, "training.adversarial: needs a network, and there is none among norm, mahalanobis"),
        ('["vae"]', ATTACK.replace("pgd", "pdg"), "training.adversarial.method: 'pdg'; did you mean 'pgd'?"),
        ('["vae"]', ATTACK.replace("0.1", "0.0"), "training.adversarial: epsilon must be positive, not 0.0"),
        ('["vae"]', ATTACK.replace("0.1", "0.1, step = 3"), "training.adversarial: unknown key 'step'"),
        ('["vae"]', ATTACK.replace("pgd", "fgsm").replace("0.1", "0.1, steps = 3"), "fgsm takes one step, not 3"),
        ('["knn"]', "robustness = [0.1]\n", "robustness: the score of knn has no gradient"),
        ('["latent_knn"]', "robustness = [0.1]\n", "robustness: latent_knn scores by what has no gradient"),
        ('["vae"]', "robustness = [-0.1]\n", "robustness[0]: expected `float` > 0.0"),
        (
            '["vae"]',
            'robustness = [0.1]\ntraining = { scores = ["latent_distance", "elbo"] }\n',
            "robustness: the score 'latent_distance' of vae has no gradient here: name another first",
        ),
    ],
)
def test_what_has_no_gradient_is_not_attacked(tmp_path, detectors, text, said):
    with pytest.raises(SuiteError) as refused:
        axes(tmp_path, text, detectors)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_robustness_is_asked_of_those_alone_whose_scores_have_a_gradient(tmp_path):
    found = axes(tmp_path, "robustness = [0.1, 0.2]\n", '["vae", "latent_knn", "knn"]').scenarios(1)
    asked = {one.detector: one.robustness for one in found}
    assert asked == {"vae": (0.1, 0.2), "latent_knn": (), "knn": (), "norm": (0.1, 0.2), "mahalanobis": (0.1, 0.2)}
    without = {one.detector: one for one in axes(tmp_path, "", '["vae", "latent_knn", "knn"]').scenarios(1)}
    assert {one.detector for one in found if one.hash == without[one.detector].hash} == {"latent_knn", "knn"}
    assert "robustness" not in without["vae"].table


def test_adversarial_training_of_a_whole_suite_leaves_out_what_does_not_learn_by_gradients(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[training]\nadversarial = { method = "fgsm", epsilon = 0.2 }\n'
        '[[scenarios]]\ndatasets = ["blobs"]\nbackends = ["jax"]\ndetectors = ["vae"]\n'
        '[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["knn"]\n'
    )
    found = {one.detector: one for one in suite.load(str(path)).scenarios(1)}
    assert found["vae"].training.adversarial == Adversarial("fgsm", 0.2, 1)
    assert found["vae"].training_settings(0).adversarial == Adversarial("fgsm", 0.2, 1)
    assert found["knn"].training is None


def test_a_dense_network_on_images_takes_them_as_plain_rows():
    dense = scenario(detector="autoencoder", training=Training().resolved(registry.load("autoencoder")))
    spec = dense.network(64, (8, 8))
    assert (spec.kind, spec.image, spec.filters) == ("autoencoder", None, ())


def axes(tmp_path, text: str, detectors: str = '["vae"]') -> suite.Suite:
    path = tmp_path / "mine.toml"
    path.write_text(f'[[scenarios]]\ndatasets = ["blobs"]\nbackends = ["jax"]\ndetectors = {detectors}\n{text}')
    return suite.load(str(path))


def sizes_and_threads(found: list[Scenario]) -> list[tuple[int, int]]:
    return [(s.training.batch_size, s.threads) for s in found if s.training]


def test_batch_sizes_and_threads_are_axes_where_0_threads_are_as_many_as_there_are(tmp_path):
    loaded = axes(tmp_path, "batch_sizes = [32, 64]\nthreads = [1, 0]\ntraining = { batch_size = 7 }\n")
    assert sizes_and_threads(loaded.scenarios(4)) == [(32, 1), (32, 4), (64, 1), (64, 4)]
    assert sizes_and_threads(loaded.scenarios(1)) == [(32, 1), (64, 1)]
    varied = loaded.vary(batch_sizes=[8], threads=[2])
    assert sizes_and_threads(varied.scenarios(4)) == [(8, 2)]


def test_a_block_without_the_axes_has_its_trainings_batch_and_all_threads(tmp_path):
    loaded = axes(tmp_path, "training = { batch_size = 7 }\n")
    assert sizes_and_threads(loaded.scenarios(4)) == [(7, 4)]
    assert loaded.scenarios(4)[0].hash == axes(tmp_path, "batch_sizes = [7]\nthreads = [4]\n").scenarios(2)[0].hash


def test_sanity_lines_run_on_each_number_of_threads_like_the_classical_detectors(tmp_path):
    found = axes(tmp_path, "threads = [1, 0]\nbatch_sizes = [8, 16]\n", '["knn"]').scenarios(4)
    sanity = [("norm", 1), ("norm", 4), ("mahalanobis", 1), ("mahalanobis", 4)]
    assert [(s.detector, s.threads) for s in found] == [("knn", 1), ("knn", 4), *sanity]


def test_the_suite_speed_has_both_networks_and_a_curve_over_the_batch():
    networks = {
        (s.backend, s.mode, s.threads, s.training.hidden, s.training.latent, s.training.batch_size)
        for s in suite.load("speed").scenarios(2)
        if s.training
    }
    for backend in ("torch", "keras", "jax"):
        for mode, threads in (("idiomatic", 1), ("idiomatic", 2), ("tuned", 1), ("tuned", 2)):
            assert (backend, mode, threads, (128, 64), 8, 128) in networks
            assert (backend, mode, threads, (512, 256), 32, 512) in networks
        assert {(backend, "tuned", 2, (128, 64), 8, size) for size in (32, 128, 512, 2048, 8192)} <= networks


def test_a_network_without_a_posterior_is_not_asked_for_a_sampled_score(tmp_path):
    found = axes(tmp_path, 'training = { scores = ["sampled", "mse"] }\n').vary(detectors=["vae", "autoencoder"])
    scores = {scenario.detector: scenario.training.scores for scenario in found.scenarios(1) if scenario.training}
    assert scores == {"vae": ("sampled", "mse"), "autoencoder": ("mse",)}


def test_the_latent_distance_is_a_score_of_every_network(tmp_path):
    found = axes(tmp_path, 'training = { scores = ["latent_distance", "elbo"] }\n').scenarios(1)
    assert found[0].training.scores == ("latent_distance", "elbo")


@pytest.mark.parametrize(
    ("scores", "said"), [('["latent_distanse"]', "did you mean 'latent_distance'"), ("[]", "training.scores: expected")]
)
def test_scores_that_are_none_are_refused(scores, said, tmp_path):
    with pytest.raises(SuiteError, match=said):
        axes(tmp_path, f"training = {{ scores = {scores} }}\n")


def test_a_classical_scenario_does_not_depend_on_training_settings():
    loaded = suite.load("quick").vary(detectors=["knn"])
    assert [s.hash for s in loaded.scenarios(2)] == [s.hash for s in loaded.vary(epochs=1).scenarios(2)]


def test_a_suite_without_its_own_name_is_named_after_its_file(tmp_path):
    path = tmp_path / "nightly.toml"
    path.write_text('[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["norm"]\n')
    assert suite.load(str(path)).name == "nightly"


def test_narrowing_to_nothing_is_an_error():
    with pytest.raises(SuiteError, match="no detector"):
        suite.load("quick").vary(detectors=["nothing"])


def test_a_published_figure_is_set_beside_the_block_that_it_is_about_and_no_other(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(
        """
        datasets = ["blobs-2d"]
        detectors = ["vae"]
        backends = ["torch"]
        [[scenarios]]
        training = { latent = 2 }
        [[scenarios]]
        training = { latent = 32 }
        protocol = "theirs"
        [[published]]
        datasets = ["blobs-2d"]
        detector = "vae"
        metric = "roc_auc"
        value = 0.9
        source = "two"
        where = { latent = 2 }
        [[published]]
        datasets = ["blobs-2d"]
        detector = "vae"
        metric = "roc_auc"
        value = 0.8
        source = "theirs"
        where = { protocol = "theirs" }
        [[published]]
        datasets = ["blobs-2d"]
        detector = "norm"
        metric = "f1"
        value = 0.1
        source = "both"
        """
    )
    loaded = suite.load(str(path))
    sources = {
        (scenario.detector, scenario.training.latent if scenario.training else scenario.protocol): [
            entry["source"] for entry in loaded.published_of(scenario)
        ]
        for scenario in loaded.scenarios(1)
        if scenario.detector != "mahalanobis"
    }
    assert sources == {
        ("vae", 2): ["two"],
        ("vae", 32): ["theirs"],
        ("norm", ""): ["both"],
        ("norm", "theirs"): ["both"],
    }
