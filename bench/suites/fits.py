"""Whether the data sets of a suite are there and fit what is to be done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import datasets
from bench.detect import registry
from bench.suites.checks import SuiteError
from bench.suites.scenario import Scenario
from bench.suites.suite import Suite

Shape = tuple[int, tuple[int, ...] | None]
"""Columns of a data set, and the (height, width) of the images or the (steps,) of the windows its rows are, or None."""


@dataclass(frozen=True)
class Fitting:
    """The shape of each data set's rows, why a scenario, told by its hash, cannot run on its own, and which of the data
    sets have categories."""

    shapes: Mapping[str, Shape]
    unfit: Mapping[str, str]
    categorical: frozenset[str] = frozenset()
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of all rows, by data set."""


@dataclass(frozen=True)
class Facts:
    """What decides whether a scenario can run on a data set, and the bytes of all its rows."""

    shape: Shape
    rows: int
    unit_interval: bool
    categorical: bool
    size: int = 0
    series: bool = False
    """Whether the rows are windows of a series."""


def check(suite: Suite, data_dir: Path | None) -> dict[str, Shape]:
    """Loads every data set once, before anything is run or written, and returns the shape of each one's rows.

    Raises
    ------
    SuiteError
        A data set is missing or unusable, or does not fit its training settings; one line.
    """
    facts = {reference: examine(reference, suite.seeds[0], data_dir) for reference in _references(suite)}
    for known in facts.values():
        if isinstance(known, str):
            raise SuiteError(known)
    for scenario in suite.scenarios(1):
        if reason := _reason(scenario, facts[scenario.dataset]):
            raise SuiteError(reason)
    return {reference: known.shape for reference, known in facts.items() if isinstance(known, Facts)}


def survey(
    suite: Suite,
    data_dir: Path | None,
    threads: int,
    elsewhere: Callable[[str], Facts | str | None] = lambda reference: None,
) -> Fitting:
    """As ``check``, for a suite whose data sets need not all be usable: others are run where at least one is.

    Of a data set that is not here ``elsewhere`` is asked; it knows None where nobody has it.

    Raises
    ------
    SuiteError
        A data set is not there, or each has scenarios that cannot run on it; one line.
    """
    facts: dict[str, Facts | str] = {}
    for reference in _references(suite):
        if reason := datasets.missing(reference, data_dir):
            known = elsewhere(reference)
            if known is None:
                raise SuiteError(reason)
            facts[reference] = known
        else:
            facts[reference] = examine(reference, suite.seeds[0], data_dir)
    unfit: dict[str, str] = {}
    spoilt: set[str] = set()
    for scenario in suite.scenarios(threads):
        if reason := _reason(scenario, facts[scenario.dataset]):
            unfit[scenario.hash] = reason
            spoilt.add(scenario.dataset)
    if unfit and len(spoilt) == len(facts):
        raise SuiteError(next(iter(unfit.values())))
    usable = {name: known for name, known in facts.items() if isinstance(known, Facts)}
    categorical = frozenset(name for name, known in usable.items() if known.categorical)
    sizes = {name: known.size for name, known in usable.items()}
    return Fitting({name: known.shape for name, known in usable.items()}, unfit, categorical, sizes)


def _references(suite: Suite) -> list[str]:
    return list(dict.fromkeys(scenario.dataset for scenario in suite.scenarios(1)))


def examine(reference: str, seed: int, data_dir: Path | None) -> Facts | str:
    """What there is to know of a data set, or why it cannot be used."""
    try:
        data = datasets.load(reference, seed=seed, data_dir=data_dir)
    except datasets.DatasetError as error:
        return str(error)
    return Facts(
        (data.features, data.grid),
        len(data.X_train),
        data.unit_interval,
        bool(data.groups),
        sum(rows.nbytes for rows in (data.X_train, data.X_val, data.X_test)),
        data.series is not None,
    )


def _reason(scenario: Scenario, facts: Facts | str) -> str | None:
    """Why a scenario cannot run, or None."""
    if isinstance(facts, str):
        return facts
    reference, training = scenario.dataset, scenario.training
    if scenario.labelled and facts.series:
        return (
            f"{reference}: labelled validation rows would be taken out of the test, whose windows hold the same steps"
        )
    if training is None:
        return None
    if training.likelihood == "bce" and not facts.unit_interval:
        return f'{reference}: the likelihood bce needs values in [0, 1]; use likelihood = "mse" in its block'
    convolved = registry.convolved(scenario.detector)
    if convolved and len(facts.shape[1] or ()) != convolved:
        such = "sensors or file:…?window=64" if convolved == 1 else "digits:4 or mnist:4"
        return (
            f"{reference}: {scenario.detector} needs {registry.CONVOLVED[convolved]}, and the rows of this data set "
            f"are none; leave {scenario.detector} out of its block, or name a data set such as {such}"
        )
    if training.batch_size > facts.rows and training.small_data == "refuse":
        return (
            f"{reference}: batch_size {training.batch_size} is more than its {facts.rows} training rows, and an epoch "
            'drops its last partial batch; small_data = "one batch" takes them all as one'
        )
    return None
