"""Which processes quality trials find on a worker; without one, since it is only asked whether one is there."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bench.cluster.shared import Shared


class Series:
    """Stands for a ``Series`` whose process is there until something goes wrong in it."""

    def __init__(self) -> None:
        self.worker: object | None = "a process"
        self.ended = False

    def __enter__(self) -> Series:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True


def lend(shared: Shared, kind: str = "torch") -> Any:
    return shared.lent(kind, Series)  # type: ignore[arg-type]


def test_the_next_trial_of_its_kind_finds_the_process_and_one_at_the_same_time_another():
    shared = Shared()
    with lend(shared) as one, lend(shared) as other:
        assert one is not other
    with lend(shared) as again:
        assert again in (one, other)
        assert not again.ended
    shared.end()
    assert one.ended
    assert other.ended


def test_a_trial_of_another_kind_ends_what_lies_idle_and_not_what_runs():
    shared = Shared()
    with lend(shared) as running:
        with lend(shared) as idle:
            pass
        with lend(shared, "jax") as new:
            assert idle.ended
            assert not running.ended
        with lend(shared, "jax") as again:
            assert again is new


def test_a_process_that_is_gone_or_whose_trial_broke_off_is_not_lent_again():
    shared = Shared()
    with lend(shared) as gone:
        gone.worker = None
    assert gone.ended
    with pytest.raises(KeyboardInterrupt), lend(shared) as broken:
        raise KeyboardInterrupt
    assert broken.ended
    with lend(shared) as new:
        assert new not in (gone, broken)
    shared.end()


def test_what_lies_idle_for_long_ends():
    shared = Shared(seconds=0.01)
    with lend(shared) as one:
        pass
    deadline = time.monotonic() + 30
    while not one.ended:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not shared.idle
