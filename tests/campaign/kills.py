"""Commands that are killed at random moments, and go on when they are given again.

At the end each trial has exactly one good record, the quality is bit for bit that of a run that nobody disturbed, no
process is left, no lock waits for a hand, and nothing half written is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from campaign import corpus
from campaign.cases import Tally
from making.command import COMMAND

SUITE = """
name = "kills"
seeds = [0, 1, 2]
[[scenarios]]
datasets = ["blobs?rows=400"]
detectors = ["knn"]
"""
NETWORKS = """
name = "kills"
seeds = [0]
[training]
epochs = 3
batch_size = 32
[[scenarios]]
datasets = ["blobs?rows=400"]
detectors = ["vae", "knn"]
backends = ["torch"]
"""
QUALITY = ("roc_auc", "average_precision", "precision", "recall", "f1", "accuracy", "threshold")
ENDED = 3600.0
"""Seconds that a command may take on a machine that has much else to do."""

WAYS = (
    *(("KILL", "group"), ("KILL", "parent"), ("KILL", "worker"), ("TERM", "parent"), ("TERM", "worker")),
    *(("INT", "parent"), ("HUP", "parent"), ("STOP", "parent"), ("STOP", "worker"), ("KILL", "group")),
)
"""Which signal, and who gets it."""


RECORD, ARRAYS, FIGURES, REPORT = "out/records.jsonl", "out/arrays/*", "out/figures/*", "out/*report.*"
"""What a run writes, in its order; a draft has the name of what it becomes in its own."""


@dataclass(frozen=True)
class Command:
    """A command, what it needs in its folder, and patterns of the files that it writes, at which it is struck as well
    as at any moment."""

    name: str
    argv: Sequence[str]
    files: Mapping[str, bytes]
    writes: Sequence[str]


@dataclass(frozen=True)
class Blow:
    """A signal, who gets it, and when: after a share of the time that the command takes when nobody disturbs it, or so
    many seconds after a file of a pattern was begun or has grown."""

    way: str
    whom: str
    moment: float
    file: str = ""

    def __str__(self) -> str:
        when = f"{1000 * self.moment:.0f} ms after {self.file}" if self.file else f"at {self.moment:.2f} of its time"
        return f"{self.way} {self.whom} {when}"


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves, and the seconds that it takes."""

    left: Any
    seconds: float


def commands(networks: bool) -> list[Command]:
    """``networks``: those that load a framework as well, and take longer."""
    csv, results = {"rows.csv": corpus.csv()}, {"results/records.jsonl": corpus.lines(corpus.records())}
    fitted = csv | {"model": corpus.models()["knn"]}
    suite = {"mine.toml": SUITE.encode()}
    reference = "file:rows.csv?label=label&normal=normal"
    run = ["run", "mine.toml", "--out", "out"]
    written = (RECORD, ARRAYS, FIGURES, REPORT)
    drawn = ("results/figures/*", "results/*report.*", "results/.*.draft")
    found = [
        Command("run", run, suite, written),
        Command("run --jobs 2", [*run, "--jobs", "2"], suite, written),
        Command("run --watch", [*run, "--watch"], suite, written),
        Command("fit", ["fit", reference, "--detector", "knn", "--out", "new"], csv, (".new*",)),
        Command("score", ["score", "model", "rows.csv", "--out", "scores.csv"], fitted, (".scores*",)),
        Command("report", ["report", "results"], results, drawn),
        Command("report --format html", ["report", "results", "--format", "html"], results, drawn),
        Command("history add", ["history", "add", "results"], results, ("history/*", "history/.*")),
    ]
    if networks:
        more = {"mine.toml": NETWORKS.encode()}
        terms = ["--suite", "mine.toml", "--budget", "20s", "--out", "out", "--metric", "train_samples_per_second"]
        kept = ("out/*", "out/*/*")
        found += [
            Command("run of networks", run, more, written),
            Command("compare", ["compare", "here", "set:epochs=3", *terms], more, kept),
            Command("calibrate", ["calibrate", "--suite", "mine.toml", "--duration", "10s", "--out", "out",
                                  "--slowdowns", "10", "--comparisons", "20"], more, kept),
        ]  # fmt: skip
    return found


def campaign(folder: Path, seed: int, kills: int, until: float, *, networks: bool) -> Tally:
    """So many signals that struck something, or as many as there is time for, of all commands in turn; the seed says
    with which one it begins."""
    tally = Tally("kills")
    found = commands(networks)
    draw = random.Random(f"kills/{seed}")
    plain: dict[str, Undisturbed] = {}
    struck: Counter[str] = Counter()
    number = seed
    while struck.total() < kills and time.monotonic() < until:
        command = found[number % len(found)]
        place = folder / f"kill-{number}"
        if command.name not in plain:
            plain[command.name] = undisturbed(command, folder / "plain", tally)
        blows = [_drawn(draw, command) for _ in range(draw.choice((2, 3, 4, 5)))]
        struck.update(killed(command, place, blows, tally, plain[command.name]))
        shutil.rmtree(place, ignore_errors=True)
        number += 1
    ways = Counter(key.partition(": ")[2] for key in struck.elements())
    whom = Counter(key.partition(": ")[0] for key in struck.elements())
    tally.note = "; ".join(
        f"{title}{', '.join(f'{name} {count}' for name, count in sorted(counted.items()))}"
        for title, counted in ((f"{struck.total()} signals that struck: ", ways), ("of ", whom))
    )
    return tally


def _drawn(draw: random.Random, command: Command) -> Blow:
    """Half of the moments lie anywhere, half in the writes."""
    way, whom = draw.choice(WAYS)
    if draw.random() < 0.5:
        return Blow(way, whom, draw.uniform(0.05, 1.0))
    return Blow(way, whom, draw.choice((0.0, draw.uniform(0, 0.02), draw.uniform(0, 0.3))), draw.choice(command.writes))


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(place / "state"), "COLUMNS": "100"}


def undisturbed(command: Command, place: Path, tally: Tally) -> Undisturbed:
    corpus.copied(dict(command.files), place)
    began = time.monotonic()
    done = _run(command, place)
    seconds = time.monotonic() - began
    if done.returncode not in _GOOD:
        tally.expect(f"{command.name}, undisturbed", False, done.stderr[-500:])
    found = _left(place)
    shutil.rmtree(place)
    return Undisturbed(found, seconds)


_GOOD = (0, 1, 3)
"""A comparison may end with a verdict or without one."""


def _run(command: Command, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *command.argv],
        cwd=place,
        env=environment(place),
        capture_output=True,
        text=True,
        timeout=ENDED,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def killed(
    command: Command, place: Path, blows: Sequence[Blow], tally: Tally, plain: Undisturbed
) -> Counter[str]:  # fmt: skip
    """Blows, one a start of the command, then the same command until it ends; which of them struck, and how."""
    corpus.copied(dict(command.files), place)
    struck: Counter[str] = Counter()
    spent: list[str] = []
    workers = False
    for blow in blows:
        met, said = _disturbed(command, place, blow, plain.seconds)
        spent.append(str(blow) if met else f"{blow} missed")
        tally.expect(f"{command.name}: {spent}", "Traceback" not in said, said[-800:])
        if met:
            struck[f"{command.name}: {blow.way} {blow.whom}"] += 1
            workers = workers or (blow.whom == "worker" and blow.way != "STOP")
    name = f"{command.name} after {', '.join(spent)}"
    done = _run(command, place)
    tally.expect(f"{name}: goes on", done.returncode in _GOOD and "Traceback" not in done.stderr, done.stderr[-800:])
    if workers and command.name.startswith("run"):
        # a worker that was killed is a record that says so; the trial is not run again
        _one_record_a_trial(place, tally, name)
    else:
        found = _left(place)
        tally.expect(
            f"{name}: leaves what an undisturbed one does",
            found == plain.left,
            f"{found} instead of {plain.left}"[:900],
        )
    drafts = [path for path in place.rglob("*.draft") if path.name[0] != "."]
    tally.expect(f"{name}: no half file that is read", not drafts, str(drafts[:3]))
    tally.expect(f"{name}: no process is left", not (alive := left(place)), str(alive[:3]))
    return struck


def _disturbed(command: Command, place: Path, blow: Blow, seconds: float) -> tuple[bool, str]:
    """Whether the blow met somebody before the command had ended, and what the command said."""
    with (place / "said").open("w+b") as log:
        process = subprocess.Popen(
            [COMMAND, *command.argv],
            cwd=place,
            env=environment(place),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        if blow.file:
            before = _sizes(place, blow.file)
            while process.poll() is None and _sizes(place, blow.file) == before:
                time.sleep(0.002)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(blow.moment if blow.file else blow.moment * seconds)
        met = process.poll() is None and _send(process, blow)
        try:
            process.wait(ENDED)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return met, f"Traceback: none, but it did not end within {ENDED:g} s"
        log.seek(0)
        return met, log.read().decode(errors="replace")


def _sizes(place: Path, pattern: str) -> dict[str, int]:
    found = {}
    for path in place.glob(pattern):
        with contextlib.suppress(OSError):
            found[path.name] = path.lstat().st_size
    return found


def _send(process: subprocess.Popen[bytes], blow: Blow) -> bool:
    """Whether anybody got the signal; who is stopped goes on a moment later."""
    number = signal.Signals[f"SIG{blow.way}"]
    targets: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        children = parent.children(recursive=True)
        targets = {"parent": [parent], "worker": children[:1], "group": [parent, *children]}[blow.whom]
    met = False
    for target in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            target.send_signal(number)
            met = True
    if blow.way == "STOP":
        time.sleep(0.3)
        for target in targets:
            with contextlib.suppress(psutil.NoSuchProcess):
                target.send_signal(signal.SIGCONT)
    return met


def _left(place: Path) -> Any:
    """What a command leaves, without what may differ: times, and files that only tell of them."""
    found: dict[str, Any] = {}
    for path in sorted(place.rglob("records.jsonl")):
        if path.parent.name in ("baseline", "candidate") or "kept" in path.parts or path.parent.name == "results":
            continue  # pairs, which are as many as there was time for
        found[str(path.relative_to(place))] = _quality(path)
    for name in ("new", "scores.csv", "results/report.md"):
        if (place / name).is_file():
            found[name] = (place / name).read_bytes() if name != "results/report.md" else True
    found["history"] = len(list((place / "history").glob("*.jsonl")))
    return found


def _quality(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in path.read_bytes().splitlines():
        record = json.loads(line)
        key = f"{record['detector']} {record['seed']} {record['round']}"
        assert key not in found, f"two records of {key}"
        found[key] = [record["status"], *(record.get("metrics", {}).get(name) for name in QUALITY)]
    return found


def _one_record_a_trial(place: Path, tally: Tally, name: str) -> None:
    path = place / "out" / "records.jsonl"
    try:
        found = _quality(path)
    except (AssertionError, ValueError, OSError) as error:
        tally.expect(f"{name}: one whole record a trial", False, repr(error))
        return
    bad = {key: one[0] for key, one in found.items() if one[0] not in ("ok", "failed")}
    tally.expect(f"{name}: one whole record a trial", not bad and len(found) > 1, str(bad))


def left(place: Path) -> list[str]:
    """Processes that were started in the folder and are still there."""
    for _ in range(20):
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                here = process.cwd() == str(place) or str(place) in process.environ().get("XDG_STATE_HOME", "")
                if here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:200])
        if not found:
            return []
        time.sleep(0.25)
    return found
