"""``bench report``: the report of one run or several from their records, as Markdown or HTML, or one of its tables."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.commands import options
from bench.commands.options import port
from bench.messages import UsageError, plain


def add(commands: Any) -> None:
    """Declares the command and its options."""
    report = commands.add_parser(
        "report",
        help="rebuild the report of a results directory from its records, or print one of its tables",
        description="Rebuilds the report of a results directory from its records; with --format html as one HTML file, "
        "with --serve in the browser. With --table, another --format or --pivot one table is written instead: for a "
        "README, a paper (LaTeX with booktabs) or another program. Several directories are set side by side. "
        "With --sql the table is what a query over the records says.",
    )
    report.add_argument("directories", type=Path, metavar="DIR", nargs="+")
    report.add_argument("--table", choices=["quality", "throughput", "equality"], help="default: quality")
    report.add_argument(
        "--format",
        choices=["markdown", "latex", "csv", "json", "parquet", "html"],
        help="html: the whole report as one file; the others: of the table (default: markdown)",
    )
    report.add_argument(
        "--pivot",
        metavar="METRIC",
        help="one column per data set, with this metric in the cells, for example roc_auc or train_samples_per_second",
    )
    report.add_argument(
        "--sql",
        metavar="QUERY",
        help="one SELECT over the table records, with a column for each key and each metric of a record",
    )
    report.add_argument("--png", action="store_true", help="write each figure as PNG as well, for documents")
    report.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="where a table (default: standard output) or the HTML file goes, or the report of several runs with its "
        "figures",
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
    if arguments.sql is not None:
        return _query(arguments)
    directories = list(dict.fromkeys(path.resolve() for path in arguments.directories))
    several = len(directories) > 1
    if arguments.format == "html":
        if arguments.table or arguments.pivot:
            raise UsageError("--format html is the whole report; --table and --pivot write a table in another format")
        if several and not arguments.out:
            raise UsageError("a report of several runs belongs to none of them: say with --out FILE where it goes")
        print(plain(f"report: {write_html(*arguments.directories, out=arguments.out)}"))
        return 0
    if arguments.table or arguments.format or arguments.pivot:
        return _table(arguments)
    if not several:
        if arguments.out:
            raise UsageError(
                "--out is for a table (--table, --format or --pivot), for --format html or for several runs; one run "
                "has its report beside it"
            )
        print(plain(f"report: {write_report(arguments.directories[0], png=arguments.png)}"))
        return 0
    if not arguments.out:
        raise UsageError("a report of several runs belongs to none of them: say with --out DIR where it goes")
    if arguments.out.resolve() in directories:
        raise UsageError(f"--out {arguments.out} is one of the runs and has a report of its own; choose another")
    print(plain(f"report: {write_report(*arguments.directories, out=arguments.out, png=arguments.png)}"))
    return 0


def _table(arguments: argparse.Namespace) -> int:
    from reports import excerpt

    if arguments.format == "parquet" and not arguments.out:
        raise UsageError("Parquet is no text: say with --out into which file it goes")
    found, warnings, _ = _read(arguments.directories)
    text = excerpt.written(found, arguments.table or "quality", arguments.format or "markdown", arguments.pivot)
    options.warn(warnings)
    options.write(text, arguments.out)
    return 0


def _query(arguments: argparse.Namespace) -> int:
    from bench.records import query
    from reports import queried

    if arguments.table or arguments.pivot or arguments.png or arguments.format == "html":
        raise UsageError("--sql makes a table of its own and takes no --table, --pivot, --png or --format html")
    if arguments.format == "parquet" and not arguments.out:
        raise UsageError("Parquet is no text: say with --out into which file it goes")
    runs = {name or path.resolve().name: path for name, path in _named(arguments.directories).items()}
    found, warnings = query.answer(runs, arguments.sql)
    options.warn(warnings)
    options.write(queried.written(found, arguments.format or "markdown"), arguments.out)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    """Shows the report until Ctrl-C; a new page a second after new records, and no faster than it is made."""
    import os
    import time

    from bench.records import store
    from bench.serve.server import Board
    from bench.serve.watching import Pace

    for name in ("table", "format", "pivot", "sql", "out", "png"):
        if getattr(arguments, name):
            raise UsageError(f"--serve shows the whole report and takes no --{name}")
    paths = [directory / store.FILE for directory in arguments.directories]

    def made() -> bytes:
        return render_html(*arguments.directories, live=True)

    def state() -> list[tuple[int, int] | None]:
        found = [path.stat() if path.exists() else None for path in paths]
        return [file and (file.st_size, file.st_mtime_ns) for file in found]

    seen = state()  # before the page is made: a record that comes meanwhile is news
    page = made()  # one line and no server where there are no records
    with Board(arguments.port or 0) as board:
        board.show(page)
        print(f"the report is at {board.address} until Ctrl-C", flush=True)
        if hasattr(os, "nice"):
            os.nice(10)  # a run on this machine comes first
        pace = Pace(board, made)
        try:
            while True:
                time.sleep(1)
                now = state()
                if now != seen and pace.due():
                    seen = now
                    pace.show()
        except KeyboardInterrupt:
            print()
    return 0


def render_html(*directories: Path, live: bool = False) -> bytes:
    """The report of one run or several as HTML, from the records that are there now."""
    import reports
    from bench.environment import available_cores

    found, warnings, homes = _read(directories, 1 if live else available_cores())
    return reports.page(found, warnings, directory=directories[0], homes=homes, live=live)


def write_html(*directories: Path, out: Path | None = None) -> Path:
    """Writes ``report.html`` beside the records of one run, or ``out``, as a whole or not at all."""
    import reports

    path = out or directories[0] / reports.PAGE
    reports.replace(path, render_html(*directories))
    return path


def write_report(*directories: Path, out: Path | None = None, png: bool = False, html: bool = False) -> Path:
    """The report of one run beside its records, or of several in ``out``; with the page beside it if ``html``."""
    import reports
    from bench.environment import available_cores  # heavy, and a command declares itself without

    found, warnings, homes = _read(directories, cores := available_cores())
    out = out or directories[0]
    return reports.write_report(found, out, warnings=warnings, homes=homes, png=png, html=html, processes=cores)


def _read(
    directories: Sequence[Path], processes: int = 1
) -> tuple[Sequence[Mapping[str, Any]], list[str], dict[str, Path]]:
    """The last record of each trial of each run, warnings, and where each run lies by the name its records carry."""
    from bench.records import view

    homes = _named(directories)
    found, warnings = view.read(homes, processes)
    return found, warnings, homes if len(homes) > 1 else {}


def _named(directories: Sequence[Path]) -> dict[str, Path]:
    """Runs by what tells them apart, the name of the directory where it does; a single one has an empty name."""
    distinct = list({path.resolve(): path for path in directories}.values())
    if len(distinct) == 1:
        return {"": distinct[0]}
    stems = [path.resolve().name for path in distinct]
    return {name if stems.count(name) == 1 else str(path): path for name, path in zip(stems, distinct, strict=True)}
