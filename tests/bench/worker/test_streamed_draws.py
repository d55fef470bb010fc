"""The row order of epochs whose rows are streamed: sound ones pass, and what is not shuffled does not."""

from __future__ import annotations

import numpy as np
import pytest

from backends import randomness
from bench.worker import draws

ROWS, BATCH, PART = 5010, 10, 640


def order(seed: int, epoch: int) -> np.ndarray:
    return np.concatenate(list(randomness.parts(seed, epoch, ROWS, PART)))[:ROWS]


def blocks_as_they_lie(seed: int, epoch: int) -> np.ndarray:
    parts = [np.arange(start, min(start + PART, ROWS)) for start in range(0, ROWS, PART)]
    return np.concatenate([np.random.default_rng((seed, epoch, part[0])).permutation(part) for part in parts])


def rows_as_they_lie(seed: int, epoch: int) -> np.ndarray:
    return np.concatenate([np.sort(part) for part in randomness.parts(seed, epoch, ROWS, PART)])


def one_order_in_every_part(seed: int, epoch: int) -> np.ndarray:
    shuffle = np.random.default_rng(1).permutation(PART)
    return np.concatenate(
        [np.sort(part)[shuffle[shuffle < len(part)]] for part in randomness.parts(seed, epoch, ROWS, PART)]
    )


def one_order_in_every_epoch(seed: int, epoch: int) -> np.ndarray:
    return order(seed, 0)


def shares(make, seed: int) -> dict[str, float]:
    epochs = [randomness.Epoch(make(seed, epoch), None, {}) for epoch in range(3)]
    return draws.judged(epochs, ROWS, BATCH, 0.0, part=PART)[draws.ORDER]


def test_sound_orders_pass():
    assert max(max(shares(order, seed).values()) for seed in range(5)) < 1
    drawn = {seed: randomness.Epoch(order(seed, 0), None, {}) for seed in (3, 4)}
    assert max(draws.seeds(drawn, ROWS, BATCH, 0.0, PART).values()) < 1


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (blocks_as_they_lie, "blocks by their part"),
        (rows_as_they_lie, "rows by their place"),
        (one_order_in_every_part, "rows at one distance"),
        (one_order_in_every_epoch, "blocks and epoch"),
    ],
)
def test_what_is_not_shuffled_is_found(make, where):
    assert max(share for what, share in shares(make, 0).items() if where in what) > 2


def test_seeds_that_visit_alike_are_found():
    drawn = {seed: randomness.Epoch(order(0, 0), None, {}) for seed in (3, 4)}
    assert max(draws.seeds(drawn, ROWS, BATCH, 0.0, PART).values()) > 2
