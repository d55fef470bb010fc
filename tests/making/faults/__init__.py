"""Faults that real ports of a model have had, each to be planted into one backend of a process.

A file's import registers its faults; ``FAULTS`` holds all of them.
"""

from __future__ import annotations

from making.faults import draws, moved, networks, streamed, told, training, variants, windows
from making.faults.planting import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "draws", "moved", "networks", "streamed", "told", "training", "variants", "windows"]
