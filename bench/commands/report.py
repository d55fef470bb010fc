"""``bench report``: the report of one run or several from their records, as Markdown or HTML, or one of its tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.commands import options
from bench.commands.options import port
from bench.messages import UsageError


def add(commands: Any) -> None:
    """Declares the command and its options."""
    report = commands.add_parser(
        "report",
        help="rebuild the report of a results directory from its records, or print one of its tables",
        description="Rebuilds the report of a results directory from its records; with --format html as one HTML file, "
        "with --serve in the browser. With --table, another --format or --pivot one table is written instead: for a "
        "README, a paper (LaTeX with booktabs) or another program. Several directories are set side by side.",
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
        help="one column a data set, with this metric in the cells, for example roc_auc or train_samples_per_second",
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
    directories = list(dict.fromkeys(path.resolve() for path in arguments.directories))
    several = len(directories) > 1
    if arguments.format == "html":
        if arguments.table or arguments.pivot:
            raise UsageError("--format html is the whole report; --table and --pivot write a table in another format")
        if several and not arguments.out:
            raise UsageError("a report of several runs belongs to none of them: say with --out FILE where it goes")
        print(f"report: {write_html(*arguments.directories, out=arguments.out)}")
        return 0
    if arguments.table or arguments.format or arguments.pivot:
        return _table(arguments)
    if not several:
        if arguments.out:
            raise UsageError(
                "--out is for a table (--table, --format or --pivot), for --format html or for several runs; one run "
                "has its report beside it"
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
    from reports import excerpt

    if arguments.format == "parquet" and not arguments.out:
        raise UsageError("Parquet is no text: say with --out into which file it goes")
    found, warnings, _ = _read(arguments.directories, _cores())
    for warning in warnings:
        print(f"bench: {warning}", file=sys.stderr)
    text = excerpt.written(found, arguments.table or "quality", arguments.format or "markdown", arguments.pivot)
    options.write(text, arguments.out)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    """Shows the report until Ctrl-C; a new page a second after new records, and no faster than it is made."""
    import os
    import time

    from bench.records import store
    from bench.serve.server import Board
    from bench.serve.watching import Pace

    for name in ("table", "format", "pivot", "out", "png"):
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
    import gc

    import reports

    gc.disable()  # as in write_report
    try:
        found, warnings, homes = _read(directories, 1 if live else _cores())
        return reports.page(found, warnings, directory=directories[0], homes=homes, live=live)
    finally:
        gc.enable()


def write_html(*directories: Path, out: Path | None = None) -> Path:
    """Writes ``report.html`` beside the records of one run, or ``out``, as a whole or not at all."""
    import reports

    path = out or directories[0] / reports.PAGE
    reports.replace(path, render_html(*directories))
    return path


def write_report(*directories: Path, out: Path | None = None, png: bool = False) -> Path:
    """The report of one run beside its records, or of several in ``out``."""
    import gc

    import reports

    gc.disable()  # records hold no cycles, and looking for some takes longer than reading them
    try:
        found, warnings, homes = _read(directories, cores := _cores(), _load)
        out = out or directories[0]
        return reports.write_report(found, out, warnings=warnings, homes=homes, png=png, processes=cores)
    finally:
        gc.enable()


def _read(
    directories: Sequence[Path], processes: int, meanwhile: Callable[[], None] | None = None
) -> tuple[Sequence[Mapping[str, Any]], list[str], dict[str, Path]]:
    """The last record of each trial of each run, warnings, and where each run lies by the name its records carry."""
    from bench.records import stored
    from reports import surveys

    distinct = list({path.resolve(): path for path in directories}.values())
    if len(distinct) == 1:
        found, warnings = stored.read(distinct[0], surveys.columns, processes, meanwhile)
        return found.latest(), warnings, {}
    stems = [path.resolve().name for path in distinct]
    homes = {name if stems.count(name) == 1 else str(path): path for name, path in zip(stems, distinct, strict=True)}
    every: list[Mapping[str, Any]] = []
    said: list[str] = []
    for name, path in homes.items():
        found, warnings = stored.read(path, _none)
        every += [dict(record) | {"run": name} for record in found.latest()]
        said += [f"{name}: {warning}" for warning in warnings]
    return every, said, homes


def _cores() -> int:
    from bench.environment import available_cores  # heavy, and a command declares itself without

    return available_cores()


def _load() -> None:
    """Loads what a report and its figures are made with; a table alone needs less."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401

    from reports import document  # noqa: F401


def _none(_: object) -> dict[str, Any]:
    """No columns: those of several runs are made together."""
    return {}
