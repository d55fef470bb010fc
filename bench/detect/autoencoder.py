"""The VAE and the plain autoencoder as detectors, on any backend.

They can be trained in one call (``fit``) or stepped epoch by epoch (``prepare``, ``compile``, then the model's
``run_epoch``, ``is_last``, and ``finish`` at the end), which is how the worker times them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

import backends.spec
from backends.early_stopping import EarlyStopping
from backends.inference import SIZES
from backends.interface import Backend, Model, Weights
from backends.spec import Kind, NetworkSpec, TrainingSettings
from backends.weights import INPUTS, PRIOR, initial_weights, variances
from bench.detect.detector import Rows
from bench.detect.explanations import absolute_error, excess_cross_entropy, occlusion, shares, squared_error
from bench.detect.sanity import Mahalanobis

Score = Literal[backends.spec.Score, "latent_distance", "sampled"]
"""What the backends compute, and two more.

``latent_distance``: the Mahalanobis distance of mu from the training rows' mu, their covariance shrunk after Ledoit and
Wolf (2004). ``sampled``: Σ (x̂ − x)² with x̂ decoded from one z drawn for each row from q(z|x) instead of from its mean,
as published code often scores. A row's draw goes by the seed and its place among the rows that are scored together, so
that in other company it scores otherwise: no score to rely on, but one to hold the others against."""
SCORES: tuple[Score, ...] = get_args(Score)

_ERRORS: dict[str, Callable[[Rows, Rows], Rows]] = {
    "mse": squared_error,
    "gaussian": squared_error,
    "diagonal_gaussian": squared_error,
    "bce": excess_cross_entropy,
    "mae": absolute_error,
}
"""The error of one feature, by the likelihood or by the score that says which."""
_WHATEVER_LIKELIHOOD = ("mse", "mae", "sampled")
"""Scores that are the same sum over the features under every likelihood."""
_WITHOUT_FEATURES = ("kl", "latent_distance")
"""Scores that live in the latent space, and are no sum over the features."""

ACTIVE_UNIT_VARIANCE = 0.01
"""A latent unit is active when the variance of its mu over the rows exceeds this (Burda et al. 2016, section 5.2)."""


@dataclass(frozen=True)
class Trained:
    """What is left of training: the weights under their canonical names, mean and covariance of the training rows'
    latent means, and the mean training row."""

    weights: Weights
    latent_space: Mahalanobis
    typical: Rows


def no_score(score: Score, kind: Kind, likelihood: backends.spec.Likelihood) -> str | None:
    """Why a network of this kind and likelihood has no such score, in one line; None where it has."""
    if score == "sampled" and kind == "autoencoder":
        return "the score 'sampled' draws from a latent distribution, and an autoencoder has none"
    if score == "sampled" or score == "latent_distance":
        return None
    return backends.spec.no_score(score, kind, likelihood)


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
    """Whether the network begins with convolutions, and so needs rows that are images or windows of a series."""
    dimensions: ClassVar[int] = 2
    """Of what these run over: 2 of an image, 1 of a window."""
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
        weights = initial_weights(self.spec, self.settings.seed, X)
        self.model = self.backend.build(self.spec, weights, self.settings)
        self.model.load_data(np.asarray(X, dtype=np.float32))
        self.early_stopping = EarlyStopping(self.patience)
        self.training_rows = X
        self.latent_space: Mahalanobis | None = None
        self.typical: Rows | None = None

    @property
    def streamed(self) -> tuple[str, ...]:
        """What the notes say where the rows came to the device in parts."""
        stream = getattr(self.model, "stream", None)
        return (f"{len(stream.X):,} training rows, streamed in parts of {stream.size:,}",) if stream else ()

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

    def take(self, weights: Weights, X: Rows) -> Self:
        """Takes trained weights instead of training. ``X`` are the training rows, or, where nothing but the network was
        fitted on them, one row that is their mean."""
        self.model = self.backend.build(self.spec, weights, self.settings)
        self.early_stopping = EarlyStopping(0)
        self.training_rows = X
        self.latent_space = self.typical = None
        self.finish()
        return self

    def validation_loss(self, X_val: Rows) -> float:
        """The mean loss over the rows, with z = mu and the full β."""
        return self.model.evaluate(np.asarray(X_val, dtype=np.float32)).loss

    def is_last(self, epoch: int, validation_loss: float) -> bool:
        """Takes note of an epoch, counted from 0, that was run; tells whether early stopping ends training here."""
        return self.early_stopping.should_stop(epoch, validation_loss, self.model)

    def finish(self) -> None:
        """Ends training: under early stopping the best weights come back, and what the detector's own score needs of
        the training rows is taken from them."""
        self.early_stopping.restore(self.model)
        if self.primary == "latent_distance":
            self._measure_latent_space()

    def compile(self) -> None:
        """Compiles what an epoch, ``validation_loss`` and ``decision_function`` need."""
        if self.primary == "latent_distance":
            self.compile_encoder()
        elif self.primary == "sampled":
            self.compile_encoder()
            for rows in SIZES:
                self.model.generate(np.zeros((rows, self.spec.latent), dtype=np.float32))
        else:
            self.model.compile([self.primary])

    def compile_encoder(self) -> None:
        """``compile`` where the score is made from the latent means."""
        self.model.compile(())
        for rows in SIZES:
            self.model.encode(np.zeros((rows, self.spec.features), dtype=np.float32))

    def score(self, X: Rows, kind: Score) -> Rows:
        """One score a row, shape (rows,), of any kind; larger = more anomalous."""
        if kind == "latent_distance":
            return (self.latent_space or self._measure_latent_space()).decision_function(self.encode(X)[0])
        if kind == "sampled":
            return self._sampled_error(np.asarray(X, dtype=np.float32))
        return self.model.score(np.asarray(X, dtype=np.float32), kind)

    def _sampled_error(self, X: Rows) -> Rows:
        mu, logvar = self.model.encode(X)
        epsilon = np.random.Generator(np.random.Philox(self.settings.seed)).standard_normal(mu.shape, dtype=np.float32)
        drawn = self.model.generate(mu + np.exp(logvar / 2) * epsilon)
        return np.asarray(squared_error(drawn, X).sum(axis=1))

    def _measure_latent_space(self) -> Mahalanobis:
        """Takes mean and covariance of the training rows' latent means."""
        self.latent_space = Mahalanobis().fit(self.encode(self.training_rows)[0])
        return self.latent_space

    def decision_function(self, X: Rows) -> Rows:
        """``score`` of the kind that the detector was made with."""
        return self.score(X, self.primary)

    def slope(self, X: Rows) -> Rows:
        """The gradient of ``decision_function`` for each row, shape (rows, features).

        Raises ValueError for a score that the backends do not compute (``latent_distance``, ``sampled``)."""
        if self.primary not in backends.spec.SCORES:
            raise ValueError(f"the score {self.primary!r} has no gradient here")
        return self.model.slope(np.asarray(X, dtype=np.float32), self.primary)

    def encode(self, X: Rows) -> tuple[Rows, Rows]:
        """mu and logvar, each of shape (rows, latent); for a plain autoencoder logvar is all zeros."""
        return self.model.encode(np.asarray(X, dtype=np.float32))

    def reconstruct(self, X: Rows) -> Rows:
        """The decoder's output at the latent means, shape (rows, features)."""
        return self.model.reconstruct(np.asarray(X, dtype=np.float32))

    def generate(self, Z: Rows) -> Rows:
        """The decoder's output at points of the latent space, of shape (rows, latent); shape (rows, features)."""
        return self.model.generate(np.asarray(Z, dtype=np.float32))

    def explain(self, X: Rows) -> Rows:
        """Each feature's share of ``decision_function``, shape (rows, features), 0 or more; every row sums to 1.

        Reconstruction errors are sums over the features, and their terms are the shares: (x̂ − x)² for ``mse`` and the
        Gaussian, divided by the feature's own variance for the diagonal one, |x̂ − x| for ``mae``, and for ``bce`` the
        cross-entropy above x's own entropy. All at z = mu: for ``reconstruction_probability``, ``iwae`` and ``sampled``
        that is an approximation, and of ``elbo`` only the reconstruction is shared out, since the KL has no features.
        ``kl`` and ``latent_distance`` have none at all: there a feature's part is what the score falls by when it is
        set to its training mean, each row being scored once a feature.
        """
        if self.primary in _WITHOUT_FEATURES:
            return self.explain_by_occlusion(X)
        error = _ERRORS.get(self.primary, _ERRORS[self.spec.likelihood])
        found = error(self.reconstruct(X).astype(np.float64), np.asarray(X, dtype=np.float64))
        scale = None if self.primary in _WHATEVER_LIKELIHOOD else variances(self.model.export_weights())
        return shares(found if scale is None else found / scale)

    def explain_by_occlusion(self, X: Rows) -> Rows:
        """``explain`` of any score: what it falls by when a feature alone is set to its training mean."""
        return shares(occlusion(self.decision_function, np.asarray(X), self._typical_row()))

    def _typical_row(self) -> Rows:
        """The mean of the training rows."""
        if self.typical is None:
            self.typical = self.training_rows.mean(axis=0, dtype=np.float64)
        return self.typical

    def trained(self) -> Trained:
        """All that scoring and explaining need, without a framework and without the training rows."""
        latent_space = self.latent_space or self._measure_latent_space()
        return Trained(self.model.export_weights(), latent_space, self._typical_row())

    def restore(self, trained: Trained) -> Self:
        """The detector as it was when it was ``trained``; it can score and explain, and be fitted anew."""
        self.model = self.backend.build(self.spec, trained.weights, self.settings)
        self.latent_space, self.typical = trained.latent_space, trained.typical
        return self


class VAE(Autoencoder):
    """The variational autoencoder (Kingma and Welling 2014) as the design writes it down."""

    kind: ClassVar[Kind] = "vae"

    def draw_prior(self, count: int, rng: np.random.Generator) -> Rows:
        """Points of the latent space drawn from the network's prior, shape (count, latent)."""
        points = rng.standard_normal((count, self.spec.latent))
        if self.spec.prior == "normal":
            return points
        weights = self.model.export_weights()
        prior: list[Rows]
        if self.spec.prior == "vamp":
            prior = [*self.encode(weights[INPUTS]), np.zeros(self.spec.components)]
        else:
            prior = [weights[name] for name in PRIOR]
        means, logvars, logits = (np.asarray(array, dtype=np.float64) for array in prior)
        shares = np.exp(logits - logits.max())
        chosen = rng.choice(len(shares), count, p=shares / shares.sum())
        return np.asarray(means[chosen] + np.exp(logvars[chosen] / 2) * points)

    def posterior(self, X: Rows) -> dict[str, Any]:
        """Whether the latent space is used: the mean KL over the rows (nats) and the number of active units.

        A posterior has collapsed when no unit is active: the decoder then ignores its input.
        """
        mu, logvar = (part.astype(np.float64) for part in self.model.encode(np.asarray(X, dtype=np.float32)))
        if self.spec.prior == "normal":
            kl = -0.5 * (1.0 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)
        else:
            kl = self.score(X, "kl")
        active = int((mu.var(axis=0) > ACTIVE_UNIT_VARIANCE).sum())
        return {"mean_kl": float(kl.mean()), "active_units": active, "collapsed": active == 0}


class ConvolutionalVAE(VAE):
    """The convolutional VAE for images: convolutions before the dense layers, and transposed ones behind them."""

    convolutional: ClassVar[bool] = True
    hidden: ClassVar[tuple[int, ...]] = (16,)
    latent: ClassVar[int] = 2


class WindowVAE(VAE):
    """The convolutional VAE for windows of a series: the same, over time."""

    convolutional: ClassVar[bool] = True
    dimensions: ClassVar[int] = 1
