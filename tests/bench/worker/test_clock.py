"""The clock: both edges synchronised, every sample kept, bad measurements marked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.worker.clock import Clock, marks, steady, unsynchronised


class AsynchronousDevice:
    """A device whose work is queued at once and done when somebody waits for it; it moves the only clock."""

    def __init__(self) -> None:
        self.time = 0.0
        self.queue = 0.0

    def launch(self, seconds: float) -> None:
        self.queue += seconds

    def synchronize(self) -> None:
        self.time += self.queue
        self.queue = 0.0

    def now(self) -> float:
        return self.time


def test_work_that_returns_before_the_device_is_done_is_timed_whole():
    device = AsynchronousDevice()
    clock = Clock(device.synchronize, device.now)
    with clock.phase("train"):
        device.launch(3.0)
    assert clock.samples == {"train": [3.0]}


def test_work_queued_before_a_phase_is_not_charged_to_it():
    device = AsynchronousDevice()
    clock = Clock(device.synchronize, device.now)
    device.launch(5.0)
    with clock.phase("train"):
        device.launch(1.0)
    assert clock.samples == {"train": [1.0]}


def test_every_sample_is_kept_and_totals_add_them_up():
    device = AsynchronousDevice()
    clock = Clock(device.synchronize, device.now)
    for seconds in (2.0, 1.0, 1.5):
        with clock.phase("train"):
            device.launch(seconds)
    assert clock.samples == {"train": [2.0, 1.0, 1.5]}
    assert clock.totals() == {"train": 4.5}


def test_a_body_that_raises_leaves_no_sample():
    clock = Clock()
    with pytest.raises(KeyError), clock.phase("train"):
        raise KeyError
    assert clock.samples == {}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([1.0, 1.0, 1.0, 1.01], []),
        ([1.0, 1.0], ["short"]),
        ([0.01, 0.01, 0.01], ["short"]),
        ([1.0, 2.0, 1.0, 2.0], ["noisy"]),
        ([0.001, 0.002, 0.001, 0.002], ["short", "noisy"]),
    ],
)
def test_short_and_noisy_measurements_are_marked(samples, expected):
    assert marks(samples) == expected


TIMES = st.lists(st.floats(1e-6, 1e3), max_size=40)


@given(TIMES)
def test_warm_up_is_never_more_than_half(samples):
    assert 0 <= steady(samples) <= len(samples) // 2


@given(TIMES, st.integers(-20, 20))
def test_warm_up_does_not_depend_on_the_unit_of_time(samples, power):
    assert steady([sample * 2.0**power for sample in samples]) == steady(samples)


@given(st.floats(1e-6, 1e3), st.integers(1, 60))
def test_equal_samples_have_no_warm_up(seconds, count):
    assert steady([seconds] * count) == 0


@given(st.integers(8, 60), st.floats(0.1, 0.5), st.floats(0.5, 100.0))
def test_what_decays_within_the_first_half_is_cut(count, share, height):
    slow = int(count * share)
    samples = [1.0 + height * (slow - i) / max(slow, 1) if i < slow else 1.0 for i in range(count)]
    assert steady(samples) == slow


def test_a_decay_with_noise_on_it_is_cut_where_it_has_gone():
    rng = np.random.default_rng(0)
    samples = [(1.0 + 3.0 * np.exp(-i / 2)) * rng.uniform(0.99, 1.01) for i in range(60)]
    assert 4 <= steady(samples) <= 14


def test_noise_alone_is_hardly_ever_taken_for_warm_up():
    rng = np.random.default_rng(0)
    assert np.mean([steady(rng.normal(1.0, 0.02, 30)) > 0 for _ in range(100)]) < 0.1


@pytest.mark.parametrize(
    ("samples", "warm_up"),
    [
        ([], 0),
        ([5.0], 0),
        ([5.0, 1.0], 1),
        ([5.0, 1.0, 1.0], 1),
        ([*[0.5, 1.5] * 4, *[1.0] * 8], 6),  # its first half is wider, though no slower
        ([*[1.0] * 8, 9.0, *[1.0] * 11], 0),  # one slow sample in the middle
        ([*[1.0] * 10, *[2.0] * 10], 0),  # a machine that slows down
        ([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0], 4),  # never steady
    ],
)
def test_the_warm_up_of_known_series(samples, warm_up):
    assert steady(samples) == warm_up


def test_samples_before_the_steady_state_become_a_phase_of_their_own():
    clock = Clock()
    clock.samples = {"train": [3.0, 2.0, 1.0, 1.0, 1.0, 1.0]}
    clock.settle("train", "warmup")
    assert clock.samples == {"warmup": [3.0, 2.0], "train": [1.0] * 4}
    assert clock.totals() == {"warmup": 5.0, "train": 4.0}


@pytest.mark.parametrize(
    ("samples", "waits", "expected"),
    [
        ([1.0, 1.0, 1.0], [0.05, 0.05, 0.05], False),
        ([1.0, 1.0, 1.0], [0.2, 0.2, 0.2], True),
        ([1.0, 1.0, 1.0], [0.0, 0.0, 9.0], False),  # one disturbed read
        ([0.001, 0.001, 0.001], [0.0005, 0.0005, 0.0005], False),  # a read's own time
    ],
)
def test_results_that_are_waited_for_after_the_clock_stopped_are_noticed(samples, waits, expected):
    assert unsynchronised(samples, waits) == expected
