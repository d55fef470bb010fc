"""``bench tune``: a search for the best settings of a sweep, by what can be known without the test labels."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.commands import options
from bench.commands.report import write_report
from bench.messages import UsageError, plain
from reports import PAGE


def add(commands: Any) -> None:
    """Declares the command and its options."""
    tune = commands.add_parser(
        "tune",
        help="search the settings of a sweep with Optuna",
        description="Searches the swept keys of a suite with Optuna, each data set, detector and backend by itself: "
        "by the validation loss, or by labelled rows where --labelled-validation takes them out of the test rows. A "
        "search that was stopped goes on where it stopped when the same command is given again.",
    )
    tune.add_argument("suite", metavar="SUITE", help="a shipped suite's name (see 'bench list suites') or a TOML file")
    tune.add_argument(
        "--trials", type=options.positive, metavar="N", default=50, help="settings to try in each search (default: 50)"
    )
    axes = tune.add_argument_group("what is searched", "Lists are separated by commas.")
    options.lists(axes, backends="torch,jax", detectors="vae", datasets="digits:4")
    axes.add_argument("--seeds", type=options.seeds, metavar="LIST", help="each setting is trained with all of them")
    axes.add_argument("--epochs", type=options.positive, metavar="N", help="training epochs of the autoencoders")
    axes.add_argument("--threads", type=options.counts, metavar="LIST", help="compute threads a trial")
    options.sweeps(axes)
    how = tune.add_argument_group("how to run")
    how.add_argument("--timeout", type=options.seconds, metavar="TIME", help="limit for one trial: 90, 90s, 5m or 1h")
    how.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: results/SUITE-tune)")
    options.data_dir(how)
    tune.set_defaults(
        action=_tune, interrupted="; every finished trial is kept, and the same command goes on from there"
    )


def _tune(arguments: argparse.Namespace) -> int:
    if find_spec("optuna") is None:
        raise UsageError("bench tune needs Optuna, which is not installed: pip install 'vaebench[tune]'")
    from bench.environment import available_cores
    from bench.run import tuning
    from bench.suites import fits, suite
    from bench.suites.spaces import spaces

    given = options.swept(arguments.sweep)
    # a search draws its points itself: a range needs no number of them
    sweep = {"sample": arguments.trials} | given if given else None
    chosen = suite.load(arguments.suite).vary(
        seeds=arguments.seeds,
        timeout=arguments.timeout,
        epochs=arguments.epochs,
        threads=arguments.threads,
        datasets=arguments.datasets,
        detectors=arguments.detectors,
        backends=arguments.backends,
        labelled=arguments.labelled_validation,
        sweep=sweep,
    )
    found = list(spaces(chosen, available_cores()))
    if not found:
        raise UsageError(f"{chosen.name}: no key is swept, so nothing can be tuned; for example --sweep latent=2,4,8")
    searched = []
    for space in found:
        if reason := tuning.refusal(space):
            print(plain(f"note: {space.base.label}: {reason}"), file=sys.stderr)
        else:
            searched.append(space)
    if not searched:
        raise UsageError(f"{chosen.name}: none of its detectors can be tuned, for the reasons above")
    out: Path = arguments.out or Path("results") / f"{chosen.name}-tune"
    options.whole(out)
    data_dir = options.whole(arguments.data_dir) if arguments.data_dir else None
    fitting = fits.survey(chosen, data_dir, available_cores())
    for space in searched:
        if reason := fitting.unfit.get(space.base.hash):
            raise UsageError(reason)
        if not tuning.prunes_epochs(space) and not space.base.labelled:
            note = "beta is searched, and the losses of an epoch under different beta do not compare: a setting is "
            print(plain(f"note: {space.base.label}: {note}pruned between seeds alone"), file=sys.stderr)
    results = tuning.tune(
        chosen,
        searched,
        out,
        trials=arguments.trials,
        data_dir=data_dir,
        command=options.command_line(),
        tell=lambda line: print(plain(line), flush=True),
    )
    path = write_report(out, html=True)
    for one in results:
        label, ended = one.space.base.label, f"{one.complete} settings, {one.pruned} pruned, {one.failed} failed"
        if one.best is None:
            print(plain(f"{label}: no setting ended well ({ended})"))
            continue
        told = " ".join(f"{key}={value}" for key, value in one.best.items())
        print(plain(f"{label}: best {told} at {one.value:.5g} ({ended})"))
    print(plain(f"report: {path}, and to look at: {path.with_name(PAGE)}"))
    return 1 if any(one.best is None for one in results) else 0
