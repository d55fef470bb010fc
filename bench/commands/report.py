"""``bench report``: the report of a results directory from its records alone, or one of its tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.options import UsageError


def add(commands: Any) -> None:
    """Declares the command and its options."""
    report = commands.add_parser(
        "report",
        help="rebuild the report of a results directory from its records, or print one of its tables",
        description="Rebuilds the report of a results directory from its records. With --table, --format or --pivot "
        "one table is written instead: for a README, a paper (LaTeX with booktabs) or another program.",
    )
    report.add_argument("directory", type=Path, metavar="DIR")
    report.add_argument("--table", choices=["quality", "throughput", "equality"], help="default: quality")
    report.add_argument(
        "--format", choices=["markdown", "latex", "csv", "json", "parquet"], help="of the table (default: markdown)"
    )
    report.add_argument(
        "--pivot",
        metavar="METRIC",
        help="one column a data set, with this metric in the cells, for example roc_auc or train_samples_per_second",
    )
    report.add_argument("--png", action="store_true", help="write each figure as PNG as well, for documents")
    report.add_argument("--out", type=Path, metavar="FILE", help="where the table goes (default: standard output)")
    report.set_defaults(action=_report)


def _report(arguments: argparse.Namespace) -> int:
    if arguments.table or arguments.format or arguments.pivot:
        return _table(arguments)
    if arguments.out:
        raise UsageError("--out is for a table (--table, --format or --pivot); a report lies beside its records")
    print(f"report: {write_report(arguments.directory, png=arguments.png)}")
    return 0


def _table(arguments: argparse.Namespace) -> int:
    from bench import records
    from reports import documents

    if arguments.format == "parquet" and not arguments.out:
        raise UsageError("Parquet is no text: say with --out into which file it goes")
    found, warnings = records.read_for_report(arguments.directory)
    for warning in warnings:
        print(f"bench: {warning}", file=sys.stderr)
    text = documents.written(
        records.latest(found), arguments.table or "quality", arguments.format or "markdown", arguments.pivot
    )
    if arguments.out:
        arguments.out.write_bytes(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
    return 0


def write_report(directory: Path, *, png: bool = False) -> Path:
    import gc

    import reports
    from bench import records

    gc.disable()  # records hold no cycles, and looking for some takes longer than reading them
    try:
        found, warnings = records.read_for_report(directory)
        return reports.write_report(records.latest(found), directory, warnings=warnings, png=png)
    finally:
        gc.enable()
