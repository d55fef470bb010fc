"""The contract: every registered backend is the same model as the reference, digit for digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contract_tasks import (
    Case,
    build_from_other_weights,
    capabilities,
    frameworks_held,
    load_rows,
    satisfies_the_protocol,
    score_of_kind,
    scores_in_pieces,
    scores_of_file,
    traces_after_compile,
    train,
)

import backends
from backends.interface import BackendError
from backends.spec import SCORES, NetworkSpec, TrainingSettings
from backends.weights import save as save_weights

# An ε of this size makes the place it has in Adam's formula visible.
SHARED = TrainingSettings(
    batch_size=8, learning_rate=0.02, epsilon=1e-2, seed=3, random_source="shared", precision="float64"
)
NATIVE = replace(SHARED, epsilon=1e-8, random_source="native", precision="float32")

EXACT = {
    "vae_mse_deep_warmup": Case(
        NetworkSpec(6, (7, 5), 3, "vae", "mse"), replace(SHARED, beta=0.7, kl_warmup_epochs=2), compile=True
    ),
    "vae_bce_shallow": Case(NetworkSpec(6, (), 3, "vae", "bce"), replace(SHARED, beta=2.0, epsilon=1e-8)),
    "autoencoder_mse": Case(NetworkSpec(6, (5,), 2, "autoencoder", "mse"), SHARED),
    "autoencoder_bce": Case(NetworkSpec(6, (5,), 2, "autoencoder", "bce"), SHARED),
}
DEEP = EXACT["vae_mse_deep_warmup"]
# So large an ε turns Adam's step into lr / ε times the gradient, of which the first moment's correction leaves all.
GRADIENT = {
    f"{kind}_{likelihood}": Case(
        NetworkSpec(6, (5,), 3, kind, likelihood),
        replace(SHARED, epsilon=1e6, learning_rate=1e6, beta=0.7),
        epochs=1,
        rows=8,
        scores=(),
    )
    for kind, likelihood in (("vae", "mse"), ("vae", "bce"), ("autoencoder", "mse"))
}
TRAINED = Case(NetworkSpec(6, (7,), 3), NATIVE, epochs=6, rows=100, scores=())

exact = pytest.mark.parametrize("case", EXACT.values(), ids=EXACT)


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
    expected, got = run(train, "reference", case), run(train, backend, case)
    np.testing.assert_allclose(got.encoded, expected.encoded, atol=1e-12)
    np.testing.assert_allclose(got.reconstructed, expected.reconstructed, atol=1e-12)


@pytest.mark.parametrize("case", GRADIENT.values(), ids=GRADIENT)
def test_first_gradient_equals_the_reference(backend, run, case):
    expected, got = run(train, "reference", case), run(train, backend, case)
    moved = {name: expected.weights[name] - expected.initial[name] for name in expected.weights}
    assert all(np.abs(step).max() > 1e-4 for step in moved.values())
    assert largest_difference(got.weights, expected.weights) < 1e-9


@exact
def test_shared_training_follows_the_reference_to_rounding(backend, run, case):
    expected, got = run(train, "reference", case), run(train, backend, case)
    assert largest_difference(got.weights, expected.weights) < 1e-9
    for mine, theirs in zip(got.losses, expected.losses, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-9)
        assert mine.reconstruction == pytest.approx(theirs.reconstruction, abs=1e-9)
        assert mine.kl == pytest.approx(theirs.kl, abs=1e-9)


def test_single_precision_training_stays_near_the_reference(backend, run):
    single = replace(DEEP.settings, precision="float32")
    case = replace(DEEP, settings=single, compile=False, scores=("reconstruction",))
    expected, got = run(train, "reference", DEEP), run(train, backend, case)
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
@pytest.mark.parametrize("kind", SCORES)
def test_scores_equal_the_reference(backend, run, case, kind):
    expected, got = run(train, "reference", case).scores[kind], run(train, backend, case).scores[kind]
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-9)


@pytest.mark.parametrize("kind", SCORES)
def test_scores_depend_neither_on_batching_nor_on_order(backend, run, kind):
    whole, reversed_, pieces, none = run(scores_in_pieces, backend, DEEP)[kind]
    np.testing.assert_allclose(reversed_, whole, rtol=1e-12)
    np.testing.assert_allclose(pieces, whole[:50], rtol=1e-12)
    assert none.shape == (0,)


def test_compile_leaves_training_bit_for_bit_as_it_was(backend, run):
    plain, compiled = run(train, backend, TRAINED), run(train, backend, replace(TRAINED, compile=True))
    assert largest_difference(plain.weights, compiled.weights) == 0.0
    assert plain.losses == compiled.losses


def test_compile_leaves_nothing_to_trace(backend, run):
    if backend == "torch":
        pytest.skip("eager PyTorch runs its Python code at every step")
    case = replace(TRAINED, spec=NetworkSpec(6, (11,), 3))  # of widths no other test has compiled for
    assert run(traces_after_compile, backend, case) == 0


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


def test_saved_weights_score_the_same_in_every_backend(backend, run, tmp_path: Path):
    trained = run(train, backend, DEEP)
    path = tmp_path / "weights.safetensors"
    save_weights(path, trained.weights, DEEP.spec)
    everywhere = ["reference", *(name for name in backends.names() if backends.unavailable(name) is None)]
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
    assert len(run(frameworks_held, backend, DEEP)) == 1
