"""What compilers keep on the disk for the next process: in a folder of ours, never in the user's.

A folder that is empty when a process starts makes its compilation *cold*, as in the first process after an
installation; one that a process with the same program has filled makes it *warm*. PyTorch's inductor and AOTAutograd
keep kernels and graphs, JAX keeps executables, and TensorFlow keeps what XLA compiles with ``jit_compile``; of traces,
of TensorFlow's own graphs and of what PyTorch runs eagerly nothing is kept.
"""

from __future__ import annotations

import os
from pathlib import Path


def variables(folder: Path) -> dict[str, str]:
    """For the environment of a process that is to look for compiled programs in this folder alone."""
    kept = folder.absolute()
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(kept / "inductor"),
        "TRITON_CACHE_DIR": str(kept / "triton"),
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "0",
        "TORCHINDUCTOR_FX_GRAPH_CACHE": "1",
        "TORCHINDUCTOR_AUTOGRAD_CACHE": "1",
        "TORCHINDUCTOR_FX_GRAPH_REMOTE_CACHE": "0",
        "TORCHINDUCTOR_AUTOGRAD_REMOTE_CACHE": "0",
        **jax(kept / "jax"),
        **xla(kept / "xla"),
    }


def jax(folder: Path, most: int = -1) -> dict[str, str]:
    """The variables by which JAX looks for compiled programs in this folder, and keeps so many bytes there at most."""
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "1",
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(most),
        # without these JAX keeps only what took a second to compile
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def xla(folder: Path) -> dict[str, str]:
    """The variable by which TensorFlow's XLA looks for compiled programs in this folder, which is made."""
    flags = [flag for flag in os.environ.get("TF_XLA_FLAGS", "").split() if "tf_xla_persistent_cache" not in flag]
    folder.mkdir(parents=True, exist_ok=True)
    kept = f"--tf_xla_persistent_cache_directory={folder} --tf_xla_persistent_cache_device_types=CPU,GPU"
    return {"TF_XLA_FLAGS": " ".join([*flags, kept])}


def programs(folder: Path) -> frozenset[str]:
    """The files in which compilers have kept something: all but locks, and JAX's notes of when each was last used."""
    return frozenset(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and not path.name.startswith(".")
        and path.suffix != ".lock"
        and not path.name.endswith("-atime")
    )
