"""What XLA made of the ladder's programs, of JAX and of TensorFlow, kept for the next ladder.

A program is found by its text, the compiler's version and options, and the processor, so that what climbs from here is
what would be compiled anew. PyTorch's compiler keeps its own; no timed trial looks into either.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from bench import DISTRIBUTION
from bench.environment import environment, environment_hash
from bench.worker import caches

MOST_BYTES = 256 << 20
"""Of each compiler's folder; what was not used for longest goes first."""


def variables() -> dict[str, str]:
    """For the environment of a climbing worker; a folder that the user has chosen stays."""
    kept = user_cache_path(DISTRIBUTION, appauthor=False) / "compiled"
    found = {}
    if "persistent_cache_directory" not in os.environ.get("TF_XLA_FLAGS", ""):
        with suppress(OSError):  # what cannot be kept is compiled anew
            # TensorFlow finds a program by its text alone, whatever the processor and the version
            found = caches.xla(kept / "xla" / environment_hash(environment()))
            shrink(kept / "xla", MOST_BYTES)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        found |= caches.jax(kept, MOST_BYTES)
    return found


def shrink(folder: Path, most: int) -> None:
    """Deletes the files that were read longest ago, until what is left has so many bytes at most: TensorFlow deletes
    none by itself. Raises OSError where that cannot be."""
    kept = [(path.stat(), path) for path in folder.rglob("*") if path.is_file()]
    files = sorted(kept, key=lambda file: file[0].st_atime, reverse=True)
    total = 0
    for status, path in files:
        total += status.st_size
        if total > most:
            path.unlink(missing_ok=True)
