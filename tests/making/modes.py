"""What the tests of the modes run inside a backend's own process."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import numpy as np

from backends.interface import Weights
from making.contract import Case, make_model, make_rows, train, train_again


def train_by_replay(_: str, case: Case) -> tuple[Weights, list[int]]:
    """PyTorch's tuned mode as on a GPU, but for the graph: what was captured is called instead of replayed.

    Returns the trained weights, and the steps that ran while capturing, and in each epoch."""
    from backends.torch import tuned

    ran = [0]

    def counted(work: Callable[[], None]) -> Callable[[], None]:
        def launch() -> None:
            ran[-1] += 1
            work()

        for _ in range(3):
            launch()
        return launch

    with (
        patch.object(tuned, "captured", counted),
        patch.object(tuned, "compiled", lambda step, device: step),
        patch.object(tuned.TunedModel, "launch_bound", True),
    ):
        model = make_model("torch", case)
        model.load_data(make_rows(case.rows, case.spec.features))
        for epoch in range(case.epochs):
            ran.append(0)
            model.run_epoch(epoch)
        return model.export_weights(), ran


def train_uncompiled(_: str, case: Case) -> tuple[Weights, Weights]:
    """The weights that PyTorch's tuned mode trains by a new model and by one that was used before."""
    from backends.torch import tuned

    with patch.object(tuned, "compiled", lambda step, device: step):
        return train("torch", case).weights, train_again("torch", case)[0].weights


def losses_by_precision(name: str, case: Case) -> tuple[list[float], np.dtype]:
    """Training losses, and the one type that all weights are kept in."""
    model = make_model(name, case)
    model.load_data(make_rows(case.rows, case.spec.features))
    losses = []
    for epoch in range(case.epochs):
        model.run_epoch(epoch)
        losses.append(model.epoch_loss().loss)
    (kept,) = {array.dtype for array in model.export_weights().values()}
    return losses, kept
