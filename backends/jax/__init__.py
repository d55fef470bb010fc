"""The room of JAX, with Flax nnx and optax: a backend is what ``capabilities`` and ``build`` are, the rest is for them
alone. Both modes keep the data on the device.

``idiomatic``, as its guide trains: one jitted step a batch. ``tuned``: one jitted scan over a whole epoch.

The three backends have the same files, and in each of these the shared names in the same order: ``layers``,
``network``, ``optimizers``, ``adversarial``, ``idiomatic`` and ``tuned`` (all that is faster).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import flax
import jax
import optax

from backends import weights as canonical
from backends.interface import NO_TF32, Capabilities, Weights
from backends.jax.idiomatic import IdiomaticModel
from backends.jax.lanes import JaxLanes
from backends.jax.tuned import TunedModel
from backends.spec import NetworkSpec, TrainingSettings

MODES = {"idiomatic": IdiomaticModel, "tuned": TunedModel}


def capabilities() -> Capabilities:
    """What JAX reports about itself in this process."""
    devices, reasons = {"cpu": platform.machine()}, {}
    precisions = ["float32", "float64", "bfloat16"]
    try:
        gpu = jax.devices("gpu")[0]
        devices["gpu"] = gpu.device_kind
    except RuntimeError:
        gpu = None
        reasons["gpu"] = "JAX finds no GPU, or its CUDA plugin is not installed"
    if gpu is not None and float(getattr(gpu, "compute_capability", 0)) >= 8:
        precisions.append("tf32")
    else:
        reasons["tf32"] = NO_TF32
    return Capabilities(
        versions={"jax": jax.__version__, "flax": flax.__version__, "optax": optax.__version__},
        devices=devices,
        precisions=tuple(precisions),
        modes=tuple(MODES),
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    configure(settings)
    return MODES[settings.mode](spec, weights, settings)


def build_lanes(spec: NetworkSpec, weights: Sequence[Weights], settings: Sequence[TrainingSettings]) -> JaxLanes:
    """Models that are trained together; see ``backends.lanes``."""
    capabilities().check(settings[0])
    configure(settings[0])
    return JaxLanes(spec, weights, settings)


def configure(settings: TrainingSettings) -> None:
    """What JAX keeps for the whole process."""
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if settings.precision == "tf32" else "highest")
    jax.config.update("jax_enable_x64", settings.precision == "float64")
