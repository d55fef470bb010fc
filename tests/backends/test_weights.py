"""Canonical weights: names, Glorot's bound, independence of tensors, and files that may be anything."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from backends import weights
from backends.spec import NetworkSpec

SPEC = NetworkSpec(20, (128, 64), 8)
IMAGES = NetworkSpec(784, (16,), 8, image=(28, 28), filters=(32, 64))


def test_names_and_shapes_follow_the_network_from_input_to_output():
    assert list(weights.shapes(NetworkSpec(5, (), 2, "autoencoder")).items()) == [
        ("latent.kernel", (5, 2)),
        ("latent.bias", (2,)),
        ("output.kernel", (2, 5)),
        ("output.bias", (5,)),
    ]
    assert list(weights.shapes(NetworkSpec(15, (), 2, "autoencoder", image=(5, 3), filters=(4,))).items()) == [
        ("encoder.0.kernel", (3, 3, 1, 4)),
        ("encoder.0.bias", (4,)),
        ("latent.kernel", (24, 2)),
        ("latent.bias", (2,)),
        ("decoder.0.kernel", (2, 24)),
        ("decoder.0.bias", (24,)),
        ("output.kernel", (3, 3, 4, 1)),
        ("output.bias", (1,)),
    ]


def test_sigma_stands_after_the_layers_of_a_gaussian_alone_and_starts_at_1():
    plain, gaussian = (weights.initial_weights(replace(SPEC, likelihood=name), 0) for name in ("mse", "gaussian"))
    assert list(gaussian) == [*plain, "output.log_sigma"]
    assert (gaussian["output.log_sigma"].shape, weights.sigma(gaussian)) == ((1,), 1.0)
    assert weights.sigma(plain) is None


@pytest.mark.parametrize("spec", [SPEC, IMAGES], ids=["dense", "convolutional"])
def test_kernels_fill_glorots_bound_and_biases_are_zero(spec):
    for name, array in weights.initial_weights(spec, 0).items():
        if name.endswith(".bias"):
            assert not array.any()
        else:
            window = 9 if array.ndim == 4 else 1
            bound = np.sqrt(6 / (window * (array.shape[-2] + array.shape[-1])))
            assert np.abs(array).max() <= bound
            assert np.abs(array).max() > 0.97 * bound
            assert array.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
            assert array.dtype == np.float64


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (weights.initial_weights(SPEC, seed) for seed in (0, 0, 1))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert name.endswith(".bias") or not np.isin(first[name], other[name]).any()


def test_a_tensor_does_not_depend_on_the_sizes_of_the_others():
    small, large = (weights.initial_weights(NetworkSpec(4, (6,), latent), 3) for latent in (2, 3))
    np.testing.assert_array_equal(small["encoder.0.kernel"], large["encoder.0.kernel"])
    assert not np.isin(small["mu.kernel"], small["logvar.kernel"]).any()


parts = {
    "hidden": st.lists(st.integers(1, 4), max_size=2).map(tuple),
    "latent": st.integers(1, 3),
    "kind": st.sampled_from(["vae", "autoencoder"]),
    "likelihood": st.sampled_from(["mse", "bce", "gaussian", "diagonal_gaussian"]),
}
mixtures = {
    "prior": st.sampled_from(["mixture", "vamp"]),
    "components": st.integers(1, 3),
    "kind": st.just("vae"),
}


@given(
    spec=st.builds(NetworkSpec, features=st.integers(1, 5), **parts)
    | st.builds(
        NetworkSpec,
        features=st.just(15),
        image=st.sampled_from([(5, 3), (1, 15)]),
        filters=st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple),
        **parts,
    )
    | st.builds(NetworkSpec, features=st.integers(1, 5), **parts | mixtures),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(deadline=None, max_examples=30)
def test_a_file_gives_back_network_order_and_every_bit(tmp_path_factory, spec, dtype):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    arrays = {name: np.asfortranarray(a.astype(dtype)) for name, a in start(spec, 2).items()}
    weights.save(path, arrays, spec)
    loaded_spec, loaded = weights.load(path)
    assert loaded_spec == spec
    assert list(loaded) == list(arrays)
    for name in arrays:
        assert loaded[name].dtype == dtype
        np.testing.assert_array_equal(loaded[name], arrays[name])


def start(spec: NetworkSpec, seed: int, rows: int = 40) -> dict[str, np.ndarray]:
    return weights.initial_weights(spec, seed, np.arange(rows * spec.features).reshape(rows, -1))


def test_pseudo_inputs_begin_near_training_rows_that_the_seed_chooses_and_none_twice():
    spec = NetworkSpec(5, (3,), 2, prior="vamp", components=30)
    first, again, other = (start(spec, seed)["prior.inputs"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    noise = first - np.round(first)
    assert noise.std() == pytest.approx(0.01, rel=0.2)
    chosen = np.round(first[:, 0] / 5)
    np.testing.assert_array_equal(np.round(first), 5 * chosen[:, None] + np.arange(5))
    assert len(set(chosen)) == 30
    assert set(chosen) != set(np.round(other[:, 0] / 5))
    # all else is as without them
    plain = weights.initial_weights(NetworkSpec(5, (3,), 2), 0)
    assert all(np.array_equal(plain[name], array) for name, array in start(spec, 0).items() if name in plain)


def test_of_few_training_rows_pseudo_inputs_take_some_again_and_differ_all_the_same():
    found = start(NetworkSpec(5, (), 2, prior="vamp", components=9), 0, rows=4)["prior.inputs"]
    assert len(np.unique(np.round(found), axis=0)) <= 4
    assert len(np.unique(found, axis=0)) == 9


def test_pseudo_inputs_without_training_rows_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^the pseudo-inputs of the prior 'vamp' begin as training rows, and none"):
        weights.initial_weights(NetworkSpec(5, prior="vamp", components=9), 0)


def test_saving_weights_of_another_network_writes_nothing(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match=r"^weights lack 'mu.kernel'"):
        weights.save(path, weights.initial_weights(replace(SPEC, kind="autoencoder"), 0), SPEC)
    assert not path.exists()


def arrays_with(**changes):
    return weights.initial_weights(NetworkSpec(2, (), 1), 0) | changes


METADATA = {"spec": '{"features": 2, "hidden": [], "latent": 1, "kind": "vae", "likelihood": "mse"}'}


def with_image(image, filters):
    return {"spec": METADATA["spec"].replace("}", f', "image": {image}, "filters": {filters}}}')}


def test_a_file_of_before_there_were_images_still_loads(tmp_path):
    save_file(arrays_with(), tmp_path / "w.safetensors", metadata=METADATA)
    assert weights.load(tmp_path / "w.safetensors")[0] == NetworkSpec(2, (), 1)


@pytest.mark.parametrize(
    ("arrays", "metadata", "complaint"),
    [
        (arrays_with(), None, "its metadata hold no 'spec'"),
        (arrays_with(), {"spec": "{"}, "truncated"),
        (arrays_with(), {"spec": METADATA["spec"].replace("vae", "gan")}, "'gan'"),
        (arrays_with(), {"spec": METADATA["spec"].replace("2", "-2")}, "positive integers"),
        (arrays_with(), {"spec": METADATA["spec"].replace("[]", "[3]")}, "lack 'encoder.0.kernel'"),
        (arrays_with(), with_image([1, 2], [3]), "lack 'encoder.0.kernel'"),
        (arrays_with(), with_image([2, 2], [3]), "has not 2 features"),
        (arrays_with(), with_image([1, 2, 1], [3]), "an image's shape must be"),
        (arrays_with(), with_image([3], [3]), "2 features are no window of 3 steps"),
        (arrays_with(), with_image([1, 2], []), "filters and the image's shape go together"),
        (arrays_with(extra=np.zeros(1)), METADATA, "hold 'extra', which this network does not have"),
        (
            arrays_with(**{"mu.bias": np.zeros(2)}),
            METADATA,
            r"'mu.bias' of shape \(2,\), but this network needs",
        ),
        (arrays_with(**{"mu.bias": np.zeros(1, int)}), METADATA, "'mu.bias' of type int64"),
    ],
)
def test_a_file_that_does_not_fit_gets_one_line(tmp_path, arrays, metadata, complaint):
    path = tmp_path / "w.safetensors"
    save_file(arrays, path, metadata=metadata)
    with pytest.raises(ValueError, match=complaint) as caught:
        weights.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "huge_header"])
def test_a_corrupt_file_gets_one_line(tmp_path, damage):
    path = tmp_path / "w.safetensors"
    weights.save(path, weights.initial_weights(SPEC, 0), SPEC)
    content = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"no weights at all, only words",
            "truncated": content[: len(content) // 2],
            "huge_header": struct.pack("<Q", 2**62) + content[8:],
        }[damage]
    )
    with pytest.raises(ValueError, match=r"cannot be read as saved weights") as caught:
        weights.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        weights.load(tmp_path / "none.safetensors")
