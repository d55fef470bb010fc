"""What is run: training settings, the scenario that they belong to, and the trial of a scenario."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from backends.adversarial import Adversarial
from backends.spec import (
    Activation,
    Decoder,
    Device,
    Kernel,
    Likelihood,
    NetworkSpec,
    Optimizer,
    Precision,
    Prior,
    RandomSource,
    Stride,
    TrainingSettings,
)
from bench.detect import registry
from bench.detect.autoencoder import Autoencoder, Score, no_score
from bench.messages import plain
from bench.quality.thresholds import Threshold

DATA = "data"
"""What stands before an option of the data sets among swept keys, as a detector before its parameter."""
MOST = 10**6
"""Of anything that is counted in a suite: rows of a batch, units of a layer, epochs, rounds."""
Positive = Annotated[int, Meta(ge=1, le=MOST)]
Natural = Annotated[int, Meta(ge=0, le=MOST)]
NotNegative = Annotated[float, Meta(ge=0, le=1e12)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""What NumPy, scikit-learn and all three frameworks take."""


Widths = Annotated[tuple[Positive, ...], Meta(max_length=100)]
"""Of layers: no framework compiles thousands of them."""
Threads = Annotated[tuple[Natural, ...], Meta(min_length=1)]
Seeds = Annotated[tuple[Seed, ...], Meta(min_length=1)]
Epsilons = Annotated[tuple[Annotated[float, Meta(gt=0, le=1e12)], ...], Meta(max_length=20)]
Thresholds = Annotated[tuple[Threshold, ...], Meta(min_length=1)]


@dataclass(frozen=True)
class Training:
    """How the autoencoder family is built, trained and scored; the keys of a ``[training]`` table.

    ``hidden`` and ``latent`` are the detector's own where a suite names none, and the keys of ``CONVOLUTIONAL`` are for
    convolutional detectors alone; ``resolved`` puts the values in, and a scenario holds nothing else. ``strides`` are 2
    where there are none. The first of ``scores`` is the one that is timed; it is what the detector's own scores are, as
    long as nothing else is said. A detector that has no score of some kind is scored by the others. A suite names at
    least one; what is resolved for a detector that has but a score of its own names none. ``small_data`` says what
    becomes of a batch that is larger than the training rows: the data set is refused, or all its rows are one batch.
    """

    epochs: Positive = 30
    batch_size: Positive = 128
    optimizer: Optimizer = "adam"
    learning_rate: Annotated[float, Meta(gt=0, le=1e12)] = 1e-3
    momentum: Fraction = 0.9
    weight_decay: NotNegative = 0.0
    dropout: Fraction = 0.0
    input_noise: NotNegative = 0.0
    patience: Natural = 0
    hidden: Widths | None = None
    latent: Positive | None = None
    filters: Widths = (32, 64)
    likelihood: Likelihood = "mse"
    prior: Prior = "normal"
    components: Annotated[int, Meta(ge=0, le=256)] = 0
    beta: NotNegative = 1.0
    importance_samples: Annotated[int, Meta(ge=1, le=1000)] = 1
    kl_warmup_epochs: Natural = 0
    kl_cycle_epochs: Natural = 0
    free_bits: NotNegative = 0.0
    random_source: RandomSource = "native"
    scores: tuple[Score, ...] = ("reconstruction",)
    small_data: Literal["refuse", "one batch"] = "refuse"
    activation: Activation = "relu"
    kernel: Kernel = 3
    strides: tuple[Stride, ...] = ()
    decoder: Decoder = "mirrored"
    adversarial: Adversarial | None = None
    stream_rows: Annotated[int, Meta(ge=0, le=10**9)] = 0

    @property
    def table(self) -> dict[str, Any]:
        """The settings by their names, as records and hashes hold them.

        Those of ``_YOUNGER`` stand among them only where they are used: what was hashed before there was such a key
        keeps its hash.
        """
        return {key: value for key, value in asdict(self).items() if _YOUNGER.get(key, ...) != value}

    def resolved(self, detector: type[Autoencoder]) -> Self:
        """The values that a detector of this class is really built and trained with."""
        return replace(
            self,
            hidden=detector.hidden if self.hidden is None else self.hidden,
            latent=detector.latent if self.latent is None else self.latent,
            filters=self.filters if detector.convolutional else (),
            kernel=self.kernel if detector.convolutional else 3,
            strides=self.strides if detector.convolutional and set(self.strides) != {2} else (),
            decoder=self.decoder if detector.convolutional else "mirrored",
            scores=() if detector.scores_of_its_own else self.scores_of(detector),
        )

    def scores_of(self, detector: type[Autoencoder]) -> tuple[Score, ...]:
        """Those of the scores that a detector of this class has."""
        return tuple(score for score in self.scores if no_score(score, detector.kind, self.likelihood) is None)


CONVOLUTIONAL = ("filters", "kernel", "strides", "decoder")
"""Keys of convolutional detectors alone."""
_YOUNGER: dict[str, Any] = {
    "small_data": "refuse",
    "activation": "relu",
    "kernel": 3,
    "strides": (),
    "decoder": "mirrored",
    "prior": "normal",
    "components": 0,
    "input_noise": 0.0,
    "importance_samples": 1,
    "kl_cycle_epochs": 0,
    "free_bits": 0.0,
    "adversarial": None,
    "stream_rows": 0,
}
"""Keys that came after the first records, with what they are where nobody sets them."""


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
    threads: Positive
    thresholds: tuple[Threshold, ...]
    training: Training | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    protocol: str = ""
    pictures: bool = False
    labelled: Fraction = 0.0
    """Share of the test rows that is taken out of them, with its labels, for a choice between settings."""
    robustness: Epsilons = ()
    """How far anomalies are moved to look normal, to see what is left of the ROC AUC."""
    swept: dict[str, Any] = field(default_factory=dict)
    """The values of a sweep's keys here; they stand among the settings too, and make no other scenario."""
    varied: dict[str, Any] = field(default_factory=dict)
    """The keys that a variant sets otherwise than its block, with their values; as for ``swept``."""

    @property
    def table(self) -> dict[str, Any]:
        """Everything above that makes it what it is, by its name.

        ``labelled`` and ``robustness`` stand there only where they are used, so that what was hashed before keeps its
        hash.
        """
        table = asdict(self) | {"training": self.training.table if self.training else None}
        del table["swept"], table["varied"]
        for younger in ("labelled", "robustness"):
            if not table[younger]:
                del table[younger]
        return table

    @cached_property
    def hash(self) -> str:
        """16 hex digits over the ``table``; equal hashes mean equal work."""
        text = msgspec.json.encode(self.table, order="sorted")
        return hashlib.sha256(text).hexdigest()[:16]

    @property
    def label(self) -> str:
        """The scenario in one short line, for people and their terminals."""
        protocol = f" ({self.protocol})" if self.protocol else ""
        # swept options of the data set stand in its name
        own = self.varied | {key: value for key, value in self.swept.items() if not key.startswith(f"{DATA}.")}
        protocol += "".join(f" {key}={_told(value)}" for key, value in own.items())
        if self.backend is None:
            return plain(f"{self.dataset} {self.detector} threads {self.threads}{protocol}")
        training = self.training
        assert training is not None
        what = f"{self.dataset} {self.detector} {self.backend}/{self.mode} {self.device} {self.precision}"
        return plain(f"{what} batch {training.batch_size} threads {self.threads}{protocol}")

    @property
    def moves(self) -> int:
        """How often adversarial training moves the inputs of a step."""
        adversarial = self.training.adversarial if self.training else None
        return adversarial.moves if adversarial else 0

    def network(self, features: int, image: tuple[int, ...] | None) -> NetworkSpec:
        """The network this scenario trains on rows of so many features: the pixels of an image (height, width), the
        steps of a window (steps,), or neither.

        Raises ValueError for a convolutional detector on rows that are not what its convolutions run over.
        """
        training, convolved = self.training, registry.convolved(self.detector)
        assert training is not None
        assert training.hidden is not None
        assert training.latent is not None
        if convolved and len(image or ()) != convolved:
            raise ValueError(f"{self.detector} needs {registry.CONVOLVED[convolved]}, not rows of shape {image}")
        return NetworkSpec(
            features=features,
            hidden=training.hidden,
            latent=training.latent,
            kind=registry.load(self.detector).kind,
            likelihood=training.likelihood,
            prior=training.prior,
            components=training.components,
            image=image if training.filters else None,
            filters=training.filters,
            activation=training.activation,
            kernel=training.kernel,
            strides=training.strides,
            decoder=training.decoder,
        )

    def training_settings(self, seed: int, rows: int | None = None) -> TrainingSettings:
        """The scenario's settings in the words of the backend interface, for so many training rows, if that matters."""
        assert self.training is not None
        assert self.mode is not None
        small = self.training.small_data == "one batch" and rows is not None
        return TrainingSettings(
            batch_size=min(self.training.batch_size, rows) if small and rows else self.training.batch_size,
            optimizer=self.training.optimizer,
            learning_rate=self.training.learning_rate,
            momentum=self.training.momentum,
            weight_decay=self.training.weight_decay,
            dropout=self.training.dropout,
            input_noise=self.training.input_noise,
            beta=self.training.beta,
            importance_samples=self.training.importance_samples,
            kl_warmup_epochs=self.training.kl_warmup_epochs,
            kl_cycle_epochs=self.training.kl_cycle_epochs,
            free_bits=self.training.free_bits,
            adversarial=self.training.adversarial,
            seed=seed,
            random_source=self.training.random_source,
            mode=self.mode,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            stream_rows=self.training.stream_rows,
        )

    def shrunk(self, rows: int) -> tuple[str, ...]:
        """What the notes say where the batch is larger than so many training rows, and all of them are one."""
        if self.training is None or self.training.batch_size <= rows:
            return ()
        return (f"batch_size {self.training.batch_size} is more than the {rows} training rows: they are one batch",)


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "-".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)


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
