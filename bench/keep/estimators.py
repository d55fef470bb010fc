"""Our networks in a script, by scikit-learn's conventions: ``fit``, ``predict`` (+1 normal, −1 anomalous),
``decision_function`` and ``score_samples`` (larger = more normal), and ``transform`` to the latent means.

Here, and here alone, the sign is scikit-learn's. Rows are taken as they come: scale them first, in the same pipeline.
``bench.keep.pyod`` has the same networks by PyOD's conventions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

import backends
from backends.spec import Activation, Device, Likelihood, NetworkSpec, Optimizer, Precision, Prior, TrainingSettings
from bench.detect.autoencoder import VAE, Autoencoder, Score
from bench.detect.detector import Rows


class Network:
    """What our networks have in common under any library's conventions.

    Parameters
    ----------
    backend : str, default ``torch``
        ``torch``, ``keras``, ``jax`` or another of ``bench list backends``; a process should use but one.
    mode, device, precision : str, default ``idiomatic``, ``cpu`` and ``float32``
        How, where and in which arithmetic the backend executes.
    hidden : sequence of int, default (128, 64)
        Widths of the encoder's layers; the decoder mirrors them.
    latent : int, default 8
        Dimensions of the latent space.
    activation : str, default ``relu``
        ``tanh``, ``sigmoid``, ``elu``, ``leaky_relu``, ``gelu`` or ``silu``.
    likelihood : ``mse`` (default), ``gaussian``, ``diagonal_gaussian``, or ``bce`` for values in [0, 1]
    prior, components : str and int, default ``normal`` and 0
        Of z; ``mixture`` and ``vamp`` with so many components are others.
    beta : float, default 1.0
        Weight of the KL term; a plain autoencoder has none.
    importance_samples : int, default 1
        Draws of a row for the importance-weighted bound; 1 trains by the ELBO.
    kl_warmup_epochs, kl_cycle_epochs : int, default 0
        Epochs over which that weight rises from 0, and after which it does so again.
    free_bits : float, default 0.0
        Mean KL of a latent unit, in nats, up to which it costs nothing.
    epochs : int, default 30
    batch_size : int, default 128
        All rows, where there are fewer.
    optimizer, learning_rate, weight_decay, dropout, input_noise
        As in a suite's ``[training]``.
    score_kind : str, default ``reconstruction``
        Which score rows are judged by, as in a suite's ``scores``.
    contamination : float in (0, 0.5], default 0.1
        Share of the training rows that is flagged.
    random_state : int, RandomState or None, default 0
        Of the weights, the batches and the noise.
    """

    detector_class: ClassVar[type[Autoencoder]]

    def __init__(
        self,
        *,
        backend: str = "torch",
        mode: str = "idiomatic",
        device: Device = "cpu",
        precision: Precision = "float32",
        hidden: Sequence[int] = (128, 64),
        latent: int = 8,
        activation: Activation = "relu",
        likelihood: Likelihood = "mse",
        prior: Prior = "normal",
        components: int = 0,
        beta: float = 1.0,
        importance_samples: int = 1,
        kl_warmup_epochs: int = 0,
        kl_cycle_epochs: int = 0,
        free_bits: float = 0.0,
        epochs: int = 30,
        batch_size: int = 128,
        optimizer: Optimizer = "adam",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        dropout: float = 0.0,
        input_noise: float = 0.0,
        score_kind: Score = "reconstruction",
        contamination: float = 0.1,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.backend = backend
        self.mode = mode
        self.device = device
        self.precision = precision
        self.hidden = hidden
        self.latent = latent
        self.activation = activation
        self.likelihood = likelihood
        self.prior = prior
        self.components = components
        self.beta = beta
        self.importance_samples = importance_samples
        self.kl_warmup_epochs = kl_warmup_epochs
        self.kl_cycle_epochs = kl_cycle_epochs
        self.free_bits = free_bits
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.input_noise = input_noise
        self.score_kind = score_kind
        self.contamination = contamination
        self.random_state = random_state

    def explain(self, X: ArrayLike) -> Rows:
        """Each feature's share of the anomaly score, shape (rows, features); every row sums to 1."""
        return self.detector_.explain(self._rows(X))

    def _train(self, X: ArrayLike) -> Rows:
        """Trains a network on the rows and returns their anomaly scores."""
        if not 0.0 < self.contamination <= 0.5:
            raise ValueError(f"contamination must be in (0, 0.5], not {self.contamination}")
        rows = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        self.spec_ = NetworkSpec(
            features=rows.shape[1],
            hidden=tuple(self.hidden),
            latent=self.latent,
            kind=self.detector_class.kind,
            likelihood=self.likelihood,
            activation=self.activation,
            prior=self.prior,
            components=self.components,
        )
        self.settings_ = TrainingSettings(
            batch_size=min(self.batch_size, len(rows)),
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            input_noise=self.input_noise,
            beta=self.beta,
            importance_samples=self.importance_samples,
            kl_warmup_epochs=self.kl_warmup_epochs,
            kl_cycle_epochs=self.kl_cycle_epochs,
            free_bits=self.free_bits,
            seed=self._seed(),
            mode=self.mode,
            device=self.device,
            precision=self.precision,
        )
        self.detector_ = self._detector().fit(rows)
        return self._anomaly_scores(rows)

    def _seed(self) -> int:
        if isinstance(self.random_state, int):
            return self.random_state
        return int(check_random_state(self.random_state).randint(2**31))

    def _detector(self) -> Autoencoder:
        """A detector that is not trained yet."""
        return self.detector_class(
            backend=backends.load(self.backend),
            spec=self.spec_,
            settings=self.settings_,
            epochs=self.epochs,
            score=self.score_kind,
        )

    def _rows(self, X: ArrayLike) -> Rows:
        check_is_fitted(self)
        rows: Rows = validate_data(self, X, dtype=np.float32, reset=False)
        return rows

    def _anomaly_scores(self, rows: Rows) -> Rows:
        return np.asarray(self.detector_.decision_function(rows), dtype=np.float64)

    def __getstate__(self) -> dict[str, Any]:
        """A framework's network is saved as its weights and what the detector took from its training rows."""
        state: Any = super().__getstate__()
        if "detector_" in state:
            state = state | {"detector_": state["detector_"].trained()}
        return dict(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        if "detector_" in state:
            self.detector_ = self._detector().restore(state["detector_"])


class _Estimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, Network, BaseEstimator):  # type: ignore[misc]
    """The same by scikit-learn's conventions.

    Attributes
    ----------
    offset_ : float
        What ``score_samples`` is below for the share ``contamination`` of the training rows.
    detector_ : Autoencoder
        The trained detector, whose sign is the other one.
    """

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Trains on rows of shape (rows, features), all of them taken as normal but for the contamination."""
        self.offset_ = float(np.quantile(-self._train(X), self.contamination))
        return self

    def score_samples(self, X: ArrayLike) -> Rows:
        """Minus the anomaly score, shape (rows,)."""
        return -self._anomaly_scores(self._rows(X))

    def decision_function(self, X: ArrayLike) -> Rows:
        """``score_samples`` less ``offset_``, shape (rows,): below 0 is anomalous."""
        return np.asarray(self.score_samples(X) - self.offset_)

    def predict(self, X: ArrayLike) -> Rows:
        """+1 for normal rows and −1 for anomalous ones, shape (rows,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def transform(self, X: ArrayLike) -> Rows:
        """The latent means, shape (rows, latent)."""
        return self.detector_.encode(self._rows(X))[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64" if self.precision == "float64" else "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.spec_.latent


class VAEDetector(_Estimator):
    """The variational autoencoder as an outlier detector of scikit-learn's; ``Network`` has its parameters."""

    detector_class = VAE


class AutoencoderDetector(_Estimator):
    """The plain autoencoder as an outlier detector of scikit-learn's; ``Network`` has its parameters."""

    detector_class = Autoencoder
