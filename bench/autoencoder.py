"""The VAE and the plain autoencoder as detectors, on any backend.

They can be trained in one call (``fit``) or stepped epoch by epoch (``prepare``, ``compile``, ``run_epoch``), which is
how the worker times them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from backends.interface import Backend, Model
from backends.spec import Kind, NetworkSpec, Score, TrainingSettings
from backends.weights import initial_weights
from bench.detectors import Rows

ACTIVE_UNIT_VARIANCE = 0.01
"""A latent unit is active when the variance of its mu over the rows exceeds this (Burda et al. 2016, section 5.2)."""


class Autoencoder:
    """The plain autoencoder: the VAE's network with one linear head, no noise, no KL.

    Parameters
    ----------
    backend : a loaded backend module
    spec : NetworkSpec
    settings : TrainingSettings
    epochs : int
    score : Score
        What ``decision_function`` returns.
    """

    needs_backend: ClassVar[bool] = True
    kind: ClassVar[Kind] = "autoencoder"
    model: Model

    def __init__(
        self,
        *,
        backend: Backend,
        spec: NetworkSpec,
        settings: TrainingSettings,
        epochs: int,
        score: Score = "reconstruction",
    ) -> None:
        if spec.kind != self.kind:
            raise ValueError(f"the detector {self.kind} was given the network of the {spec.kind}")
        self.backend, self.spec, self.settings, self.epochs, self.score = backend, spec, settings, epochs, score
        self.notes: list[str] = []

    def prepare(self, X: Rows) -> None:
        """Builds the network from its canonical weights and takes the rows onto the device."""
        weights = initial_weights(self.spec, self.settings.seed)
        self.model = self.backend.build(self.spec, weights, self.settings)
        self.model.load_data(np.asarray(X, dtype=np.float32))

    def fit(self, X: Rows) -> Self:
        self.prepare(X)
        for epoch in range(self.epochs):
            self.model.run_epoch(epoch)
        self.model.synchronize()
        return self

    def decision_function(self, X: Rows) -> Rows:
        return self.model.score(np.asarray(X, dtype=np.float32), self.score)


class VAE(Autoencoder):
    """The variational autoencoder (Kingma and Welling 2014) as the design writes it down."""

    kind: ClassVar[Kind] = "vae"

    def posterior(self, X: Rows) -> dict[str, Any]:
        """Whether the latent space is used: the mean KL over the rows (nats) and the number of active units.

        A posterior has collapsed when no unit is active: the decoder then ignores its input.
        """
        mu, logvar = (part.astype(np.float64) for part in self.model.encode(np.asarray(X, dtype=np.float32)))
        kl = -0.5 * (1.0 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)
        active = int((mu.var(axis=0) > ACTIVE_UNIT_VARIANCE).sum())
        return {"mean_kl": float(kl.mean()), "active_units": active, "collapsed": active == 0}
