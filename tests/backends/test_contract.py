"""The contract: every registered backend is the same model as the reference, digit for digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import backends
from backends.adversarial import Adversarial
from backends.interface import BackendError
from backends.spec import NetworkSpec, Score, TrainingSettings
from backends.weights import save as save_weights
from making.contract import (
    Case,
    build_from_other_weights,
    capabilities,
    frameworks_held,
    import_from_wider,
    load_rows,
    satisfies_the_protocol,
    score_of_kind,
    scores_in_pieces,
    scores_of_file,
    traces_after_compile,
    train,
    train_again,
    train_counting_network,
    train_on_imported,
    train_until_stopped,
)

# An ε of this size makes the place it has in Adam's formula visible.
SHARED = TrainingSettings(
    batch_size=8, learning_rate=0.02, epsilon=1e-2, seed=3, random_source="shared", precision="float64"
)
NATIVE = replace(SHARED, epsilon=1e-8, random_source="native", precision="float32")

ELBO: tuple[Score, ...] = ("elbo",)
"""Where another case has the same network with the other scores: what they need is compiled for each."""

EXACT = {
    "vae_mse_deep_warmup": Case(
        NetworkSpec(6, (7, 5), 3, "vae", "mse"), replace(SHARED, beta=0.7, kl_warmup_epochs=2), compile=True
    ),
    "vae_bce_shallow": Case(NetworkSpec(6, (), 3, "vae", "bce"), replace(SHARED, beta=2.0, epsilon=1e-8)),
    "autoencoder_mse": Case(NetworkSpec(6, (5,), 2, "autoencoder", "mse", activation="gelu"), SHARED),
    "autoencoder_bce": Case(NetworkSpec(6, (5,), 2, "autoencoder", "bce", activation="tanh"), SHARED),
    "vae_dropout": Case(
        NetworkSpec(6, (7,), 3, activation="silu"),
        replace(SHARED, dropout=0.3, adversarial=Adversarial("pgd", 0.2, 2)),
        scores=ELBO,
    ),
    "autoencoder_dropout": Case(
        NetworkSpec(6, (7,), 3, "autoencoder", activation="elu"), replace(SHARED, dropout=0.3), scores=ELBO
    ),
    "vae_gaussian": Case(
        NetworkSpec(6, (7,), 3, likelihood="gaussian", activation="leaky_relu"),
        replace(SHARED, dropout=0.2, beta=0.5),
    ),
    "autoencoder_gaussian": Case(NetworkSpec(6, (5,), 2, "autoencoder", "gaussian"), SHARED),
    "vae_mixture_draws": Case(
        NetworkSpec(6, (7,), 3, likelihood="diagonal_gaussian", prior="mixture", components=2),
        replace(SHARED, beta=0.5, importance_samples=3, input_noise=0.2, dropout=0.2, weight_decay=0.1),
    ),
    "convolutional_even": Case(
        NetworkSpec(64, (6,), 2, likelihood="bce", image=(8, 8), filters=(3, 4), activation="sigmoid"), SHARED
    ),
    "convolutional_odd_dropout": Case(
        NetworkSpec(
            *(35, (6,), 2),
            likelihood="bce",
            image=(7, 5),
            filters=(3, 4),
            kernel=5,
            strides=(1, 2),
            decoder="projected",
        ),
        replace(SHARED, dropout=0.25),
        scores=ELBO,
    ),
    "windows_pseudo_inputs": Case(
        NetworkSpec(20, (6,), 2, image=(5,), filters=(3, 4), strides=(1, 2), prior="vamp", components=3),
        replace(SHARED, beta=0.5, input_noise=0.2, dropout=0.2, weight_decay=0.1),
    ),
}
DEEP, IMAGES, GAUSSIAN = (EXACT[name] for name in ("vae_mse_deep_warmup", "convolutional_odd_dropout", "vae_gaussian"))
OPTIMIZERS = {
    f"{optimizer}_decay": Case(
        NetworkSpec(6, (5,), 2, "autoencoder"),
        replace(SHARED, optimizer=optimizer, momentum=0.8, rho=0.7, weight_decay=0.1),
        scores=(),
    )
    for optimizer in ("adam", "adamw", "rmsprop", "sgd")
}
# One step of plain gradient descent at a rate of 1 takes the gradient itself off the weights.
DESCENT = replace(SHARED, optimizer="sgd", momentum=0.0, learning_rate=1.0, beta=0.7)
GRADIENT = {
    name: Case(spec, replace(DESCENT, dropout=dropout), epochs=1, rows=8, scores=())
    for name, spec, dropout in (
        ("vae_mse", NetworkSpec(6, (5,), 3), 0.0),
        ("vae_bce", NetworkSpec(6, (5,), 3, likelihood="bce"), 0.0),
        ("vae_gaussian", NetworkSpec(6, (5,), 3, likelihood="gaussian"), 0.0),
        ("autoencoder_mse", NetworkSpec(6, (5,), 3, "autoencoder"), 0.0),
        ("convolutional_dropout", IMAGES.spec, 0.25),
    )
}
TRAINED = Case(NetworkSpec(6, (7,), 3), NATIVE, epochs=6, rows=100, scores=())
TRAINED_IMAGES = Case(
    NetworkSpec(9, (4,), 2, likelihood="gaussian", image=(3, 3), filters=(2,)),
    replace(NATIVE, dropout=0.25),
    rows=50,
    scores=(),
)
STOPPED = Case(NetworkSpec(6, (16,), 4, "autoencoder"), replace(SHARED, epsilon=1e-8), epochs=60)
COUNTING = Case(
    NetworkSpec(1, (8,), 1, "autoencoder"),
    replace(NATIVE, batch_size=100, dropout=0.3, learning_rate=1e-30),
    rows=20_000,
)

exact = pytest.mark.parametrize("case", EXACT.values(), ids=EXACT)
dense_and_images = pytest.mark.parametrize("case", [DEEP, IMAGES], ids=["dense", "convolutional"])
native = pytest.mark.parametrize("case", [TRAINED, TRAINED_IMAGES], ids=["dense", "gaussian_convolutional_dropout"])


def largest_difference(left, right):
    assert left.keys() == right.keys()
    return max(np.abs(left[name] - right[name]).max() for name in left)


def test_a_model_offers_the_whole_interface(backend, run):
    assert run(satisfies_the_protocol, backend, DEEP)


def test_capabilities_report_this_process(backend, run):
    found = run(capabilities, backend)
    assert {"cpu"} <= set(found.devices)
    assert {"float32", "float64"} <= set(found.precisions)
    assert "idiomatic" in found.modes
    assert ("gpu" in found.devices) != ("gpu" in found.reasons)
    assert set(found.versions.values()) == set(backends.versions(backend).values())


def test_threads_of_the_environment_are_reported_back(backend, run):
    threads = run(capabilities, backend).threads
    assert threads == 1 or backend == "jax"  # JAX follows the process's affinity, which no test may change


@exact
def test_weights_come_back_as_they_were_given(backend, run, case):
    given = run(train, "reference", case).initial
    got = run(train, backend, case).initial
    assert list(got) == list(given)
    for name in given:
        np.testing.assert_array_equal(got[name], given[name])
        assert got[name].dtype == np.float64


@exact
def test_forward_pass_equals_the_reference(backend, run, case):
    expected, got = run(train, "reference", case).forward, run(train, backend, case).forward
    for what, array in expected.items():
        np.testing.assert_allclose(got[what], array, atol=1e-12, err_msg=what)
    assert np.abs(got["generated"] - got["reconstruction"]).max() > 1e-3


@pytest.mark.parametrize("case", GRADIENT.values(), ids=GRADIENT)
def test_first_gradient_equals_the_reference(backend, run, case):
    expected, got = run(train, "reference", case), run(train, backend, case)
    moved = {name: expected.weights[name] - expected.initial[name] for name in expected.weights}
    assert all(np.abs(step).max() > 1e-4 for step in moved.values())
    assert largest_difference(got.weights, expected.weights) < 1e-9


@pytest.mark.parametrize("case", (EXACT | OPTIMIZERS).values(), ids=EXACT | OPTIMIZERS)
def test_shared_training_follows_the_reference_to_rounding(backend, run, case):
    expected, got = run(train, "reference", case), run(train, backend, case)
    assert largest_difference(got.weights, expected.weights) < 1e-9
    for mine, theirs in zip(got.losses, expected.losses, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-9)
        assert mine.reconstruction == pytest.approx(theirs.reconstruction, abs=1e-9)
        assert mine.kl == pytest.approx(theirs.kl, abs=1e-9)


@pytest.mark.parametrize("case", [DEEP, IMAGES, GAUSSIAN], ids=["dense", "convolutional", "gaussian"])
def test_single_precision_training_stays_near_the_reference(backend, run, case):
    single = replace(case.settings, precision="float32")
    short = replace(case, settings=single, compile=False, scores=("reconstruction",))
    expected, got = run(train, "reference", case), run(train, backend, short)
    assert [epoch.loss for epoch in got.losses] == pytest.approx([epoch.loss for epoch in expected.losses], rel=1e-4)
    assert largest_difference(got.weights, expected.weights) < 1e-3
    assert {array.dtype for array in (*got.weights.values(), *got.scores.values())} == {np.dtype(np.float32)}


@exact
def test_evaluation_equals_the_reference(backend, run, case):
    expected, got = run(train, "reference", case).evaluation, run(train, backend, case).evaluation
    assert (got.loss, got.reconstruction, got.kl) == pytest.approx(
        (expected.loss, expected.reconstruction, expected.kl), abs=1e-9
    )


@exact
def test_scores_equal_the_reference(backend, run, case):
    expected, got = run(train, "reference", case).scores, run(train, backend, case).scores
    assert tuple(got) == tuple(expected) == tuple(kind for kind in case.scores if kind in case.spec.scores)
    for kind, scores in expected.items():
        assert got[kind].shape == scores.shape
        np.testing.assert_allclose(got[kind], scores, atol=1e-9, err_msg=kind)


@pytest.mark.parametrize("kind", DEEP.spec.scores)
def test_scores_depend_neither_on_batching_nor_on_order(backend, run, kind):
    whole, reversed_, pieces, none = run(scores_in_pieces, backend, DEEP)[kind]
    np.testing.assert_allclose(reversed_, whole, rtol=1e-12)
    np.testing.assert_allclose(pieces, whole[:50], rtol=1e-12)
    assert none.shape == (0,)


@native
def test_compile_leaves_training_bit_for_bit_as_it_was(backend, run, case):
    plain, compiled = run(train, backend, case), run(train, backend, replace(case, compile=True))
    assert largest_difference(plain.weights, compiled.weights) == 0.0
    assert plain.losses == compiled.losses


@native
def test_compile_leaves_nothing_to_trace(backend, run, case):
    if backend == "torch":
        pytest.skip("eager PyTorch runs its Python code at every step")
    case = replace(case, spec=replace(case.spec, hidden=(11,)))  # of widths no other test has compiled for
    assert run(traces_after_compile, backend, case) == 0


@native
def test_a_model_that_is_used_again_is_a_new_one_bit_for_bit(backend, run, case):
    new, (again, reused) = run(train, backend, case), run(train_again, backend, case)
    assert reused
    assert again.losses == new.losses
    for one, other in ((again.weights, new.weights), (again.initial, new.initial), (again.scores, new.scores)):
        assert largest_difference(one, other) == 0.0 if other else one == other


def test_native_training_follows_its_seed(backend, run):
    other = replace(TRAINED, settings=replace(NATIVE, seed=4))
    first, second = run(train, backend, TRAINED), run(train, backend, replace(TRAINED, repetition=1))
    assert largest_difference(first.weights, second.weights) == 0.0
    assert largest_difference(first.weights, run(train, backend, other).weights) > 1e-4


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_smallest_and_the_largest_seed_train(backend, run, seed):
    outcome = run(train, backend, replace(TRAINED, settings=replace(NATIVE, seed=seed), epochs=1))
    assert np.isfinite(outcome.losses[0].loss)


@pytest.mark.parametrize(("kind", "rows"), [("autoencoder", 11), ("vae", 8)], ids=["order", "noise"])
def test_native_epochs_draw_anew(backend, run, kind, rows):
    """With weights that stand still, losses differ by the rows that are dropped, or where none is, by the noise."""
    still = replace(NATIVE, learning_rate=1e-30)
    outcome = run(train, backend, Case(NetworkSpec(6, (5,), 3, kind), still, rows=rows, scores=()))
    assert len({epoch.reconstruction for epoch in outcome.losses}) == len(outcome.losses)


def test_native_training_learns(backend, run):
    losses = [epoch.loss for epoch in run(train, backend, TRAINED).losses]
    assert losses[-1] < 0.8 * losses[0]


def test_native_noise_is_standard_normal_enough_to_match_shared_training(backend, run):
    shared = replace(TRAINED, settings=replace(NATIVE, random_source="shared", precision="float64"))
    native, expected = run(train, backend, TRAINED).losses[-1], run(train, "reference", shared).losses[-1]
    assert native.loss == pytest.approx(expected.loss, rel=0.1)


def test_native_dropout_zeroes_its_rate_of_units_each_on_its_own(backend, run):
    """A layer's mean of W units has the mean 1 and the variance p / ((1 − p) W), so that the squared output of two
    layers has the mean (1 + p / ((1 − p) W))². It is larger where units or layers share a draw, and an epoch's mean,
    whose standard deviation is 0.4 % of it, scatters ten times as far where rows or steps do."""
    p, width = COUNTING.settings.dropout, COUNTING.spec.hidden[0]
    losses = run(train_counting_network, backend, COUNTING).losses
    assert losses == pytest.approx([(1 + p / ((1 - p) * width)) ** 2] * COUNTING.epochs, rel=0.017)


def test_native_dropout_follows_its_seed_and_draws_anew_in_every_epoch(backend, run):
    other = replace(COUNTING, settings=replace(COUNTING.settings, seed=4))
    losses = [loss for case in (COUNTING, other) for loss in run(train_counting_network, backend, case).losses]
    assert len(set(losses)) == 2 * COUNTING.epochs


def test_evaluation_and_scores_drop_nothing(backend, run):
    found = run(train_counting_network, backend, COUNTING)
    assert found.evaluation == pytest.approx(1.0, rel=1e-6)
    for scores in found.scores.values():
        np.testing.assert_allclose(scores, 1.0, rtol=1e-6)


@dense_and_images
def test_imported_weights_score_as_the_references_and_train_on_with_the_optimizer_as_it_was(backend, run, case):
    expected, got = run(train_on_imported, "reference", case), run(train_on_imported, backend, case)
    assert largest_difference(got.imported, got.given) == 0.0
    np.testing.assert_allclose(got.scores, expected.scores, atol=1e-9)
    assert largest_difference(got.weights, expected.weights) < 1e-9


def test_imported_weights_of_other_shapes_get_one_line_and_change_nothing(backend, run):
    complaint, before, after = run(import_from_wider, backend, DEEP)
    assert complaint == "weights hold 'encoder.1.kernel' of shape (7, 6), but this network needs (7, 5)"
    assert largest_difference(before, after) == 0.0


def test_early_stopping_ends_and_restores_as_in_the_reference(backend, run):
    expected, got = (run(train_until_stopped, name, STOPPED, 3) for name in ("reference", backend))
    assert 0 < expected.best_epoch < STOPPED.epochs - 4
    assert (len(got.losses), got.best_epoch) == (len(expected.losses), expected.best_epoch)
    assert got.losses == pytest.approx(expected.losses, abs=1e-9)
    assert largest_difference(got.weights, expected.weights) < 1e-9


@dense_and_images
def test_saved_weights_score_the_same_in_every_backend(backend, run, case, tmp_path: Path):
    trained = run(train, backend, case)
    path = tmp_path / "weights.safetensors"
    save_weights(path, trained.weights, case.spec)
    everywhere = ["reference", *(name for name in backends.defaults() if backends.unavailable(name) is None)]
    scores = [run(scores_of_file, name, path) for name in everywhere]
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-12)


def test_read_only_rows_are_taken_and_left_alone(backend, run):
    run(load_rows, backend, DEEP, (44, 6), False)


def test_memory_of_a_cpu_run_is_not_invented(backend, run):
    assert run(train, backend, DEEP).memory_peak is None


def test_too_few_rows_for_a_batch_get_one_line(backend, run):
    with pytest.raises(BackendError, match=r"^7 training rows do not fill one batch of 8: [^\n]*$"):
        run(load_rows, backend, DEEP, (7, 6))


def test_rows_of_another_width_get_one_line(backend, run):
    with pytest.raises(ValueError, match=r"^rows must have shape \(rows, 6\), not \(44, 5\)$"):
        run(load_rows, backend, DEEP, (44, 5))


def test_an_unknown_score_gets_one_line_naming_the_scores(backend, run):
    with pytest.raises(ValueError, match=r"^unknown score 'likelihood': choose from reconstruction, elbo[^\n]*$"):
        run(score_of_kind, backend, DEEP, "likelihood")


@pytest.mark.parametrize(
    ("case", "kind", "line"),
    [
        (
            EXACT["autoencoder_bce"],
            "kl",
            "the score 'kl' is that of a latent distribution",
        ),
        (
            GAUSSIAN,
            "bce",
            "the score 'bce' needs reconstructions that are probabilities",
        ),
    ],
    ids=["kl", "bce"],
)
def test_a_score_that_the_network_has_not_gets_one_line_with_the_reason(backend, run, case, kind, line):
    with pytest.raises(ValueError, match=rf"^{line}[^\n]*$"):
        run(score_of_kind, backend, case, kind)


def test_an_unknown_mode_gets_one_line_naming_the_modes(backend, run):
    with pytest.raises(BackendError, match=r"^mode 'fast' does not work here: choose from [^\n]*idiomatic[^\n]*$"):
        run(train, backend, replace(DEEP, settings=replace(SHARED, mode="fast")))


def test_a_missing_gpu_gets_one_line_with_the_reason(backend, run):
    found = run(capabilities, backend)
    if "gpu" in found.devices:
        pytest.skip(f"there is a GPU: {found.devices['gpu']}")
    with pytest.raises(BackendError, match=r"^device 'gpu' does not work here \([^\n]*\): choose from cpu$"):
        run(train, backend, replace(DEEP, settings=replace(SHARED, device="gpu")))


def test_weights_of_another_network_get_one_line(backend, run, tmp_path: Path):
    with pytest.raises(ValueError, match=r"^weights lack 'encoder\.0\.kernel'[^\n]*$"):
        run(build_from_other_weights, backend, DEEP)


def test_a_process_holds_one_framework(backend, run):
    run(train, backend, DEEP)
    assert len(run(frameworks_held, backend)) == 1
