"""When training ends, and which weights it leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backends.early_stopping import EarlyStopping

NAN = math.nan


class FakeModel:
    """A model whose only weight is the number of the epoch that it was last trained in."""

    epoch = -1

    def export_weights(self):
        return {"epoch": np.array([self.epoch])}

    def import_weights(self, weights):
        self.epoch = int(weights["epoch"][0])


def train(losses: list[float], patience: int) -> tuple[int, EarlyStopping, FakeModel]:
    """As a training loop does: returns the epochs run, and what is left."""
    model, stopping, epoch = FakeModel(), EarlyStopping(patience), -1
    for epoch, loss in enumerate(losses):
        model.epoch = epoch
        if stopping.should_stop(epoch, loss, model):
            break
    stopping.restore(model)
    return epoch + 1, stopping, model


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        pytest.param([3, 2, 1, 2, 2, 0], 2, 5, 2, id="stops_when_the_patience_is_spent"),
        pytest.param([3, 2, 1, 2, 0, 1, 1, 0], 2, 7, 4, id="a_fall_gives_the_whole_patience_back"),
        pytest.param([3, 1, 1, 1, 0], 2, 4, 1, id="an_equal_loss_is_no_fall"),
        pytest.param([1e9, 2e9, 0], 1, 2, 0, id="the_first_epoch_may_be_the_best"),
        pytest.param([3, 1, 2, 2], 5, 4, 1, id="restores_too_where_training_ran_to_its_end"),
        pytest.param([3, 2, 1], 2, 3, 2, id="the_last_epoch_may_be_the_best"),
        pytest.param([3, NAN, 2, NAN, NAN, 1], 2, 5, 2, id="a_loss_that_is_not_a_number_is_no_fall"),
    ],
)
def test_training_ends_in_time_with_the_best_weights(losses, patience, epochs, best):
    run, stopping, model = train(losses, patience)
    assert run == epochs
    assert (stopping.best_epoch, stopping.best_loss) == (best, losses[best])
    assert model.epoch == best


def test_without_patience_nothing_stops_and_nothing_is_kept_or_put_back():
    run, stopping, model = train([1, 2, 3, 4], patience=0)
    assert run == 4
    assert (stopping.best_epoch, stopping.best_weights) == (None, None)
    assert model.epoch == 3


def test_where_no_loss_is_a_number_training_ends_and_the_last_weights_stay():
    run, stopping, model = train([NAN] * 20, patience=3)
    assert run < 20
    assert stopping.best_epoch is None
    assert model.epoch == run - 1
