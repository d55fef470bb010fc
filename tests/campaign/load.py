"""100,000 trials in one results directory, more at once than memory has room for, and what a power cut may cost."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from bench.records import index, store
from bench.records.index import Index
from campaign import corpus
from campaign.cases import Tally
from campaign.kills import environment, left
from making.command import COMMAND

BASE, EACH = 1.0, 10e-6
"""Seconds that a start may take, and those for each record."""


def filled(directory: Path, count: int) -> Path:
    """So many records of real size, each of a trial of its own."""
    directory.mkdir(parents=True)
    first = corpus.records()[0]
    first = first | {"loss": [1.0 / (n + 1) for n in range(30)], "samples": {"train": [0.1] * 30, "score": [0.1] * 10}}
    line = json.dumps(first | {"seed": "SEED", "scenario_hash": "HASH"}).encode() + b"\n"
    with (directory / store.FILE).open("wb") as file:
        for number in range(count):
            text = line.replace(b'"SEED"', b"%d" % (number % 1000))
            file.write(text.replace(b"HASH", b"%016x" % (number // 1000)))
    return directory


def campaign(folder: Path, count: int) -> Tally:
    tally = Tally("load")
    directory = filled(folder / "load", count)
    bound = BASE + EACH * count
    found: dict[str, float] = {}

    def timed(name: str, action: Any) -> Any:
        began = time.process_time()
        result = action()
        found[name] = time.process_time() - began
        return result

    def started() -> Any:
        index = Index(directory)
        return index, index.finished(timed=True)

    _, trials = timed("the first start", started)
    tally.expect(f"{count:,} records: all are found", len(trials) == count, str(len(trials)))
    again, found_again = timed("a further start", started)
    tally.expect(f"{count:,} records: they are found again", found_again == trials)
    last = again.record(again.entries[-1])
    appends = []
    for number in range(20):
        began = time.process_time()
        again.append(last | {"seed": number, "round": 7})
        appends.append(time.process_time() - began)
    found["an append"] = statistics.median(appends)
    _, more = timed("a start after appends", started)
    tally.expect(f"{count:,} records: those appended are found", len(more) == count + 20, str(len(more)))
    for name in ("a further start", "a start after appends", "an append"):
        tally.expect(f"{count:,} records: {name} in {bound:g} s", found[name] < bound, f"{found[name]:.2f} s")
    tally.note = ", ".join(f"{name} {1000 * seconds:,.1f} ms" for name, seconds in found.items())
    shutil.rmtree(directory)
    return tally


CROWD = """
name = "crowd"
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
[[scenarios]]
datasets = ["blobs?rows=2000"]
detectors = ["isolation_forest", "knn"]
"""
TRIALS = 4 * 8
"""Those of CROWD: two detectors of its own, and the two that every suite compares with."""


def crowded(folder: Path) -> Tally:
    """Four times as many trials at once as there are cores, where memory ends: each that is killed is a record.

    What the system would do is done here: whenever all processes together hold more than three of them would, the
    largest is killed, until half as many were as there are trials. Then there is room for all.
    """
    tally = Tally("trials beyond memory")
    place = folder / "crowd"
    place.mkdir(parents=True)
    (place / "mine.toml").write_text(CROWD)
    jobs = 4 * (os.cpu_count() or 1)
    argv = [COMMAND, "run", "mine.toml", "--out", "out", "--untimed", "--jobs", str(jobs)]
    with (place / "said").open("w+") as log:
        process = subprocess.Popen(argv, cwd=place, env=environment(place), stdout=log, stderr=log)
        killed = _kept_below(process, 3, most=TRIALS // 2)
        log.seek(0)
        said = log.read()
    path = place / "out" / store.FILE
    records = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    trials = Counter((one["detector"], one["seed"]) for one in records)
    statuses = Counter(one["status"] for one in records)
    tally.expect("the run goes on to its end", process.returncode in (0, 1) and "Traceback" not in said, said[-900:])
    tally.expect("some were killed", killed > 0)
    tally.expect("one record a trial", set(trials.values()) == {1} and len(trials) == TRIALS, str(trials))
    tally.expect("who was killed is a record that failed", 0 < statuses["failed"] <= killed, f"{killed}: {statuses}")
    reasons = {one["reason"] for one in records if one["status"] == "failed"}
    tally.expect("and says why", all("kill" in str(reason).lower() for reason in reasons), str(reasons))
    tally.expect("the others are well", statuses["ok"] == len(trials) - statuses["failed"], str(statuses))
    tally.expect("no process is left", not (alive := left(place)), str(alive[:3]))
    tally.note = f"{jobs} at once, {killed} processes killed: {dict(statuses)}"
    return tally


def _kept_below(process: subprocess.Popen[str], room: int, most: int) -> int:
    """Waits for a process; whenever its children hold more than so many of them did at first, ends the largest.

    Returns how often it did, at most ``most`` times.
    """
    limit, killed = 0, 0
    while process.poll() is None:
        held: list[tuple[int, psutil.Process]] = []
        with suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    held.append((child.memory_info().rss, child))
        held.sort(key=lambda one: one[0])
        if held and held[-1][0] > 2**26:  # one that has imported its libraries
            limit = limit or room * held[-1][0]
            if killed < most and sum(size for size, _ in held) > limit:
                with suppress(psutil.Error):
                    held[-1][1].kill()
                    killed += 1
                    held[-1][1].wait(5)
        time.sleep(0.02)
    return killed


def cuts(folder: Path, records: int = 2) -> Tally:
    """A power cut leaves a file cut anywhere in what was last written: at every byte of the last records.

    What stood before them is never lost; of them those that are whole are kept; the file can be appended to.
    """
    tally = Tally("power cuts")
    good = [json.dumps(one).encode() + b"\n" for one in itertools.islice(itertools.cycle(corpus.records()), 4)]
    before, last = b"".join(good[:-records]), b"".join(good[-records:])
    new = corpus.records()[0] | {"round": 9}
    ends = list(itertools.accumulate(map(len, good[-records:])))
    directory = folder / "cut"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / store.FILE
    with mock.patch.object(os, "fsync"):  # the cut is made here, and no disk has to be waited for
        for place in range(len(last) + 1):
            for rest in (b"", b"\0" * 37):  # some file systems leave zeros where bytes had not arrived
                if rest and place == len(last):
                    continue
                path.write_bytes(before + last[:place] + rest)
                found, _ = store.read(directory)
                # a record is whole where at most its line break is missing
                kept = len(good) - records + sum(end <= place + (not rest) for end in ends)
                store.append(directory, new)
                after, warnings = store.read(directory)
                tally.expect(
                    f"cut at byte {place} of {len(last)}{' with zeros' if rest else ''}",
                    len(found) == kept and len(after) == kept + 1 and not warnings and after[-1] == new,
                    f"{len(found)} instead of {kept} before, {len(after)} instead of {kept + 1} after, {warnings}",
                )
    path.write_bytes(before + last)
    _index_cut(directory, tally)
    return tally


def _index_cut(directory: Path, tally: Tally) -> None:
    """The index of finished trials, cut or with zeros from any byte on: it says what the records say."""
    path = directory / index.FILE
    path.unlink(missing_ok=True)
    truth = Index(directory)
    truth.save()
    content = path.read_bytes()
    for place in range(len(content)):
        for rest in (b"", b"\0" * 37, b"\0" * (len(content) - place)):
            path.write_bytes(content[:place] + rest)
            found = Index(directory).entries
            tally.expect(f"index cut at byte {place} with {len(rest)} zeros", found == truth.entries, str(found)[:300])
