"""What JAX's compiler made of the ladder's programs, kept for the next ladder.

JAX finds a program by its text, the compiler's version and options, and the processor, so that what climbs from here is
what would be compiled anew. PyTorch's compiler keeps its own; no timed trial looks into either.
"""

from __future__ import annotations

import os

from platformdirs import user_cache_path

from bench import DISTRIBUTION

MOST_BYTES = 256 << 20
"""Of the folder; what was not used for longest goes first."""


def variables() -> dict[str, str]:
    """For the environment of a climbing worker; a folder that the user has chosen stays."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return {}
    return {
        "JAX_COMPILATION_CACHE_DIR": str(user_cache_path(DISTRIBUTION, appauthor=False) / "compiled"),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(MOST_BYTES),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
