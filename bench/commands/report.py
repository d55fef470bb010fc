"""``bench report``: the report of a results directory from its records alone, or one of its tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
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
    report.add_argument("directories", type=Path, metavar="DIR", nargs="+")
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
    report.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="where a table goes (default: standard output), or the directory of the report of several runs",
    )
    report.set_defaults(action=_report)


def _report(arguments: argparse.Namespace) -> int:
    if arguments.table or arguments.format or arguments.pivot:
        return _table(arguments)
    directories = list(dict.fromkeys(path.resolve() for path in arguments.directories))
    if len(directories) == 1:
        if arguments.out:
            raise UsageError(
                "--out is for a table (--table, --format or --pivot) or several runs; one run has its report beside it"
            )
        print(f"report: {write_report(arguments.directories[0], png=arguments.png)}")
        return 0
    if not arguments.out:
        raise UsageError("a report of several runs belongs to none of them: say with --out DIR where it goes")
    if arguments.out.resolve() in directories:
        raise UsageError(f"--out {arguments.out} is one of the runs and has a report of its own; choose another")
    print(f"report: {write_report(*arguments.directories, out=arguments.out, png=arguments.png)}")
    return 0


def _table(arguments: argparse.Namespace) -> int:
    from reports import documents

    if arguments.format == "parquet" and not arguments.out:
        raise UsageError("Parquet is no text: say with --out into which file it goes")
    found, warnings, _ = _read(arguments.directories)
    for warning in warnings:
        print(f"bench: {warning}", file=sys.stderr)
    text = documents.written(found, arguments.table or "quality", arguments.format or "markdown", arguments.pivot)
    if arguments.out:
        arguments.out.write_bytes(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
    return 0


def write_report(*directories: Path, out: Path | None = None, png: bool = False) -> Path:
    """The report of one run beside its records, or of several in ``out``."""
    import gc

    import reports

    gc.disable()  # records hold no cycles, and looking for some takes longer than reading them
    try:
        found, warnings, homes = _read(directories)
        return reports.write_report(found, out or directories[0], warnings=warnings, homes=homes, png=png)
    finally:
        gc.enable()


def _read(directories: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str], dict[str, Path]]:
    """The last record of each trial of each run, warnings, and where each run lies by the name its records carry."""
    from bench import records

    distinct = list({path.resolve(): path for path in directories}.values())
    if len(distinct) == 1:
        found, warnings = records.read_for_report(distinct[0])
        return records.latest(found), warnings, {}
    stems = [path.resolve().name for path in distinct]
    homes = {name if stems.count(name) == 1 else str(path): path for name, path in zip(stems, distinct, strict=True)}
    every: list[dict[str, Any]] = []
    said: list[str] = []
    for name, path in homes.items():
        found, warnings = records.read_for_report(path)
        every += [record | {"run": name} for record in records.latest(found)]
        said += [f"{name}: {warning}" for warning in warnings]
    return every, said, homes
