"""Every mode of every backend is the same model: what the fast ones leave out is time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backends.adversarial import Adversarial
from backends.spec import NetworkSpec, TrainingSettings
from making.contract import Case, capabilities, train, train_again
from making.modes import losses_by_precision, train_by_replay, train_uncompiled

SHARED = TrainingSettings(
    batch_size=8, learning_rate=0.02, epsilon=1e-2, seed=3, random_source="shared", precision="float64"
)
DEEP = Case(NetworkSpec(6, (7, 5), 3), replace(SHARED, beta=0.7, kl_warmup_epochs=2), compile=True)
ELBO = ("elbo",)
CASES = {
    "vae_adam_warmup": DEEP,
    "bce_mixture_draws_dropout_adamw": Case(
        NetworkSpec(6, (7,), 3, likelihood="bce", activation="silu", prior="mixture", components=2),
        replace(
            SHARED,
            dropout=0.3,
            input_noise=0.1,
            importance_samples=2,
            optimizer="adamw",
            weight_decay=0.1,
            adversarial=Adversarial("pgd", 0.2, 2),
        ),
        scores=ELBO,
    ),
    "autoencoder_rmsprop": Case(
        NetworkSpec(6, (5,), 2, "autoencoder", activation="gelu"),
        replace(SHARED, optimizer="rmsprop", rho=0.7, weight_decay=0.1),
        scores=ELBO,
    ),
    "gaussian_convolutional_sgd": Case(
        NetworkSpec(
            35,
            (6,),
            2,
            likelihood="gaussian",
            image=(7, 5),
            filters=(3, 4),
            activation="elu",
            kernel=5,
            strides=(2, 1),
            decoder="projected",
        ),
        replace(SHARED, optimizer="sgd", momentum=0.8, learning_rate=0.002, weight_decay=0.1),
        scores=ELBO,
    ),
    "windows_pseudo_inputs": Case(
        NetworkSpec(20, (6,), 2, image=(5,), filters=(3, 4), strides=(1, 2), prior="vamp", components=3),
        replace(SHARED, beta=0.7, kl_warmup_epochs=2),
        scores=ELBO,
    ),
}
MODES = ("fused", "xla", "tuned")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, backend, run) -> str:
    """Every mode beside ``idiomatic``, skipped with the reason where a backend has it not."""
    found = run(capabilities, backend)
    if request.param not in found.modes:
        pytest.skip(found.reasons.get(request.param, f"{backend} has no mode {request.param!r}"))
    return request.param


def in_mode(case: Case, mode: str, **settings) -> Case:
    return replace(case, settings=replace(case.settings, mode=mode, **settings))


def largest_difference(left, right):
    return max(np.abs(left[name] - right[name]).max() for name in left)


def test_a_backend_has_an_idiomatic_mode_and_its_others_are_tested_here(backend, run):
    assert set(run(capabilities, backend).modes) - set(MODES) == {"idiomatic"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_shared_training_follows_the_reference_to_rounding(backend, mode, run, case):
    if (backend, mode) == ("torch", "tuned") and case is not DEEP:
        pytest.skip("to compile a step takes PyTorch ten seconds; below, the others run as they are")
    if mode == "xla" and case is not DEEP:
        pytest.skip("the same loop as in the idiomatic mode, by another compiler")
    expected, got = run(train, "reference", case), run(train, backend, in_mode(case, mode))
    assert largest_difference(got.weights, expected.weights) < 1e-9
    assert [epoch.loss for epoch in got.losses] == pytest.approx([epoch.loss for epoch in expected.losses], abs=1e-9)
    for kind, scores in expected.scores.items():
        np.testing.assert_allclose(got.scores[kind], scores, atol=1e-9)


def test_native_training_learns_repeats_itself_and_is_left_alone_by_compile_and_by_earlier_use(backend, mode, run):
    """With the settings that have been compiled for above."""
    if mode == "xla":
        pytest.skip("the same loop as in the idiomatic mode, by another compiler")
    native = replace(in_mode(DEEP, mode, random_source="native"), epochs=6, scores=())
    compiled = run(train, backend, replace(native, compile=True))
    plain, reused = run(train_again, backend, replace(native, compile=False), True)
    assert reused
    assert largest_difference(compiled.weights, plain.weights) == 0.0
    assert compiled.losses[-1].loss < compiled.losses[2].loss  # from where the KL has its full weight


# 5 % of σ are as much in the logarithm, for each of the six features
@pytest.mark.parametrize(("likelihood", "off"), [("mse", 0.0), ("gaussian", 6 * 0.05)])
def test_bfloat16_trains_near_float32_and_keeps_its_weights_in_it(backend, run, likelihood, off):
    case = replace(DEEP, spec=replace(DEEP.spec, likelihood=likelihood), epochs=6, compile=False)
    (single, kept), (half, kept_too) = (
        run(losses_by_precision, backend, in_mode(case, "idiomatic", precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert kept == kept_too == np.float32
    assert half == pytest.approx(single, rel=0.03, abs=off)
    assert half != pytest.approx(single, rel=1e-5)


def test_tf32_is_offered_or_refused_with_a_reason(backend, run):
    found = run(capabilities, backend)
    assert ("tf32" in found.precisions) != ("tf32" in found.reasons)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_replayed_step_finds_its_batch_by_itself_and_capturing_leaves_no_trace(run, case):
    expected = run(train, "reference", case).weights
    weights, ran = run(train_by_replay, "torch", in_mode(case, "tuned"))
    assert largest_difference(weights, expected) < 1e-9
    assert ran == [0, 3 + 5, 5, 5]  # captured in the first epoch, five batches each


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_step_that_is_used_again_trains_on_the_rows_of_now_and_moves_them_within_these(run, case):
    new, again = run(train_uncompiled, "torch", in_mode(case, "tuned"))
    assert largest_difference(new, again) == 0.0
