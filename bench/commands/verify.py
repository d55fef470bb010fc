"""``bench verify``: the proof that the backends are the same model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.commands import options
from bench.messages import one_line

if TYPE_CHECKING:
    from bench.suites.scenario import Scenario


def add(commands: Any) -> None:
    """Declares the command and its options."""
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
    verify.add_argument(
        "--coverage",
        action="store_true",
        help="climb nothing, and list which modes, precisions, kinds, sources and devices have climbed here",
    )
    verify.add_argument("--format", choices=["text", "markdown", "json"], default="text")
    verify.set_defaults(action=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    import json

    if arguments.coverage:
        return _coverage(arguments)
    from bench.proof import verify
    from reports import printed

    result = verify.verify(
        arguments.backends,
        precisions=arguments.precision or ("float64", "float32"),
        device=arguments.device,
        mode=arguments.mode,
        quick=arguments.quick,
        progress=tell,
    )
    _keep(result)
    if arguments.format == "json":
        print(json.dumps(result, indent=2))
    else:
        shown = printed.verification_text if arguments.format == "text" else printed.verification_markdown
        print(shown(result).rstrip())
    return 0 if result["passed"] else 1


def _coverage(arguments: argparse.Namespace) -> int:
    import json

    from bench.proof import coverage
    from bench.proof.verify import VerifyError

    try:
        found = coverage.coverage(arguments.backends)
    except ValueError as error:
        raise VerifyError(str(error)) from None
    print(json.dumps(found, indent=2) if arguments.format == "json" else coverage.text(found))
    return 0


def proved(scenarios: Sequence[Scenario]) -> bool:
    """Proves the backends of these scenarios equal where nothing is known of it; returns False where they are not."""
    from bench.proof import verify
    from reports import printed

    for result in verify.missing(scenarios, progress=tell):
        _keep(result)
        print(printed.verification_text(result).rstrip(), end="\n\n", flush=True)
    return verify.holds(scenarios)


def _keep(result: Mapping[str, Any]) -> None:
    """Leaves a result for later runs; where it cannot be kept, only their reports lack it."""
    from bench.proof import known

    try:
        known.keep(dict(result))
    except OSError as error:
        print(f"bench: the result could not be kept for later runs: {one_line(error)}", file=sys.stderr)


def tell(doing: str) -> None:
    """Says on a terminal what goes on, off the output that may be piped somewhere."""
    if sys.stderr.isatty():
        print(f"{doing} ...", file=sys.stderr)
