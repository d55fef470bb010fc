"""What the tests of the loaders share: no network, an empty data directory, and the real files where there are any."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import storage

sys.path.insert(0, str(Path(__file__).parent))  # tests find what they share by name

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], bool]:
    """No test asks the network; returns what would."""
    asking = storage.reachable
    monkeypatch.setattr(storage, "reachable", lambda url: False)
    return asking


@pytest.fixture
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data in {REAL_DATA}")
    return REAL_DATA
