"""Our networks in a script, by PyOD's conventions (extra ``pyod``): larger = more anomalous, and 1 is an anomaly.

``fit`` leaves ``decision_scores_``, ``threshold_`` and ``labels_`` of the training rows; ``decision_function``,
``predict`` and all else that PyOD's detectors have then take other rows.
"""

from __future__ import annotations

from typing import Self

from numpy.typing import ArrayLike
from pyod.models.base import BaseDetector

from bench.detect import autoencoder
from bench.detect.detector import Rows
from bench.keep.estimators import Network


class _Detector(Network, BaseDetector):  # type: ignore[misc]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Trains on rows of shape (rows, features); labels are not looked at."""
        self._set_n_classes(None)
        self.decision_scores_ = self._train(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: ArrayLike) -> Rows:
        """One score a row, shape (rows,)."""
        return self._anomaly_scores(self._rows(X))


class VAE(_Detector):
    """The variational autoencoder as a detector of PyOD's; ``bench.keep.estimators.Network`` has its parameters."""

    detector_class = autoencoder.VAE


class Autoencoder(_Detector):
    """The plain autoencoder as a detector of PyOD's; ``bench.keep.estimators.Network`` has its parameters."""

    detector_class = autoencoder.Autoencoder
