from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.processes import mapped

HERE = os.getpid()
pytestmark = pytest.mark.usefixtures("process")


def doubled(item: int) -> int:
    return 2 * item


def dying(item: int) -> int:
    """Done only by the process that waits."""
    if os.getpid() != HERE and item % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def failing(item: int) -> int:
    if item == 3:
        raise ValueError(f"no room for {item}")
    return item


@given(items=st.lists(st.integers(), max_size=5), processes=st.integers(0, 4))
def test_results_come_in_the_order_of_the_items(items: list[int], processes: int) -> None:
    assert mapped(doubled, items, processes) == [2 * item for item in items]


def test_what_a_process_that_died_leaves_is_done_by_the_one_that_waits() -> None:
    assert mapped(dying, range(7), 3) == [2 * item for item in range(7)]


def test_what_fails_in_another_process_fails_here_and_leaves_none() -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(ValueError, match="no room for 3"):
        mapped(failing, range(9), 2)
    assert set(multiprocessing.active_children()) <= before


def test_where_no_process_can_be_started_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    assert mapped(doubled, range(5), 2) == [0, 2, 4, 6, 8]
