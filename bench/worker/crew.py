"""A crew inside the worker: trials that are trained in the lanes of one program, and scored one after the other.

A lane takes its trial's weights as far as the trial alone would; from there on the trial is one like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from backends.early_stopping import EarlyStopping
from backends.interface import Weights
from backends.lanes import lane_bytes, refusal
from backends.weights import initial_weights
from bench.suites.building import built
from bench.suites.scenario import Trial
from bench.worker.session import Session
from bench.worker.shelf import Shelf

SHARE = 0.5
"""Of the free memory that lanes may take."""


class Keeper:
    """What early stopping takes for a model: it notes that the present weights are the best."""

    improved = False

    def export_weights(self) -> Weights:
        self.improved = True
        return {}


class Crew:
    """Trials of one shape, none of them timed; their data sets and models come from the shelf and go back to it."""

    def __init__(self, trials: Sequence[Trial], shelf: Shelf) -> None:
        self.trials, self.shelf = trials, shelf
        self.data, self.detectors = [], []
        for trial in trials:
            directory = Path(trial.data_dir) if trial.data_dir else None
            data = shelf.data(trial.scenario.dataset, seed=trial.seed, data_dir=directory)
            rows = len(data.X_train)
            self.data.append(data)
            self.detectors.append(
                built(trial.scenario, data.features, data.grid, seed=trial.seed, rows=rows, groups=data.groups)
            )

    def room(self) -> dict[str, Any]:
        """Bytes that one lane more takes, how many there is memory for, and why there are none, if so."""
        detector, rows = self.detectors[0], len(self.data[0].X_train)
        each = lane_bytes(detector.spec, detector.settings, rows)
        most = max(1, int(SHARE * psutil.virtual_memory().available / each))
        refused = refusal(detector.backend, detector.spec, detector.settings, rows)
        return {"bytes": each, "most": most, "refused": refused}

    def prepare(self, lanes: int) -> dict[str, Any]:
        """Builds and compiles so many lanes, of which the last ones may be left without a trial; the reply tells how
        many epochs the longest training runs, the places of the trials that are in, and the lanes.

        Out are those whose network is another one than the first's: data with categories have other columns under
        another seed, where training does not see all of them. Without them no lanes are built of which half are idle.

        Raises ValueError, in one line, where the trials do not fit into lanes of one program.
        """
        taken = [place for place, one in enumerate(self.detectors) if one.spec == self.detectors[0].spec]
        if len(taken) < len(self.trials) and 2 * len(taken) <= lanes:
            lanes = len(taken)
        self.trials = [self.trials[place] for place in taken]
        self.data = [self.data[place] for place in taken]
        self.detectors = [self.detectors[place] for place in taken]
        self.idle = lanes - len(taken)
        weights = [
            initial_weights(one.spec, one.settings.seed, data.X_train)
            for one, data in zip(self.detectors, self.data, strict=True)
        ]
        name = self.trials[0].scenario.backend
        assert name is not None
        settings = [one.settings for one in self.detectors]
        taken_bytes = lanes * lane_bytes(
            self.detectors[0].spec, settings[0], max(len(data.X_train) for data in self.data)
        )
        self.lanes = self.shelf.lanes(
            name, self.detectors[0].spec, self._filled(weights), self._filled(settings), taken_bytes
        )
        self.lanes.load_data(self._filled([data.X_train for data in self.data]))
        self.lanes.compile()
        self.stopping = [EarlyStopping(one.patience) for one in self.detectors]
        self.going = [True] * len(self.trials)
        return {"epochs": max(one.epochs for one in self.detectors), "taken": taken, "lanes": lanes}

    def _filled(self, values: list[Any]) -> list[Any]:
        """One for each lane: those without a trial have what the last one has."""
        return values + values[-1:] * self.idle

    def epoch(self, number: int) -> dict[str, Any]:
        """Trains the lanes that have not stopped for one epoch, and takes note of their losses.

        The reply has an entry for each lane: its losses and whether it stops; ``diverged``, and why; or null. ``rows``
        are those that all lanes together were trained on.
        """
        trained = list(self.going)
        self.lanes.run_epoch(number, trained + [False] * self.idle)
        losses = [found.loss for found in self.lanes.epoch_losses()]
        found: list[dict[str, Any] | None] = [None] * len(trained)
        keepers = [Keeper() for _ in trained]
        validated = self.lanes.evaluate(self._filled([data.X_val for data in self.data]))
        for lane, (went, validation) in enumerate(zip(trained, validated, strict=False)):
            if not went:
                continue
            if not math.isfinite(losses[lane]):
                found[lane] = {"diverged": f"the training loss was {losses[lane]} in epoch {number + 1}"}
                self.going[lane] = False
                continue
            stop = self.stopping[lane].should_stop(number, validation.loss, keepers[lane])  # type: ignore[arg-type]
            found[lane] = {"loss": losses[lane], "validation_loss": validation.loss, "stop": stop}
            self.going[lane] = not stop and number + 1 < self.detectors[lane].epochs
        if any(keeper.improved for keeper in keepers):
            self.lanes.keep([keeper.improved for keeper in keepers] + [False] * self.idle)
        rows = sum(len(self.data[lane].X_train) for lane, went in enumerate(trained) if went)
        return {"lanes": found, "going": any(self.going), "rows": rows}

    def score(self, lane: int) -> dict[str, Any]:
        """What ``Session.score`` says of a lane's trial, and the rest that a record wants."""
        session = Session(self.trials[lane], shelf=self.shelf)
        prepared = session.prepare(training=False)
        stopping = self.stopping[lane]
        if stopping.best_weights is not None:
            stopping.best_weights = self.lanes.export_weights(lane, kept=True)
        session.adopt(self.lanes.export_weights(lane), stopping)
        return {"backend": prepared["backend"], "scored": session.score()}
