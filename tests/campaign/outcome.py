"""What came of a part: kept as JSON when the part ends, so that parts that ran one by one make one report."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from campaign.cases import Tally

SHOWN = 20
"""Failures of a kind that the report tells."""
_HERE = Path(__file__).parent
HEAD = (
    "# The campaign",
    "",
    "What was tried against `bench`, and what failed. A failure is a traceback, more than one line, more than 2 s of "
    "processor time or 300 MB of memory to refuse something, a file written or lost, a record torn or twice, a process "
    "left, or a control character that reaches the terminal. `python -m campaign` writes this page from what each part "
    "left when it ended.",
    "",
)


@dataclass(frozen=True)
class Outcome:
    """A part that ran to its end: with which seed, how much of it, on what, for how long, and its tallies."""

    part: str
    seed: int
    share: float
    day: str
    seconds: float
    revision: str
    python: str
    cores: int
    tallies: tuple[Tally, ...]

    @property
    def failed(self) -> int:
        return sum(len(tally.failures) for tally in self.tallies)


def revision() -> str:
    """The commit of the campaign's own code, with a plus where files are not as in it."""

    def said(*argv: str) -> str:
        done = subprocess.run(["git", *argv], cwd=_HERE, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    found = said("rev-parse", "--short=10", "HEAD")
    return (found or "unknown") + ("+" if said("status", "--porcelain", "--untracked-files=no") else "")


def ended(
    part: str, seed: int, share: float, day: str, seconds: float, commit: str, tallies: Sequence[Tally]
) -> Outcome:
    """``commit`` is the ``revision`` that there was when the part began."""
    python = platform.python_version()
    return Outcome(part, seed, share, day, seconds, commit, python, os.cpu_count() or 1, tuple(tallies))


def keep(folder: Path, outcome: Outcome) -> None:
    """Takes the place of what the same part and seed left before."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{outcome.part}-{outcome.seed}.json").write_text(json.dumps(asdict(outcome), indent=1) + "\n")


def kept(folder: Path, order: Sequence[str]) -> list[Outcome]:
    """All that ended, by part and seed."""
    found = []
    for path in folder.glob("*.json"):
        told: dict[str, Any] = json.loads(path.read_text())
        found.append(Outcome(**told | {"tallies": tuple(Tally(**tally) for tally in told["tallies"])}))
    return sorted(found, key=lambda outcome: (order.index(outcome.part), outcome.seed))


def report(outcomes: Sequence[Outcome], order: Sequence[str]) -> str:
    """The page: kinds, then parts, then what failed. Portions of a part add up; each has its row among the parts."""
    kinds: dict[str, list[Tally]] = {}
    for outcome in outcomes:
        for tally in outcome.tallies:
            kinds.setdefault(tally.kind, []).append(tally)
    tried = {kind: sum(tally.tried for tally in found) for kind, found in kinds.items()}
    failed = {kind: sum(len(tally.failures) for tally in found) for kind, found in kinds.items()}
    lines = [*HEAD, "| kind | tried | failed |", "|---|---:|---:|"]
    lines += [f"| {kind} | {tried[kind]:,} | {failed[kind]:,} |" for kind in kinds]
    lines += [f"| **all** | {sum(tried.values()):,} | {sum(failed.values()):,} |", ""]
    for kind, found in kinds.items():
        lines += [f"- {kind}: {tally.note}." for tally in found if tally.note]
        lines += [f"- **{kind}** {failure[:600]!r}" for tally in found for failure in tally.failures[:SHOWN]]
    lines += ["", "| part | seed | share | minutes | failed | day | commit |", "|---|---:|---:|---:|---:|---|---|"]
    lines += [
        f"| {one.part} | {one.seed} | {one.share:g} | {one.seconds / 60:.1f} | {one.failed} | {one.day} | "
        f"`{one.revision}` |"
        for one in outcomes
    ]
    if missing := [part for part in order if part not in {outcome.part for outcome in outcomes}]:
        lines += ["", f"Not run: {', '.join(missing)}."]
    machines = sorted({f"Python {one.python}, {platform.system()}, {one.cores} cores" for one in outcomes})
    lines += [
        "",
        "A share of 1 is the whole part; a plus behind a commit: of files that were not as in it.",
        "",
        "## How to repeat it",
        "",
        f"`make campaign SEED=0` does all of it; this was {', '.join(machines)}. One part, into the same report: "
        "`PYTHONPATH=.:tests python -m campaign --seed 0 --parts kills --report reports/campaign.md`. One case: "
        "`--parts generated --kind 'saved models' --case 17`. "
        f"The parts are {', '.join(order)}.",
        "",
    ]
    return "\n".join(lines)
