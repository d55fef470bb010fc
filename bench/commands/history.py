"""``bench history``: past runs in a directory of small files, where they changed, and whether that is a regression."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands import options
from bench.messages import UsageError, harmless, plain

if TYPE_CHECKING:
    from bench.history.changes import Change
    from bench.history.entry import Entry
    from bench.history.series import Series
    from reports.history import Line

REGRESSED = 1


def add(commands: Any) -> None:
    """Declares the command, its own commands and their options."""
    history = commands.add_parser(
        "history",
        help="keep what runs measured, and find where it changed",
        description="Keeps the medians of each run as one small file in a directory that git merges without conflicts, "
        "and finds the points where a scenario became faster, slower, better or worse.",
    )
    actions = history.add_subparsers(title="commands", required=True, metavar="COMMAND")

    adding = actions.add_parser("add", help="add a run: a results directory, or a JSON file of pytest-benchmark")
    adding.add_argument("source", type=Path, metavar="DIR", help="a results directory or FILE.json")
    adding.add_argument("--revision", metavar="REV", help="what the run is of (default: the revision it recorded)")
    _where(adding)
    adding.set_defaults(action=_add)

    showing = actions.add_parser("show", help="every series with its change points, as text, CSV or figures")
    _where(showing)
    _which(showing)
    showing.add_argument("--format", choices=["text", "csv"], default="text", help="default: text")
    showing.add_argument("--figures", type=Path, metavar="DIR", help="also draw each series as SVG into this directory")
    showing.set_defaults(action=_show)

    checking = actions.add_parser(
        "check",
        help="exit with 1 when the newest points open a regression",
        description="Looks at the series that the newest run goes on with. The exit status is 1 when the newest points "
        "of one open a regression, 0 when none does, 2 when the history cannot be read.",
    )
    _where(checking)
    _which(checking)
    checking.add_argument(
        "--threshold",
        type=options.share,
        metavar="SHARE",
        default=0.03,
        help="of rates, times and memory: a smaller change is no regression (default: 3%%)",
    )
    checking.add_argument(
        "--quality-threshold",
        type=options.share,
        metavar="DIFFERENCE",
        default=0.01,
        help="the same for ROC AUC, AP and F1, as a difference (default: 0.01)",
    )
    checking.add_argument(
        "--newest", type=options.positive, metavar="N", default=12, help="points that count as newest (default: 12)"
    )
    checking.set_defaults(action=_check)


def _where(parser: Any) -> None:
    parser.add_argument(
        "--history", type=Path, metavar="DIR", default=Path("history"), help="the directory (default: history)"
    )


def _which(parser: Any) -> None:
    parser.add_argument(
        "--metric", type=options.names, metavar="LIST", action="extend", help="for example train_samples_per_second"
    )
    parser.add_argument("--match", metavar="TEXT", help="scenarios whose name holds this text, for example torch")


def _add(arguments: argparse.Namespace) -> int:
    from bench.history import condense, pytest_benchmark, store

    source: Path = arguments.source
    warnings: list[str] = []
    if source.is_file():
        entry = pytest_benchmark.read(source, arguments.revision)
    else:
        entry = condense.results(source, arguments.revision, warnings.append)
    path = store.add(arguments.history, entry)
    options.warn(warnings)
    if path is None:
        print(plain(f"{source} is in {arguments.history} already"))
    else:
        print(plain(f"{path}: {len(entry.points)} points of revision {entry.run.revision or 'unknown'}"))
        if newer := store.later(arguments.history, entry):
            print(
                f"note: dated {entry.run.date:%Y-%m-%d %H:%M}, it stands before {len(newer)} of the runs there, "
                f"the newest of which is of {newer[-1]:%Y-%m-%d %H:%M}"
            )
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from bench.history import export, store
    from bench.history.series import series
    from reports import history

    entries = store.read(arguments.history)
    if arguments.format == "csv":
        options.write(export.as_csv(_chosen_points(entries, arguments)), None)
        return 0
    lines = [_line(found, _found(found)) for found in _chosen(series(entries), arguments)]
    print(plain(f"{arguments.history}: {_runs(entries)}") + "\n")
    print(harmless(history.text(lines)))
    if arguments.figures:
        from reports.figures.history import write_figures

        paths = write_figures(lines, arguments.figures)
        print("\n" + plain(f"{len(paths)} figures in {arguments.figures}"))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from bench.history import changes, store
    from bench.history.series import living

    entries = store.read(arguments.history)
    chosen = _chosen(living(entries), arguments)
    judged = [found for found in chosen if len(found.points) >= changes.FEWEST]
    opened: list[str] = []
    better: list[str] = []
    for found in judged:
        limit = arguments.threshold if found.kind.relative else arguments.quality_threshold
        last = _found(found)[-1:]
        if last and len(found.points) - last[0].place <= arguments.newest and abs(last[0].size) >= limit:
            (opened if last[0].worse else better).append(_line(found, last).told(_told(found, last[0])))
    for told in (*opened, *better):
        print(plain(told))
    if len(judged) < len(chosen):
        print(f"{len(chosen) - len(judged)} of {len(chosen)} series have under {changes.FEWEST} points: not judged yet")
    print(f"{len(opened)} of {len(judged)} series end in a regression")
    return REGRESSED if opened else 0


def _found(found: Series) -> list[Change]:
    from bench.history import changes

    return changes.changes(found)


def _chosen(found: Sequence[Series], arguments: argparse.Namespace) -> list[Series]:
    chosen = [one for one in found if _wanted(one.label, one.metric, arguments)]
    if not chosen:
        raise UsageError(f"{arguments.history}: holds no series that --metric and --match would leave")
    return chosen


def _chosen_points(entries: Sequence[Entry], arguments: argparse.Namespace) -> list[Entry]:
    from bench.history.entry import Entry

    return [
        Entry(entry.run, tuple(point for point in entry.points if _wanted(point.label, point.metric, arguments)))
        for entry in entries
    ]


def _wanted(label: str, metric: str, arguments: argparse.Namespace) -> bool:
    from bench.history.entry import METRICS

    if unknown := [name for name in arguments.metric or () if name not in METRICS]:
        raise UsageError(f"--metric: no metric {unknown[0]!r}; a history has {', '.join(METRICS)}")
    return (arguments.metric is None or metric in arguments.metric) and (arguments.match or "") in label


def _line(found: Series, changes: Sequence[Change]) -> Line:
    from reports.history import Line

    points = found.points
    return Line(
        machine=found.machine,
        label=found.label,
        backend=points[-1].backend,
        metric=found.metric,
        unit=found.kind.unit,
        relative=found.kind.relative,
        dates=[run.date for run in found.runs],
        revisions=[run.revision or "" for run in found.runs],
        medians=found.medians,
        lows=[point.low for point in points],
        highs=[point.high for point in points],
        marked=[2 * point.marked > point.n for point in points],
        changes=[_told(found, change) for change in changes],
    )


def _told(found: Series, change: Change) -> Any:
    from reports import history

    notes = tuple(found.versions_changed(change.place))
    return history.Change(change.place, change.until, change.size, change.low, change.high, change.worse, notes)


def _runs(entries: Sequence[Entry]) -> str:
    first, last = entries[0].run.date, entries[-1].run.date
    return f"{len(entries)} run{'' if len(entries) == 1 else 's'} from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
