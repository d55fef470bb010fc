"""The VAE and the plain autoencoder as detectors, on any backend.

They can be trained in one call (``fit``) or stepped epoch by epoch (``prepare``, ``compile``, then the model's
``run_epoch``, ``is_last``, and ``finish`` at the end), which is how the worker times them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from backends.early_stopping import EarlyStopping
from backends.interface import Backend, Model, Weights
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
        At most so many.
    score : Score
        What ``decision_function`` returns.
    patience : int
        Epochs without a lower validation loss after which training stops; 0 (the default) runs all epochs.
    """

    needs_backend: ClassVar[bool] = True
    kind: ClassVar[Kind] = "autoencoder"
    convolutional: ClassVar[bool] = False
    """Whether the network begins with convolutions, and so needs rows that are images."""
    scores_of_its_own: ClassVar[bool] = False
    """Whether ``decision_function`` is all there is, and no ``score`` by kind."""
    hidden: ClassVar[tuple[int, ...]] = (128, 64)
    latent: ClassVar[int] = 8
    """Both are what a suite gets that names none."""
    model: Model
    early_stopping: EarlyStopping
    training_rows: Rows

    def __init__(
        self,
        *,
        backend: Backend,
        spec: NetworkSpec,
        settings: TrainingSettings,
        epochs: int,
        score: Score = "reconstruction",
        patience: int = 0,
    ) -> None:
        if spec.kind != self.kind:
            raise ValueError(f"the detector {self.kind} was given the network of the {spec.kind}")
        if self.convolutional != bool(spec.filters):
            wanted = "needs" if self.convolutional else "takes no"
            raise ValueError(f"{type(self).__name__} {wanted} filters, but its network has filters {spec.filters}")
        self.backend, self.spec, self.settings, self.epochs = backend, spec, settings, epochs
        self.primary, self.patience = score, patience
        self.notes: list[str] = []

    def prepare(self, X: Rows) -> None:
        """Builds the network from its canonical weights and takes the rows onto the device."""
        weights = initial_weights(self.spec, self.settings.seed)
        self.model = self.backend.build(self.spec, weights, self.settings)
        self.model.load_data(np.asarray(X, dtype=np.float32))
        self.early_stopping = EarlyStopping(self.patience)
        self.training_rows = X

    def fit(self, X: Rows, X_val: Rows | None = None) -> Self:
        """Trains from the canonical weights; only early stopping looks at ``X_val``, and it cannot do without."""
        if self.patience and X_val is None:
            raise ValueError(f"early stopping (patience {self.patience}) needs validation rows: fit(X, X_val)")
        self.prepare(X)
        for epoch in range(self.epochs):
            self.model.run_epoch(epoch)
            if self.patience and X_val is not None and self.is_last(epoch, self.validation_loss(X_val)):
                break
        self.finish()
        self.model.synchronize()
        return self

    def restore(self, weights: Weights, X: Rows) -> Self:
        """Takes trained weights instead of training. ``X`` are the training rows, or, where nothing but the network was
        fitted on them, one row that is their mean."""
        self.model = self.backend.build(self.spec, weights, self.settings)
        self.early_stopping = EarlyStopping(0)
        self.training_rows = X
        self.finish()
        return self

    def validation_loss(self, X_val: Rows) -> float:
        """The mean loss over the rows, with z = mu and the full β."""
        return self.model.evaluate(np.asarray(X_val, dtype=np.float32)).loss

    def is_last(self, epoch: int, validation_loss: float) -> bool:
        """Takes note of an epoch, counted from 0, that was run; tells whether early stopping ends training here."""
        return self.early_stopping.should_stop(epoch, validation_loss, self.model)

    def finish(self) -> None:
        """Ends training: under early stopping the best weights come back."""
        self.early_stopping.restore(self.model)

    def compile(self) -> None:
        """Compiles what an epoch, ``validation_loss`` and ``decision_function`` need."""
        self.model.compile([self.primary])

    def score(self, X: Rows, kind: Score) -> Rows:
        """One score a row, shape (rows,), of any kind; larger = more anomalous."""
        return self.model.score(np.asarray(X, dtype=np.float32), kind)

    def decision_function(self, X: Rows) -> Rows:
        """``score`` of the kind that the detector was made with."""
        return self.score(X, self.primary)

    def encode(self, X: Rows) -> tuple[Rows, Rows]:
        """mu and logvar, each of shape (rows, latent); for a plain autoencoder logvar is all zeros."""
        return self.model.encode(np.asarray(X, dtype=np.float32))

    def reconstruct(self, X: Rows) -> Rows:
        """The decoder's output at the latent means, shape (rows, features)."""
        return self.model.reconstruct(np.asarray(X, dtype=np.float32))


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


class ConvolutionalVAE(VAE):
    """The convolutional VAE for images: 3×3 convolutions of stride 2 before the dense layers, mirrored behind them."""

    convolutional: ClassVar[bool] = True
    hidden: ClassVar[tuple[int, ...]] = (16,)
    latent: ClassVar[int] = 2
