"""What is asked for: nonsense is refused in one line, the layers, and the schedule of the KL weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import reference
from backends.interface import BackendError
from backends.layer import Layer
from backends.spec import SCORES, NetworkSpec, TrainingSettings, contradiction
from backends.weights import initial_weights

DENSE = NetworkSpec(20, (128, 64), 8)
MIXTURE, VAMP = ({"prior": prior, "components": 3} for prior in ("mixture", "vamp"))
IMAGES = NetworkSpec(784, (16,), 2, likelihood="bce", image=(28, 28), filters=(32, 64))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"features": 0}, "layer widths must be positive integers"),
        ({"features": 2, "hidden": (3, -1)}, "layer widths must be positive integers"),
        ({"features": 2, "latent": 1.5}, "layer widths must be positive integers"),
        ({"features": 2, "kind": "gan"}, "kind must be one of"),
        ({"features": 2, "likelihood": "poisson"}, "likelihood must be one of"),
        ({"features": 2, "activation": "swish"}, "activation must be one of"),
        ({"features": 2, "prior": "vampire"}, "prior must be one of"),
        ({"features": 2, "prior": "mixture"}, "components are those of the prior, 1 or more for 'mixture', not 0"),
        ({"features": 2, "prior": "vamp", "components": -1}, "of the prior, 1 or more for 'vamp', not -1"),
        ({"features": 2, "components": 2}, "components are those of the prior, 0 for 'normal', not 2"),
        ({"features": 2, "components": -2}, "components are those of the prior, 0 for 'normal', not -2"),
        ({"features": 2, "kind": "autoencoder", **MIXTURE}, "the prior 'mixture' is one of a latent distribution"),
        ({"features": 2, "kind": "autoencoder", **VAMP}, "the prior 'vamp' is one of a latent distribution"),
        ({"features": 6, "filters": (4,)}, "filters and the image's shape go together"),
        ({"features": 6, "image": (2, 3)}, "filters and the image's shape go together"),
        ({"features": 6, "image": (2, 3), "filters": (4, 0)}, "layer widths must be positive integers"),
        ({"features": 6, "image": (-2, -3), "filters": (4,)}, "layer widths must be positive integers"),
        ({"features": 6, "image": (2.0, 3.0), "filters": (4,)}, "layer widths must be positive integers"),
        ({"features": 6, "strides": (2,)}, "kernel, strides and decoder are of convolutions"),
        ({"features": 6, "kernel": 5}, "kernel, strides and decoder are of convolutions"),
        ({"features": 6, "image": (2, 3), "filters": (4,), "kernel": 4}, "kernel must be one of"),
        ({"features": 6, "image": (2, 3), "filters": (4,), "strides": (2, 2)}, "strides must be one for each of 1"),
        ({"features": 6, "image": (2, 3), "filters": (4,), "strides": (3,)}, "strides must be of"),
        ({"features": 6, "image": (2, 3), "filters": (4,), "decoder": "none"}, "decoder must be one of"),
        ({"features": 6, "image": (2, 2), "filters": (4,)}, r"an image of \(2, 2\) pixels has not 6 features"),
        ({"features": 12, "image": (2, 3), "filters": (4,)}, r"an image of \(2, 3\) pixels has not 12 features"),
        (
            {"features": 6, "image": (4,), "filters": (4,)},
            "6 features are no window of 4 steps, each with all",
        ),
        ({"features": 6, "image": (), "filters": (4,)}, r"an image's shape must be .*\(steps,\), not \(\)"),
        ({"features": 6, "image": (2, 3, 1), "filters": (4,)}, r"an image's shape must be .*, not \(2, 3, 1\)"),
    ],
)
def test_an_impossible_network_is_refused_in_one_line(fields, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        NetworkSpec(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "likelihood", "missing"),
    [
        ("vae", "bce", set()),
        ("vae", "mse", {"bce"}),
        ("vae", "gaussian", {"bce"}),
        ("autoencoder", "bce", {"kl", "iwae"}),
        ("autoencoder", "mse", {"kl", "bce", "iwae"}),
    ],
)
def test_a_network_has_every_score_but_those_that_it_cannot_have(kind, likelihood, missing):
    assert set(SCORES) - set(NetworkSpec(3, kind=kind, likelihood=likelihood).scores) == missing


def test_dense_layers_run_from_input_to_output():
    layers = DENSE.layers()
    assert {name: (layer.inputs, layer.outputs) for name, layer in layers.items()} == {
        "encoder.0": (20, 128),
        "encoder.1": (128, 64),
        "mu": (64, 8),
        "logvar": (64, 8),
        "decoder.0": (8, 64),
        "decoder.1": (64, 128),
        "output": (128, 20),
    }
    assert list(layers) == ["encoder.0", "encoder.1", "mu", "logvar", "decoder.0", "decoder.1", "output"]
    assert {layer.kind for layer in layers.values()} == {"dense"}
    assert list(replace(DENSE, kind="autoencoder", hidden=()).layers()) == ["latent", "output"]


def test_an_image_shrinks_to_a_quarter_of_its_sides_and_comes_back():
    assert list(IMAGES.layers().items()) == [
        ("encoder.0", Layer("convolution", 1, 32, (28, 28), (14, 14))),
        ("encoder.1", Layer("convolution", 32, 64, (14, 14), (7, 7))),
        ("encoder.2", Layer("dense", 7 * 7 * 64, 16)),
        ("mu", Layer("dense", 16, 2)),
        ("logvar", Layer("dense", 16, 2)),
        ("decoder.0", Layer("dense", 2, 16)),
        ("decoder.1", Layer("dense", 16, 7 * 7 * 64)),
        ("decoder.2", Layer("transposed", 64, 32, (7, 7), (14, 14))),
        ("output", Layer("transposed", 32, 1, (14, 14), (28, 28))),
    ]
    assert IMAGES.layers()["encoder.1"].kernel == (3, 3, 32, 64)
    assert IMAGES.layers()["decoder.2"].kernel == (3, 3, 64, 32)


def test_a_projected_decoder_keeps_the_filters_and_ends_in_one_step_to_a_single_channel():
    layers = list(replace(IMAGES, decoder="projected").layers().items())
    assert layers[:7] == list(IMAGES.layers().items())[:7]
    assert layers[7:] == [
        ("decoder.2", Layer("transposed", 64, 64, (7, 7), (14, 14))),
        ("decoder.3", Layer("transposed", 64, 32, (14, 14), (28, 28))),
        ("output", Layer("transposed", 32, 1, (28, 28), (28, 28), (3, 3), (1, 1))),
    ]


def test_windows_and_strides_are_those_of_every_convolution_and_of_its_mirror():
    layers = NetworkSpec(35, (), 2, image=(7, 5), filters=(3, 4), kernel=5, strides=(2, 1)).layers()
    assert layers["encoder.0"] == Layer("convolution", 1, 3, (7, 5), (4, 3), (5, 5), (2, 2))
    assert layers["encoder.1"] == Layer("convolution", 3, 4, (4, 3), (4, 3), (5, 5), (1, 1))
    assert layers["decoder.1"] == Layer("transposed", 4, 3, (4, 3), (4, 3), (5, 5), (1, 1))
    assert layers["output"] == Layer("transposed", 3, 1, (4, 3), (7, 5), (5, 5), (2, 2))
    assert layers["output"].kernel == (5, 5, 3, 1)


def test_a_window_is_halved_in_time_alone_and_comes_back_with_all_its_channels():
    spec = NetworkSpec(35, (), 2, image=(7,), filters=(3, 4), strides=(2, 1))
    layers = spec.layers()
    assert spec.channels == 5
    assert layers["encoder.0"] == Layer("convolution", 5, 3, (7, 1), (4, 1), (3, 1), (2, 1))
    assert layers["encoder.1"] == Layer("convolution", 3, 4, (4, 1), (4, 1), (3, 1), (1, 1))
    assert layers["mu"] == Layer("dense", 16, 2)
    assert layers["decoder.1"] == Layer("transposed", 4, 3, (4, 1), (4, 1), (3, 1), (1, 1))
    assert layers["output"] == Layer("transposed", 3, 5, (4, 1), (7, 1), (3, 1), (2, 1))
    assert layers["encoder.0"].kernel == (3, 1, 5, 3)
    *_, last, output = replace(spec, decoder="projected").layers().values()
    assert last == Layer("transposed", 4, 3, (4, 1), (7, 1), (3, 1), (2, 1))
    assert output == Layer("transposed", 3, 5, (7, 1), (7, 1), (3, 1), (1, 1))


def test_filters_without_hidden_layers_meet_the_heads_directly():
    spec = NetworkSpec(15, (), 2, "autoencoder", image=(5, 3), filters=(4,))
    assert list(spec.layers().items()) == [
        ("encoder.0", Layer("convolution", 1, 4, (5, 3), (3, 2))),
        ("latent", Layer("dense", 24, 2)),
        ("decoder.0", Layer("dense", 2, 24)),
        ("output", Layer("transposed", 4, 1, (3, 2), (5, 3))),
    ]


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.lists(st.integers(1, 5), min_size=1, max_size=7))
def test_the_decoder_gives_back_the_size_of_any_image(image, filters):
    layers = NetworkSpec(image[0] * image[1], image=image, filters=tuple(filters)).layers()
    *down, deepest = [layer for layer in layers.values() if layer.kind == "convolution"]
    up = [layer for layer in layers.values() if layer.kind == "transposed"]
    mirrored = [Layer("transposed", x.outputs, x.inputs, x.after, x.before) for x in (deepest, *reversed(down))]
    assert up == mirrored
    for layer in (*down, deepest):
        assert layer.after == ((layer.before[0] + 1) // 2, (layer.before[1] + 1) // 2)


def test_dropout_acts_on_hidden_dense_layers_alone():
    assert DENSE.dropped() == {"encoder.0": 128, "encoder.1": 64, "decoder.0": 64, "decoder.1": 128}
    assert list(IMAGES.dropped().items()) == [("encoder.2", 16), ("decoder.0", 16), ("decoder.1", 7 * 7 * 64)]
    assert NetworkSpec(5, (), 2).dropped() == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("epsilon", 0.0),
        ("beta", -1.0),
        ("kl_warmup_epochs", -1),
        ("kl_cycle_epochs", -1),
        ("kl_cycle_epochs", 5),
        ("free_bits", -0.1),
        ("input_noise", -0.1),
        ("importance_samples", 0),
        ("input_noise", float("inf")),
        ("free_bits", float("nan")),
        ("seed", -1),
        ("stream_rows", -1),
        ("seed", 2**32),
        ("optimizer", "adagrad"),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("rho", 1.0),
        ("rho", float("nan")),
        ("weight_decay", -0.1),
        ("weight_decay", float("nan")),
        ("dropout", 1.0),
        ("dropout", -0.1),
    ],
)
def test_impossible_settings_are_refused_by_name_in_one_line(field, value):
    with pytest.raises(ValueError, match=rf"^{field} must be [^\n]*$"):
        TrainingSettings(**{field: value})


def test_the_kl_weight_rises_linearly_from_zero_to_beta():
    settings = TrainingSettings(beta=2.0, kl_warmup_epochs=4)
    assert [settings.kl_weight(epoch) for epoch in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert TrainingSettings(beta=2.0).kl_weight(0) == 2.0


def test_the_kl_weight_rises_anew_in_every_cycle():
    settings = TrainingSettings(beta=2.0, kl_warmup_epochs=2, kl_cycle_epochs=3)
    assert [settings.kl_weight(epoch) for epoch in range(7)] == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0]
    with pytest.raises(ValueError, match=r"^kl_cycle_epochs must be 0, or more than a kl_warmup_epochs of .* not 3$"):
        TrainingSettings(kl_warmup_epochs=3, kl_cycle_epochs=3)


@pytest.mark.parametrize(
    ("network", "settings", "line"),
    [
        (
            {"kind": "autoencoder"},
            {"free_bits": 0.5},
            "free_bits is about the KL of a latent distribution, and an auto",
        ),
        ({"kind": "autoencoder"}, {"kl_warmup_epochs": 1, "kl_cycle_epochs": 2}, "kl_cycle_epochs is about the KL of"),
        ({"kind": "autoencoder"}, {"importance_samples": 5}, "importance_samples are draws from a latent distribution"),
        ({"likelihood": "gaussian"}, {"importance_samples": 2}, "importance_samples weigh the likelihoods of single"),
        ({}, {"importance_samples": 2, "free_bits": 0.5}, "free_bits are of the ELBO's KL by units, and the bound of"),
        (MIXTURE, {"free_bits": 0.5}, "free_bits are of a KL by units, and that of the prior 'mixture' has no such"),
        (MIXTURE, {"beta": 0.0}, "the prior 'mixture' has no part in the loss with beta = 0"),
        (VAMP, {"free_bits": 0.5}, "free_bits are of a KL by units, and that of the prior 'vamp' has no such parts"),
        (VAMP, {"beta": 0.0}, "the prior 'vamp' has no part in the loss with beta = 0"),
        ({}, {"free_bits": 0.5, "beta": 0.0}, "free_bits is about the KL, which has no part in the loss with beta = 0"),
    ],
)
def test_settings_that_say_nothing_of_a_network_are_refused_in_one_line(network, settings, line):
    spec, asked = NetworkSpec(3, **network), TrainingSettings(precision="float64", **settings)
    assert str(contradiction(spec, asked)).startswith(line)
    with pytest.raises(BackendError, match=f"^{line}"):
        reference.build(spec, initial_weights(spec, 0, np.zeros((3, 3))), asked)
    assert contradiction(NetworkSpec(3), replace(asked, beta=1.0, importance_samples=1)) is None
    assert contradiction(NetworkSpec(3), replace(asked, beta=1.0, free_bits=0.0)) is None
