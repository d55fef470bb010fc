"""The shared source: a pure function of (seed, purpose, index), and the distributions it promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import randomness
from backends.randomness import Purpose

PERMUTATION = [2, 0, 4, 1, 7, 5, 3, 6]
NOISE = [2.015873012179083, 0.45670973030049594, 0.11382887243222413]


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10_000), rows=st.integers(0, 200))
def test_a_permutation_visits_every_row_once(seed, epoch, rows):
    np.testing.assert_array_equal(np.sort(randomness.permutation(seed, epoch, rows)), np.arange(rows))


def test_no_two_streams_share_a_draw():
    streams = [
        randomness.stream(seed, purpose, index).random(100)
        for seed, purpose, index in itertools.product((0, 1, 2**64 - 1), Purpose, (0, 1, 2))
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


def test_noise_is_standard_normal():
    draws = randomness.noise(0, 0, 50_000, 2)
    assert draws.mean() == pytest.approx(0, abs=0.02)
    assert draws.std() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(0, abs=0.02)


def test_scoring_noise_has_one_vector_a_sample():
    assert randomness.scoring_noise(1, 5).shape == (randomness.SCORING_SAMPLES, 5)
