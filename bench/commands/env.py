"""``bench env``: the machine, threads, frameworks and versions, as they go into records."""

from __future__ import annotations

import argparse
from typing import Any

from bench.commands import options


def add(commands: Any) -> None:
    """Declares the command and its options."""
    env = commands.add_parser("env", help="machine, threads, frameworks and versions, as they go into records")
    env.add_argument("--threads", type=options.positive, metavar="N", help="compute threads (default: all cores)")
    env.set_defaults(action=_env)


def _env(arguments: argparse.Namespace) -> int:
    import json

    import backends
    from bench.environment import available_cores, environment, environment_hash
    from bench.worker.process import TrialFailed, WorkerProcess

    here = environment()
    threads = arguments.threads or available_cores()
    reported: dict[str, Any] = {}
    for name in backends.defaults():
        if reason := backends.unavailable(name):
            reported[name] = {"unavailable": reason}
            continue
        try:
            with WorkerProcess(threads, "gpu", timeout=120) as worker:
                reported[name] = worker.request("capabilities", name)
        except TrialFailed as failed:
            reported[name] = {"unavailable": failed.reason}
    print(
        json.dumps(
            {"environment_hash": environment_hash(here), "threads": threads, **here, "backends": reported}, indent=2
        )
    )
    return 0
