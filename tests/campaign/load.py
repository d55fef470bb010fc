"""A results directory of 100,000 trials, and what a power cut may cost."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from bench.records import store
from bench.records.index import Index
from campaign import corpus
from campaign.cases import Tally

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
    return tally
