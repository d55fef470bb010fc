"""``bench report``: the report of a results directory from its records, as Markdown or HTML, or one of its tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.options import UsageError, port


def add(commands: Any) -> None:
    """Declares the command and its options."""
    report = commands.add_parser(
        "report",
        help="rebuild the report of a results directory from its records, or print one of its tables",
        description="Rebuilds the report of a results directory from its records; with --format html as one HTML file, "
        "with --serve in the browser. With --table, another --format or --pivot one table is written instead: for a "
        "README, a paper (LaTeX with booktabs) or another program.",
    )
    report.add_argument("directory", type=Path, metavar="DIR")
    report.add_argument("--table", choices=["quality", "throughput", "equality"], help="default: quality")
    report.add_argument(
        "--format",
        choices=["markdown", "latex", "csv", "json", "parquet", "html"],
        help="html: the whole report as one file; the others: of the table (default: markdown)",
    )
    report.add_argument(
        "--pivot",
        metavar="METRIC",
        help="one column a data set, with this metric in the cells, for example roc_auc or train_samples_per_second",
    )
    report.add_argument("--png", action="store_true", help="write each figure as PNG as well, for documents")
    report.add_argument(
        "--out", type=Path, metavar="FILE", help="where the table (default: standard output) or the HTML file goes"
    )
    report.add_argument(
        "--serve", action="store_true", help="show the report on this machine and rebuild it as records arrive"
    )
    report.add_argument("--port", type=port, metavar="N", help="of --serve (default: any that is free)")
    report.set_defaults(action=_report)


def _report(arguments: argparse.Namespace) -> int:
    if arguments.port is not None and not arguments.serve:
        raise UsageError("--port is for --serve")
    if arguments.serve:
        return _serve(arguments)
    if arguments.format == "html":
        if arguments.table or arguments.pivot:
            raise UsageError("--format html is the whole report; --table and --pivot write a table in another format")
        print(f"report: {write_html(arguments.directory, arguments.out)}")
        return 0
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


def _serve(arguments: argparse.Namespace) -> int:
    """Shows the report until Ctrl-C; a new page a second after new records, and no faster than it is made."""
    import os
    import time

    from bench import records
    from bench.serving import Board
    from bench.watching import Pace

    for name in ("table", "format", "pivot", "out"):
        if getattr(arguments, name):
            raise UsageError(f"--serve shows the whole report and takes no --{name}")
    path: Path = arguments.directory / records.FILE
    page = render_html(arguments.directory, live=True)  # one line and no server where there are no records
    with Board(arguments.port or 0) as board:
        board.show(page)
        print(f"the report is at {board.address} until Ctrl-C", flush=True)
        if hasattr(os, "nice"):
            os.nice(10)  # a run on this machine comes first
        pace = Pace(board, lambda: render_html(arguments.directory, live=True))
        seen = path.stat()
        try:
            while True:
                time.sleep(1)
                now = path.stat()
                if (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns) and pace.due():
                    seen = now
                    pace.show()
        except KeyboardInterrupt:
            print()
    return 0


def render_html(directory: Path, *, live: bool = False) -> bytes:
    """The report as HTML, from the records that a directory holds now."""
    import gc

    from bench import records
    from reports import html

    gc.disable()  # as in write_report
    try:
        found, warnings = records.read_for_report(directory)
        return html.render(records.latest(found), directory, warnings, live=live)
    finally:
        gc.enable()


def write_html(directory: Path, out: Path | None = None) -> Path:
    """Writes ``report.html`` beside the records, or ``out``, as a whole or not at all."""
    from reports import html, replace

    path = out or directory / html.FILE
    replace(path, render_html(directory))
    return path


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
