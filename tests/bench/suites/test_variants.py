"""A block's variants: each beside the plain training, with its keys checked as a suite's own are."""

from __future__ import annotations

import pytest

from bench.suites import suite
from bench.suites.checks import SuiteError

BLOCK = '[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["vae", "knn"]\nbackends = ["jax"]\n'


def load(tmp_path, text: str) -> suite.Suite:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return suite.load(str(path))


def test_a_network_is_trained_plainly_and_once_for_each_variant_and_another_detector_once(tmp_path):
    found = load(tmp_path, BLOCK + "variants = [{ free_bits = 1 }, { latent = 3, hidden = [4] }]\n").scenarios(1)
    own = [(s.training.free_bits, s.training.latent, s.training.hidden) for s in found if s.detector == "vae"]
    assert own == [(0.0, 8, (128, 64)), (1.0, 8, (128, 64)), (0.0, 3, (4,))]
    assert [s.varied for s in found if s.detector == "vae"] == [
        {},
        {"free_bits": 1.0},
        {"latent": 3, "hidden": (4,)},
    ]
    assert len([s for s in found if s.detector == "knn"]) == 1
    assert len({s.hash for s in found}) == len(found)


def test_a_variant_is_the_scenario_that_a_suite_without_variants_would_have_named(tmp_path):
    varied = load(tmp_path, BLOCK + "variants = [{ input_noise = 0.5 }]\n").scenarios(1)
    plain = load(tmp_path, BLOCK).scenarios(1)
    named = load(tmp_path, BLOCK + "training = { input_noise = 0.5 }\n").scenarios(1)
    hashes = [[s.hash for s in found if s.detector == "vae"] for found in (varied, plain, named)]
    assert hashes[0] == hashes[1] + hashes[2]
    assert varied[1].label.endswith("input_noise=0.5")


def test_what_is_set_later_holds_for_variants_too(tmp_path):
    loaded = load(tmp_path, BLOCK + "variants = [{ latent = 3 }]\nbatch_sizes = [16, 32]\n").vary(epochs=2)
    own = [s.training for s in loaded.scenarios(1) if s.training]
    assert [(t.batch_size, t.latent, t.epochs) for t in own] == [(16, 8, 2), (16, 3, 2), (32, 8, 2), (32, 3, 2)]
    assert sum(block.size for block in loaded.blocks) >= len(loaded.scenarios(1))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("variants = [{ free_bit = 1 }]", "variants 1: unknown key 'free_bit'; did you mean 'free_bits'?"),
        ("variants = [{ latent = 3 }, {}]", "variants 2: it sets no key, and the plain training is run in any case"),
        ("variants = [{ beta = 1.0 }]", "variants 1: it is the plain training"),
        ("variants = [{ latent = 3 }, { beta = 2 }, { latent = 3 }]", "variants 3: it is variants 1 once more"),
        ("variants = [{ latent = 0 }]", "variants 1: latent: expected `int` >= 1"),
        ("variants = [{ batch_size = 3 }]\nbatch_sizes = [8]", "variants 1: batch_size: the block varies it already"),
        ("variants = [{ latent = 3 }]\nsweep = { latent = [2] }", "variants 1: latent: the block varies it already"),
        ("variants = [{ free_bits = 1, beta = 0 }]", "training: vae: free_bits is about the KL"),
        (
            f"variants = [{', '.join(f'{{ free_bits = {n}.5 }}' for n in range(101))}]",
            "expected `array` of length <= 100",
        ),
        (f"training = {{ hidden = {[8] * 101} }}", "training.hidden: expected `array` of length <= 100"),
        ('variants = [{ scores = ["bce"] }]', "training.scores: vae: the score 'bce' needs"),
    ],
)
def test_a_variant_that_cannot_be_trained_is_refused_in_one_line(tmp_path, text, line):
    with pytest.raises(SuiteError) as caught:
        load(tmp_path, BLOCK + text)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shipped_suite_names_every_richer_model_and_no_data_set_that_has_to_be_fetched():
    found = suite.load("variants")
    varied = {key for s in found.scenarios(1) for key in s.varied}
    assert varied >= {"kl_cycle_epochs", "free_bits", "input_noise", "importance_samples", "likelihood", "prior"}
    assert {s.dataset for s in found.scenarios(1)} == {"correlated", "kdd-synthetic", "digits:4"}
    assert len(found.seeds) >= 3
