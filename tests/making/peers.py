"""What is asked of the peers, in a process of its own: PyOD brings PyTorch with it."""

from __future__ import annotations

from typing import Any

import numpy as np

import datasets
from backends import reference
from backends.spec import NetworkSpec, TrainingSettings
from bench.detect import registry

HIDDEN, LATENT, EPOCHS, BATCH = (16, 8), 4, 6, 64


def contract(name: str) -> dict[str, Any]:
    """A trained detector's answers, and what a fresh one's network computes beside the reference with its weights."""
    import torch

    data = datasets.load("correlated?rows=1500", seed=3)
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "hidden": HIDDEN, "latent": LATENT}
    first, second = (registry.load(name)(seed=4, **settings).fit(data.X_train) for _ in range(2))
    scores = first.decision_function(data.X_test)
    fresh = registry.load(name)(seed=1, **settings)
    fresh.prepare(data.X_train)
    return {
        "labels": data.y_test,
        "scores": scores,
        "again": first.decision_function(data.X_test),
        "same_seed": second.decision_function(data.X_test),
        "usual": first.decision_function(data.X_train[:100]),
        "far": first.decision_function(data.X_train[:100] * 0 + 30.0),
        "rows_per_fit": (first.rows_per_fit, len(data.X_train)),
        "threads": torch.get_num_threads(),
        "losses": losses(fresh.network.model, fresh, data.X_train[:BATCH]),
    }


def losses(model: Any, detector: Any, X: np.ndarray) -> tuple[float, float]:
    """PyOD's loss of a batch times the number of features, and the reference's with PyOD's weights; z = mu in both."""
    import torch

    variational = hasattr(model, "reparameterize")
    spec = NetworkSpec(features=X.shape[1], hidden=HIDDEN, latent=LATENT, kind="vae" if variational else "autoencoder")
    linear = {name: layer for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    heads = [linear.pop(name) for name in ("encoder_mu", "encoder_logvar") if name in linear]
    ordered = list(linear.values())
    ordered[len(HIDDEN) : len(HIDDEN)] = heads
    weights = {}
    for name, layer in zip(spec.layers(), ordered, strict=True):
        weights[f"{name}.kernel"] = layer.weight.detach().numpy().T.astype(np.float64)
        weights[f"{name}.bias"] = layer.bias.detach().numpy().astype(np.float64)
    golden = reference.build(spec, weights, TrainingSettings(batch_size=BATCH, precision="float64"))
    rows = torch.as_tensor(X)
    if not variational:
        model.encoder[-1].activation = torch.nn.Identity()  # the difference that ``peer`` tells
        return model_loss(detector.network.criterion(model(rows), rows), X), golden.evaluate(X).loss
    model.reparameterize = lambda mu, logvar: mu
    network = detector.network
    reconstruction, mu, logvar = model(rows)
    loss = network.criterion(rows, reconstruction, mu, logvar, beta=network.beta, capacity=network.capacity)
    return model_loss(loss, X), golden.evaluate(X).loss


def model_loss(loss: Any, X: np.ndarray) -> float:
    return float(loss.item()) * X.shape[1]
