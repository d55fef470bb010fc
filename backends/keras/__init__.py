"""The room of Keras 3, on the engine that ``KERAS_BACKEND`` names (TensorFlow, JAX or PyTorch): a backend is what
``capabilities`` and ``build`` are, the rest is for them alone.

``idiomatic``, as Keras's guides train: a Model with its own loss, and ``fit`` over batches. ``xla``: the same with
``jit_compile``. ``tuned``: data on the device, and an epoch as one compiled program. All here is written in Keras's own
operations; what it leaves to its engine is in ``engines``.

The three backends have the same files, and in each of these the shared names in the same order: ``layers``,
``network``, ``optimizers``, ``adversarial``, ``idiomatic`` and ``tuned`` (all that is faster).
"""

from __future__ import annotations

import os
import platform
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# Keras imports what it finds, and so would take a quarter more time where there are libraries that nothing here asks it
# for: other frameworks, of which a process holds one only, estimators and plots.
if hidden := {"jax", "tensorflow", "sklearn", "matplotlib"} - {os.environ["KERAS_BACKEND"], *sys.modules}:
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # to import one now raises ImportError
    import keras

    for package in hidden:
        del sys.modules[package]

import keras
from keras.src.backend.common import dtypes

from backends import weights as canonical
from backends.interface import NO_TF32, BackendError, Capabilities, Weights
from backends.keras.engines import engine
from backends.keras.idiomatic import IdiomaticModel
from backends.keras.tuned import TunedModel, XlaModel
from backends.spec import NetworkSpec, TrainingSettings

MODES = {"idiomatic": IdiomaticModel, "xla": XlaModel, "tuned": TunedModel}


def capabilities() -> Capabilities:
    """What Keras and its engine report about themselves in this process."""
    devices, reasons = {"cpu": platform.machine()}, dict(engine.MISSING_MODES)
    if (gpu := engine.gpu_name()) is not None:
        devices["gpu"] = gpu
    else:
        reasons["gpu"] = engine.NO_GPU
    precisions = ["float32", "float64", "bfloat16"]
    if engine.compute_capability() >= 8:
        precisions.append("tf32")
    else:
        reasons["tf32"] = NO_TF32
    return Capabilities(
        versions={"keras": keras.__version__, **engine.VERSIONS},
        devices=devices,
        precisions=tuple(precisions),
        modes=tuple(mode for mode in MODES if mode not in engine.MISSING_MODES),
        threads=engine.threads(),
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    if (held := keras.backend.backend()) != (wanted := os.environ["KERAS_BACKEND"]):
        raise BackendError(
            f"Keras runs on {held} here, and a process holds one engine: start with KERAS_BACKEND={wanted}"
        )
    capabilities().check(settings)
    canonical.check(weights, spec)
    engine.set_precision(settings.precision)
    keras.config.set_floatx(settings.storage)
    # Outside TensorFlow, Keras rounds the results of its operations to 32 bits, whatever their precision.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = settings.storage
    keras.config.set_dtype_policy("mixed_bfloat16" if settings.precision == "bfloat16" else settings.storage)
    return MODES[settings.mode](spec, weights, settings)
