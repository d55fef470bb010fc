"""``bench calibrate``: how often ``bench compare`` errs on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.commands import options

DURATION = 600.0
BUDGET = 120.0
COMPARISONS = 300
SLOWDOWNS = (0.02, 0.05, 0.10)


def add(commands: Any) -> None:
    """Declares the command and its options."""
    calibrate = commands.add_parser(
        "calibrate",
        help="measure how often a comparison errs on this machine, and how small a slowdown it sees",
        description="Plays process pairs of equal sides, and of sides with a planted slowdown, and says how many "
        "comparisons would raise a false alarm, how many would see each slowdown, and the smallest that is promised to "
        "be seen. The result is kept, and 'bench compare' quotes it. A calibration that was stopped goes on where it "
        "stopped when the same command is given again.",
    )
    calibrate.add_argument("--suite", metavar="SUITE", help="what is run (default: the shipped suite compare)")
    calibrate.add_argument("--backends", type=options.names, metavar="LIST", action="extend", help="for example torch")
    calibrate.add_argument(
        "--slowdowns", type=options.shares, metavar="LIST", help="what is planted, in percent (default: 2,5,10)"
    )
    calibrate.add_argument(
        "--threshold", type=options.share, metavar="SHARE", help="as of bench compare (default: 3%%)"
    )
    calibrate.add_argument(
        "--metric", type=options.names, metavar="LIST", action="extend", help="as of bench compare (default: all)"
    )
    calibrate.add_argument(
        "--budget", type=options.seconds, metavar="TIME", default=BUDGET, help="of one comparison (default: 2m)"
    )
    calibrate.add_argument(
        "--duration", type=options.seconds, metavar="TIME", default=DURATION, help="of all live pairs (default: 10m)"
    )
    calibrate.add_argument(
        "--comparisons",
        type=options.positive,
        metavar="N",
        default=COMPARISONS,
        help=f"of equal sides, live and resampled, and of each slowdown (default: {COMPARISONS})",
    )
    calibrate.add_argument("--format", choices=["text", "markdown", "json"], default="text")
    calibrate.add_argument(
        "--out", type=Path, metavar="DIR", help="where the pairs are kept (default: the state folder)"
    )
    options.data_dir(calibrate)
    calibrate.set_defaults(
        action=_calibrate, interrupted="; every finished pair is kept, and the same command goes on from there"
    )


def _calibrate(arguments: argparse.Namespace) -> int:
    import json

    from bench.commands.compare import terms_of
    from bench.environment import available_cores, environment_hash
    from bench.suites import fits, suite
    from bench.verdict import calibration, campaign, sides
    from reports import printed

    chosen = suite.load(arguments.suite or "compare").vary(backends=arguments.backends)
    data_dir = options.whole(arguments.data_dir) if arguments.data_dir else None
    terms = terms_of(arguments)
    side = sides.live("here")
    found, notes = campaign.matches(chosen, side, side, available_cores())
    fits.check(chosen, data_dir)
    environment = environment_hash(side.environment)
    out = arguments.out or calibration.folder(environment) / campaign.folder_name(side, side, found)
    options.whole(out)
    for note in notes:
        _tell(note)
    slowdowns = arguments.slowdowns or SLOWDOWNS
    with calibration.Calibration(
        found, side, chosen, out, slowdowns, data_dir=data_dir, command=options.command_line()
    ) as calibration_:
        calibration_.play(arguments.duration, _tell)
        _tell("resampling")
        result = calibration_.result(terms, arguments.budget, arguments.comparisons)
    calibration.keep(result, environment)
    if arguments.format == "json":
        print(json.dumps(result, indent=2))
    else:
        markdown = arguments.format == "markdown"
        print((printed.calibration_markdown if markdown else printed.calibration_text)(result), end="")
    return 0


def _tell(doing: str) -> None:
    print(doing, file=sys.stderr, flush=True)
