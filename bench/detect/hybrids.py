"""Hybrids: a VAE learns a latent space, and another detector judges it.

They are stepped like the VAE itself; whatever needs the trained network is fitted in ``finish``, which the worker times
as a phase of that name.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from backends.interface import Backend
from backends.spec import NetworkSpec, TrainingSettings
from bench import DISTRIBUTION
from bench.detect import registry
from bench.detect.autoencoder import VAE, Score
from bench.detect.classical import IsolationForest, NearestNeighbours, OneClassSVM
from bench.detect.detector import Rows

FITTED_AFTERWARDS = "training rate: of the network's epochs; fitting the rest of the hybrid counts in result seconds"


class LatentHybrid(VAE):
    """A classical detector on the VAE's latent means; ``parameters`` are those of its constructor."""

    scores_of_its_own: ClassVar[bool] = True
    companion: ClassVar[type[Any]]
    requires: ClassVar[tuple[str, ...]]
    install: ClassVar[str] = DISTRIBUTION

    def __init__(
        self,
        *,
        backend: Backend,
        spec: NetworkSpec,
        settings: TrainingSettings,
        epochs: int,
        patience: int = 0,
        **parameters: Any,
    ) -> None:
        super().__init__(backend=backend, spec=spec, settings=settings, epochs=epochs, patience=patience)
        self.classical = self.companion(seed=settings.seed, threads=settings.threads or 1, **parameters)

    def compile(self) -> None:
        self.compile_encoder()

    def finish(self) -> None:
        """Ends training of the network, then fits the classical detector to the training rows' latent means."""
        super().finish()
        self.classical.fit(self.encode(self.training_rows)[0])
        self.notes = [FITTED_AFTERWARDS, *self.classical.notes]

    def decision_function(self, X: Rows) -> Rows:
        """The classical detector's score of the rows' latent means."""
        scores: Rows = self.classical.decision_function(self.encode(X)[0])
        return scores

    def explain(self, X: Rows) -> Rows:
        return self.explain_by_occlusion(X)


class LatentIsolationForest(LatentHybrid):
    """An isolation forest on the VAE's latent means."""

    companion = IsolationForest
    requires = IsolationForest.requires


class LatentOneClassSVM(LatentHybrid):
    """A one-class SVM on the VAE's latent means."""

    companion = OneClassSVM
    requires = OneClassSVM.requires


class LatentNearestNeighbours(LatentHybrid):
    """The distance to the k-th nearest training row in the VAE's latent space, between means."""

    companion = NearestNeighbours
    requires = NearestNeighbours.requires


class Members:
    """Whose ranks ``RankAverage`` averages.

    Parameters
    ----------
    members : sequence of str, default ``vae`` and ``isolation_forest``
        ``vae`` and one or more detectors that are no networks, by name, in any order.
    score : Score, default ``reconstruction``
        Which of its scores the VAE is ranked by.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        threads: int = 1,
        members: tuple[str, ...] = ("vae", "isolation_forest"),
        score: Score = "reconstruction",
    ) -> None:
        others = [name for name in members if name != "vae"]
        networks = [name for name in others if registry.needs_backend(name)]
        if networks or not others or len(set(members)) < len(members) or len(others) == len(members):
            raise ValueError(
                f"members must be 'vae' and one or more detectors that are no networks, each once, not {list(members)}"
            )
        self.names, self.score = others, score
        self.detectors = [registry.load(name)(seed=seed, threads=threads) for name in others]


class RankAverage(VAE):
    """The mean of the ranks that a VAE and other detectors give a row among the training rows.

    A member's rank of a row is the share of the training rows that it scores no higher, so that members of any scale
    count alike and a row's score does not depend on the rows around it. Beyond the highest of n training scores ranks
    go on rising, from n / (n + 1) towards 1, or the most anomalous rows would all be equal.
    """

    scores_of_its_own: ClassVar[bool] = True
    companion: ClassVar[type[Any]] = Members

    def __init__(
        self,
        *,
        backend: Backend,
        spec: NetworkSpec,
        settings: TrainingSettings,
        epochs: int,
        patience: int = 0,
        **parameters: Any,
    ) -> None:
        self.members = Members(seed=settings.seed, threads=settings.threads or 1, **parameters)
        super().__init__(
            backend=backend,
            spec=spec,
            settings=settings,
            epochs=epochs,
            score=self.members.score,
            patience=patience,
        )

    @staticmethod
    def parts(members: tuple[str, ...] = ("vae", "isolation_forest"), **_: Any) -> list[str]:
        """The other detectors that it is made of, whose libraries it needs, by its ``parameters``."""
        return [name for name in members if name != "vae"]

    def prepare(self, X: Rows) -> None:
        super().prepare(X)
        for member in self.members.detectors:
            if hasattr(member, "prepare"):
                member.prepare(X)

    def finish(self) -> None:
        """Ends training of the network, fits the other members, and ranks the training rows by each."""
        super().finish()
        for member in self.members.detectors:
            member.fit(self.training_rows)
        self.known = [np.sort(scores) for scores in self._scores(self.training_rows)]
        self.notes = [FITTED_AFTERWARDS, *(note for member in self.members.detectors for note in member.notes)]

    def decision_function(self, X: Rows) -> Rows:
        """The mean of the members' ranks, each above 0 and below 1."""
        ranks = [rank(scores, known) for scores, known in zip(self._scores(X), self.known, strict=True)]
        return np.asarray(np.mean(ranks, axis=0))

    def explain(self, X: Rows) -> Rows:
        return self.explain_by_occlusion(X)

    def _scores(self, X: Rows) -> list[Rows]:
        """One array of scores for each member, the VAE's first."""
        others = [member.decision_function(X) for member in self.members.detectors]
        return [np.asarray(scores, dtype=np.float64) for scores in (self.score(X, self.primary), *others)]


def rank(scores: Rows, known: Rows) -> Rows:
    """The places of scores among n sorted known ones, divided by n + 1; beyond them all, between n and n + 1.

    What a score exceeds the highest by is measured in the distance of the highest from the median.
    """
    highest, count = known[-1], len(known)
    unit = highest - known[count // 2]
    excess = np.maximum(scores - highest, 0.0)
    beyond = np.divide(excess, excess + unit, out=np.zeros_like(excess), where=excess > 0)
    return np.asarray((np.searchsorted(known, scores, side="right") + beyond) / (count + 1))
