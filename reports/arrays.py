"""The arrays that trials left beside their records: test labels, scores, and what pictures of single rows need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DECISION = "decision"
"""What the scores of a detector with but one kind are called."""
MOST_BYTES = 256 * 2**20
"""Of one file that a report reads."""


class Shelf:
    """Where the files lie, each read when it is asked for.

    Parameters
    ----------
    directory : Path or None
        Results directory of records that name no run; without one there are no arrays.
    homes : mapping of str to Path
        Results directories by the name of the run in a record.
    """

    def __init__(self, directory: Path | None, homes: Mapping[str, Path] | None = None) -> None:
        self.directory, self.homes = directory, dict(homes or {})

    def load(self, record: Mapping[str, Any], *names: str) -> dict[str, Array]:
        """Those of the arrays that the record's file has; none where it has no file that can be read.

        The path comes from outside: it leads nowhere but into the results directory.
        """
        home = self.homes.get(str(record.get("run") or ""), self.directory)
        path = record.get("arrays")
        if home is None or not isinstance(path, str) or not path:
            return {}
        from safetensors import SafetensorError, safe_open

        try:
            file = (home / path).resolve()
            if not file.is_relative_to(home.resolve()) or not file.is_file() or file.stat().st_size > MOST_BYTES:
                return {}
            with safe_open(file, framework="numpy") as arrays:
                known = set(arrays.keys())
                return {name: arrays.get_tensor(name) for name in names if name in known}
        except (SafetensorError, OSError, ValueError):
            return {}

    def scores(self, record: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
        """The first score of each test row, and whether it is an anomaly; None where they are not whole."""
        name = f"score.{record.get('score') or DECISION}"
        found = self.load(record, name, "y_test")
        if len(found) < 2:
            return None
        scores, labels = found[name].astype(np.float64), found["y_test"] == 1
        whole = scores.shape == labels.shape and scores.ndim == 1 and np.isfinite(scores).all()
        return (scores, labels) if whole and 0 < labels.sum() < len(labels) else None
