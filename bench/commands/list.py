"""``bench list``: what is there, what works here, and why not where it does not."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from bench.commands import options


def add(commands: Any) -> None:
    """Declares the command and its options."""
    listing = commands.add_parser("list", help="what is there, what works here, and why not where it does not")
    listing.add_argument("what", nargs="?", choices=["backends", "datasets", "detectors", "suites"])
    options.data_dir(listing)
    listing.set_defaults(action=_list)


def _list(arguments: argparse.Namespace) -> int:
    from bench.commands import listing

    sections: dict[str, Callable[[], Iterable[tuple[str, str, str]]]] = {
        "backends": listing.backend_rows,
        "datasets": lambda: listing.dataset_rows(arguments.data_dir),
        "detectors": listing.detector_rows,
        "suites": listing.suite_rows,
    }
    wanted = [arguments.what] if arguments.what else list(sections)
    for name in wanted:
        print(listing.table(name, sections[name]()))
        if name != wanted[-1]:
            print()
    return 0
