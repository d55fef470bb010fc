"""``bench export``: what a results directory measured, in a form that other tools read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.commands import options
from bench.messages import UsageError

FORMATS = ("pytest-benchmark", "github-action-benchmark", "csv")


def add(commands: Any) -> None:
    """Declares the command and its options."""
    export = commands.add_parser(
        "export",
        help="results for other tools: pytest-benchmark, github-action-benchmark, CSV",
        description="Writes the medians over a results directory's trials in a form that other tools read.",
    )
    export.add_argument("directory", type=Path, metavar="DIR")
    export.add_argument("--format", choices=FORMATS, required=True)
    export.add_argument(
        "--better",
        choices=["lower", "higher"],
        help="github-action-benchmark: times and memory (lower, for its customSmallerIsBetter), or rates and quality "
        "(higher, for customBiggerIsBetter)",
    )
    export.add_argument("--out", type=options.file, metavar="FILE", help="where it goes (default: standard output)")
    export.set_defaults(action=_export)


def _export(arguments: argparse.Namespace) -> int:
    from bench.history import condense, export, pytest_benchmark
    from bench.history.store import HistoryError
    from bench.records import store

    if (arguments.better is not None) != (arguments.format == "github-action-benchmark"):
        raise UsageError("--better lower or --better higher goes with --format github-action-benchmark, and only there")
    warnings: list[str] = []
    entry = condense.results(arguments.directory, tell=warnings.append)
    try:
        if arguments.format == "pytest-benchmark":
            found, _ = store.read(arguments.directory)
            content = pytest_benchmark.written(entry, condense.followed(found))
        elif arguments.format == "csv":
            content = export.as_csv([entry])
        else:
            content = export.for_github_action_benchmark(entry, arguments.better)
    except HistoryError as error:
        raise UsageError(f"{arguments.directory}: {error}") from None
    options.warn(warnings)
    options.write(content, arguments.out)
    return 0
