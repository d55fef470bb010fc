"""The room of PyTorch: a backend is what ``capabilities`` and ``build`` are, the rest is for them alone.

``idiomatic``, as its guide trains: nn.Module, DataLoader, and an eager loop. ``fused``: eager too, with the data on the
device and the optimiser's fused kernel. ``tuned``: a whole step (forward, backward and optimiser) compiled as one
function, and on a GPU replayed as one CUDA graph.

The three backends have the same files, and in each of these the shared names in the same order: ``layers``,
``network``, ``optimizers``, ``adversarial``, ``idiomatic`` and ``tuned`` (all that is faster).
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence

import torch

from backends import weights as canonical
from backends.interface import NO_TF32, Capabilities, Weights
from backends.spec import NetworkSpec, TrainingSettings
from backends.torch.idiomatic import IdiomaticModel
from backends.torch.lanes import TorchLanes
from backends.torch.tuned import FusedModel, TunedModel

MODES = {"idiomatic": IdiomaticModel, "fused": FusedModel, "tuned": TunedModel}


def capabilities() -> Capabilities:
    """What PyTorch reports about itself in this process."""
    devices, reasons = {"cpu": platform.machine()}, {}
    precisions, modes = ["float32", "float64", "bfloat16"], list(MODES)
    if torch.cuda.is_available():
        devices["gpu"] = torch.cuda.get_device_name()
    else:
        reasons["gpu"] = "PyTorch finds no CUDA device" if torch.version.cuda else "this PyTorch is built without CUDA"
    if "gpu" in devices and torch.cuda.get_device_capability() >= (8, 0):
        precisions.append("tf32")
    else:
        reasons["tf32"] = NO_TF32
    if not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))):
        modes.remove("tuned")
        reasons["tuned"] = "torch.compile needs a C++ compiler, and none is found"
    return Capabilities(
        versions={"torch": str(torch.__version__)},
        devices=devices,
        precisions=tuple(precisions),
        modes=tuple(modes),
        threads=torch.get_num_threads(),
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    configure(settings)
    return MODES[settings.mode](spec, weights, settings)


def build_lanes(spec: NetworkSpec, weights: Sequence[Weights], settings: Sequence[TrainingSettings]) -> TorchLanes:
    """Models that are trained together; see ``backends.lanes``."""
    capabilities().check(settings[0])
    configure(settings[0])
    return TorchLanes(spec, weights, settings)


def configure(settings: TrainingSettings) -> None:
    """What PyTorch keeps for the whole process."""
    torch.set_float32_matmul_precision("high" if settings.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = settings.precision == "tf32"
