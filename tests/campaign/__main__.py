"""``python -m campaign``: all of the campaign, or some of its parts, and a report of it in Markdown."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from campaign import cases, corpus, generated, hand, kills, load, machines, soak, strangers
from campaign.cases import Tally

PARTS = ("hand", "generated", "networks", "names", "server", "cuts", "load", "machines", "kills", "soak")
KILLS = 200
RECORDS = 100_000
REQUESTS = 1000
NETWORKS = 300
SHOWN = 20
"""Failures of a kind that the report tells."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the generated cases, kills and requests (default: 1)"
    )
    parser.add_argument("--duration", type=float, default=7200.0, help="seconds of the soak (default: 7200)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--kind", help="of the generated kinds this one alone")
    parser.add_argument("--only", type=int, help="the one case of that kind, or by hand, with this number")
    parser.add_argument("--report", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    began = time.monotonic()
    tallies = []
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        corpus.made()
        for tally in _tallies(Path(folder), parts, arguments):
            tallies.append(tally)
            print(f"{tally.kind}: {tally.tried:,} tried, {len(tally.failures):,} failed {tally.note}", flush=True)
            for failure in tally.failures[:SHOWN]:
                print(f"    {failure}", flush=True)
    text = report(tallies, arguments.seed, time.monotonic() - began)
    print(text.split("## How")[0])
    if arguments.report:
        arguments.report.write_text(text)
    return 1 if any(tally.failures for tally in tallies) else 0


def _tallies(folder: Path, parts: list[str], arguments: argparse.Namespace) -> Iterator[Tally]:
    seed, share = arguments.seed, arguments.share
    only = None if arguments.only is None else [arguments.only]
    networks = importlib.util.find_spec("torch") is not None
    if "hand" in parts:
        yield cases.run(hand.kind(), folder, only)
    if "generated" in parts:
        for kind in generated.kinds(seed, share):
            if arguments.kind in (None, kind.name):
                yield cases.run(kind, folder, only)
    if "networks" in parts and networks:
        corpus.networks()
        kind = cases.Kind(
            "saved networks", round(NETWORKS * share), lambda number: generated.networks(seed, number), ("torch",)
        )
        yield cases.run(kind, folder, only)
    if "names" in parts:
        yield strangers.names(folder)
    if "server" in parts:
        yield strangers.requests(seed, round(REQUESTS * share))
    if "cuts" in parts:
        yield load.cuts(folder)
    if "load" in parts:
        yield load.campaign(folder, round(RECORDS * share))
    if "machines" in parts:
        yield machines.campaign(folder)
    if "kills" in parts:
        yield kills.campaign(folder, seed, round(KILLS * share), float("inf"), networks=networks)
    if "soak" in parts:
        yield soak.campaign(folder, arguments.duration)


def report(tallies: list[Tally], seed: int, seconds: float) -> str:
    lines = [
        "# The campaign",
        "",
        "What was tried against `bench`, and what failed. A failure is a traceback, more than one line, more than 2 s "
        "of processor time or 300 MB of memory to refuse something, a file written or lost, a record torn or twice, a "
        "process left, or a control character that reaches the terminal.",
        "",
        "| kind | tried | failed |",
        "|---|---:|---:|",
        *(f"| {tally.kind} | {tally.tried:,} | {len(tally.failures):,} |" for tally in tallies),
        f"| **all** | {sum(t.tried for t in tallies):,} | {sum(len(t.failures) for t in tallies):,} |",
        "",
    ]
    lines += [f"- {tally.kind}: {tally.note}." for tally in tallies if tally.note]
    for tally in tallies:
        lines += [f"- **{tally.kind}** {failure[:600]!r}" for failure in tally.failures[:SHOWN]]
    lines += [
        "",
        "## How to repeat it",
        "",
        f"`make campaign SEED={seed}` on Python {platform.python_version()}, {platform.system()}, "
        f"{os.cpu_count()} cores took {seconds / 60:.0f} minutes. One case: "
        f"`python -m campaign --seed {seed} --parts generated --kind 'saved models' --only 17`; by hand: "
        "`--parts hand --only 17`. The parts are " + ", ".join(PARTS) + ".",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
