"""``python -m campaign``: all of the campaign, or some of its parts, and a report of it in Markdown."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from campaign import cases, corpus, generated, hand, hand_plugins, kills, load, machines, outcome, soak, strangers
from campaign.cases import Tally

PARTS = ("hand", "generated", "networks", "names", "server", "cuts", "load", "machines", "kills", "soak")
KILLS = 200
RECORDS = 100_000
REQUESTS = 1000
NETWORKS = 300
KEPT = Path("results/campaign")


def main() -> int:
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the generated cases, kills and requests (default: 1)"
    )
    parser.add_argument("--duration", type=float, default=7200.0, help="seconds of the soak (default: 7200)")
    parser.add_argument(
        "--within", type=float, default=float("inf"), help="seconds after which no further kill begins (default: none)"
    )
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--kind", help="of the kinds by hand and generated this one alone")
    parser.add_argument("--case", type=int, help="of that kind the one case with this number")
    parser.add_argument("--kept", type=Path, default=KEPT, help=f"what parts left that ended (default: {KEPT})")
    parser.add_argument("--anew", action="store_true", help="forgets what parts left before")
    parser.add_argument("--report", type=Path, help="where the report of all that is kept goes")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    whole = arguments.kind is None and arguments.case is None
    if arguments.anew:
        shutil.rmtree(arguments.kept, ignore_errors=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        corpus.made()
        commit = outcome.revision()
        for part in parts:
            day, began, found = time.strftime("%Y-%m-%d"), time.monotonic(), []
            for tally in _tallies(part, Path(folder), arguments):
                found.append(tally)
                failed = failed or bool(tally.failures)
                print(f"{tally.kind}: {tally.tried:,} tried, {len(tally.failures):,} failed {tally.note}", flush=True)
                for failure in tally.failures[: outcome.SHOWN]:
                    print(f"    {failure}", flush=True)
                if whole:  # kind by kind: who stops it in the middle of a part has what had ended
                    seconds = time.monotonic() - began
                    outcome.keep(
                        arguments.kept,
                        outcome.ended(part, arguments.seed, arguments.share, day, seconds, commit, found),
                    )
    text = outcome.report(outcome.kept(arguments.kept, PARTS), PARTS)
    if arguments.report:
        arguments.report.write_text(text)
    if whole:
        print(text.split("## How")[0])
    return 1 if failed else 0


def _tallies(part: str, folder: Path, arguments: argparse.Namespace) -> Iterator[Tally]:
    seed, share = arguments.seed, arguments.share
    until = time.monotonic() + arguments.within
    only = None if arguments.case is None else [arguments.case]
    networks = importlib.util.find_spec("torch") is not None
    match part:
        case "hand":
            for kind in (hand.kind(), hand_plugins.kind()):
                if arguments.kind in (None, kind.name):
                    yield cases.run(kind, folder, only)
        case "generated":
            for kind in generated.kinds(seed, share):
                if arguments.kind in (None, kind.name):
                    yield cases.run(kind, folder, only)
        case "networks" if networks:
            corpus.networks()
            kind = cases.Kind(
                "saved networks", round(NETWORKS * share), lambda number: generated.networks(seed, number), ("torch",)
            )
            yield cases.run(kind, folder, only)
        case "names":
            yield strangers.names(folder)
        case "server":
            yield strangers.requests(seed, round(REQUESTS * share))
        case "cuts":
            yield load.cuts(folder)
        case "load":
            yield load.campaign(folder, round(RECORDS * share))
            yield load.crowded(folder)
        case "machines":
            yield machines.campaign(folder)
        case "kills":
            yield kills.campaign(folder, seed, round(KILLS * share), until, networks=networks)
        case "soak":
            yield soak.campaign(folder, arguments.duration)


if __name__ == "__main__":
    sys.exit(main())
