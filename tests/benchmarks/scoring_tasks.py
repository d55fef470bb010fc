"""What the scoring benchmark asks of a process that holds one framework."""

from __future__ import annotations

from typing import Any

import numpy as np

import backends
from backends.spec import NetworkSpec, TrainingSettings
from bench import detectors

FEATURES, ROWS, EPOCHS = 20, 1_000_000, 1
HIDDEN, LATENT = (128, 64), 8

ready: dict[str, Any] = {}


def train(name: str, threads: int) -> None:
    """Trains the VAE of a backend, in its fastest mode, or a peer's, on a few rows, and scores once to warm up."""
    rows = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).astype(np.float32)
    few = rows[:2048]
    if name in backends.names():
        backend = backends.load(name)
        mode = "tuned" if "tuned" in backend.capabilities().modes else "idiomatic"
        detector = detectors.load("vae")(
            backend=backend,
            spec=NetworkSpec(features=FEATURES, hidden=HIDDEN, latent=LATENT),
            settings=TrainingSettings(mode=mode, threads=threads),
            epochs=EPOCHS,
        )
        detector.prepare(few)
        detector.model.compile([detector.score])
    else:
        detector = detectors.load(name)(threads=threads, epochs=EPOCHS, hidden=HIDDEN, latent=LATENT)
    ready[name] = detector.fit(few), rows
    detector.decision_function(rows[:10_000])


def score(name: str) -> int:
    """Scores a million rows; how many scores came out."""
    detector, rows = ready[name]
    return len(detector.decision_function(rows))
