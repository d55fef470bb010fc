"""Arrays that a trial leaves beside its record: test labels and scores, and what pictures of single rows need.

One safetensors file a trial, under ``arrays`` in the results directory. It is written whole or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from datasets.storage import replace

FOLDER = "arrays"
Arrays = dict[str, NDArray[Any]]


def write(results: Path, name: str, arrays: Arrays) -> str:
    """Writes a trial's arrays and returns the file's path relative to the results directory.

    Raises OSError where it cannot be written to.
    """
    place = f"{FOLDER}/{name}.safetensors"
    keep(results / place, save({key: np.ascontiguousarray(array) for key, array in arrays.items()}))
    return place


def keep(path: Path, content: bytes) -> None:
    """Writes a trial's file, whole or not at all. Raises OSError where it cannot be written to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # the record that names it is on the disk when the next trial starts, so this is too
    replace(path, content)
