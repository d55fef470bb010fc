"""What one training leaves to the next ones of its process: data sets that were loaded, and models that can restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backends.interface import Backend, Weights
    from backends.lanes import Lanes
    from backends.reusing import Reusing
    from backends.spec import NetworkSpec, TrainingSettings
    from datasets.dataset import Dataset

MOST_BYTES = 256 << 20
"""Of data sets that are kept, and of lanes."""


class Shelf:
    """Data sets by reference, seed and folder, the latest ones, and backends whose models come back."""

    def __init__(self) -> None:
        self.sets: dict[tuple[str, int, Path | None], Dataset] = {}
        self.backends: dict[str, Reusing] = {}
        self.crews: dict[Any, tuple[Lanes, int]] = {}

    def data(self, reference: str, *, seed: int, data_dir: Path | None) -> Dataset:
        """``datasets.load``, or what it gave before; nobody may write to its arrays."""
        import datasets

        key = reference, seed, data_dir
        found = self.sets.pop(key, None)
        if found is None:
            found = datasets.load(reference, seed=seed, data_dir=data_dir)
            for rows in (found.X_train, found.X_val, found.X_test, found.y_test):
                rows.flags.writeable = False
        self.sets[key] = found
        while sum(map(size, self.sets.values())) > MOST_BYTES and len(self.sets) > 1:
            del self.sets[next(iter(self.sets))]
        return found

    def backend(self, name: str) -> Backend:
        """A loaded backend, whose models of earlier trainings are free to be built again."""
        import backends
        from backends.reusing import Reusing

        if name not in self.backends:
            self.backends[name] = Reusing(backends.load(name))
        self.backends[name].release()
        return self.backends[name]

    def lanes(
        self,
        name: str,
        spec: NetworkSpec,
        weights: Sequence[Weights],
        settings: Sequence[TrainingSettings],
        taken: int,
    ) -> Lanes:
        """A backend's lanes for these trainings, which take so many bytes; earlier ones, started anew, where their
        program fits. The latest are kept: under some seeds networks have other columns, and seeds alternate.

        Raises ValueError, in one line, where one program does not fit all.
        """
        import backends
        from backends import lanes

        if any(lanes.alike(one) != lanes.alike(settings[0]) for one in settings):
            raise ValueError("the settings of the lanes differ in more than lanes can have of their own")
        key = name, spec, lanes.alike(settings[0]), len(settings)
        found, _ = self.crews.pop(key, (None, 0))
        if found is not None:
            found.restart(weights, settings)
        else:
            build: Any = backends.load(name)
            found = build.build_lanes(spec, weights, settings)
        self.crews[key] = found, taken
        while sum(held for _, held in self.crews.values()) > MOST_BYTES and len(self.crews) > 1:
            del self.crews[next(iter(self.crews))]
        return found


def size(data: Dataset) -> int:
    """Bytes of its rows."""
    return sum(rows.nbytes for rows in (data.X_train, data.X_val, data.X_test, data.y_test))
