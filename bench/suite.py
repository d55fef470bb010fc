"""Suites: a TOML file names scenarios; scenarios, seeds and rounds make trials.

A suite's top level holds the defaults; each ``[[scenarios]]`` block names data sets and detectors and may replace any
default. The sanity lines ``norm`` and ``mahalanobis`` join every block by themselves. Every scenario carries all that
its result depends on, and its hash says so.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import random
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

import backends
import datasets
from backends.spec import (
    LIKELIHOODS,
    Device,
    Likelihood,
    NetworkSpec,
    Optimizer,
    Precision,
    RandomSource,
    TrainingSettings,
)
from bench import detectors
from bench.autoencoder import SCORES, Autoencoder, Score, no_score
from bench.published import Published
from bench.thresholds import ROWS, RULES, Threshold

SHIPPED = Path(__file__).parent / "suites"

Positive = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""What NumPy, scikit-learn and all three frameworks take."""


NO_MEAN = (
    "losses are sums over the features; a mean over them would multiply beta by their number, and the posterior would "
    "collapse; to repeat a published loss that is a mean, set beta to its beta times the number of features"
)


class SuiteError(ValueError):
    """A suite or an option that cannot be run; the message is one line: what is wrong, where, what would be right."""


Threads = Annotated[tuple[Natural, ...], Meta(min_length=1)]
Seeds = Annotated[tuple[Seed, ...], Meta(min_length=1)]
Thresholds = Annotated[tuple[Threshold, ...], Meta(min_length=1)]


@dataclass(frozen=True)
class Training:
    """How the autoencoder family is built, trained and scored; the keys of a ``[training]`` table.

    ``hidden`` and ``latent`` are the detector's own where a suite names none, and ``filters`` are for convolutional
    detectors alone; ``resolved`` puts the values in, and a scenario holds nothing else. The first of ``scores`` is the
    one that is timed; it is what the detector's own scores are, as long as nothing else is said. A detector that has
    no score of some kind is scored by the others. A suite names at least one; what is resolved for a detector that has
    but a score of its own names none.
    """

    epochs: Positive = 30
    batch_size: Positive = 128
    optimizer: Optimizer = "adam"
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    momentum: Fraction = 0.9
    weight_decay: NotNegative = 0.0
    dropout: Fraction = 0.0
    patience: Natural = 0
    hidden: tuple[Positive, ...] | None = None
    latent: Positive | None = None
    filters: tuple[Positive, ...] = (32, 64)
    likelihood: Likelihood = "mse"
    beta: NotNegative = 1.0
    kl_warmup_epochs: Natural = 0
    random_source: RandomSource = "native"
    scores: tuple[Score, ...] = ("reconstruction",)

    def resolved(self, detector: type[Autoencoder]) -> Self:
        """The values that a detector of this class is really built and trained with."""
        return replace(
            self,
            hidden=detector.hidden if self.hidden is None else self.hidden,
            latent=detector.latent if self.latent is None else self.latent,
            filters=self.filters if detector.convolutional else (),
            scores=() if detector.scores_of_its_own else self.scores_of(detector),
        )

    def scores_of(self, detector: type[Autoencoder]) -> tuple[Score, ...]:
        """Those of the scores that a detector of this class has."""
        return tuple(score for score in self.scores if no_score(score, detector.kind, self.likelihood) is None)


@dataclass(frozen=True)
class Scenario:
    """dataset × detector × backend × mode × device × precision, with all settings the result depends on.

    ``backend``, ``mode`` and ``training`` (with every value resolved) are None for the classical detectors;
    ``parameters`` are the constructor arguments of those, and of the classical part of hybrids. The first of
    ``thresholds`` is the one that the record's own metrics are of. ``protocol`` says in words which way of doing it a
    scenario stands for, and ``pictures`` has its trials keep what the pictures of single rows need.
    """

    dataset: str
    detector: str
    backend: str | None
    mode: str | None
    device: Device
    precision: Precision
    threads: int
    thresholds: tuple[Threshold, ...]
    training: Training | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    protocol: str = ""
    pictures: bool = False

    @property
    def hash(self) -> str:
        """16 hex digits over everything above; equal hashes mean equal work."""
        text = msgspec.json.encode(asdict(self), order="sorted")
        return hashlib.sha256(text).hexdigest()[:16]

    @property
    def label(self) -> str:
        """The scenario in one short line, for people."""
        protocol = f" ({self.protocol})" if self.protocol else ""
        if self.backend is None:
            return f"{self.dataset} {self.detector} threads {self.threads}{protocol}"
        training = self.training
        assert training is not None
        what = f"{self.dataset} {self.detector} {self.backend}/{self.mode} {self.device} {self.precision}"
        return f"{what} batch {training.batch_size} threads {self.threads}{protocol}"

    def network(self, features: int, image: tuple[int, int] | None) -> NetworkSpec:
        """The network this scenario trains on rows of so many features, the pixels of an image (height, width) or none.

        Raises ValueError for a convolutional detector on rows that are no image.
        """
        training = self.training
        assert training is not None
        assert training.hidden is not None
        assert training.latent is not None
        return NetworkSpec(
            features=features,
            hidden=training.hidden,
            latent=training.latent,
            kind=detectors.load(self.detector).kind,
            likelihood=training.likelihood,
            image=image if training.filters else None,
            filters=training.filters,
        )

    def training_settings(self, seed: int) -> TrainingSettings:
        """The scenario's settings in the words of the backend interface."""
        assert self.training is not None
        assert self.mode is not None
        return TrainingSettings(
            batch_size=self.training.batch_size,
            optimizer=self.training.optimizer,
            learning_rate=self.training.learning_rate,
            momentum=self.training.momentum,
            weight_decay=self.training.weight_decay,
            dropout=self.training.dropout,
            beta=self.training.beta,
            kl_warmup_epochs=self.training.kl_warmup_epochs,
            seed=seed,
            random_source=self.training.random_source,
            mode=self.mode,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
        )


@dataclass(frozen=True)
class Trial:
    """One scenario, one seed, one round: plain data in, one record out, whoever executes it.

    ``results`` is the directory that the trial may leave its arrays in, absolute; without one it leaves none.
    """

    suite: str
    scenario: Scenario
    seed: int
    round: int
    timed: bool = True
    data_dir: str | None = None
    results: str | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes a trial the same trial when a run goes on."""
        return self.scenario.hash, self.seed, self.round


@dataclass(frozen=True)
class Block:
    """One ``[[scenarios]]`` block after the suite's defaults were filled in.

    Without ``batch_sizes`` the batch is that of ``training``; of ``threads`` 0 is as many as a trial gets by default.
    """

    datasets: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    modes: tuple[str, ...] = ("idiomatic",)
    devices: tuple[Device, ...] = ("cpu",)
    precisions: tuple[Precision, ...] = ("float32",)
    batch_sizes: tuple[Positive, ...] = ()
    threads: Threads = (0,)
    training: Training = Training()
    thresholds: Thresholds = (Threshold(),)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    protocol: str = ""
    pictures: bool = False

    @property
    def trainings(self) -> list[Training]:
        """The training settings, once for each batch size."""
        sizes = self.batch_sizes or (self.training.batch_size,)
        return [replace(self.training, batch_size=size) for size in sizes]


@dataclass(frozen=True)
class Suite:
    """A named set of blocks with seeds, rounds and the time one trial may take (seconds), and what others published."""

    name: str
    description: str
    seeds: tuple[int, ...]
    rounds: int
    timeout: float
    blocks: tuple[Block, ...]
    defaults: Block
    published: tuple[Published, ...] = ()

    def scenarios(self, threads: int) -> list[Scenario]:
        """Every scenario once, in the order of the file; ``threads`` is what 0 stands for."""
        found: dict[str, Scenario] = {}
        for block in self.blocks:
            for scenario in _expand(block, threads):
                found.setdefault(scenario.hash, scenario)
        return list(found.values())

    def trials(
        self, threads: int, *, timed: bool = True, data_dir: str | None = None, results: str | None = None
    ) -> list[Trial]:
        """Every trial in the order it runs: round by round, each round all scenarios and seeds, shuffled.

        The shuffle is keyed by the suite's name and the round, so a run that was stopped goes on in the same order.
        """
        scenarios = self.scenarios(threads)
        trials = []
        for round_ in range(self.rounds):
            batch = [
                Trial(self.name, scenario, seed, round_, timed, data_dir, results)
                for scenario in scenarios
                for seed in self.seeds
            ]
            random.Random(f"{self.name}/{round_}").shuffle(batch)
            trials.extend(batch)
        return trials

    def published_of(self, scenario: Scenario) -> list[dict[str, Any]]:
        """What others published of what this scenario measures, as its records hold it."""
        scores = scenario.training.scores if scenario.training else ()
        settings = msgspec.to_builtins(scenario.training) if scenario.training else dict(scenario.parameters)
        settings["protocol"] = scenario.protocol
        return [
            published.entry
            for published in self.published
            if published.is_about(scenario.dataset, scenario.detector, scores, settings)
        ]

    def vary(
        self,
        *,
        seeds: Sequence[int] | None = None,
        rounds: int | None = None,
        timeout: float | None = None,
        epochs: int | None = None,
        batch_sizes: Sequence[int] | None = None,
        threads: Sequence[int] | None = None,
        **axes: Sequence[str] | None,
    ) -> Suite:
        """The suite narrowed or varied by command-line options.

        An axis (``datasets``, ``detectors``, ``backends``, ``modes``, ``devices``, ``precisions``) narrows each block
        to the values given; a value that no block names is added to every block. A data set that no block names joins
        the blocks of its family (``digits:7`` those of ``digits:4``), or a block of its own under the suite's defaults.
        Numbers (``seeds``, ``rounds``, ``timeout``, ``epochs``, ``batch_sizes``, ``threads``) replace the suite's own.
        """
        blocks = list(self.blocks)
        for axis, wanted in axes.items():
            if wanted is None:
                continue
            named = {value for block in blocks for value in getattr(block, axis)}
            new = [value for value in dict.fromkeys(wanted) if value not in named]
            homes = {value: _homes(blocks, axis, value, "options") for value in new}
            narrowed = []
            for number, block in enumerate(blocks):
                kept = [value for value in getattr(block, axis) if value in wanted]
                added = [value for value in new if number in homes[value]]
                narrowed.append(_with(block, axis, (*kept, *added)))
            if homeless := tuple(value for value in new if not homes[value]):
                narrowed.append(_with(self.defaults, axis, homeless))
            blocks = [block for block in narrowed if getattr(block, axis)]
        if epochs is not None:
            blocks = [replace(block, training=replace(block.training, epochs=epochs)) for block in blocks]
        if batch_sizes is not None:
            blocks = [replace(block, batch_sizes=tuple(batch_sizes)) for block in blocks]
        if threads is not None:
            blocks = [replace(block, threads=tuple(threads)) for block in blocks]
        return replace(
            self,
            blocks=tuple(_validated(block, "options") for block in blocks),
            seeds=self.seeds if seeds is None else tuple(dict.fromkeys(seeds)),
            rounds=self.rounds if rounds is None else rounds,
            timeout=self.timeout if timeout is None else timeout,
        )


def shipped() -> dict[str, str]:
    """The suites that come with the package: name to description."""
    return {path.stem: tomllib.loads(path.read_text())["description"] for path in sorted(SHIPPED.glob("*.toml"))}


def load(name_or_path: str) -> Suite:
    """Reads a shipped suite by name, or a TOML file by path.

    Raises
    ------
    SuiteError
        No such suite, not TOML, or a key or value that does not fit; the nearest valid key is named.
    """
    path = SHIPPED / f"{name_or_path}.toml"
    if not path.is_file():
        path = Path(name_or_path)
        if not path.is_file():
            names = ", ".join(shipped())
            raise SuiteError(f"{name_or_path}: no such suite; shipped are {names}, or give the path of a TOML file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SuiteError(f"{name_or_path}: not a TOML file: {error}") from None
    return _suite(table, path.stem, str(name_or_path))


def single(table: dict[str, Any], *, seed: int, threads: int, where: str) -> tuple[Suite, Scenario]:
    """A suite of one block, given by a table of its keys, and the first scenario of the first detector that it names.

    Raises SuiteError, with ``where`` before it, for what a suite file would be refused for.
    """
    block = _block(table, where)
    suite = Suite(where, "", (seed,), 1, math.inf, (block,), block)
    return suite, next(found for found in suite.scenarios(threads) if found.detector == block.detectors[0])


def _suite(table: dict[str, Any], stem: str, where: str) -> Suite:
    axes = [f.name for f in fields(Block)]
    valid = ["name", "description", "seeds", "rounds", "timeout", "scenarios", "published", *axes]
    _check_keys(table, valid, where)
    if not isinstance(table.get("scenarios"), list) or not table["scenarios"]:
        raise SuiteError(f"{where}: a suite needs at least one [[scenarios]] block")
    top = {key: value for key, value in table.items() if key in axes}
    blocks = []
    for number, own in enumerate(table["scenarios"], start=1):
        place = f"{where}: [[scenarios]] {number}"
        if not isinstance(own, dict):
            raise SuiteError(f"{place}: expected a table")
        block = _block(_merged(top, own), place)
        for axis in ("datasets", "detectors"):
            if not getattr(block, axis):
                raise SuiteError(f"{place}: names no {axis}")
        blocks.append(block)
    if "detectors" not in top:
        # a data set given on the command line then runs on every detector that the suite names anywhere
        top["detectors"] = list(dict.fromkeys(name for block in blocks for name in block.detectors))
    tables = table.get("published", [])
    if not isinstance(tables, list):
        raise SuiteError(f"{where}: published: expected [[published]] tables")
    return Suite(
        name=_convert(table.get("name", stem), str, f"{where}: name"),
        description=_convert(table.get("description", ""), str, f"{where}: description"),
        seeds=tuple(dict.fromkeys(_convert(table.get("seeds", [0]), Seeds, f"{where}: seeds"))),
        rounds=_convert(table.get("rounds", 1), Positive, f"{where}: rounds"),
        timeout=_convert(table.get("timeout", 1800), Annotated[float, Meta(gt=0)], f"{where}: timeout"),
        blocks=tuple(blocks),
        defaults=_block(top, where),
        published=tuple(
            _published(own, blocks, f"{where}: [[published]] {number}") for number, own in enumerate(tables, start=1)
        ),
    )


def _published(table: object, blocks: Sequence[Block], where: str) -> Published:
    """One ``[[published]]`` table; SuiteError where no block runs what it is about, since nobody would notice."""
    if not isinstance(table, dict):
        raise SuiteError(f"{where}: expected a table")
    _check_keys(table, [f.name for f in fields(Published)], where)
    entry: Published = _convert(table, Published, where)
    running = [block for block in blocks if entry.detector in block.detectors]
    if not running:
        raise SuiteError(f"{where}: no block runs {_quoted(entry.detector, {d for b in blocks for d in b.detectors})}")
    for reference in entry.datasets:
        if not any(reference in block.datasets for block in running):
            known = dict.fromkeys(name for block in running for name in block.datasets)
            raise SuiteError(f"{where}: no block runs {entry.detector} on {_quoted(reference, known)}")
    _check_keys(entry.where, [*(f.name for f in fields(Training)), "protocol"], f"{where}: where")
    running = [block for block in running if set(entry.datasets) & set(block.datasets) and _has(block, entry.where)]
    if not running:
        raise SuiteError(f"{where}: no block runs {entry.detector} on its data sets where {entry.where}")
    own = detectors.load(entry.detector) if detectors.needs_backend(entry.detector) else None
    scores = dict.fromkeys(score for block in running if own for score in block.training.scores_of(own))
    if entry.score is not None and entry.score not in scores:
        raise SuiteError(f"{where}: score: no block scores {entry.detector} by {_quoted(entry.score, scores)}")
    rules = dict.fromkeys(str(threshold) for block in running for threshold in block.thresholds)
    if entry.threshold is not None and entry.threshold not in rules:
        raise SuiteError(f"{where}: threshold: no block of {entry.detector} has {_quoted(entry.threshold, rules)}")
    return entry


def _has(block: Block, where: Mapping[str, Any]) -> bool:
    """Whether a block has these training keys and this protocol, as far as it says."""
    settings = msgspec.to_builtins(block.training) | {"protocol": block.protocol}
    return all(settings[key] in (value, None) for key, value in where.items())


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The block's own keys over the defaults; ``training`` and ``parameters`` are merged key by key."""
    merged = dict(defaults) | dict(own)
    for key in ("training", "parameters"):
        if isinstance(defaults.get(key), dict) and isinstance(own.get(key), dict):
            merged[key] = defaults[key] | own[key]
    return merged


def _block(table: dict[str, Any], where: str) -> Block:
    _check_keys(table, [f.name for f in fields(Block)], where)
    _check_training(table.get("training"), f"{where}: training")
    _check_thresholds(table.get("thresholds"), f"{where}: thresholds")
    block = _validated(_convert(table, Block, where), where)
    if not block.detectors:
        return block
    return replace(block, detectors=tuple(dict.fromkeys((*block.detectors, *detectors.SANITY))))


def _check_training(table: object, where: str) -> None:
    """Names the nearest valid key, likelihood or score where one is misspelt, and says why there is no loss that is a
    mean over the features; other faults are left to the conversion."""
    if not isinstance(table, dict):
        return
    likelihood = table.get("likelihood", LIKELIHOODS[0])
    if "reduction" in table:
        raise SuiteError(f"{where}.reduction: {NO_MEAN}")
    if "mean" in str(likelihood).lower():
        raise SuiteError(f"{where}.likelihood: {NO_MEAN}")
    _check_keys(table, [f.name for f in fields(Training)], where)
    _check_choices([likelihood], LIKELIHOODS, f"{where}.likelihood")
    scores = table.get("scores")
    if isinstance(scores, list):
        if not scores:
            raise SuiteError(f"{where}.scores: expected `array` of length >= 1")
        _check_choices(scores, SCORES, f"{where}.scores")
        if len(scores) > len(set(map(str, scores))):
            raise SuiteError(f"{where}.scores: one is named twice")


def _check_thresholds(tables: object, where: str) -> None:
    """Names the nearest valid key, rule or rows where one is misspelt; other faults are left to the conversion."""
    if not isinstance(tables, list):
        return
    for number, table in enumerate(tables, start=1):
        if isinstance(table, dict):
            place = f"{where} {number}"
            _check_keys(table, [f.name for f in fields(Threshold)], place)
            _check_choices([table.get("rule", RULES[0])], RULES, f"{place}: rule")
            _check_choices([table.get("rows", ROWS[0])], ROWS, f"{place}: rows")


def _check_choices(values: Iterable[object], valid: Sequence[str], where: str) -> None:
    for value in values:
        if isinstance(value, str) and value not in valid:
            raise SuiteError(f"{where}: {_quoted(value, valid)}")


def _validated(block: Block, where: str) -> Block:
    """Checks every name in a block against what is registered, and parameters against their detector."""
    for names, valid, axis in (
        (block.detectors, detectors.names(), "detector"),
        (block.backends, backends.names(), "backend"),
        (block.parameters, detectors.names(), "detector in parameters"),
    ):
        for name in names:
            if name.startswith(detectors.GUEST) and axis != "backend":
                try:
                    detectors.load(name)
                except ValueError as error:
                    raise SuiteError(f"{where}: {error}") from None
            elif name not in valid:
                raise SuiteError(f"{where}: no {axis} {name!r}{_nearest(name, valid)}")
    for name, parameters in block.parameters.items():
        kinds = detectors.parameters(name)
        if kinds is None:
            continue
        for key, value in parameters.items():
            if key not in kinds:
                raise SuiteError(f"{where}: {name} has no parameter {key!r}{_nearest(key, kinds)}")
            _convert(value, kinds[key], f"{where}: {name}.{key}")
        if (configurable := detectors.configurable(name)) and parameters:
            try:
                configurable(**parameters)
            except ValueError as error:
                raise SuiteError(f"{where}: {name}: {error}") from None
    for reference in block.datasets:
        _family(reference, where)
    for name in block.detectors:
        if detectors.needs_images(name) and not block.training.filters:
            raise SuiteError(f"{where}: training.filters: {name} needs at least one, for example [32, 64]")
        if block.datasets and detectors.needs_backend(name):
            _check_scores(block.training, name, where)
    if not block.backends and any(detectors.needs_backend(name) for name in block.detectors):
        return replace(block, backends=backends.defaults())
    return block


def _check_scores(training: Training, detector: str, where: str) -> None:
    """A score that no network has under this likelihood, or a network that has none of the scores, is an error; a
    score that one network lacks is left out for it."""
    loaded = detectors.load(detector)
    if loaded.scores_of_its_own:
        return
    kept = training.scores_of(loaded)
    for score in training.scores:
        reason = no_score(score, loaded.kind, training.likelihood)
        if reason is not None and (not kept or no_score(score, "vae", training.likelihood) is not None):
            raise SuiteError(f"{where}: training.scores: {detector}: {reason}")


def _expand(block: Block, threads: int) -> Iterable[Scenario]:
    for dataset, detector in product(block.datasets, block.detectors):
        counts = dict.fromkeys(count or threads for count in block.threads)
        if not detectors.needs_backend(detector):
            # nobody asks how fast a sanity line is
            for count in [threads] if detector in detectors.SANITY else counts:
                yield Scenario(
                    dataset=dataset,
                    detector=detector,
                    backend=None,
                    mode=None,
                    device="cpu",
                    precision="float32",  # what the rows come in
                    threads=count,
                    thresholds=block.thresholds,
                    parameters=dict(block.parameters.get(detector, {})),
                    protocol=block.protocol,
                    pictures=block.pictures,
                )
            continue
        trainings = [training.resolved(detectors.load(detector)) for training in block.trainings]
        for backend, mode, device, precision, training, count in product(
            block.backends, block.modes, block.devices, block.precisions, trainings, counts
        ):
            yield Scenario(
                dataset=dataset,
                detector=detector,
                backend=backend,
                mode=mode,
                device=device,
                precision=precision,
                threads=count,
                thresholds=block.thresholds,
                training=training,
                parameters=dict(block.parameters.get(detector, {})),
                protocol=block.protocol,
                pictures=block.pictures,
            )


def _homes(blocks: Sequence[Block], axis: str, value: str, where: str) -> list[int]:
    """Which blocks a value that none of them names is added to."""
    if axis != "datasets":
        return list(range(len(blocks)))
    family = _family(value, where)
    return [n for n, block in enumerate(blocks) if family in {_family(name, where) for name in block.datasets}]


def _family(reference: str, where: str) -> str:
    """The reference's family; SuiteError where it names no data set."""
    try:
        return datasets.parse(reference).family
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from None


def _with(block: Block, axis: str, values: tuple[str, ...]) -> Block:
    changes: dict[str, Any] = {axis: values}
    return replace(block, **changes)


def _check_keys(table: Mapping[str, Any], valid: Sequence[str], where: str) -> None:
    for key in table:
        if key not in valid:
            raise SuiteError(f"{where}: unknown key {key!r}{_nearest(key, valid)}")


def _quoted(name: str, valid: Iterable[str]) -> str:
    """The name, and the valid one that is nearest to it."""
    return f"{name!r}{_nearest(name, valid)}"


def _nearest(name: str, valid: Iterable[str]) -> str:
    """`` (did you mean 'x'?)``, or the whole list where nothing is near."""
    known = list(valid)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; valid are {', '.join(known) or 'none'}"


def _convert(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as error:
        # msgspec ends its message in " - at `$.path`": the path belongs in front, in the file's own words
        message, _, path = str(error).partition(" - at `$")
        place = path.rstrip("`").lstrip(".")
        raise SuiteError(f"{where}: {place + ': ' if place else ''}{message[:1].lower()}{message[1:]}") from None
