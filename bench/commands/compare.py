"""``bench compare``: two sides, and a verdict that a build can fail on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands import options
from bench.messages import UsageError, nearest

if TYPE_CHECKING:
    from bench.verdict.comparison import Terms

FORMATS = ("text", "markdown", "json", "junit")


def add(commands: Any) -> None:
    """Declares the command and its options."""
    compare = commands.add_parser(
        "compare",
        help="compare two results, revisions, releases or settings, with verdicts",
        description="Compares two sides and gives a verdict on each scenario and metric. A side is a results "
        "directory, 'here' (this code), git:REV, pip:REQUIREMENT (such as pip:torch==2.12.1), python:PATH (an "
        "interpreter) or set:KEY=VALUE,... (this code with other settings). Live sides run as duets: two workers that "
        "take their epochs in turn, in fresh pairs of processes, until there are verdicts or the budget is spent.",
        epilog="The exit status is 0 when nothing regressed, 1 when something did, 2 for a usage or input error, 3 "
        "under --strict when something is inconclusive, 4 when something, or everything, cannot be compared. What one "
        "side lacks, a metric or trials, counts as inconclusive under --strict and with --metric; a metric that "
        "--metric names and that cannot be compared anywhere in a scenario gives 4.",
    )
    compare.add_argument("baseline", metavar="BASELINE")
    compare.add_argument("candidate", metavar="CANDIDATE")
    what = compare.add_argument_group("what is compared")
    what.add_argument("--suite", metavar="SUITE", help="what live sides run (default: the shipped suite compare)")
    what.add_argument("--backends", type=options.names, metavar="LIST", action="extend", help="for example torch,jax")
    what.add_argument(
        "--metric", type=options.names, metavar="LIST", action="extend", help="for example train_samples_per_second"
    )
    what.add_argument(
        "--threshold", type=options.share, metavar="SHARE", help="of speed and memory, smaller changes are none (3%%)"
    )
    what.add_argument(
        "--quality-threshold", type=options.share, metavar="POINTS", help="of ROC AUC, AP and F1 (default: 0.01)"
    )
    how = compare.add_argument_group("how")
    how.add_argument("--budget", type=options.seconds, metavar="TIME", help="time of the process pairs (default: 5m)")
    how.add_argument("--format", choices=FORMATS, default="text")
    how.add_argument("--strict", action="store_true", help="exit with 3 when something is inconclusive")
    how.add_argument("--out", type=Path, metavar="DIR", help="where the pairs are kept (default: in results/compare)")
    options.data_dir(how)
    compare.set_defaults(
        action=_compare, interrupted="; every finished pair is kept, and the same command goes on from there"
    )


def _compare(arguments: argparse.Namespace) -> int:
    from bench.environment import environment_hash
    from bench.verdict import calibration, comparison, sides
    from reports import printed

    terms = terms_of(arguments)
    given = (arguments.baseline, arguments.candidate)
    stored = [sides.is_directory(text) for text in given]
    if all(stored):
        _refuse_live_options(arguments)
        warnings: list[str] = []
        found = comparison.of_directories(Path(given[0]), Path(given[1]), terms, warnings.append)
        if not found:
            raise UsageError(f"{given[0]} and {given[1]} hold no records to compare")
        options.warn(warnings)
        result = comparison.result(found, terms) | {
            "live": False,
            "baseline": {"text": given[0]},
            "candidate": {"text": given[1]},
        }
    elif any(stored):
        raise UsageError(
            f"{given[stored.index(True)]} is a results directory, which is compared with another one alone"
        )
    else:
        result = _live(arguments, terms)
        known = calibration.newest(environment_hash(result["baseline"]["environment"]), terms.threshold)
        result["calibration"] = printed.calibration_sentence(known) if known else None
    print(_written(result, arguments.format, strict=arguments.strict), end="")
    return comparison.status(result, strict=arguments.strict)


def _live(arguments: argparse.Namespace, terms: Terms) -> dict[str, Any]:
    from bench.environment import available_cores, differences
    from bench.suites import fits, suite
    from bench.verdict import campaign, comparison, sides

    chosen = suite.load(arguments.suite or "compare").vary(backends=arguments.backends)
    data_dir = options.whole(arguments.data_dir) if arguments.data_dir else None
    baseline, candidate = (sides.live(text, _tell) for text in (arguments.baseline, arguments.candidate))
    found, notes = campaign.matches(chosen, baseline, candidate, available_cores())
    most = max(scenario.threads for match in found for scenario in (match.baseline, match.candidate))
    if most > available_cores():
        raise UsageError(f"{most} threads are more than the {available_cores()} cores available here")
    fits.check(chosen, data_dir)
    out = arguments.out or Path("results") / "compare" / campaign.folder_name(baseline, candidate, found)
    command, budget = options.command_line(), arguments.budget or campaign.BUDGET
    options.whole(out)
    with campaign.Duets(found, baseline, candidate, out, chosen, data_dir=data_dir, command=command) as played:
        played.play(terms, budget, _tell)
        compared = comparison.result(played.found(terms), terms, budget)
        seconds = played.spent()
    return compared | {
        "live": True,
        "suite": chosen.name,
        "budget": budget,
        "seconds": seconds,
        "pairs": str(out),
        "baseline": {"text": arguments.baseline, "name": baseline.name, "environment": dict(baseline.environment)},
        "candidate": {"text": arguments.candidate, "name": candidate.name, "environment": dict(candidate.environment)},
        "differ": [
            phrase.replace(" there, ", " → ").removesuffix(" here")
            for phrase in differences(baseline.environment, candidate.environment)
        ],
        "notes": [*compared["notes"], *notes, f"The pairs are kept in {out}."],
    }


def terms_of(arguments: argparse.Namespace) -> Terms:
    """What is compared and how much counts, from the options; those that a command does not have are as by default."""
    from bench.verdict.comparison import Terms
    from bench.verdict.rules import METRICS

    for name in arguments.metric or ():
        if name not in METRICS:
            raise UsageError(f"--metric: {name!r} is not compared{nearest(name, METRICS)}")
    given = {
        "metrics": tuple(dict.fromkeys(arguments.metric)) if arguments.metric else None,
        "named": bool(arguments.metric),
        "threshold": arguments.threshold,
        "quality_threshold": getattr(arguments, "quality_threshold", None),
    }
    return Terms(**{key: value for key, value in given.items() if value is not None})


def _refuse_live_options(arguments: argparse.Namespace) -> None:
    for name in ("suite", "backends", "budget", "out"):
        if getattr(arguments, name):
            raise UsageError(f"--{name} is for live sides; two results directories are compared as they are")


def _written(result: dict[str, Any], form: str, *, strict: bool) -> str:
    import json

    from reports import printed

    if form == "json":
        return json.dumps(result, indent=2, allow_nan=False) + "\n"
    if form == "junit":
        return printed.comparison_junit(result, strict=strict)
    return (printed.comparison_markdown if form == "markdown" else printed.comparison_text)(result)


def _tell(doing: str) -> None:
    print(doing, file=sys.stderr, flush=True)
