"""``bench run``: a suite's trials, its records and its report."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.commands import options
from bench.commands.report import render_html, write_report
from bench.commands.verify import proved
from bench.messages import UsageError, plain
from reports import PAGE

MOST_UNASKED = 10_000
"""Trials of a sweep that run without a further word."""
FIRST = 8
"""Trials of a larger one that run to tell how long all would take."""


def add(commands: Any) -> None:
    """Declares the command and its options."""
    run = commands.add_parser(
        "run",
        help="run a suite and write its report",
        description="Runs every trial of a suite in a process of its own and writes records and a report. A run that "
        "was stopped goes on where it stopped when the same command is given again.",
    )
    run.add_argument("suite", metavar="SUITE", help="a shipped suite's name (see 'bench list suites') or a TOML file")
    axes = run.add_argument_group(
        "narrow and vary", "Lists are separated by commas. A value that the suite does not name is added to it."
    )
    options.lists(
        axes,
        backends="torch,jax",
        detectors="vae,knn",
        datasets="digits:4,file:my.csv or 'file:folder/*.npz'",
        modes="idiomatic",
    )
    axes.add_argument("--device", choices=["cpu", "gpu"], help="where the autoencoders run")
    axes.add_argument(
        "--precision", type=options.precisions, metavar="LIST", help=f"of {', '.join(options.PRECISIONS)}"
    )
    axes.add_argument("--batch-sizes", type=options.counts, metavar="LIST", help="for example 32,128,512")
    axes.add_argument(
        "--threads",
        type=options.counts,
        metavar="LIST",
        help="compute threads a trial, for example 1,4 (where a suite names none: all cores, shared by --jobs)",
    )
    axes.add_argument("--seeds", type=options.seeds, metavar="LIST", help="for example 0,1,2")
    axes.add_argument(
        "--rounds", type=options.positive, metavar="N", help="passes over all scenarios, for more timings"
    )
    axes.add_argument("--epochs", type=options.positive, metavar="N", help="training epochs of the autoencoders")
    options.sweeps(axes)
    how = run.add_argument_group("how to run")
    how.add_argument(
        "--jobs", type=options.positive, metavar="N", default=1, help="trials side by side; above 1 nothing is timed"
    )
    clock = how.add_mutually_exclusive_group()
    clock.add_argument(
        "--untimed",
        action="store_true",
        help="for quality alone: nothing is timed, as with --jobs above 1 and in sweeps; trials share processes",
    )
    clock.add_argument("--timed", action="store_true", help="time the trials of a sweep, each in its own process")
    how.add_argument(
        "--lanes",
        type=options.lanes,
        metavar="N",
        help="train up to N alike trials together in one program where nothing is timed; auto: as many as is fastest",
    )
    options.cluster(how)
    how.add_argument("--timeout", type=options.seconds, metavar="TIME", help="limit for one trial: 90, 90s, 5m or 1h")
    how.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: results/SUITE)")
    how.add_argument(
        "--retry-failed",
        action="store_true",
        help="run the trials once more that failed, also those whose worker was lost",
    )
    how.add_argument(
        "--verify",
        action="store_true",
        help="first prove the backends equal (verify --quick), unless that is known",
    )
    how.add_argument(
        "--watch", action="store_true", help="show the report in the browser as it grows; rebuilt between trials alone"
    )
    how.add_argument(
        "--no-self-check",
        action="store_true",
        help="do not let every timed trial follow the reference when it ends (at most 3 %% of its time, or 1 s)",
    )
    how.add_argument(
        "--yes", action="store_true", help=f"run a sweep of more than {MOST_UNASKED:,} trials without asking"
    )
    how.add_argument("--dry-run", action="store_true", help="print the trials and stop")
    options.data_dir(how)
    run.set_defaults(action=_run, interrupted="; every finished trial is kept, and the same command goes on from there")


def _run(arguments: argparse.Namespace) -> int:
    from bench.environment import available_cores
    from bench.suites import suite

    if arguments.timed and arguments.jobs > 1:
        raise UsageError("--timed trials run one at a time, without --jobs")
    address = _cluster(arguments)
    chosen = suite.load(arguments.suite).vary(
        seeds=arguments.seeds,
        rounds=arguments.rounds,
        timeout=arguments.timeout,
        epochs=arguments.epochs,
        batch_sizes=arguments.batch_sizes,
        threads=arguments.threads,
        datasets=arguments.datasets,
        detectors=arguments.detectors,
        backends=arguments.backends,
        modes=arguments.modes,
        devices=[arguments.device] if arguments.device else None,
        precisions=arguments.precision,
        labelled=arguments.labelled_validation,
        lanes=arguments.lanes,
        sweep=options.swept(arguments.sweep),
    )
    if address is not None and not arguments.dry_run:
        return _on_cluster(arguments, address, chosen)
    threads = max(1, available_cores() // arguments.jobs)
    most = max((scenario.threads for scenario in chosen.scenarios(threads)), default=threads)
    if most > available_cores():
        raise UsageError(f"{most} threads are more than the {available_cores()} cores available here")
    if arguments.dry_run:
        _tell(chosen.notes)
        for trial in chosen.trials(threads):
            print(plain(f"round {trial.round} seed {trial.seed}  {trial.scenario.label}"))
        print(
            "data sets with categories, which show when they are loaded, get the detector rarity as well",
            file=sys.stderr,
        )
        return 0
    from bench.run.side_by_side import SideBySide

    timed = _timed(arguments, chosen)
    if timed and arguments.lanes not in (None, 1):
        raise UsageError("--lanes is of trials that are not timed: add --untimed")
    executor = SideBySide(arguments.jobs, 1 if timed else chosen.lanes)
    return _execute(arguments, chosen, threads, lambda fitting: executor)


def _cluster(arguments: argparse.Namespace) -> Any:
    """Where ``--cluster`` leads, checked before anything is read; None without it."""
    if arguments.cluster is None:
        for name in ("mixed", "retries"):
            if getattr(arguments, name):
                raise UsageError(f"--{name} is of --cluster, which is not given")
        return None
    if arguments.jobs > 1:
        raise UsageError("--jobs is of this machine; on a cluster --untimed runs as many side by side as fit")
    if arguments.lanes is not None:
        raise UsageError("--lanes is of this machine; on a cluster each training has a program of its own")
    if arguments.verify:
        raise UsageError("--verify proves the backends of this machine; run 'bench verify' on the workers' machines")
    from bench.cluster import address, connection

    connection.require()
    return address.read(arguments.cluster)


def _on_cluster(arguments: argparse.Namespace, address: Any, chosen: Any) -> int:
    from bench.cluster import connection
    from bench.cluster.asking import facts_there
    from bench.cluster.executor import OnCluster

    with connection.opened(address) as client:
        connection.greet(client)
        retries = 2 if arguments.retries is None else arguments.retries
        out = _out(arguments, chosen)
        threads = connection.threads(client, chosen, out) if _timed(arguments, chosen) else 1
        return _execute(
            arguments,
            chosen,
            threads,
            lambda fitting: OnCluster(client, out, sizes=fitting.sizes, retries=retries, mixed=arguments.mixed),
            lambda reference: facts_there(client, reference, chosen.seeds[0], _data_dir(arguments)),
        )


def _timed(arguments: argparse.Namespace, chosen: Any) -> bool:
    """Whether trials are timed: those of a sweep, of which there are many, only where they are meant to be."""
    return arguments.jobs == 1 and not arguments.untimed and (arguments.timed or not chosen.swept)


def _out(arguments: argparse.Namespace, chosen: Any) -> Path:
    return arguments.out or Path("results") / str(chosen.name)


def _data_dir(arguments: argparse.Namespace) -> Path | None:
    return options.whole(arguments.data_dir) if arguments.data_dir else None


def _execute(
    arguments: argparse.Namespace,
    chosen: Any,
    threads: int,
    executor: Callable[[Any], Any],
    elsewhere: Callable[[str], Any] = lambda reference: None,
) -> int:
    """Runs what is left by the executor that suits the data sets, writes the report, and says how it went."""
    from bench.records import store
    from bench.run import runner
    from bench.run.executor import Display
    from bench.serve.progress import display
    from bench.suites import fits

    out = _out(arguments, chosen)
    options.whole(out)
    data_dir = _data_dir(arguments)
    fitting = fits.survey(chosen, data_dir, threads, elsewhere)
    _tell(chosen.notes)
    chosen = chosen.with_categories(fitting.categorical)
    trials = len(chosen.trials(threads)) if chosen.swept and not arguments.yes else 0
    planned, chosen = chosen, chosen.beginning(FIRST) if trials > MOST_UNASKED else chosen
    equal = proved(chosen.scenarios(threads)) if arguments.verify else True
    with contextlib.ExitStack() as stack:
        shown: Display = display()
        if arguments.watch:
            shown = _watched(shown, out, stack)
        stack.callback(shown.close)
        outcome = runner.run(
            chosen,
            out,
            threads=threads,
            timed=_timed(arguments, chosen),
            executor=executor(fitting),
            data_dir=data_dir,
            shapes=fitting.shapes,
            unfit=fitting.unfit,
            command=options.command_line(),
            display=shown,
            self_check=not arguments.no_self_check,
            retry_failed=arguments.retry_failed,
        )
    if chosen is not planned:
        begun = {trial.key for trial in chosen.trials(threads)}
        first = [record for record in store.read(out)[0] if store.key(record) in begun]
        raise UsageError(_asking(trials, first, arguments.jobs))
    path = write_report(out, html=True)
    if outcome.kept:
        print(f"{outcome.kept} of {outcome.trials} trials were finished before and kept")
    for record in outcome.bad:
        what = " ".join(filter(None, (record["dataset"], record["detector"], record["backend"], record["mode"])))
        print(plain(f"{record['status']}: {what} seed {record['seed']}: {record['reason']}"))
    print(f"{outcome.trials - len(outcome.bad)} of {outcome.trials} trials ended well")
    print(plain(f"report: {path}, and to look at: {path.with_name(PAGE)}"))
    return 1 if outcome.bad or not equal else 0


def _asking(trials: int, first: Sequence[Mapping[str, Any]], jobs: int) -> str:
    """What a large sweep is asked before it goes on: how long it would take, from its first trials."""
    ran = [record for record in first if record.get("wall_seconds")]
    # the first trial of a process pays for its start, which later ones do not
    later = [record for record in ran if record.get("made", {}).get("before")]
    spent = [record["wall_seconds"] for record in later or ran]
    if not spent:
        return f"the sweep has {trials:,} trials, and none of the first {len(first)} ran; add --yes to run them all"
    hours = sum(spent) / len(spent) * trials / jobs / 3600
    about = f"{hours:,.0f} hours" if hours >= 2 else f"{60 * hours:,.0f} minutes"
    return (
        f"the sweep has {trials:,} trials; at the pace of the first {len(ran)}, which are kept, all would take about "
        f"{about}; add --yes to run them, or draw some of them by --sweep sample=N"
    )


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        print(plain(f"note: {note}"), file=sys.stderr)


def _watched(shown: Any, out: Path, stack: contextlib.ExitStack) -> Any:
    """The display with a page beside it, whose address is printed now."""
    from bench.serve.server import Board
    from bench.serve.watching import Pace, Watched

    board = stack.enter_context(Board())
    print(f"watch it at {board.address}", flush=True)
    pace = Pace(board, lambda: render_html(out, live=True))
    stack.callback(lambda: pace.show() if board.wanted else None)
    return Watched(shown, pace)
