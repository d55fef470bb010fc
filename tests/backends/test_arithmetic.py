"""The products counted from a specification, against a network counted by hand and against PyTorch's own counter."""

from __future__ import annotations

import pytest

from backends.arithmetic import flops, scoring_products, training_products
from backends.spec import NetworkSpec
from making.arithmetic import counted

NETWORKS = {
    "dense": NetworkSpec(20, (128, 64), 8),
    "autoencoder": NetworkSpec(13, (9,), 3, kind="autoencoder"),
    "heads that read the input": NetworkSpec(7, (), 2),
    "convolutional": NetworkSpec(63, (10,), 4, likelihood="bce", image=(9, 7), filters=(3, 5)),
    "convolutions alone": NetworkSpec(64, (), 2, likelihood="bce", image=(8, 8), filters=(4,)),
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
