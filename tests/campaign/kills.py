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
ENDED = 900.0
"""Seconds that a command may take when nobody disturbs it."""

WAYS = (
    *(("KILL", "group"), ("KILL", "parent"), ("KILL", "worker"), ("TERM", "parent"), ("TERM", "worker")),
    *(("INT", "parent"), ("HUP", "parent"), ("STOP", "parent"), ("STOP", "worker"), ("KILL", "group")),
)
"""Which signal, and who gets it; stopped ones go on a moment later."""


@dataclass(frozen=True)
class Command:
    """A command, what it needs in its folder, and what has to hold when it has ended."""

    name: str
    argv: Sequence[str]
    files: Mapping[str, bytes]
    seconds: float
    """About how long it takes: signals come within this time."""
    alone: bool = True
    """Whether it may run on a worker that is killed without failing, and so has to end well."""


def commands(networks: bool) -> list[Command]:
    """``networks``: those that load a framework as well, and take longer."""
    csv, results = {"rows.csv": corpus.csv()}, {"results/records.jsonl": corpus.lines(corpus.records())}
    fitted = csv | {"model": corpus.models()["knn"]}
    suite = {"mine.toml": SUITE.encode()}
    reference = "file:rows.csv?label=label&normal=normal"
    found = [
        Command("run", ["run", "mine.toml", "--out", "out"], suite, 12),
        Command("run --jobs 2", ["run", "mine.toml", "--out", "out", "--jobs", "2"], suite, 9),
        Command("run --watch", ["run", "mine.toml", "--out", "out", "--watch"], suite, 12),
        Command("fit", ["fit", reference, "--detector", "knn", "--out", "new"], csv, 3),
        Command("score", ["score", "model", "rows.csv", "--out", "scores.csv"], fitted, 3),
        Command("report", ["report", "results"], results, 5),
        Command("report --format html", ["report", "results", "--format", "html"], results, 4),
        Command("history add", ["history", "add", "results"], results, 2),
    ]
    if networks:
        more = {"mine.toml": NETWORKS.encode()}
        terms = ["--suite", "mine.toml", "--budget", "20s", "--out", "out", "--metric", "train_samples_per_second"]
        found += [
            Command("run of networks", ["run", "mine.toml", "--out", "out"], more, 25),
            Command("compare", ["compare", "here", "set:epochs=3", *terms], more, 30),
            Command("calibrate", ["calibrate", "--suite", "mine.toml", "--duration", "10s", "--out", "out",
                                  "--slowdowns", "10", "--comparisons", "20"], more, 30),
        ]  # fmt: skip
    return found


def campaign(folder: Path, seed: int, kills: int, until: float, *, networks: bool) -> Tally:
    """So many kills, of all commands in turn, or as many as there is time for."""
    tally = Tally("kills")
    found = commands(networks)
    draw = random.Random(f"kills/{seed}")
    plain: dict[str, Any] = {}
    number = 0
    while tally.tried < kills and time.monotonic() < until:
        command = found[number % len(found)]
        place = folder / f"kill-{number}"
        if command.name not in plain:
            plain[command.name] = undisturbed(command, folder / "plain", tally)
        blows = []
        for _ in range(draw.choice((1, 2, 3, 4))):
            # most moments lie in the imports and the work, some in the last writes
            blows.append((*draw.choice(WAYS), draw.uniform(0.05, 1.0) * command.seconds))
        killed(command, place, blows, tally, plain[command.name])
        shutil.rmtree(place, ignore_errors=True)
        number += 1
    return tally


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(place / "state"), "COLUMNS": "100"}


def undisturbed(command: Command, place: Path, tally: Tally) -> Any:
    corpus.copied(dict(command.files), place)
    done = _run(command, place)
    if done.returncode not in _GOOD:
        tally.expect(f"{command.name}, undisturbed", False, done.stderr[-500:])
    found = _left(place)
    shutil.rmtree(place)
    return found


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


def killed(command: Command, place: Path, blows: Sequence[tuple[str, str, float]], tally: Tally, plain: Any) -> None:
    """Signals, whom they are for, and the seconds that they come after; then the same command until it ends."""
    corpus.copied(dict(command.files), place)
    spent: list[str] = []
    for way, whom, moment in blows:
        ended, said = _disturbed(command, place, way, whom, moment)
        spent.append(f"{way} {whom} at {moment:.2f} s")
        tally.expect(f"{command.name}: {spent}", "Traceback" not in said, said[-800:])
        if ended:
            break
    name = f"{command.name} after {', '.join(spent)}"
    done = _run(command, place)
    tally.expect(f"{name}: goes on", done.returncode in _GOOD and "Traceback" not in done.stderr, done.stderr[-800:])
    if any("worker" in one for one in spent) and command.name.startswith("run"):
        # a worker that was killed is a record that says so; the trial is not run again
        _one_record_a_trial(place, tally, name)
    else:
        found = _left(place)
        tally.expect(
            f"{name}: leaves what an undisturbed one does", found == plain, f"{found} instead of {plain}"[:900]
        )
    left = [path for path in place.rglob("*.draft") if path.name[0] != "."]
    tally.expect(f"{name}: no half file that is read", not left, str(left[:3]))
    tally.expect(f"{name}: no process is left", not (alive := _alive(place)), str(alive[:3]))


def _disturbed(command: Command, place: Path, way: str, whom: str, moment: float) -> tuple[bool, str]:
    """Whether the command had ended before its moment came, and what it said."""
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
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        ended = process.poll() is not None
        if not ended:
            _send(process, way, whom)
            try:
                process.wait(ENDED)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return False, f"Traceback: none, but it did not end within {ENDED:g} s"
        log.seek(0)
        return ended, log.read().decode(errors="replace")


def _send(process: subprocess.Popen[bytes], way: str, whom: str) -> None:
    number = signal.Signals[f"SIG{way}"]
    targets: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        children = parent.children(recursive=True)
        targets = {"parent": [parent], "worker": children[:1], "group": [parent, *children]}[whom]
    for target in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            target.send_signal(number)
    if way == "STOP":
        time.sleep(0.3)
        for target in targets:
            with contextlib.suppress(psutil.NoSuchProcess):
                target.send_signal(signal.SIGCONT)


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


def _alive(place: Path) -> list[str]:
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
