"""The command ``bench``. Parsing comes first and imports nothing heavy, so that ``bench --help`` answers at once."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import DISTRIBUTION, __version__, options
from bench.options import UsageError

if TYPE_CHECKING:
    from bench.suite import Scenario

USAGE_ERROR = 2
INTERRUPTED = 130

_OURS = ("bench", "datasets", "backends", "reports")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0 all well, 1 some trial did not end well, 2 usage or input error."""
    arguments = _parser().parse_args(argv)
    try:
        _own_packages()
        status: int = arguments.action(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # the reader went away (`bench list | head`); Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        kept = "; every finished trial is kept, and the same command goes on from there"
        print(f"\nstopped{kept if arguments.action is _run else ''}", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError) as error:
        # our own errors are ValueErrors of one line; anything else that raises one is a bug and shows its traceback
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in (
            "bench",
            "datasets",
            "backends",
            "reports",
        ):
            print(f"bench: {_one_line(error)}", file=sys.stderr)
            return USAGE_ERROR
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="One variational autoencoder in PyTorch, Keras/TensorFlow and JAX/Flax, trained, timed and scored "
        "beside classical anomaly detectors.",
    )
    parser.add_argument("--version", action="version", version=f"{DISTRIBUTION} {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="what is there, what works here, and why not where it does not")
    listing.add_argument("what", nargs="?", choices=["backends", "datasets", "detectors", "suites"])
    options.data_dir(listing)
    listing.set_defaults(action=_list)

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
    for axis, example in (
        ("backends", "torch,jax"),
        ("detectors", "vae,knn"),
        ("datasets", "digits:4,file:my.csv"),
        ("modes", "idiomatic"),
    ):
        axes.add_argument(
            f"--{axis}", type=options.names, metavar="LIST", action="extend", help=f"for example {example}"
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
    how = run.add_argument_group("how to run")
    how.add_argument(
        "--jobs", type=options.positive, metavar="N", default=1, help="trials side by side; above 1 nothing is timed"
    )
    how.add_argument("--timeout", type=options.seconds, metavar="TIME", help="limit for one trial: 90, 90s, 5m or 1h")
    how.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: results/SUITE)")
    how.add_argument(
        "--verify",
        action="store_true",
        help="first prove the backends equal (verify --quick), unless that is known",
    )
    how.add_argument("--dry-run", action="store_true", help="print the trials and stop")
    options.data_dir(how)
    run.set_defaults(action=_run)

    verify = commands.add_parser(
        "verify",
        help="prove that the backends are the same model",
        description="Trains the same networks from the same weights, noise and batches in every backend and in a NumPy "
        "reference, and compares them rung by rung. The exit status is 0 only when every rung holds.",
    )
    verify.add_argument(
        "--backends", type=options.names, metavar="LIST", action="extend", help="default: all that work here"
    )
    verify.add_argument(
        "--precision", type=options.verified_precisions, metavar="LIST", help="float64, float32 or (default) both"
    )
    verify.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where the backends run")
    verify.add_argument("--mode", default="idiomatic", metavar="NAME", help="how they execute (default: idiomatic)")
    verify.add_argument("--quick", action="store_true", help="train less far and leave out the larger images")
    verify.add_argument("--format", choices=["text", "markdown", "json"], default="text")
    verify.set_defaults(action=_verify)

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
    report.add_argument("--out", type=Path, metavar="FILE", help="where the table goes (default: standard output)")
    report.set_defaults(action=_report)

    env = commands.add_parser("env", help="machine, threads, frameworks and versions, as they go into records")
    env.add_argument("--threads", type=options.positive, metavar="N", help="compute threads (default: all cores)")
    env.set_defaults(action=_env)
    return parser


def _own_packages() -> None:
    """Stops where `datasets`, `backends` or `reports` is somebody else's package: others use these names too."""
    home = Path(__file__).resolve().parent.parent
    for name in ("backends", "datasets", "reports"):
        spec = find_spec(name)
        origin = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if origin == home / name:
            # files of a package installed over ours would lie in the same folder
            import importlib

            if getattr(importlib.import_module(name), "DISTRIBUTION", None) == DISTRIBUTION:
                continue
        raise UsageError(
            f"the package {name!r} found at {origin} is not {DISTRIBUTION}'s; "
            f"install {DISTRIBUTION} in an environment of its own"
        )


def _list(arguments: argparse.Namespace) -> int:
    from bench import listing

    sections: dict[str, Callable[[], Iterable[tuple[str, str, str]]]] = {
        "backends": listing.backend_rows,
        "datasets": lambda: listing.dataset_rows(arguments.data_dir),
        "detectors": listing.detector_rows,
        "suites": listing.suite_rows,
    }
    wanted = [arguments.what] if arguments.what else list(sections)
    for name in wanted:
        print(listing.table(name, sections[name]()))
        if name != wanted[-1]:
            print()
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from bench import runner, suite
    from bench.environment import available_cores
    from bench.progress import display

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
    )
    threads = max(1, available_cores() // arguments.jobs)
    most = max((scenario.threads for scenario in chosen.scenarios(threads)), default=threads)
    if most > available_cores():
        raise UsageError(f"{most} threads are more than the {available_cores()} cores available here")
    if arguments.dry_run:
        for trial in chosen.trials(threads):
            print(f"round {trial.round} seed {trial.seed}  {trial.scenario.label}")
        return 0
    out: Path = arguments.out or Path("results") / chosen.name
    data_dir = arguments.data_dir.absolute() if arguments.data_dir else None
    shapes = runner.check(chosen, data_dir)
    equal = _proved(chosen.scenarios(threads)) if arguments.verify else True
    shown = display()
    try:
        outcome = runner.run(
            chosen,
            out,
            threads=threads,
            jobs=arguments.jobs,
            data_dir=data_dir,
            shapes=shapes,
            command=_command(),
            display=shown,
        )
    finally:
        shown.close()
    path = _write_report(out)
    if outcome.kept:
        print(f"{outcome.kept} of {len(outcome.records)} trials were finished before and kept")
    bad = [record for record in outcome.records if record["status"] != "ok"]
    for record in bad:
        what = " ".join(filter(None, (record["dataset"], record["detector"], record["backend"], record["mode"])))
        print(f"{record['status']}: {what} seed {record['seed']}: {record['reason']}")
    print(f"{len(outcome.records) - len(bad)} of {len(outcome.records)} trials ended well")
    print(f"report: {path}")
    return 1 if bad or not equal else 0


def _verify(arguments: argparse.Namespace) -> int:
    import json

    from bench import verify
    from reports import equality

    result = verify.verify(
        arguments.backends,
        precisions=arguments.precision or ("float64", "float32"),
        device=arguments.device,
        mode=arguments.mode,
        quick=arguments.quick,
        progress=_tell,
    )
    _keep(result)
    if arguments.format == "json":
        print(json.dumps(result, indent=2))
    else:
        print((equality.text if arguments.format == "text" else equality.markdown)(result).rstrip())
    return 0 if result["passed"] else 1


def _proved(scenarios: Sequence[Scenario]) -> bool:
    """Proves the backends of these scenarios equal where nothing is known of it; returns False where they are not."""
    from bench import verify
    from reports import equality

    for result in verify.missing(scenarios, progress=_tell):
        _keep(result)
        print(equality.text(result).rstrip(), end="\n\n", flush=True)
    return verify.holds(scenarios)


def _keep(result: Mapping[str, Any]) -> None:
    """Leaves a result for later runs; where it cannot be kept, only their reports lack it."""
    from bench import equality

    try:
        equality.keep(dict(result))
    except OSError as error:
        print(f"bench: the result could not be kept for later runs: {_one_line(error)}", file=sys.stderr)


def _tell(doing: str) -> None:
    """Says on a terminal what goes on, off the output that may be piped somewhere."""
    if sys.stderr.isatty():
        print(f"{doing} ...", file=sys.stderr)


def _report(arguments: argparse.Namespace) -> int:
    if arguments.table or arguments.format or arguments.pivot:
        return _table(arguments)
    if arguments.out:
        raise UsageError("--out is for a table (--table, --format or --pivot); a report lies beside its records")
    print(f"report: {_write_report(arguments.directory)}")
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


def _write_report(directory: Path) -> Path:
    import gc

    import reports
    from bench import records

    gc.disable()  # records hold no cycles, and looking for some takes longer than reading them
    try:
        found, warnings = records.read_for_report(directory)
        return reports.write_report(records.latest(found), directory, warnings=warnings)
    finally:
        gc.enable()


def _env(arguments: argparse.Namespace) -> int:
    import json

    import backends
    from bench.environment import available_cores, environment, environment_hash
    from bench.trial import TrialFailed, Worker

    here = environment()
    threads = arguments.threads or available_cores()
    reported: dict[str, Any] = {}
    for name in backends.defaults():
        if reason := backends.unavailable(name):
            reported[name] = {"unavailable": reason}
            continue
        try:
            with Worker(threads, "gpu", timeout=120) as worker:
                reported[name] = worker.request("capabilities", name)
        except TrialFailed as failed:
            reported[name] = {"unavailable": failed.reason}
    print(
        json.dumps(
            {"environment_hash": environment_hash(here), "threads": threads, **here, "backends": reported}, indent=2
        )
    )
    return 0


def _command() -> str:
    """This command line as one would type it again."""
    return shlex.join(["bench", *sys.argv[1:]])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
