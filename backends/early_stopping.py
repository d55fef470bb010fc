"""Early stopping on the validation loss: framework-free, since it only watches a number and keeps weights."""

from __future__ import annotations

import math

from backends.interface import Model, Weights


class EarlyStopping:
    """Stops training once the validation loss has not fallen for a while, and puts the best weights back.

    Parameters
    ----------
    patience : int
        Epochs without a validation loss below the lowest so far, after which training ends; 0 never stops it, and then
        nothing is kept or put back.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_epoch: int | None = None
        self.best_loss = math.inf
        self.best_weights: Weights | None = None

    def should_stop(self, epoch: int, validation_loss: float, model: Model) -> bool:
        """Takes note of an epoch, counted from 0, and tells whether it was the last. Equal losses count as no fall."""
        if self.patience == 0:
            return False
        if validation_loss < self.best_loss:
            self.best_epoch, self.best_loss, self.best_weights = epoch, validation_loss, model.export_weights()
        return epoch - (self.best_epoch or 0) >= self.patience

    def restore(self, model: Model) -> None:
        """Puts the weights of the best epoch back, whether or not training ended early."""
        if self.best_weights is not None:
            model.import_weights(self.best_weights)
