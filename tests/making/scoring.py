"""What the scoring benchmark asks of a process that holds one framework."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

import backends
from backends.arithmetic import scoring_products
from backends.inference import CHUNK
from backends.spec import NetworkSpec, TrainingSettings
from bench.detect import registry
from bench.worker import products

FEATURES, ROWS, EPOCHS = 20, 1_000_000, 1
HIDDEN, LATENT = (128, 64), 8
SPEC = NetworkSpec(features=FEATURES, hidden=HIDDEN, latent=LATENT)
PEER, OWN_BATCHES = "pyod_vae", "pyod_vae, batches as it trained"
LIMITS = {"products, numpy": "numpy", "products, torch": "torch"}
"""The matrix products of a forward pass over as many rows, and nothing else."""

ready: dict[str, Callable[[], int]] = {}


def prepare(name: str, threads: int) -> None:
    """Trains the VAE of a backend, in its fastest mode, or a peer's, on a few rows, and scores once to warm up."""
    if name in LIMITS:
        ready[name] = _multiplying(LIMITS[name], threads)
    else:
        ready[name] = _scoring(name, threads)
    ready[name]()


def score(name: str) -> int:
    """Scores a million rows; how many scores came out."""
    return ready[name]()


def _scoring(name: str, threads: int) -> Callable[[], int]:
    rows = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).astype(np.float32)
    few = rows[:2048]
    if name in backends.names():
        backend = backends.load(name)
        mode = "tuned" if "tuned" in backend.capabilities().modes else "idiomatic"
        detector = registry.load("vae")(
            backend=backend,
            spec=SPEC,
            settings=TrainingSettings(mode=mode, threads=threads),
            epochs=EPOCHS,
        )
        detector.prepare(few)
        detector.compile()
        detector.fit(few)
    else:
        detector = registry.load(PEER)(threads=threads, epochs=EPOCHS, hidden=HIDDEN, latent=LATENT).fit(few)
    scored = detector.network if name == OWN_BATCHES else detector
    return lambda: len(scored.decision_function(rows))


def _multiplying(library: str, threads: int) -> Callable[[], int]:
    chosen = products.NumPy() if library == "numpy" else products.Torch("cpu")
    run = chosen.sequence(products.Work("float32", scoring_products(SPEC, CHUNK)))
    ExitStack().enter_context(chosen.threads(threads))  # as long as the process lives

    def multiply() -> int:
        for _ in range(-(-ROWS // CHUNK)):
            run()
        return ROWS

    return multiply
