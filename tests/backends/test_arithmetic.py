"""The products counted from a specification, against a network counted by hand and against PyTorch's own counter."""

from __future__ import annotations

import pytest

from backends.arithmetic import DENSE, Convolution, flops, scoring_products, training_parts, training_products
from backends.spec import NetworkSpec
from making.arithmetic import counted

NETWORKS = {
    "dense": NetworkSpec(20, (128, 64), 8),
    "autoencoder": NetworkSpec(13, (9,), 3, kind="autoencoder"),
    "heads that read the input": NetworkSpec(7, (), 2),
    "convolutional": NetworkSpec(63, (10,), 4, likelihood="bce", image=(9, 7), filters=(3, 5)),
    "projected": NetworkSpec(63, (10,), 4, image=(9, 7), filters=(3, 5), kernel=5, strides=(1, 2), decoder="projected"),
    "windows": NetworkSpec(45, (10,), 4, image=(9,), filters=(3, 5), kernel=5, strides=(1, 2), decoder="projected"),
    "convolutions alone": NetworkSpec(64, (), 2, likelihood="bce", image=(8, 8), filters=(4,)),
    "pseudo-inputs": NetworkSpec(20, (128, 64), 8, prior="vamp", components=30),
    "convolutional pseudo-inputs": NetworkSpec(63, (10,), 4, image=(9, 7), filters=(3,), prior="vamp", components=5),
}


def test_the_products_of_a_step_are_the_forward_pass_and_two_gradients_a_layer_but_one_where_the_input_is_read():
    assert training_products(NetworkSpec(5, (3,), 2), 10) == [
        (10, 5, 3), (10, 3, 4), (10, 2, 3), (10, 3, 5),  # both heads in one product
        (3, 10, 5), (10, 5, 3),
        (2, 10, 3), (10, 3, 2),
        (3, 10, 4), (10, 4, 3),
        (5, 10, 3),
    ]  # fmt: skip


def test_operations_grow_with_the_batch_and_are_twice_the_multiplications():
    spec = NETWORKS["dense"]
    multiplications = 20 * 128 + 128 * 64 + 64 * 16 + 8 * 64 + 64 * 128 + 128 * 20
    assert flops(scoring_products(spec, 1)) == 2 * multiplications
    assert flops(training_products(spec, 128)) == 128 * 2 * (3 * multiplications - 20 * 128)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_count_is_that_of_pytorchs_own_counter(run, name):
    spec, batch = NETWORKS[name], 256
    assert run(counted, "torch", spec, batch) == (
        flops(training_products(spec, batch)),
        flops(scoring_products(spec, batch)),
    )


def test_the_decoder_runs_once_for_every_draw():
    spec = NETWORKS["convolutional"]
    encoder, decoder = scoring_products(spec, 10), scoring_products(spec, 30)
    assert scoring_products(spec, 10, 3) == encoder[:4] + decoder[4:]
    parts = training_parts(spec, 10, 3, 2)
    assert parts["encoder.1"].convolution.rows == 10
    assert parts["output"].convolution.rows == 30
    whole = [product for part in parts.values() for product in part.products]
    assert sorted(whole) == sorted(training_products(spec, 10, 3, 2))


def test_moved_inputs_cost_a_forward_pass_and_the_gradients_of_what_each_layer_takes(run):
    spec, batch = NETWORKS["pseudo-inputs"], 256
    assert run(counted, "torch", spec, batch, 3)[0] == flops(training_products(spec, batch, moves=3))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_of_a_step_are_its_products_and_of_a_dense_network_in_their_order(name):
    products = training_products(NETWORKS[name], 16)
    parts = training_parts(NETWORKS[name], 16)
    assert sorted(product for part in parts.values() for product in part.products) == sorted(products)
    if len(parts) == 1:
        assert parts[DENSE].products == tuple(products)


def test_a_convolution_and_the_one_that_mirrors_it_have_the_same_images_on_both_sides():
    parts = training_parts(NETWORKS["convolutional"], 16)
    first, last = parts["encoder.0"].convolution, parts["output"].convolution
    assert first == Convolution(16, 1, 3, (9, 7), transposed=False, first=True)
    assert last == Convolution(16, 1, 3, (9, 7), transposed=True, first=False)
