"""What the options of every command have in common: how their values are read, each with one line for what is wrong."""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from bench.messages import UsageError, harmless, plain

LONGEST_SECONDS = 366 * 24 * 3600
VERIFIED_PRECISIONS = ("float32", "float64")
MOST_WARNINGS = 20
MOST_LANES = 1024
"""As a suite may have."""
PRECISIONS = (*VERIFIED_PRECISIONS, "bfloat16", "tf32")


def command_line() -> str:
    """This command as one would type it again."""
    return shlex.join(["bench", *sys.argv[1:]])


def warn(warnings: Sequence[str]) -> None:
    """A line for each beside what was asked for, and one for all that are left after ``MOST_WARNINGS``."""
    for warning in warnings[:MOST_WARNINGS]:
        print(plain(f"bench: {warning}"), file=sys.stderr)
    if len(warnings) > MOST_WARNINGS:
        print(f"bench: and {len(warnings) - MOST_WARNINGS:,} more such lines", file=sys.stderr)


def write(content: bytes, out: Path | None) -> None:
    """What ``--out`` asks for: the content in that file, or, without one, on the standard output.

    There characters that a terminal would obey or hide are written as escapes, which JSON takes for the same text.
    """
    if out:
        from datasets.storage import replace  # loads more than a command may before it is chosen

        replace(out, content)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(harmless(content.decode("utf-8", "replace")).encode())


def file(text: str) -> Path:
    """A file to write. A path that ends in a slash means a folder, which `Path` would forget."""
    if os.path.basename(text) in ("", ".", ".."):
        raise argparse.ArgumentTypeError(f"expected a file, and {text!r} is a folder's name")
    return Path(text)


def whole(folder: Path) -> Path:
    """A folder by its whole path, as workers are told it in JSON; UsageError where that is no text in UTF-8."""
    for path in (str(folder.absolute()), str(folder.resolve())):
        if path != (told := path.encode(errors="surrogateescape").decode(errors="replace")):
            raise UsageError(
                f"{told}: the folder's path is no text in UTF-8; choose another, or work in another folder"
            )
    return folder.absolute()


def lists(axes: Any, **examples: str) -> None:
    """Options that take lists of names, or of references to data sets, each with an example of one."""
    for axis, example in examples.items():
        axes.add_argument(
            f"--{axis}",
            type=references if axis == "datasets" else names,
            metavar="LIST",
            action="extend",
            help=f"for example {example}",
        )


def data_dir(parser: Any) -> None:
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where data files lie (default: $BENCH_DATA_DIR, or a cache folder)",
    )


def cluster(parser: Any) -> None:
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="run on a Dask cluster: local:N, tcp://HOST:PORT, a scheduler's FILE.json, or an entry of clusters.toml",
    )
    parser.add_argument(
        "--retries", type=natural, metavar="N", help="runs more of a trial whose cluster worker was lost (default: 2)"
    )
    parser.add_argument(
        "--mixed", action="store_true", help="let cluster workers with other versions run timed trials as well"
    )


def names(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"expected names separated by commas, got {text!r}")
    return found


def references(text: str) -> list[str]:
    """Data sets, separated by commas; of these some may belong to a value such as ``normal=A,B``."""
    import datasets

    found = datasets.references(text)
    if not all(found):
        raise argparse.ArgumentTypeError(f"expected data sets separated by commas, got {text!r}")
    return found


def precisions(text: str) -> list[str]:
    return _of(text, PRECISIONS)


def verified_precisions(text: str) -> list[str]:
    return _of(text, VERIFIED_PRECISIONS)


def _of(text: str, valid: Sequence[str]) -> list[str]:
    found = names(text)
    for name in found:
        if name not in valid:
            raise argparse.ArgumentTypeError(f"expected {', '.join(valid[:-1])} or {valid[-1]}, got {name!r}")
    return found


def counts(text: str) -> list[int]:
    return [positive(part.strip()) for part in text.split(",")]


def seeds(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [-1]
    if min(found) < 0 or max(found) >= 2**32:
        raise argparse.ArgumentTypeError(f"expected integers from 0 below 2**32 separated by commas, got {text!r}")
    return found


def positive(text: str) -> int:
    if (found := _whole(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return found


def lanes(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not 0 < _whole(text) <= MOST_LANES:
        raise argparse.ArgumentTypeError(f"expected auto, or an integer from 1 to {MOST_LANES:,}, got {text!r}")
    return int(text)


def _whole(text: str) -> int:
    """The number that its digits name; -1 where there are none, or more than anything that is counted here needs."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 7 else -1


def port(text: str) -> int:
    if not 0 < _whole(text) < 2**16:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to {2**16 - 1}, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    found = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0 < found <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"expected a time such as 90, 90s, 5m or 1h, a year at most, got {text!r}")
    return found


def share(text: str) -> float:
    """A share between 0 and 1: ``3%`` or ``0.03``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)", text)
    value = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share such as 3% or 0.03, got {text!r}")
    return value


def shares(text: str) -> list[float]:
    """Shares in percent, with or without the sign: ``2,5,10``."""
    return [share(part.strip().removesuffix("%") + "%") for part in text.split(",")]


def natural(text: str) -> int:
    if (found := _whole(text)) < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or a positive integer, got {text!r}")
    return found


def seed(text: str) -> int:
    found = seeds(text)
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f"expected one integer, got {text!r}")
    return found[0]


def number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return found


def pair(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` with the value read as in TOML, or as a word."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    from bench.suites import toml

    try:
        return name, toml.value(value)
    except toml.TOMLError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_RANGE = re.compile(r"([^.,]+(?:\.\d+)?(?:e[+-]?\d+)?)\.\.([^,:]+)(:log)?", re.IGNORECASE)


def sweep(text: str) -> tuple[str, Any]:
    """``KEY=VALUE,VALUE``, ``KEY=LOW..HIGH`` with ``:log`` behind it or without, or ``sample=N``, as a suite's table of
    sweeps has it."""
    key, equals, given = text.partition("=")
    if not key or not equals or not given:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE,VALUE or KEY=LOW..HIGH or sample=N, got {text!r}")
    if key == "sample":
        return key, positive(given)
    if match := _RANGE.fullmatch(given):
        low, high = (_read(bound) for bound in match.group(1, 2))
        return key, {"low": low, "high": high} | ({"log": True} if match[3] else {})
    # a comma inside of brackets is one of a value that is a list itself
    return key, [_read(part) for part in re.split(r",(?![^\[]*\])", given)]


def swept(given: Sequence[tuple[str, Any]] | None) -> dict[str, Any]:
    """What ``--sweep`` was given, as one table; UsageError where a key was given twice."""
    table: dict[str, Any] = {}
    for key, values in given or ():
        if key in table:
            raise UsageError(f"--sweep {key}: given twice; name all of its values at once, separated by commas")
        table[key] = values
    return table


def _read(text: str) -> Any:
    """A value as TOML has it, or a word."""
    from bench.suites import toml

    try:
        return toml.value(re.sub(r"^([+-]?\d+)e", r"\1.0e", text.strip()))
    except toml.TOMLError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def sweeps(axes: Any) -> None:
    """The options that vary settings, for a command that runs a suite."""
    axes.add_argument(
        "--sweep",
        type=sweep,
        metavar="KEY=LIST",
        action="append",
        help="vary a key of training, or a detector's parameter, for example latent=2,4,8,16 or beta=0.1..10:log or "
        "knn.n_neighbors=1,5; given again, all combinations; sample=40 draws so many points",
    )
    axes.add_argument(
        "--labelled-validation",
        type=share,
        metavar="SHARE",
        help="take this share of the test rows out of them, with its labels, to choose between settings by",
    )


def adversarial(text: str) -> dict[str, Any]:
    """``METHOD:ε`` or ``METHOD:ε:STEPS``, as the keys of a suite's ``adversarial``."""
    method, colon, rest = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"expected METHOD:ε or METHOD:ε:STEPS, for example pgd:0.1:5, got {text!r}")
    epsilon, colon, steps = rest.partition(":")
    return {"method": method, "epsilon": number(epsilon), **({"steps": positive(steps)} if colon else {})}


def threshold(text: str) -> dict[str, Any]:
    """``RULE`` or ``RULE:VALUE``, as the keys of a suite's threshold."""
    rule, colon, value = text.partition(":")
    return {"rule": rule, "value": number(value)} if colon else {"rule": rule}
