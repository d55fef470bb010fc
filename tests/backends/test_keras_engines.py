"""Keras on its other engines: the same model, in the modes that each of them has; and what its modes leave to trace."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import backends
from backends.adversarial import Adversarial
from backends.interface import BackendError
from backends.spec import NetworkSpec, TrainingSettings
from making.contract import (
    Case,
    build_on_another_engine,
    capabilities,
    frameworks_held,
    load_rows,
    traces_after_compile,
    train,
    train_on_imported,
)

SHARED = TrainingSettings(
    batch_size=8, learning_rate=0.02, epsilon=1e-2, seed=3, random_source="shared", precision="float64"
)
VAE = Case(
    NetworkSpec(6, (7, 5), 3, activation="silu"),
    replace(SHARED, beta=0.7, kl_warmup_epochs=2, weight_decay=0.1, adversarial=Adversarial("pgd", 0.2, 2)),
    compile=True,
)
IMAGES = Case(
    NetworkSpec(
        35,
        (6,),
        2,
        likelihood="gaussian",
        image=(7, 5),
        filters=(3, 4),
        activation="leaky_relu",
        decoder="projected",
        strides=(1, 2),
    ),
    replace(SHARED, optimizer="adamw", weight_decay=0.1, dropout=0.25),
    scores=("elbo",),
)
MOMENTUM = Case(
    NetworkSpec(6, (5,), 2, "autoencoder", "gaussian", activation="gelu"),
    replace(SHARED, optimizer="sgd", weight_decay=0.1),
    scores=("mae", "reconstruction"),
)
SQUARES = replace(
    MOMENTUM,
    spec=replace(MOMENTUM.spec, likelihood="mse"),
    settings=replace(MOMENTUM.settings, optimizer="rmsprop", rho=0.7),
)
CASES = {"vae_adam": VAE, "images_dropout_adamw": IMAGES, "autoencoder_sgd": MOMENTUM, "autoencoder_rmsprop": SQUARES}
NATIVE = replace(VAE, settings=replace(VAE.settings, random_source="native", precision="float32"), epochs=6, scores=())
WAYS = [("keras-jax", "idiomatic"), ("keras-jax", "tuned"), ("keras-torch", "idiomatic")]
EQUAL = [
    *((*way, "vae_adam") for way in WAYS),
    ("keras-jax", "tuned", "images_dropout_adamw"),
    *(("keras-torch", "idiomatic", case) for case in CASES if case != "vae_adam"),
]


@pytest.fixture(params=WAYS[1:], ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Two that have between them all that an engine adds: the idiomatic mode on JAX takes to both."""
    return request.param


def in_mode(case: Case, mode: str, **settings) -> Case:
    return replace(case, settings=replace(case.settings, mode=mode, **settings))


def largest_difference(left, right):
    return max(np.abs(left[name] - right[name]).max() for name in left)


def test_an_engine_has_the_modes_that_are_tested_here_and_reasons_for_the_others(run):
    for name in ("keras-jax", "keras-torch"):
        found = run(capabilities, name)
        assert set(found.modes) == {mode for backend, mode in WAYS if backend == name}
        assert {"xla", "tuned"} - set(found.modes) <= set(found.reasons)
        assert set(found.versions) == {"keras", name.removeprefix("keras-")}


@pytest.mark.parametrize(("name", "mode", "case"), EQUAL)
def test_shared_training_follows_the_reference_to_rounding(run, name, mode, case):
    expected, got = run(train, "reference", CASES[case]), run(train, name, in_mode(CASES[case], mode))
    assert largest_difference(got.weights, expected.weights) < 1e-9
    assert [epoch.loss for epoch in got.losses] == pytest.approx([epoch.loss for epoch in expected.losses], abs=1e-9)
    for kind, scores in expected.scores.items():
        np.testing.assert_allclose(got.scores[kind], scores, atol=1e-9)


def test_native_training_learns_and_is_left_alone_by_compile(way, run):
    name, mode = way
    compiled, plain = (run(train, name, replace(in_mode(NATIVE, mode), compile=first)) for first in (True, False))
    assert largest_difference(compiled.weights, plain.weights) == 0.0
    assert compiled.losses[-1].loss < compiled.losses[2].loss  # from where the KL has its full weight


def test_the_batches_that_keras_has_no_engine_for_follow_their_seed(run):
    ordered = replace(MOMENTUM, settings=replace(MOMENTUM.settings, random_source="native"))
    first, again, other = (
        run(
            train, "keras-torch", replace(ordered, repetition=repetition, settings=replace(ordered.settings, seed=seed))
        )
        for seed, repetition in ((3, 0), (3, 1), (4, 0))
    )
    assert largest_difference(first.weights, again.weights) == 0.0
    assert largest_difference(first.weights, other.weights) > 1e-4


@pytest.mark.parametrize("kind", ["autoencoder", "vae"])
def test_native_epochs_draw_anew(way, run, kind):
    """With weights that stand still, an autoencoder's losses differ by the rows that are dropped, and a VAE's over full
    batches by the noise."""
    name, mode = way
    still = Case(NetworkSpec(6, (5,), 3, kind), in_mode(NATIVE, mode, learning_rate=1e-30).settings, scores=())
    losses = run(train, name, replace(still, rows=20 if kind == "autoencoder" else 8)).losses
    assert len({epoch.reconstruction for epoch in losses}) == len(losses)


def test_bfloat16_trains_near_float32(run):
    single, half = (
        [epoch.loss for epoch in run(train, "keras-torch", case).losses]
        for case in (in_mode(NATIVE, "idiomatic", random_source="shared", precision=p) for p in ("float32", "bfloat16"))
    )
    assert half == pytest.approx(single, rel=0.03)
    assert half != pytest.approx(single, rel=1e-5)


def test_imported_weights_are_trained_on_with_the_optimizer_as_it_was(way, run):
    name, mode = way
    expected, got = run(train_on_imported, "reference", VAE), run(train_on_imported, name, in_mode(VAE, mode))
    assert largest_difference(got.imported, got.given) == 0.0
    np.testing.assert_allclose(got.scores, expected.scores, atol=1e-9)
    assert largest_difference(got.weights, expected.weights) < 1e-9


@pytest.mark.parametrize(("name", "mode"), [("keras", "tuned"), ("keras-jax", "tuned")])
def test_compile_leaves_nothing_to_trace(run, name, mode):
    case = replace(NATIVE, spec=replace(NATIVE.spec, hidden=(11,)))
    assert run(traces_after_compile, name, in_mode(case, mode)) == 0


@pytest.mark.parametrize("name", ["keras-jax", "keras-torch"])
def test_a_process_that_has_trained_holds_one_framework(run, name):
    run(train, name, VAE)
    assert run(frameworks_held, name) == {name.removeprefix("keras-")}


def test_too_few_rows_for_a_batch_get_one_line(run):
    with pytest.raises(BackendError, match=r"^7 training rows do not fill one batch of 8: [^\n]*$"):
        run(load_rows, "keras-jax", in_mode(VAE, "tuned"), (7, 6))


def test_another_engine_than_the_processs_gets_one_line(run):
    with pytest.raises(BackendError, match=r"^Keras runs on jax here, [^\n]*: start with KERAS_BACKEND=torch$"):
        run(build_on_another_engine, "keras-jax", VAE, "keras-torch")


@pytest.mark.parametrize(("name", "engine"), [("keras", "tensorflow"), ("keras-jax", "jax"), ("keras-torch", "torch")])
def test_the_name_chooses_the_engine_whatever_the_user_has_set(monkeypatch, name, engine):
    monkeypatch.setenv("KERAS_BACKEND", "openvino")

    def imported(module: str) -> SimpleNamespace:
        return SimpleNamespace(found=(module, os.environ["KERAS_BACKEND"]), capabilities=dict, build=dict)

    monkeypatch.setattr(importlib, "import_module", imported)
    assert backends.load(name).found == ("backends.keras", engine)


def test_variants_run_only_where_they_are_named():
    assert backends.defaults()[:3] == ("torch", "keras", "jax")
    assert set(backends.names()) - set(backends.defaults()) == {"keras-jax", "keras-torch"}
