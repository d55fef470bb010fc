"""Sweeps: which scenarios come of one, what is counted before any is made, and what a faulty one is told."""

from __future__ import annotations

import argparse
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.commands import options, run
from bench.suites import suite, sweeps
from bench.suites.blocks import expand
from bench.suites.checks import SuiteError
from bench.suites.spaces import spaces
from bench.suites.sweeps import Range, Sweep

SUITE = """
datasets = ["digits:4"]
detectors = ["vae", "autoencoder", "knn"]
backends = ["torch"]
[[scenarios]]
[scenarios.sweep]
latent = [2, 4]
beta = [0.5, 1, 4.0]
hidden = [[64], [128, 64]]
knn.n_neighbors = [1, 5]
"""


@pytest.fixture
def swept(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SUITE)
    return suite.load(str(path))


def settings(found, detector, *keys):
    return [tuple(getattr(s.training, key) for key in keys) for s in found if s.detector == detector]


def test_a_grid_has_every_combination_of_the_keys_that_concern_a_detector(swept):
    found = swept.scenarios(1)
    assert len(settings(found, "vae", "latent", "beta", "hidden")) == len(
        set(settings(found, "vae", "latent", "beta", "hidden"))
    )
    assert set(settings(found, "vae", "latent", "beta", "hidden")) == {
        (latent, beta, hidden) for latent in (2, 4) for beta in (0.5, 1.0, 4.0) for hidden in ((64,), (128, 64))
    }
    # without a KL, β makes no other training
    assert len(settings(found, "autoencoder", "latent", "hidden")) == 4
    assert [s.parameters for s in found if s.detector == "knn"] == [{"n_neighbors": 1}, {"n_neighbors": 5}]
    assert [s.swept for s in found if s.detector == "norm"] == [{}]


def test_a_swept_scenario_is_the_one_that_a_suite_without_a_sweep_would_have_named(swept):
    one = next(s for s in swept.scenarios(1) if s.detector == "vae")
    plain = replace(swept.blocks[0], sweep=Sweep(), training=replace(swept.blocks[0].training, **one.swept))
    assert next(iter(expand(plain, 1))).hash == one.hash
    assert one.swept == {"latent": 2, "beta": 0.5, "hidden": (64,)}


def test_a_swept_option_of_data_sets_makes_data_sets_for_every_detector_and_at_its_default_the_plain_one(swept):
    plain = {s.hash: s for s in swept.vary(sweep={"latent": [2], "beta": [1.0], "hidden": [[64]]}).scenarios(1)}
    both = swept.vary(sweep={"latent": [2], "beta": [1.0], "hidden": [[64]], "data.train_rows": [100, 0]}).scenarios(1)
    assert len(both) == 2 * len(plain)
    assert {s.hash for s in both if s.dataset == "digits:4"} == set(plain)
    fewer = [s for s in both if s.dataset == "digits:4?train_rows=100"]
    assert {s.detector for s in fewer} == {"vae", "autoencoder", "knn", "norm", "mahalanobis"}
    assert {s.swept["data.train_rows"] for s in fewer} == {100}
    assert {s.parameters["n_neighbors"] for s in fewer if s.detector == "knn"} == {1, 5}
    assert all("data" not in s.label for s in both)


def test_rows_taken_out_for_a_choice_make_another_scenario_and_none_the_same_as_before(swept):
    first = swept.scenarios(1)[0]
    assert replace(first, labelled=0.2).hash != first.hash
    assert "labelled" not in first.table


def test_a_sample_of_a_grid_is_drawn_without_repeats_and_alike_each_time(swept):
    drawn = swept.vary(sweep={"sample": 5})
    found = settings(drawn.scenarios(1), "vae", "latent", "beta", "hidden")
    assert len(set(found)) == len(found) == 5
    assert found == settings(swept.vary(sweep={"sample": 5}).scenarios(1), "vae", "latent", "beta", "hidden")
    assert set(found) < set(settings(swept.scenarios(1), "vae", "latent", "beta", "hidden"))


def test_ranges_are_filled_evenly_in_their_own_scale(swept):
    given = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "epochs": {"low": 1, "high": 8}, "sample": 64}
    found = settings(swept.vary(sweep=given, detectors=["vae"]).scenarios(1), "vae", "learning_rate", "epochs")
    assert len(found) == 64
    assert all(1e-4 <= rate <= 1e-2 for rate, _ in found)
    assert sum(rate < 1e-3 for rate, _ in found) == 32  # half of the logarithms
    assert {epochs for _, epochs in found} == set(range(1, 9))
    assert all(sum(epochs == n for _, epochs in found) == 8 for n in range(1, 9))


def test_the_ends_of_a_range_are_values_of_it():
    assert [Range(2, 64, log=True, whole=True).at(share) for share in (0.0, 0.999999)] == [2, 64]
    assert [Range(0.1, 10.0, log=True).at(share) for share in (0.0, 0.5)] == [0.1, 1.0]


def test_a_plan_is_counted_before_it_is_made(swept, monkeypatch):
    monkeypatch.setattr(sweeps.Sweep, "points", lambda *_: pytest.fail("points were made"))
    epochs, batches = list(range(1, 1001)), list(range(1, 501))
    with pytest.raises(SuiteError, match=r"a plan of .* trials; at most 250,000"):
        swept.vary(sweep={"epochs": epochs, "batch_size": batches})
    assert swept.blocks[0].sweep.count("vae") == 12
    assert swept.blocks[0].sweep.count("norm") == 1


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"latnt": [1]}, "unknown key 'latnt'; did you mean 'latent'?"),
        ({"n_neighbors": [1]}, "a detector's parameter is named latent_knn.n_neighbors or knn.n_neighbors"),
        ({"knn.n_neighbrs": [1]}, "knn has no parameter 'n_neighbrs'; did you mean 'n_neighbors'?"),
        ({"knm.n_neighbors": [1]}, "no detector 'knm'; did you mean 'knn'?"),
        ({"isolation_forest.n_estimators": [10]}, "none of the detectors vae, autoencoder, knn, norm, mahalanobis"),
        ({"latent": [0]}, "--sweep.latent: expected `int` >= 1"),
        ({"latent": [2, 2]}, "--sweep.latent: 2 is named twice"),
        ({"latent": []}, "expected a list of values, or a range"),
        ({"latent": {"low": 2, "high": 8}}, "a range needs sample"),
        ({"latent": {"low": 8, "high": 2}, "sample": 3}, "low has to be below high, not 8 and 2"),
        ({"latent": {"low": 2.5, "high": 8}, "sample": 3}, "--sweep.latent: expected `int"),
        ({"beta": {"low": 0, "high": 8, "log": True}, "sample": 3}, "a logarithmic range begins above 0"),
        ({"beta": {"low": 0, "hi": 8}, "sample": 3}, "unknown key 'hi'; did you mean 'high'?"),
        ({"likelihood": ["msa"]}, "'msa'; did you mean 'mse'?"),
        ({"likelihood": {"low": 0, "high": 1}, "sample": 2}, "--sweep.likelihood"),
        ({"data.train_rws": [100]}, "sweep.data.train_rws: data set 'digits:4?train_rws=100': no option 'train_rws'"),
        ({"data.train_rows": ["few"]}, "train_rows is 'few'; it wants a whole number"),
        ({"data.train_rows": [[100]]}, "--sweep.data.train_rows: expected `bool | int | float | str`, got `array`"),
        ({"data.train_rows": {"low": 100, "high": 900}, "sample": 3}, "takes a list of values, not a range"),
        ({"scores": [["kl"]]}, "the score 'kl' is that of a latent distribution"),
    ],
)
def test_a_faulty_sweep_is_told_in_one_line_what_would_be_right(swept, table, said):
    with pytest.raises(SuiteError) as caught:
        swept.vary(sweep=table)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_of_data_is_tried_with_each_family_and_not_with_every_data_set(monkeypatch):
    asked = []
    monkeypatch.setattr(sweeps.datasets, "varied", lambda reference, options: asked.append((reference, options)))
    wide = [f"blobs?rows={300 + row}" for row in range(300)]
    sweeps.check_data(Sweep({"data.clusters": tuple(range(1, 1001))}), [*wide, "shifted"], "here")
    assert len(asked) == 1000 + 299 + 1000
    assert {reference for reference, _ in asked} == {*wide, "shifted"}


def test_batch_sizes_and_a_swept_batch_size_do_not_go_together(swept):
    with pytest.raises(SuiteError, match="the block varies it by batch_sizes already"):
        swept.vary(batch_sizes=[32, 64], sweep={"batch_size": [16]})


def test_the_command_line_writes_lists_ranges_and_lists_of_lists():
    given = [
        "latent=2,4",
        "hidden=[64],[128, 64]",
        "beta=0.1..1e1:log",
        "epochs=5..9",
        "likelihood=mse,bce",
        "sample=4",
    ]
    assert options.swept([options.sweep(text) for text in given]) == {
        "latent": [2, 4],
        "hidden": [[64], [128, 64]],
        "beta": {"low": 0.1, "high": 10.0, "log": True},
        "epochs": {"low": 5, "high": 9},
        "likelihood": ["mse", "bce"],
        "sample": 4,
    }
    with pytest.raises(argparse.ArgumentTypeError, match="expected KEY=VALUE,VALUE"):
        options.sweep("latent")
    with pytest.raises(ValueError, match="latent: given twice"):
        options.swept([("latent", [2]), ("latent", [4])])


def test_a_large_sweep_runs_its_first_trials_and_asks_with_the_time_that_all_would_take(swept):
    assert len(swept.beginning(3).trials(1)) == 3
    assert swept.beginning(3).trials(1) == swept.trials(1)[:3]
    said = run._asking(12_000, [{"wall_seconds": 3.0}, {"wall_seconds": 5.0}, {}], jobs=2)
    started, later = {"wall_seconds": 9.0, "made": {"before": 0}}, {"wall_seconds": 3.0, "made": {"before": 1}}
    pace = run._asking(6_000, [started, later], jobs=1)
    assert "of the first 2, which are kept, all would take about 5 hours" in pace
    assert "12,000 trials; at the pace of the first 2, which are kept, all would take about 7 hours; add --yes" in said


def test_a_search_space_has_one_base_for_each_detector_and_makes_the_scenarios_of_the_sweep(swept):
    found = {space.base.detector: space for space in spaces(swept, 1)}
    assert list(found) == ["vae", "autoencoder", "knn"]
    vae = found["vae"]
    assert vae.base.swept == {}
    hashes = {s.hash for s in swept.scenarios(1)}
    assert vae.scenario({"latent": 4, "beta": 4.0, "hidden": (64,)}).hash in hashes
    assert found["knn"].scenario({"knn.n_neighbors": 5}).hash in hashes
    assert len({space.name for space in found.values()}) == 3
    other = next(iter(spaces(swept.vary(sweep={"latent": [2, 5]}), 1)))
    assert other.name != vae.name  # another space is another study


def test_what_cannot_be_tuned_without_labels_says_why(swept):
    from bench.run import tuning

    found = {space.base.detector: space for space in spaces(swept, 1)}
    assert tuning.refusal(found["vae"]) is None
    assert "no validation loss" in tuning.refusal(found["knn"])
    labelled = {space.base.detector: space for space in spaces(swept.vary(labelled=0.2), 1)}
    assert tuning.refusal(labelled["knn"]) is None
    both = swept.vary(sweep={"likelihood": ["mse", "bce"]})
    assert "do not compare" in tuning.refusal(next(iter(spaces(both, 1))))
    rows = swept.vary(labelled=0.2, sweep={"data.train_rows": [100, 0]})
    assert "data.train_rows: rows are nothing to be tuned" in tuning.refusal(next(iter(spaces(rows, 1))))
    assert not tuning.prunes_epochs(found["vae"])
    assert tuning.prunes_epochs(found["autoencoder"])


def test_tuning_without_optuna_says_how_to_install_it(monkeypatch):
    from bench.commands import tune

    monkeypatch.setattr(tune, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install 'vaebench"):
        tune._tune(SimpleNamespace())
