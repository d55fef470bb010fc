"""The shared source: a pure function of (seed, purpose, index), and the distributions it promises."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import randomness
from backends.randomness import Purpose
from backends.spec import NetworkSpec, TrainingSettings

PERMUTATION = [2, 0, 4, 1, 7, 5, 3, 6]
NOISE = [2.015873012179083, 0.45670973030049594, 0.11382887243222413]
CORRUPTION = [-1.591984519671245, 0.9717258924902092, 0.47605730321750767]
FIRST_OF_A_PART = [1642, 1908, 1318, 615]
MASKS = {"encoder.0": ["0100000111", "0110000100"], "decoder.0": ["1001110001", "1001011110"]}


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10_000), rows=st.integers(0, 200))
def test_a_permutation_visits_every_row_once(seed, epoch, rows):
    np.testing.assert_array_equal(np.sort(randomness.permutation(seed, epoch, rows)), np.arange(rows))


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 99), rows=st.integers(1, 400), size=st.integers(1, 200))
def test_the_parts_of_an_epoch_visit_every_row_once(seed, epoch, rows, size):
    found = list(randomness.parts(seed, epoch, rows, size))
    assert [len(part) for part in found[:-1]] == [size] * (rows // size - (rows % size == 0))
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(rows))


def test_a_part_reads_whole_blocks_of_rows_wherever_they_lie():
    first, *_ = randomness.parts(0, 0, 640 * 50, 640)
    blocks = np.unique(first // 10, return_counts=True)
    assert set(blocks[1][1:-1]) == {10}
    assert np.ptp(blocks[0]) > 2000
    assert list(next(randomness.parts(0, 0, 2560, 128))[:4]) == FIRST_OF_A_PART


def test_rows_are_streamed_where_they_are_too_many_and_never_from_the_shared_source():
    settings = TrainingSettings(batch_size=100, stream_rows=250)
    assert randomness.part_rows(settings, 251, 20) == 200
    assert randomness.part_rows(settings, 250, 20) == 0
    assert randomness.part_rows(replace(settings, batch_size=300), 900, 20) == 300
    assert randomness.part_rows(replace(settings, random_source="shared"), 251, 20) == 0
    alone = replace(settings, stream_rows=0)
    assert randomness.part_rows(alone, (1 << 28) // 80, 20) == 0
    assert randomness.part_rows(alone, (1 << 28) // 80 + 1, 20) == (1 << 25) // 80 // 100 * 100
    assert randomness.part_rows(replace(alone, device="gpu"), 10**7, 20) == 0


def test_no_two_streams_share_a_draw():
    streams = [
        randomness.stream(seed, purpose, index, part).random(100)
        for seed, purpose, index, part in itertools.product((0, 1, 2**64 - 1), Purpose, (0, 1, 2), (0, 1, 2))
    ]
    assert len(np.unique(streams)) == 100 * len(streams)


def test_draws_do_not_depend_on_what_was_drawn_before():
    first = randomness.noise(3, 5, 10, 4)
    randomness.noise(3, 6, 1000, 4)
    np.testing.assert_array_equal(randomness.noise(3, 5, 10, 4), first)


def test_the_streams_are_the_published_ones():
    """A change here means that trajectories of earlier records cannot be repeated."""
    np.testing.assert_array_equal(randomness.permutation(0, 0, 8), PERMUTATION)
    np.testing.assert_allclose(randomness.noise(0, 0, 1, 3)[0], NOISE, rtol=1e-12)
    np.testing.assert_allclose(randomness.corruption(0, 0, 1, 3)[0], CORRUPTION, rtol=1e-12)
    masks = randomness.dropout_masks(0, 0, 2, {"encoder.0": 10, "decoder.0": 10}, 0.5)
    assert {name: ["".join(map(str, row)) for row in mask.astype(int)] for name, mask in masks.items()} == MASKS


def test_noise_is_standard_normal():
    draws = randomness.noise(0, 0, 50_000, 2)
    assert draws.mean() == pytest.approx(0, abs=0.02)
    assert draws.std() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(0, abs=0.02)


def test_scoring_noise_has_one_vector_a_sample():
    assert randomness.scoring_noise(1, 5).shape == (randomness.SCORING_SAMPLES, 5)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_zeroes_its_rate_of_every_unit(rate):
    (mask,) = randomness.dropout_masks(3, 0, 20_000, {"encoder.0": 4}, rate).values()
    np.testing.assert_allclose(1 - mask.mean(axis=0), rate, atol=0.02)


def test_dropout_of_units_layers_epochs_and_seeds_is_independent():
    widths = {"encoder.0": 1, "encoder.1": 1, "decoder.0": 1}
    draws = [randomness.dropout_masks(seed, epoch, 20_000, widths, 0.5) for seed in (0, 1) for epoch in (0, 1)]
    columns = [mask[:, 0] for masks in draws for mask in masks.values()]
    columns += list(randomness.dropout_masks(2, 0, 20_000, {"encoder.0": 3}, 0.5)["encoder.0"].T)
    np.testing.assert_allclose(np.corrcoef(columns), np.eye(len(columns)), atol=0.04)


def test_a_layers_dropout_does_not_depend_on_the_widths_of_the_others():
    one, other = (randomness.dropout_masks(0, 0, 9, {"encoder.0": width, "decoder.0": 7}, 0.4) for width in (3, 5))
    np.testing.assert_array_equal(one["decoder.0"], other["decoder.0"])


def test_without_dropout_there_are_no_masks():
    assert randomness.dropout_masks(0, 0, 5, {"encoder.0": 3}, 0.0) == {}


def test_an_epoch_draws_what_its_network_and_settings_ask_for():
    spec, s = NetworkSpec(6, (5, 4), 3), TrainingSettings(seed=8, dropout=0.3, input_noise=0.1)
    drawn = randomness.shared_epoch(spec, s, epoch=2, rows=11)
    np.testing.assert_array_equal(drawn.order, randomness.permutation(8, 2, 11))
    np.testing.assert_array_equal(drawn.noise, randomness.noise(8, 2, 11, 3))
    np.testing.assert_array_equal(drawn.corruption, randomness.corruption(8, 2, 11, 6))
    masks = randomness.dropout_masks(8, 2, 11, spec.dropped(), 0.3)
    assert list(drawn.masks) == list(masks) == ["encoder.0", "encoder.1", "decoder.0", "decoder.1"]
    for name, mask in masks.items():
        np.testing.assert_array_equal(drawn.masks[name], mask)
    randomness.check(drawn, spec, replace(s, batch_size=4), 11)
    with pytest.raises(ValueError, match=r"^the draws have the shapes .*, but this network needs"):
        randomness.check(replace(drawn, corruption=None), spec, replace(s, batch_size=4), 11)
    none = replace(s, dropout=0.0, input_noise=0.0)
    plain = randomness.shared_epoch(replace(spec, kind="autoencoder"), none, epoch=2, rows=11)
    assert plain.noise is None
    assert plain.corruption is None
    assert plain.masks == {}
