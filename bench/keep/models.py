"""A trained detector on the disk: one safetensors file with all that it takes to score raw rows, and no pickle.

The arrays are the network's canonical weights, or, for a detector that has none, the training rows, on which it is
fitted again; what the preprocessing was fitted to; and a few rows with their scores, which tell at every load whether
the detector is still the one that was saved. The settings stand as JSON in the metadata. All of it is untrusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import backends
from backends import spec, weights
from bench import DISTRIBUTION
from bench.detect import registry
from bench.detect.detector import Rows, one_a_row
from bench.messages import one_line
from bench.quality.steps import step_scores
from bench.suites import suite
from bench.suites.building import built
from bench.suites.scenario import Scenario, Seed
from datasets.dataset import Dataset, Series
from datasets.preprocessing import Preprocessing
from datasets.scaling import Scaler
from datasets.storage import write_atomically
from datasets.windows import Windowing
from datasets.windows import restored as restored_preprocessing

FORMAT = 1
KEY = DISTRIBUTION
"""Of the JSON in the metadata."""
PROBED = 16
"""Validation rows whose scores are kept."""
AGREEMENT = 1e-3
"""How far a score may lie from the one that was saved, as a share of the largest: another framework or processor
rounds otherwise, another model is nowhere near."""
DECISION = "decision"
"""The name of the score of a detector that has but one."""

WEIGHTS, ROWS, TYPICAL, PROBE, PROBE_SCORES, FITTED = (
    "weights.", "rows", "typical", "probe", "probe_scores", "preprocessing."
)  # fmt: skip


class ModelError(ValueError):
    """A model that cannot be made, read or used; the message is one line."""


@dataclass(frozen=True)
class Card:
    """What a model says of itself: the JSON of its file.

    ``scores`` are the kinds of score it has thresholds for, the first being what it scores by if nothing else is said;
    ``levels`` are those thresholds, by the first of the scenario's rules.
    """

    format: int
    scenario: Scenario
    seed: Seed
    checksum: str
    train_rows: int
    image: tuple[int, ...] | None
    scores: tuple[str, ...]
    levels: tuple[float, ...]
    preprocessing: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True, eq=False)
class Model:
    """A card, the preprocessing, and arrays by their names in the file."""

    card: Card
    preprocessing: Preprocessing | Windowing
    arrays: dict[str, NDArray[Any]]

    @property
    def columns(self) -> Preprocessing:
        """What is done with the raw columns, of rows or of the steps of a series."""
        return self.preprocessing.steps if isinstance(self.preprocessing, Windowing) else self.preprocessing

    def level(self, kind: str) -> float:
        """The threshold of a kind of score; ModelError names those that there are."""
        if kind not in self.card.scores:
            raise ModelError(f"the model has no threshold for the score {kind!r}; it has {', '.join(self.card.scores)}")
        return self.card.levels[self.card.scores.index(kind)]


def kinds(scenario: Scenario, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """The scores that a detector gets thresholds for: those asked for, else all that its network has.

    The first is the detector's own, and what is not said otherwise that of the scenario.
    """
    training = scenario.training
    if training is None or not training.scores:
        if asked:
            raise ModelError(f"{scenario.detector} has one score of its own; --scores is for vae and its kind")
        return (DECISION,)
    network = scenario.network(1, (1,) * registry.convolved(scenario.detector) or None)
    return tuple(dict.fromkeys(asked or (*training.scores, *network.scores)))


def scored(detector: Any, X: Rows, kind: str) -> NDArray[np.float64]:
    """One score a row, of a kind or the detector's only one. Raises DetectorError where it gives something else."""
    found = detector.decision_function(X) if kind == DECISION else detector.score(X, kind)
    return one_a_row(found, len(X))


def snapshot(detector: Any, scenario: Scenario, data: Dataset, seed: int, scores: Sequence[str]) -> Model:
    """The model of a detector that was just trained on the data. Raises ModelError where it cannot be kept."""
    rule = scenario.thresholds[0]
    arrays: dict[str, NDArray[Any]] = {PROBE: data.X_val[:PROBED].copy()}
    levels, probes = [], []
    for kind in scores:
        validation = scored(detector, data.X_val, kind)
        train = scored(detector, data.X_train, kind) if rule.rows == "train" else None
        if not np.isfinite(validation).all() or (train is not None and not np.isfinite(train).all()):
            raise ModelError(f"{scenario.detector}: the scores are not all finite: training diverged")
        judged = validation
        if data.series is not None:
            judged = by_steps(data.series, "validation", validation)
            train = None if train is None else by_steps(data.series, "train", train)
        try:
            levels.append(rule(judged, None, train=train))
        except ValueError as error:
            raise ModelError(one_line(error)) from None
        probes.append(validation[:PROBED])
    arrays[PROBE_SCORES] = np.array(probes)
    if scenario.training:
        arrays |= {WEIGHTS + name: array for name, array in detector.model.export_weights().items()}
        arrays[TYPICAL] = data.X_train.mean(axis=0, dtype=np.float64)[None].astype(np.float32)
    if _needs_rows(scenario, scores):
        arrays[ROWS] = data.X_train
    words, fitted = (data.preprocessing or _as_they_are(data)).saved()
    arrays |= {FITTED + name: array for name, array in fitted.items()}
    card = Card(
        format=FORMAT,
        scenario=scenario,
        seed=seed,
        checksum=data.checksum,
        train_rows=len(data.X_train),
        image=data.grid,
        scores=tuple(scores),
        levels=tuple(levels),
        preprocessing=words,
        versions=_versions(scenario.backend),
    )
    return Model(card, restored_preprocessing(words, fitted), arrays)


def by_steps(series: Series, part: Literal["train", "validation", "test"], scores: Rows) -> NDArray[np.float64]:
    """The scores of a part's steps, of those that lie in a window."""
    stretch = {"train": series.train, "validation": series.val, "test": series.test}[part]
    found = step_scores(scores, stretch, series.window)
    return found[np.isfinite(found)]


def write(path: Path, model: Model) -> None:
    """Writes the file whole or not at all. Raises DatasetError where it cannot be written."""
    metadata = {KEY: msgspec.json.encode(model.card).decode()}
    arrays = {name: np.ascontiguousarray(array) for name, array in model.arrays.items()}
    write_atomically(path, save(arrays, metadata=metadata))


def read(path: Path) -> Model:
    """Reads a model and checks that all of its parts fit each other. Raises ModelError, in one line, where not."""
    if not path.is_file():
        raise ModelError(f"there is no model {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise ValueError("its metadata hold no settings")
            number = msgspec.json.decode(text, type=_Numbered).format
            if number != FORMAT:
                raise ValueError(f"it is of format {number}, and this version reads format {FORMAT}")
            card = msgspec.json.decode(text, type=Card)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        return _checked(card, arrays)
    except (SafetensorError, msgspec.DecodeError, TypeError, ValueError, OSError) as error:
        raise ModelError(f"{path} cannot be read as a model of 'bench fit': {one_line(error)}") from error


def restored(model: Model, kind: str, *, backend: str | None = None, threads: int = 1) -> Any:
    """The detector, ready to score by that kind, on the backend it was trained with or on another.

    Raises ModelError, in one line, where that backend is not here, or where it scores otherwise than it did when saved.
    """
    card, scenario = model.card, model.card.scenario
    model.level(kind)
    if scenario.backend is None:
        if backend is not None:
            raise ModelError(f"{scenario.detector} runs on no backend: leave --backend out")
        if reason := registry.unavailable(scenario.detector, scenario.parameters):
            raise ModelError(f"{scenario.detector}: {reason}")
        groups = () if isinstance(model.preprocessing, Windowing) else model.preprocessing.groups
        detector = built(replace(scenario, threads=threads), 0, None, seed=card.seed, groups=groups)
        try:
            detector.fit(model.arrays[ROWS])
        except (ValueError, MemoryError) as error:
            raise ModelError(f"{scenario.detector} cannot be fitted to the model's rows: {one_line(error)}") from None
    else:
        name = backend or scenario.backend
        if name not in backends.names():
            raise ModelError(f"no backend {name!r}; there are: {', '.join(backends.names())}")
        if reason := backends.unavailable(name):
            raise ModelError(f"backend {name}: {reason}; any other scores the model too: --backend NAME")
        here = _elsewhere(scenario, name, threads)
        detector = built(here, len(model.preprocessing.feature_names), card.image, seed=card.seed, score=kind)
        detector.take(_weights(model.arrays), model.arrays.get(ROWS, model.arrays[TYPICAL]))
    _probe(model, detector, kind)
    return detector


def _elsewhere(scenario: Scenario, backend: str, threads: int) -> Scenario:
    """The scenario for scoring here: on the CPU, and without a mode that another backend may not have."""
    return replace(scenario, backend=backend, mode="idiomatic", device="cpu", threads=threads)


def _needs_rows(scenario: Scenario, scores: Sequence[str]) -> bool:
    """Whether something besides a network was fitted on the training rows."""
    return scenario.training is None or scores[0] == DECISION or not set(scores) <= set(spec.SCORES)


def _as_they_are(data: Dataset) -> Preprocessing:
    """For a data set that tells of no preprocessing: raw columns are the features."""
    nothing = Scaler("none", np.zeros(data.features), np.ones(data.features), np.zeros((0, data.features)))
    return Preprocessing(data.feature_names, nothing)


def _versions(backend: str | None) -> dict[str, str]:
    found = backends.versions(backend) if backend else {}
    for package in (DISTRIBUTION, "numpy", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _weights(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(WEIGHTS): array for name, array in arrays.items() if name.startswith(WEIGHTS)}


def _checked(card: Card, arrays: dict[str, NDArray[Any]]) -> Model:
    """The model, once every field is what it has to be; ValueError in one line otherwise."""
    scenario = card.scenario
    _check_scenario(scenario, card.seed)
    if not card.scores or len(card.levels) != len(card.scores) or not np.isfinite(card.levels).all():
        raise ValueError("it has not one threshold for each of its scores")
    valid = kinds(scenario)
    if foreign := [name for name in card.scores if name not in valid] or len(set(card.scores)) < len(card.scores):
        raise ValueError(f"{scenario.detector} has the scores {', '.join(valid)}, and the model says {card.scores}")
    if card.image is not None and min(card.image, default=0) < 1:
        raise ValueError(f"it says that its rows are images of {' × '.join(map(str, card.image)) or 'no'} pixels")
    fitted = {name.removeprefix(FITTED): array for name, array in arrays.items() if name.startswith(FITTED)}
    preprocessing = restored_preprocessing(card.preprocessing, fitted)
    features = len(preprocessing.feature_names)
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        PROBE: ((-1, features), np.float32),
        PROBE_SCORES: ((len(card.scores), -1), np.float64),
    }
    if scenario.training:
        weights.check(_weights(arrays), scenario.network(features, card.image))
        expected[TYPICAL] = ((1, features), np.float32)
    if _needs_rows(scenario, card.scores):
        expected[ROWS] = ((card.train_rows, features), np.float32)
    for name, (shape, kind) in expected.items():
        array = arrays.get(name)
        if array is None:
            raise ValueError(f"the array {name!r} is missing")
        fits = array.ndim == 2 and all(wanted in (-1, size) for wanted, size in zip(shape, array.shape, strict=True))
        if not fits or array.dtype != kind or not len(array) or not np.isfinite(array).all():
            raise ValueError(f"the array {name!r} wants finite numbers of type {np.dtype(kind)} and shape {shape}")
    if len(arrays[PROBE]) != arrays[PROBE_SCORES].shape[1]:
        raise ValueError(f"the arrays {PROBE!r} and {PROBE_SCORES!r} do not fit each other")
    known = (*expected, *(name for name in arrays if name.startswith((WEIGHTS, FITTED))))
    if foreign := [name for name in arrays if name not in known]:
        raise ValueError(f"it holds an array {foreign[0]!r} that no model has")
    return Model(card, preprocessing, arrays)


def _check_scenario(scenario: Scenario, seed: int) -> None:
    """Raises ValueError unless a suite could have planned the scenario, with all that it says."""
    network = registry.needs_backend(scenario.detector) if scenario.detector in registry.names() else False
    if network != (scenario.training is not None and scenario.backend is not None and scenario.mode is not None):
        raise ValueError(f"settings and the detector {scenario.detector} do not go together")
    training = scenario.training.table if scenario.training else {}
    block = {
        "datasets": ["blobs"],  # that it was trained on is not needed here
        "detectors": [scenario.detector],
        "backends": [scenario.backend] if scenario.backend else [],
        "modes": [scenario.mode or "idiomatic"],
        "devices": [scenario.device],
        "precisions": [scenario.precision],
        "threads": [scenario.threads],
        # what has no entry is what such a detector never has any of, but for hidden layers, which may be none
        "training": {name: value for name, value in training.items() if value != () or name == "hidden"},
        "thresholds": msgspec.to_builtins(scenario.thresholds),
        "parameters": {scenario.detector: scenario.parameters} if scenario.parameters else {},
        "protocol": scenario.protocol,
        "pictures": scenario.pictures,
    }
    _, planned = suite.single(block, seed=seed, threads=1, where="settings")
    if replace(planned, dataset=scenario.dataset) != scenario:
        raise ValueError(f"settings: no suite could say this of {scenario.detector}")


def _probe(model: Model, detector: Any, kind: str) -> None:
    """ModelError where rows score otherwise than they did when the model was saved."""
    kept = model.arrays[PROBE_SCORES][model.card.scores.index(kind)]
    found = scored(detector, model.arrays[PROBE], kind)
    if not np.allclose(found, kept, rtol=AGREEMENT, atol=AGREEMENT * np.abs(kept).max()):
        here = _versions(model.card.scenario.backend)
        changed = [
            f"{name} {then}, here {here.get(name)}"
            for name, then in model.card.versions.items()
            if here.get(name) != then
        ]
        why = f"; it was made with {changed[0]}" if changed else ""
        raise ModelError(f"the model scores otherwise here than when it was saved{why}: fit it again")


@dataclass(frozen=True)
class _Numbered:
    """What every format has."""

    format: int
