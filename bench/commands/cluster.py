"""``bench cluster``: what the workers of a Dask cluster are, and what cannot run where."""

from __future__ import annotations

import argparse
from typing import Any

from bench.commands import options


def add(commands: Any) -> None:
    """Declares the command and its options."""
    cluster = commands.add_parser("cluster", help="what the workers of a Dask cluster are, and what cannot run where")
    actions = cluster.add_subparsers(title="actions", required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="each worker's cores, memory, GPU, versions and data, and what cannot run where, and why",
        description="Says of each worker what it is, which ones have other versions than most machines, and what they "
        "lack. The exit status is 1 where a worker is refused or odd, or a scenario can run nowhere.",
    )
    check.add_argument("address", metavar="ADDRESS", help="as --cluster of 'bench run' takes it")
    check.add_argument("--suite", metavar="SUITE", help="what is to be run there (default: every data set with files)")
    check.add_argument("--threads", type=options.positive, metavar="N", default=1, help="of a trial that names none")
    options.data_dir(check)
    check.set_defaults(action=_check)


FILES = ("mnist:4", "kdd99", "nsl-kdd")
"""A reference of each family that reads files."""


def _check(arguments: argparse.Namespace) -> int:
    import backends
    from bench.cluster import address, connection
    from bench.cluster.check import lines
    from bench.messages import plain
    from bench.suites import suite

    connection.require()
    where = address.read(arguments.address)
    scenarios = suite.load(arguments.suite).scenarios(arguments.threads) if arguments.suite else []
    data_dir = str(arguments.data_dir) if arguments.data_dir else None
    with connection.opened(where) as client:
        from bench.cluster.asking import described, question, with_files

        connection.greet(client)
        asked = question(scenarios, data_dir)
        if not scenarios:
            asked |= {"backends": backends.defaults(), "data": dict.fromkeys(FILES)}
        found = described(client, asked, list(client.nthreads()))
    there = {name: worker if isinstance(worker, str) else with_files(worker) for name, worker in found.items()}
    told, well = lines(there, scenarios)
    for line in told:
        print(plain(line))
    return 0 if well else 1
