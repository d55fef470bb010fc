"""Suites: a TOML file names scenarios; scenarios, seeds and rounds make trials.

A suite's top level holds the defaults; each ``[[scenarios]]`` block names data sets and detectors and may replace any
default. The sanity lines ``norm`` and ``mahalanobis`` join every block by themselves, and ``rarity`` where a data set
has categories. Every scenario carries all that
its result depends on, and its hash says so.
"""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.detect import registry
from bench.messages import is_file_name, quoted
from bench.suites import toml
from bench.suites.blocks import Block, agreed, check_gradients, expand, homes, read_block, swept, validated, varied
from bench.suites.checks import SuiteError, check_distinct, check_keys, convert, expanded
from bench.suites.published import Published
from bench.suites.scenario import Positive, Scenario, Seeds, Training, Trial

SHIPPED = Path(__file__).parent
Seconds = Annotated[float, Meta(gt=0, le=366 * 24 * 3600)]
SharedProcess = Literal["none", "classical"]
Lanes = Annotated[int, Meta(ge=1, le=1024)] | Literal["auto"]
Warm = Literal["process", "trials"]
MOST_BLOCKS = 1_000
MOST_TRIALS = 250_000
"""What one suite may plan; a plan of more is a slip, and would take minutes to write down."""


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
    warm: Warm = "process"
    """Which process compiles with what a scenario's first one has kept: one of its own, or those of later seeds and
    rounds, which then take less time and tell nothing of cold compilation."""
    shared_process: SharedProcess = "none"
    """``classical``: the seeds of a scenario without a backend run in one process, which a fresh one each would tell
    nothing new of; their timings count as one."""
    lanes: Lanes = 1
    """Trainings of one shape that are trained together in one program, where nothing is timed: so many at most, or as
    many as is measured to be fastest."""
    notes: tuple[str, ...] = ()
    """What was decided where options left a choice, a sentence each."""
    most: int | None = None
    """Trials that are planned at most, the first of them."""

    def __post_init__(self) -> None:
        # counted before anything is written down
        trials = self.rounds * len(self.seeds) * sum(block.size for block in self.blocks)
        if trials > MOST_TRIALS:
            raise SuiteError(f"{self.name}: a plan of {trials:.3g} trials; at most {MOST_TRIALS:,} are run at once")
        check_distinct(self.seeds, f"{self.name}: seeds")

    def scenarios(self, threads: int) -> list[Scenario]:
        """Every scenario once, in the order of the file; ``threads`` is what 0 stands for."""
        found: dict[str, Scenario] = {}
        for block in self.blocks:
            for scenario in expand(block, threads):
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
        return trials[: self.most]

    @property
    def swept(self) -> bool:
        return any(block.sweep.keys for block in self.blocks)

    def beginning(self, trials: int) -> Suite:
        """The suite with no more than the first so many of its trials."""
        return replace(self, most=trials)

    def with_categories(self, categorical: Collection[str]) -> Suite:
        """With the sanity line of categories on the data sets that have some, wherever the others are."""
        joining = []
        for block in self.blocks:
            points = block.sweep.points(registry.OF_CATEGORIES)
            names = tuple(
                name for name in block.datasets if any(point.reference(name) in categorical for point in points)
            )
            if (
                names
                and set(registry.EVERYWHERE) <= set(block.detectors)
                and registry.OF_CATEGORIES not in block.detectors
            ):
                joining.append(replace(block, datasets=names, detectors=(registry.OF_CATEGORIES,)))
        return replace(self, blocks=(*self.blocks, *joining))

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
        labelled: float | None = None,
        lanes: Lanes | None = None,
        sweep: Mapping[str, Any] | None = None,
        **axes: Sequence[str] | None,
    ) -> Suite:
        """The suite narrowed or varied by command-line options.

        An axis (``datasets``, ``detectors``, ``backends``, ``modes``, ``devices``, ``precisions``) narrows each block
        to the values given; a value that no block names is added to every block. A data set that no block names joins
        the blocks of its family (``digits:7`` those of ``digits:4``), or a block of its own, with the settings that all
        blocks agree on and the suite's defaults where they do not, which ``notes`` tell.
        Numbers (``seeds``, ``rounds``, ``timeout``, ``epochs``, ``batch_sizes``, ``threads``, ``labelled``, ``lanes``)
        replace the suite's own. ``sweep``, a table as a suite has it, replaces the values of swept keys or adds some.
        """
        blocks = list(self.blocks)
        notes = list(self.notes)
        for axis, wanted in axes.items():
            if wanted is None:
                continue
            if axis == "datasets":
                wanted = expanded(wanted, "options")
            named = {value for block in blocks for value in getattr(block, axis)}
            new = [value for value in dict.fromkeys(wanted) if value not in named]
            places = {value: homes(blocks, axis, value, "options") for value in new}
            narrowed = []
            for number, block in enumerate(blocks):
                kept = [value for value in getattr(block, axis) if value in wanted]
                added = [value for value in new if number in places[value]]
                narrowed.append(varied(block, axis, (*kept, *added)))
            if homeless := tuple(value for value in new if not places[value]):
                home, told = agreed(self.defaults, blocks) if axis == "datasets" else (self.defaults, ())
                narrowed.append(varied(home, axis, homeless))
                notes += [f"{one}, for data sets that the suite does not name." for one in told]
            blocks = [block for block in narrowed if getattr(block, axis)]
        if epochs is not None:
            blocks = [replace(block, training=replace(block.training, epochs=epochs)) for block in blocks]
        if batch_sizes is not None:
            blocks = [replace(block, batch_sizes=tuple(dict.fromkeys(batch_sizes))) for block in blocks]
        if threads is not None:
            blocks = [replace(block, threads=tuple(dict.fromkeys(threads))) for block in blocks]
        if labelled is not None:
            blocks = [replace(block, labelled=labelled) for block in blocks]
        if sweep:
            blocks = swept(blocks, sweep, "--sweep")
        return replace(
            self,
            blocks=tuple(validated(block, "options") for block in blocks),
            seeds=self.seeds if seeds is None else tuple(dict.fromkeys(seeds)),
            rounds=self.rounds if rounds is None else rounds,
            timeout=self.timeout if timeout is None else timeout,
            lanes=self.lanes if lanes is None else lanes,
            notes=tuple(notes),
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
            if path.exists():
                raise SuiteError(f"{name_or_path}: it is no file, but a folder or a device")
            names = ", ".join(shipped())
            raise SuiteError(f"{name_or_path}: no such suite; shipped are {names}, or give the path of a TOML file")
    try:
        table = toml.read(path)
    except (toml.TOMLError, UnicodeDecodeError, OSError) as error:
        raise SuiteError(f"{name_or_path}: not a TOML file: {error}") from None
    return _suite(table, path.stem, str(name_or_path))


def single(table: dict[str, Any], *, seed: int, threads: int, where: str) -> tuple[Suite, Scenario]:
    """A suite of one block, given by a table of its keys, and the first scenario of the first detector that it names.

    Raises SuiteError, with ``where`` before it, for what a suite file would be refused for.
    """
    block = read_block(table, where)
    check_gradients(table, [block], where)
    suite = Suite(where, "", (seed,), 1, math.inf, (block,), block)
    return suite, next(found for found in suite.scenarios(threads) if found.detector == block.detectors[0])


def _suite(table: dict[str, Any], stem: str, where: str) -> Suite:
    axes = [f.name for f in fields(Block)]
    valid = [
        "name",
        "description",
        "seeds",
        "rounds",
        "timeout",
        "warm",
        "shared_process",
        "lanes",
        "scenarios",
        "published",
        *axes,
    ]
    check_keys(table, valid, where)
    if not isinstance(table.get("scenarios"), list) or not table["scenarios"]:
        raise SuiteError(f"{where}: a suite needs at least one [[scenarios]] block")
    if len(table["scenarios"]) > MOST_BLOCKS:
        raise SuiteError(f"{where}: {len(table['scenarios']):,} [[scenarios]] blocks; at most {MOST_BLOCKS:,} are read")
    name = convert(table.get("name", stem), str, f"{where}: name")
    if not is_file_name(name):
        raise SuiteError(f"{where}: name: {name[:60]!r} is no plain file name, and the results go to a folder of it")
    top = {key: value for key, value in table.items() if key in axes}
    blocks = []
    for number, own in enumerate(table["scenarios"], start=1):
        place = f"{where}: [[scenarios]] {number}"
        if not isinstance(own, dict):
            raise SuiteError(f"{place}: expected a table")
        block = read_block(_merged(top, own), place)
        for axis in ("datasets", "detectors"):
            if not getattr(block, axis):
                raise SuiteError(f"{place}: names no {axis}")
        check_gradients(own, [block], place)
        blocks.append(block)
    check_gradients(top, blocks, where)
    if "detectors" not in top:
        # a data set given on the command line then runs on every detector that the suite names anywhere
        top["detectors"] = list(dict.fromkeys(name for block in blocks for name in block.detectors))
    tables = table.get("published", [])
    if not isinstance(tables, list):
        raise SuiteError(f"{where}: published: expected [[published]] tables")
    return Suite(
        name=name,
        description=convert(table.get("description", ""), str, f"{where}: description"),
        seeds=convert(table.get("seeds", [0]), Seeds, f"{where}: seeds"),
        rounds=convert(table.get("rounds", 1), Positive, f"{where}: rounds"),
        timeout=convert(table.get("timeout", 1800), Seconds, f"{where}: timeout"),
        warm=convert(table.get("warm", "process"), Warm, f"{where}: warm"),
        shared_process=convert(table.get("shared_process", "none"), SharedProcess, f"{where}: shared_process"),
        lanes=convert(table.get("lanes", 1), Lanes, f"{where}: lanes"),
        blocks=tuple(blocks),
        defaults=read_block(top, where),
        published=tuple(
            _published(own, blocks, f"{where}: [[published]] {number}") for number, own in enumerate(tables, start=1)
        ),
    )


def _published(table: object, blocks: Sequence[Block], where: str) -> Published:
    """One ``[[published]]`` table; SuiteError where no block runs what it is about, since nobody would notice."""
    if not isinstance(table, dict):
        raise SuiteError(f"{where}: expected a table")
    check_keys(table, [f.name for f in fields(Published)], where)
    entry: Published = convert(table, Published, where)
    running = [block for block in blocks if entry.detector in block.detectors]
    if not running:
        raise SuiteError(f"{where}: no block runs {quoted(entry.detector, {d for b in blocks for d in b.detectors})}")
    for reference in entry.datasets:
        if not any(reference in block.datasets for block in running):
            known = dict.fromkeys(name for block in running for name in block.datasets)
            raise SuiteError(f"{where}: no block runs {entry.detector} on {quoted(reference, known)}")
    check_keys(entry.where, [*(f.name for f in fields(Training)), "protocol"], f"{where}: where")
    running = [block for block in running if set(entry.datasets) & set(block.datasets) and _has(block, entry.where)]
    if not running:
        raise SuiteError(f"{where}: no block runs {entry.detector} on its data sets where {entry.where}")
    own = registry.load(entry.detector) if registry.needs_backend(entry.detector) else None
    scores = dict.fromkeys(score for block in running if own for score in block.training.scores_of(own))
    if entry.score is not None and entry.score not in scores:
        raise SuiteError(f"{where}: score: no block scores {entry.detector} by {quoted(entry.score, scores)}")
    rules = dict.fromkeys(str(threshold) for block in running for threshold in block.thresholds)
    if entry.threshold is not None and entry.threshold not in rules:
        raise SuiteError(f"{where}: threshold: no block of {entry.detector} has {quoted(entry.threshold, rules)}")
    return entry


def _has(block: Block, where: Mapping[str, Any]) -> bool:
    """Whether a block has these training keys and this protocol, as far as it says."""
    settings = msgspec.to_builtins(block.training) | {"protocol": block.protocol}
    return all(settings[key] in (value, None) for key, value in where.items())


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The block's own keys over the defaults; ``training``, ``parameters`` and ``sweep`` are merged key by key."""
    merged = dict(defaults) | dict(own)
    for key in ("training", "parameters", "sweep"):
        if isinstance(defaults.get(key), dict) and isinstance(own.get(key), dict):
            merged[key] = defaults[key] | own[key]
    return merged
