"""Blocks: one ``[[scenarios]]`` table of a suite, checked against what is registered, and its scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Annotated, Any

import msgspec
from msgspec import Meta

import backends
from backends.spec import SCORES, Device, Precision, contradiction
from bench.detect import guests, registry
from bench.detect.autoencoder import no_score
from bench.detect.detector import DetectorError
from bench.messages import nearest
from bench.quality.thresholds import Threshold
from bench.suites import sweeps
from bench.suites.checks import (
    SuiteError,
    check_distinct,
    check_keys,
    check_thresholds,
    check_training,
    convert,
    expanded,
    family,
)
from bench.suites.scenario import Epsilons, Fraction, Positive, Scenario, Threads, Thresholds, Training
from bench.suites.sweeps import Range, Sweep

AXES = ("datasets", "detectors", "backends", "modes", "devices", "precisions", "batch_sizes", "threads")
"""Keys whose values are each run with each of the others."""


@dataclass(frozen=True)
class Block:
    """One ``[[scenarios]]`` block after the suite's defaults were filled in.

    Without ``batch_sizes`` the batch is that of ``training``; of ``threads`` 0 is as many as a trial gets by default.
    ``variants`` are keys of ``training`` with other values, which its networks are trained with too, each beside the
    plain one.
    """

    datasets: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    modes: tuple[str, ...] = ("idiomatic",)
    devices: tuple[Device, ...] = ("cpu",)
    precisions: tuple[Precision, ...] = ("float32",)
    batch_sizes: tuple[Positive, ...] = ()
    threads: Threads = (0,)
    training: Training = field(default_factory=Training)
    variants: Annotated[tuple[dict[str, Any], ...], Meta(max_length=100)] = ()
    thresholds: Thresholds = (Threshold(),)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    protocol: str = ""
    pictures: bool = False
    labelled: Fraction = 0.0
    robustness: Epsilons = ()
    sweep: Sweep = field(default_factory=Sweep)

    @property
    def trainings(self) -> list[tuple[Training, dict[str, Any]]]:
        """The training settings, once for each batch size and variant, with what the variant sets."""
        sizes = self.batch_sizes or (self.training.batch_size,)
        every = product(sizes, ({}, *self.variants))
        return [(replace(self.training, batch_size=size, **variant), variant) for size, variant in every]

    @property
    def size(self) -> int:
        """How many scenarios it stands for at most."""
        runs = max(1, len(self.backends)) * len(self.modes) * len(self.devices) * len(self.precisions)
        sizes = max(1, len(self.batch_sizes)) * (1 + len(self.variants)) * len(self.threads)
        return len(self.datasets) * sum(map(self.sweep.count, self.detectors)) * runs * sizes


def read_block(table: dict[str, Any], where: str) -> Block:
    check_keys(table, [f.name for f in fields(Block)], where)
    check_training(table.get("training"), f"{where}: training")
    check_thresholds(table.get("thresholds"), f"{where}: thresholds")
    sweep = sweeps.read(table.get("sweep", {}), f"{where}: sweep")
    block = convert({key: value for key, value in table.items() if key != "sweep"}, Block, where)
    for axis in AXES:
        check_distinct(getattr(block, axis), f"{where}: {axis}")
    block = replace(block, datasets=tuple(expanded(block.datasets, where)), sweep=sweep)
    block = replace(block, variants=tuple(_variant(block, n, where) for n in range(len(block.variants))))
    block = validated(block, where)
    if not block.detectors:
        return block
    sweeps.check_used(sweep, block.detectors, f"{where}: sweep")
    return replace(block, detectors=tuple(dict.fromkeys((*block.detectors, *registry.EVERYWHERE))))


def _variant(block: Block, number: int, where: str) -> dict[str, Any]:
    """One of a block's variants, with its values as the keys have them."""
    given, place = block.variants[number], f"{where}: variants {number + 1}"
    if not given:
        raise SuiteError(f"{place}: it sets no key, and the plain training is run in any case")
    check_training(given, place)
    for key in given:
        if key in block.sweep.keys or (key == "batch_size" and block.batch_sizes):
            raise SuiteError(f"{place}: {key}: the block varies it already")
    made = convert(msgspec.to_builtins(block.training) | given, Training, place)
    if made == block.training:
        raise SuiteError(f"{place}: it is the plain training")
    if given in block.variants[:number]:
        raise SuiteError(f"{place}: it is variants {block.variants.index(given) + 1} once more")
    return {key: getattr(made, key) for key in given}


def validated(block: Block, where: str) -> Block:
    """Checks every name in a block against what is registered, and parameters against their detector."""
    for names, valid, axis in (
        (block.detectors, registry.names(), "detector"),
        (block.backends, backends.names(), "backend"),
        (block.parameters, registry.names(), "detector in parameters"),
    ):
        for name in names:
            if (axis == "backend" or not name.startswith(guests.GUEST)) and name not in valid:
                raise SuiteError(f"{where}: no {axis} {name!r}{nearest(name, valid)}")
            if axis != "backend":
                try:
                    registry.load(name)
                except DetectorError as error:
                    raise SuiteError(f"{where}: {error}") from None
    for name, parameters in block.parameters.items():
        kinds = registry.parameters(name)
        if kinds is None:
            continue
        for key, value in parameters.items():
            if key not in kinds:
                raise SuiteError(f"{where}: {name} has no parameter {key!r}{nearest(key, kinds)}")
            convert(value, kinds[key], f"{where}: {name}.{key}")
        if (configurable := registry.configurable(name)) and parameters:
            try:
                configurable(**parameters)
            except ValueError as error:
                raise SuiteError(f"{where}: {name}: {error}") from None
    for reference in block.datasets:
        family(reference, where)
    sweeps.check_data(block.sweep, block.datasets, f"{where}: sweep")
    if block.batch_sizes and "batch_size" in block.sweep.keys:
        raise SuiteError(f"{where}: sweep.batch_size: the block varies it by batch_sizes already")
    for name in block.detectors:
        for training in _distinct(block, name):
            if registry.convolved(name) and not training.filters:
                raise SuiteError(f"{where}: training.filters: {name} needs at least one, for example [32, 64]")
            if registry.convolved(name) and len(training.strides) not in (0, len(training.filters)):
                raise SuiteError(
                    f"{where}: training.strides: one for each of the {len(training.filters)} filters, or none at all, "
                    f"not {len(training.strides)}"
                )
            if block.datasets and registry.needs_backend(name):
                _check_scores(training, name, where)
                _check_training(training, name, where)
    if not block.backends and any(registry.needs_backend(name) for name in block.detectors):
        return replace(block, backends=backends.defaults())
    return block


def _distinct(block: Block, detector: str) -> Iterable[Training]:
    """The training settings that differ in what names have to agree on."""
    swept_here = block.sweep.of(detector)
    own = {
        key: tuple(values) for key, values in swept_here.items() if not isinstance(values, Range) and key in _AGREEING
    }
    points = [dict(zip(own, values, strict=True)) for values in product(*own.values())]
    return (
        replace(training, **point) for (training, _), point in product(replace(block, batch_sizes=()).trainings, points)
    )


_AGREEING = (
    "likelihood",
    "scores",
    "filters",
    "strides",
    "beta",
    "kl_warmup_epochs",
    "kl_cycle_epochs",
    "prior",
    "components",
    "free_bits",
    "importance_samples",
)


def _check_training(training: Training, detector: str, where: str) -> None:
    """SuiteError for settings that contradict one another, or that say nothing of this detector's network."""
    loaded = registry.load(detector)
    scenario = Scenario("", detector, "", "", "cpu", "float32", 1, (), training.resolved(loaded))
    try:
        network = scenario.network(1, (1,) * registry.convolved(detector) or None)
        reason = contradiction(network, scenario.training_settings(0))
    except ValueError as error:
        reason = str(error)
    if reason is not None:
        raise SuiteError(f"{where}: training: {detector}: {reason}")


def _check_scores(training: Training, detector: str, where: str) -> None:
    """A score that no network has under this likelihood, or a network that has none of the scores, is an error; a
    score that one network lacks is left out for it."""
    loaded = registry.load(detector)
    if loaded.scores_of_its_own:
        return
    kept = training.scores_of(loaded)
    for score in training.scores:
        reason = no_score(score, loaded.kind, training.likelihood)
        if reason is not None and (not kept or no_score(score, "vae", training.likelihood) is not None):
            raise SuiteError(f"{where}: training.scores: {detector}: {reason}")


def gradient_of(training: Training, detector: str) -> str | None:
    """Why a network's score has no gradient, or None."""
    loaded = registry.load(detector)
    if loaded.scores_of_its_own:
        return f"{detector} scores by what has no gradient"
    score = training.scores_of(loaded)[0]
    return None if score in SCORES else f"the score {score!r} of {detector} has no gradient here: name another first"


def check_gradients(table: Mapping[str, Any], blocks: Sequence[Block], where: str) -> None:
    """SuiteError where a table of keys asks for gradients of detectors of which none has any."""
    named = [name for block in blocks for name in block.detectors]
    training = table.get("training")
    if isinstance(training, dict) and training.get("adversarial") and not any(map(registry.needs_backend, named)):
        raise SuiteError(f"{where}: training.adversarial: needs a network, and there is none among {listed(named)}")
    if not table.get("robustness"):
        return
    reasons = []
    for block in blocks:
        for name in block.detectors:
            if registry.needs_backend(name):
                reasons.append(gradient_of(block.training, name))
            elif name not in registry.EVERYWHERE or name in table.get("detectors", ()):
                known = hasattr(registry.load(name), "slope")
                reasons.append(None if known else f"the score of {name} has no gradient")
    if reasons and None not in reasons:
        raise SuiteError(f"{where}: robustness: {reasons[0]}")


def listed(names: Sequence[str]) -> str:
    """Those that a table itself names, so far as there are others."""
    own = [name for name in dict.fromkeys(names) if name not in registry.EVERYWHERE]
    return ", ".join(own) if own else ", ".join(dict.fromkeys(names))


def expand(block: Block, threads: int) -> Iterable[Scenario]:
    for base, detector in product(block.datasets, block.detectors):
        counts = dict.fromkeys(count or threads for count in block.threads)
        points = block.sweep.points(detector)
        parameters = block.parameters.get(detector, {})
        if not registry.needs_backend(detector):
            for point, count in product(points, counts):
                yield Scenario(
                    dataset=point.reference(base),
                    detector=detector,
                    backend=None,
                    mode=None,
                    device="cpu",
                    precision="float32",  # what the rows come in
                    threads=count,
                    thresholds=block.thresholds,
                    parameters=point.parameters(parameters),
                    protocol=block.protocol,
                    pictures=block.pictures,
                    labelled=block.labelled,
                    robustness=block.robustness if hasattr(registry.load(detector), "slope") else (),
                    swept=dict(point.values),
                )
            continue
        loaded = registry.load(detector)
        for backend, mode, device, precision, (training, variant), point, count in product(
            block.backends, block.modes, block.devices, block.precisions, block.trainings, points, counts
        ):
            trained = point.training(training).resolved(loaded)
            yield Scenario(
                dataset=point.reference(base),
                detector=detector,
                backend=backend,
                mode=mode,
                device=device,
                precision=precision,
                threads=count,
                thresholds=block.thresholds,
                training=trained,
                parameters=point.parameters(parameters),
                protocol=block.protocol,
                pictures=block.pictures,
                labelled=block.labelled,
                robustness=block.robustness if gradient_of(trained, detector) is None else (),
                swept=dict(point.values),
                varied=variant,
            )


def swept(blocks: Sequence[Block], table: Mapping[str, Any], where: str) -> list[Block]:
    """The blocks with a sweep's keys over their own; SuiteError where a key concerns no detector of any."""
    given = {key: value for key, value in table.items() if key != sweeps.SAMPLE}
    if given:
        read = sweeps.read({**given, sweeps.SAMPLE: 1}, where)
        sweeps.check_used(read, dict.fromkeys(name for block in blocks for name in block.detectors), where)
    elif not any(block.sweep.keys for block in blocks):
        raise SuiteError(f"{where}.{sweeps.SAMPLE}: no key is swept")
    return [
        replace(block, sweep=sweeps.read(table, where, block.sweep)) if given or block.sweep.keys else block
        for block in blocks
    ]


def homes(blocks: Sequence[Block], axis: str, value: str, where: str) -> list[int]:
    """Which blocks a value that none of them names is added to."""
    if axis != "datasets":
        return list(range(len(blocks)))
    own = family(value, where)
    return [n for n, block in enumerate(blocks) if own in {family(name, where) for name in block.datasets}]


def agreed(defaults: Block, blocks: Sequence[Block]) -> tuple[Block, tuple[str, ...]]:
    """The defaults with the settings that all blocks agree on, key by key, and a clause for where they do not.

    What only networks have is asked of the blocks that run one.
    """
    networks = [block for block in blocks if any(map(registry.needs_backend, block.detectors))] or blocks
    changes: dict[str, Any] = {}
    differing: list[str] = []
    for name in (f.name for f in fields(Block) if f.name not in ("datasets", "detectors", "training")):
        own = networks if name in ("backends", "modes", "devices", "precisions", "batch_sizes", "variants") else blocks
        value = getattr(own[0], name)
        if all(getattr(block, name) == value for block in own):
            changes[name] = value
        else:
            differing.append(f"{name} = {_told(getattr(defaults, name))}")
    training: dict[str, Any] = {}
    for name in (f.name for f in fields(Training)):
        value = getattr(networks[0].training, name)
        if all(getattr(block.training, name) == value for block in networks):
            training[name] = value
        else:
            differing.append(f"training.{name} = {_told(getattr(defaults.training, name))}")
    changes["training"] = replace(defaults.training, **training)
    told = f"The suite's blocks differ, so its defaults are used: {', '.join(differing)}"
    return replace(defaults, **changes), ((told,) if differing else ())


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "the detector's own" if value is None else str(value) or "none"


def varied(block: Block, axis: str, values: tuple[str, ...]) -> Block:
    changes: dict[str, Any] = {axis: values}
    return replace(block, **changes)
