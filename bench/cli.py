"""The command ``bench``. Parsing comes first and imports nothing heavy, so that ``bench --help`` answers at once."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from bench import DISTRIBUTION, __version__
from bench.messages import UsageError, one_line

COMMANDS = (
    *("list", "run", "tune", "fit", "score", "verify", "report"),
    *("compare", "calibrate", "history", "export", "env", "cluster"),
)
"""Modules of ``bench.commands``, in the order of the help."""

USAGE_ERROR = 2
INTERRUPTED = 130

_NO_ROOM = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory", "can't start new thread")
"""How a library that is loaded, or a thread that is started, says that there is no memory for it."""

_OURS = ("bench", "datasets", "backends", "reports")


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line under the usage, whatever the argument was."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(ValueError(message)))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0 all well, 1 some trial did not end well, 2 usage or input error."""
    words = sys.argv[1:] if argv is None else argv
    for word in words:
        if not _is_text(word):
            found = f"the argument {word!a:.200} is no text in UTF-8"
            print(f"bench: {found}; in another locale PYTHONUTF8=1 reads it as such", file=sys.stderr)
            return USAGE_ERROR
    arguments = _parser().parse_args(words)
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
        print(f"\nstopped{getattr(arguments, 'interrupted', '')}", file=sys.stderr)
        return INTERRUPTED
    except (MemoryError, ImportError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_ROOM):
            print(f"bench: there is not enough memory for this: {one_line(error)}", file=sys.stderr)
            return USAGE_ERROR
        if type(error).__module__.partition(".")[0] not in _OURS:
            raise
        print(f"bench: {one_line(error)}", file=sys.stderr)
        return USAGE_ERROR
    except (ValueError, OSError) as error:
        # our own errors are ValueErrors of one line; anything else that raises one is a bug and shows its traceback
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _OURS:
            print(f"bench: {one_line(error)}", file=sys.stderr)
            return USAGE_ERROR
        raise


def _is_text(word: str) -> bool:
    """Whether it can stand in a record; Python takes other bytes of an argument for halves of characters."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bench",
        description="One variational autoencoder in PyTorch, Keras/TensorFlow and JAX/Flax, trained, timed and scored "
        "beside classical anomaly detectors.",
    )
    parser.add_argument("--version", action="version", version=f"{DISTRIBUTION} {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    for name in COMMANDS:
        importlib.import_module(f"bench.commands.{name}").add(commands)
    return parser


def _own_packages() -> None:
    """Stops where `datasets`, `backends` or `reports` is somebody else's package: others use these names too."""
    home = Path(__file__).resolve().parent.parent
    for name in _OURS[1:]:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve().parent if spec and spec.origin else None
        # files of a package installed over ours would lie in the same folder
        if origin == home / name and getattr(importlib.import_module(name), "DISTRIBUTION", None) == DISTRIBUTION:
            continue
        raise UsageError(
            f"the package {name!r} found at {origin} is not {DISTRIBUTION}'s; "
            f"install {DISTRIBUTION} in an environment of its own"
        )
