"""Processes that help another one and are to end with it, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def die_with(parent: int) -> None:
    """Asks Linux to end this process when its parent, the process of that number, dies.

    The pipe that a pool's work comes by is open in each of its processes, so that none of them would see by itself
    that who waits for it was killed.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be asked
            os._exit(1)
