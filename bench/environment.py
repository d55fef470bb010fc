"""The machine and the software a record was made on, and the environment a worker is started in."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import psutil

import backends
from bench import __version__, quota

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the four packages."""

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "jax",
    "jaxlib",
    "flax",
    "optax",
)
"""Distributions whose versions go into every record, where installed."""

LADDER = (
    "bench.proof.cases",
    "bench.proof.ladder",
    "bench.proof.lanes",
    "bench.proof.native",
    "bench.proof.verify",
    "bench.worker.draws",
)
"""The modules that prove the backends equal: what another ladder has proved holds no longer."""


@dataclass(frozen=True)
class Home:
    """What a worker runs: an interpreter, and the folder that holds the four packages."""

    python: Path = Path(sys.executable)
    root: Path = ROOT


HERE = Home()
"""This process's own."""


def available_cores() -> int:
    """Cores this process may keep busy; fewer than the machine's where an affinity or a container's quota says so.

    Of a quota of 2.5 cores two count: a third thread would be stopped for half of every period.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has affinities
        cores = os.cpu_count() or 1
    limit = quota.quota(quota.groups())
    return cores if limit is None else max(1, min(cores, int(limit)))


@cache
def machine() -> dict[str, Any]:
    """CPU, cores, memory (bytes), operating system, Python and GPU, without loading a framework."""
    import cpuinfo

    return {
        "cpu": cpuinfo.get_cpu_info().get("brand_raw", platform.processor() or platform.machine()),
        "cores": available_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        # without the patch level: an update of the kernel does not make another machine
        "os": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "gpu": _gpu(),
    }


def packages() -> dict[str, str]:
    """Installed versions of ``PACKAGES``, read from metadata."""
    folders = [folder for folder in map(Path, sys.path) if folder.name in ("site-packages", "dist-packages")]
    return dict(_versions(tuple((folder, folder.stat().st_mtime_ns) for folder in folders if folder.is_dir())))


@lru_cache(maxsize=1)
def _versions(installed: tuple[tuple[Path, int], ...]) -> dict[str, str]:
    """Read anew where a folder of packages has changed: a worker of a cluster asks for each of its trials."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def environment() -> dict[str, Any]:
    """What goes into every record: machine, packages, this tool's version and revision."""
    return {"machine": machine(), "packages": packages(), "vaebench": __version__, "revision": revision()}


def environment_hash(environment: Mapping[str, Any]) -> str:
    """16 hex digits over machine and package versions; records that differ here are never compared silently.

    The revision of this tool is left out: it is what a comparison compares. Memory counts in whole GiB, since what
    a kernel keeps for itself varies from boot to boot.
    """
    machine = environment["machine"] | {"memory_bytes": environment["machine"]["memory_bytes"] >> 30}
    text = msgspec.json.encode([machine, environment["packages"]], order="sorted")
    return hashlib.sha256(text).hexdigest()[:16]


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two environments, a phrase each: the machine first, then the packages."""
    found = []
    for part in ("machine", "packages"):
        old, new = there.get(part, {}), here.get(part, {})
        for name in sorted({*old, *new}):
            if _compared(name, old.get(name)) != _compared(name, new.get(name)):
                found.append(f"{name}: {old.get(name)} there, {new.get(name)} here")
    return found


def _compared(name: str, value: Any) -> Any:
    """The value as ``environment_hash`` sees it."""
    return value >> 30 if name == "memory_bytes" and isinstance(value, int) else value


@cache
def revision() -> str | None:
    """The git revision this package runs from, with ``+`` where the tree was changed; None outside a checkout."""
    if not (ROOT / ".git").exists():
        return None
    head = _output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return head + ("+" if changed else "") if head else None


LARGEST_KEPT = 32 << 20
"""Bytes of the largest piece of memory that glibc takes from what was freed; it allows no more."""


def worker_environment(threads: int, device: str, root: Path = ROOT) -> dict[str, str]:
    """Environment variables of a worker: thread counts and memory policy, which frameworks read at import.

    JAX has no variable of its own for the CPU; its runtime asks for ``NPROC`` and for the affinity, which the worker
    sets as well. On ``cpu`` the GPUs are hidden, so that no framework can place anything there. What a framework frees
    the process keeps: glibc would adapt to what happened to be freed first and, in some processes, give the same
    memory back to the system and ask for it again at each step (docs/measuring.md).
    """
    count = str(threads)
    variables = {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "NUMEXPR_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count,
        "NPROC": count,
        "PJRT_NPROC": count,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "MALLOC_MMAP_THRESHOLD_": str(LARGEST_KEPT),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        "PYTHONHASHSEED": "0",
        # the worker must find the packages that it is meant to run, whatever folder it is started in
        "PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH", "")))),
    }
    if device == "cpu":
        variables |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    return variables


@cache
def source_digest() -> str:
    """16 hex digits over the source of all backends and of the ladder: what was verified of another is not of this."""
    home = Path(backends.__file__).parent
    files = [*sorted(home.rglob("*.py")), *map(_source, LADDER)]
    contributed = [path for name in backends.names() for path in backends.source(name) if home not in path.parents]
    digest = hashlib.sha256()
    for path in [*files, *contributed]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _source(module: str) -> Path:
    """The file of one of our own modules. Raises ModuleNotFoundError, so that a move cannot go unnoticed."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module named {module!r}", name=module)
    return Path(spec.origin)


def _gpu() -> str | None:
    return _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or None


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
