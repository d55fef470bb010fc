"""The detector that a scenario names, made and not yet trained."""

from __future__ import annotations

from typing import Any

import backends
from backends.interface import Backend
from bench.detect import registry
from bench.suites.scenario import Scenario


def built(
    scenario: Scenario,
    features: int,
    image: tuple[int, ...] | None,
    *,
    seed: int,
    score: str | None = None,
    rows: int | None = None,
    groups: tuple[tuple[int, int], ...] = (),
    backend: Backend | None = None,
) -> Any:
    """A detector with everything that its scenario sets.

    Parameters
    ----------
    scenario : Scenario
    features : int
        Columns of the rows that it will see.
    image : (height, width), (steps,) or None
        Of the images, or windows of a series, that these rows are.
    seed : int
    score : str, optional
        Which score of a network is its own; the first of the scenario's where nothing is said.
    rows : int, optional
        That it will be trained on.
    groups : tuple of (start, stop), optional
        The columns that one-hot encode one category each, for a detector that asks for them.
    backend : Backend, optional
        That makes the network; the scenario's own where nothing is said.

    Raises
    ------
    BackendError
        A package that the detector requires is not installed.
    ValueError
        A convolutional detector and rows that are no images, or no windows.
    """
    detector = registry.load_required(scenario.detector, scenario.parameters)
    training = scenario.training
    if training is None:
        made = detector(seed=seed, threads=scenario.threads, **scenario.parameters)
        if hasattr(made, "groups"):
            made.groups = groups
        return made
    assert scenario.backend is not None
    own = {} if detector.scores_of_its_own else {"score": score or training.scores[0]}
    return detector(
        backend=backend or backends.load(scenario.backend),
        spec=scenario.network(features, image),
        settings=scenario.training_settings(seed, rows),
        epochs=training.epochs,
        patience=training.patience,
        **own,
        **scenario.parameters,
    )
