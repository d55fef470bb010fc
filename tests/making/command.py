"""The installed command."""

from __future__ import annotations

import sysconfig
from pathlib import Path

COMMAND = Path(sysconfig.get_path("scripts")) / "bench"
