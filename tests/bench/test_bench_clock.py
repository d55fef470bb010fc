"""The clock: both edges synchronised, every sample kept, bad measurements marked."""

from __future__ import annotations

import pytest

from bench.clock import Clock, marks


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
