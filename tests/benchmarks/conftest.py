"""What the benchmarks are asked for on the command line."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-modes",
        action="store_true",
        help="hold the modes against each other in every combination (a day), not in a sample that has every pair",
    )
