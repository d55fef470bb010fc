"""The ladder sees every option, trains as far as is claimed, and shows what it says it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from backends import randomness, reference
from backends.adversarial import ATTACKS
from backends.spec import ACTIVATIONS, DECODERS, SCORES, Likelihood, Optimizer
from backends.weights import LOG_SIGMA
from bench.proof import judging, ladder, native, verify
from bench.proof.ladder import Case

WHOLE = ladder.cases("float64")


@pytest.fixture(scope="module")
def data() -> ladder.Data:
    return verify.rows_and_labels()[0]


class Single:
    """The reference as if it were a backend in float32."""

    def build(self, spec: Any, weights: Any, settings: Any) -> Any:
        return reference.build(spec, weights, replace(settings, precision="float64"))


def find(name: str) -> Case:
    (case,) = (case for case in WHOLE if case.name == name)
    return case


def shown(backend: Any, case: Case, data: ladder.Data) -> ladder.Observed:
    return ladder.climb(backend, case, data)[0]


# ---------------------------------------------------------------------------------------------------- what climbs


def test_no_optimiser_likelihood_activation_or_network_is_left_off_the_ladder():
    assert {case.settings.optimizer for case in WHOLE} == set(get_args(Optimizer))
    for quick in (True, False):
        shown = (*ladder.cases("float64", quick=quick), *native.cases("float64", quick=quick))
        assert {case.spec.activation for case in shown} == set(ACTIVATIONS)
    assert {case.spec.likelihood for case in WHOLE} == set(get_args(Likelihood))
    assert {case.spec.likelihood for case in WHOLE if case.spec.filters} == {"bce", "gaussian", "mse"}
    assert {(case.spec.kind, bool(case.spec.filters)) for case in WHOLE} == {
        ("vae", False),
        ("vae", True),
        ("autoencoder", False),
    }
    assert {case.spec.image for case in WHOLE} == {None, (8, 8), (7, 7), (28, 28), (10,), (5,)}
    for dimensions in (1, 2):
        convolutional = [case.spec for case in WHOLE if len(case.spec.image or ()) == dimensions]
        assert {spec.decoder for spec in convolutional} == set(DECODERS)
        assert {spec.kernel for spec in convolutional} == {3, 5}
        assert {stride for spec in convolutional for stride in spec.strides or (2,)} == {1, 2}
    assert any(len(set(case.spec.hidden)) < len(case.spec.hidden) for case in WHOLE), "no kernel is square"


@pytest.mark.parametrize(
    "uses",
    [
        lambda case: case.settings.kl_warmup_epochs > 0,
        lambda case: case.settings.beta not in (0.0, 1.0),
        lambda case: case.settings.dropout > 0 and case.gradients and case.steps,
        lambda case: case.patience > 0 and case.whole,
        lambda case: 0 < case.settings.kl_cycle_epochs < case.steps + case.epochs,
        lambda case: case.settings.free_bits > 0 and case.gradients,
        lambda case: case.settings.input_noise > 0 and case.gradients,
        lambda case: case.settings.importance_samples > 1 and case.settings.dropout > 0 and case.gradients,
        lambda case: case.spec.prior == "mixture" and case.settings.weight_decay > 0 and case.steps,
        lambda case: case.spec.prior == "vamp" and case.settings.weight_decay > 0 and case.steps and case.gradients,
        lambda case: case.spec.prior == "vamp" and case.settings.dropout > 0 and case.settings.input_noise > 0,
        *(
            lambda case, name=name: (
                case.settings.adversarial and case.settings.adversarial.method == name and case.gradients and case.steps
            )
            for name in ATTACKS
        ),
        lambda case: {"reconstruction_probability", "iwae"} & set(case.slopes),
        lambda case: {"elbo", "mse"} <= set(case.slopes),
        *(
            lambda case, name=name: case.settings.optimizer == name and case.settings.weight_decay > 0 and case.steps
            for name in get_args(Optimizer)
        ),
        lambda case: case.settings.optimizer == "sgd" and case.settings.momentum > 0 and case.steps > 1,
    ],
    ids=[
        *("annealing", "beta", "dropout", "early stopping", "cycles", "free bits", "noisy rows", "draws", "mixture"),
        *("pseudo-inputs", "pseudo-inputs beside dropout and noise"),
        *(*ATTACKS, "slopes over draws", "slopes"),
        *(f"decay in {o}" for o in get_args(Optimizer)),
        "momentum",
    ],
)
def test_no_option_is_left_off_the_ladder(uses):
    assert any(map(uses, WHOLE))


def test_no_score_is_left_off_the_ladder_and_none_is_asked_of_a_network_that_has_it_not():
    assert {kind for case in WHOLE for kind in case.scores} | set(WHOLE[0].spec.scores) == set(SCORES)
    assert all(set(case.scores) <= set(case.spec.scores) for case in WHOLE)
    # with β = 1, or on a standard normal, one would be as good as another
    assert any("kl" in case.scores and case.settings.beta != 1.0 for case in WHOLE)


def test_the_training_that_is_proved_has_3750_steps_and_a_partial_batch(data):
    case = WHOLE[0]
    steps, rest = divmod(len(data["blobs/train"][: case.rows]), case.settings.batch_size)
    assert (steps, case.epochs) == (75, 50)
    assert rest > 0, "the last partial batch would not be noticed if it were kept"


@pytest.mark.parametrize("case", WHOLE[1:], ids=lambda case: case.name)
def test_the_other_cases_have_a_partial_batch_too(case, data):
    rows = len(data[f"{case.data}/train"][: case.rows])
    assert rows > case.settings.batch_size
    assert rows % case.settings.batch_size or case.patience


def test_the_quick_ladder_holds_nothing_that_the_whole_one_does_not():
    quick, whole = ladder.cases("float64", quick=True), {case.name: case for case in WHOLE}
    assert len(quick) < len(whole)
    assert quick[0].epochs < WHOLE[0].epochs
    for case in quick:
        full = whole[case.name]
        assert replace(full, epochs=case.epochs, gradients=case.gradients) == case
        assert case.epochs <= full.epochs
        assert full.gradients or not case.gradients
    assert ladder.cases("float32", quick=True) == [
        replace(case, settings=replace(case.settings, precision="float32")) for case in quick[:2]
    ]


def test_every_case_climbs_as_it_was_asked_to():
    for case in ladder.cases("float32", "gpu", "tuned"):
        settings = case.settings
        assert (settings.precision, settings.device, settings.mode) == ("float32", "gpu", "tuned")
        assert settings.random_source == "shared"


def start(case, data):
    return ladder.starting_weights(case, data[f"{case.data}/train"][: case.rows])


def test_a_bias_that_is_never_loaded_would_be_seen(data):
    for case in WHOLE:
        weights = start(case, data)
        biases = [array for array in weights.values() if array.ndim == 1]
        assert case.whole or all(np.any(bias) for bias in biases)
    assert np.abs(start(find("bce"), data)["output.bias"]).max() > 16
    assert start(find("gaussian"), data)["output.log_sigma"] < -0.5, "σ² could be taken for σ"


# ----------------------------------------------------------------------------------------------------- what is seen


@pytest.mark.parametrize("case", [case for case in WHOLE if case.gradients], ids=lambda case: case.name)
def test_the_step_that_should_leave_the_gradient_leaves_it(case, data):
    seen = shown(reference, replace(case, steps=0, epochs=0), data)[ladder.GRADIENTS]
    batch = data[f"{case.data}/train"][: case.settings.batch_size].astype(np.float64)
    drawn = randomness.shared_epoch(case.spec, case.settings, ladder.ANNEALED_EPOCH, len(batch))
    weights = start(case, data)
    network = reference.build(case.spec, weights, case.settings).network
    weight = case.settings.kl_weight(ladder.ANNEALED_EPOCH)
    model = reference.build(case.spec, weights, case.settings)
    model.load_data(batch)
    rows, drawing = batch[drawn.order], (drawn.noise, drawn.masks, weight, drawn.corruption)
    *_, gradients = network.gradient(model.moved(rows, *drawing), *drawing, rows)
    assert list(seen) == [f"{case.name} · {name}" for name in weights]
    assert gradients.keys() == weights.keys() - {LOG_SIGMA}
    for name, gradient in gradients.items():
        assert judging.difference("relative to the largest", seen[f"{case.name} · {name}"], gradient) < 1e-16


def test_the_early_stopping_case_stops_early_and_ends_with_the_weights_of_its_best_epoch(data):
    case = find("early stopping")
    stopped = shown(reference, case, data)
    run, best = map(int, stopped[ladder.TRAINING_LOSSES][f"{case.name} · epochs run, best epoch"])
    assert 0 < best < run - 1
    assert run < case.epochs
    until_best = shown(reference, replace(case, epochs=best + 1, patience=0), data)
    for what, array in until_best[ladder.TRAINING_WEIGHTS].items():
        np.testing.assert_array_equal(stopped[ladder.TRAINING_WEIGHTS][what], array)


@pytest.mark.parametrize(("backend", "precision"), [(reference, "float64"), (Single(), "float32")])
def test_only_float64_shows_more_than_the_loss_once_rounding_is_amplified(backend, precision, data):
    case = find("adamw")
    case = replace(case, settings=replace(case.settings, precision=precision), whole=True, many=False)
    seen = shown(backend, case, data)
    more = [what for rung in (ladder.EPOCH, ladder.TRAINING_LOSSES) for what in seen[rung] if "epoch 1, " in what]
    assert "adamw · epoch 1, loss" in more
    assert ("adamw · epoch 1, mu.kernel" in more) == (precision == "float64")
    assert ("adamw · epoch 1, loss, reconstruction and KL" in more) == (precision == "float64")


def test_exchanged_weights_are_scored_under_the_name_of_who_trained_them(data):
    climber = ladder.Climber(ladder.REFERENCE, {**data, "blobs/test": data["blobs/test"][:100]})
    climber.climb([replace(find("dense"), rows=256, epochs=1)])
    before = climber.scores()
    others = {name: np.zeros_like(array) for name, array in climber.model.export_weights().items()}
    seen = climber.exchange({"itself": climber.model.export_weights(), "nobody": others})[ladder.EXCHANGE]
    for kind, scores in before.items():
        np.testing.assert_array_equal(seen[f"weights of itself · {kind}"], scores)
        assert not np.array_equal(seen[f"weights of nobody · {kind}"], scores)


def test_what_was_observed_comes_back_from_a_file_in_its_order(tmp_path):
    # more than ten, in no order a file would give by itself
    names = [f"{letter} · step {number}" for number in (10, 2, 1) for letter in "zamb"]
    observed = {
        ladder.STEPS: {name: np.full((2, 3), float(place)) for place, name in enumerate(names)},
        ladder.INITIAL: {"scalar": np.array(0.5), "none": np.zeros((0,))},
    }
    ladder.write(tmp_path / "observed", observed)
    found = ladder.read(tmp_path / "observed")
    assert {rung: list(values) for rung, values in found.items()} == {rung: list(v) for rung, v in observed.items()}
    for rung, values in observed.items():
        for what, array in values.items():
            np.testing.assert_array_equal(found[rung][what], array)
