"""A command in a process of its own kind: many run one after another in one fork, within bounds of time and memory.

What came from outside is used, or refused in one line with exit status 2: soon, in little memory, and nothing is
written. A traceback is a failure wherever it shows.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

MOST_SECONDS = 2.0
"""Processor time until something is refused."""
PATIENCE = 30.0
"""Seconds of processor time until a command that does not come back is ended from outside."""
STILL = 4
"""So many such times by the clock without any processor time at all, however busy the machine: it waits for ever."""
MOST_MEMORY = 300 * 2**20
"""Bytes that a command may take beside what its process held before."""
LONGEST_LINE = 1000
BATCH = 400
"""Cases of a fork."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


Content = bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Case:
    """A command line and the files it finds in its folder.

    ``load`` as its first word reads a data set with the loader alone, which is the quickest way to many files.
    ``prepare`` is called in the folder before the command, for what is no plain file. ``writes`` are names that the
    command may leave. What is large is a function that makes it.
    """

    name: str
    argv: Sequence[str]
    files: Mapping[str, Content] = field(default_factory=dict)
    prepare: Callable[[Path], None] = lambda folder: None
    writes: tuple[str, ...] = ()
    refused: bool = False
    """Whether it has to be refused; else it may be used as well."""
    needs: Callable[[str, str], bool] = lambda out, err: True
    """What the output has to say."""
    seconds: float = MOST_SECONDS
    """Processor time that it may take; more than a refusal may where it is a whole run, with its report."""


def fifo(name: str, file: str, argv: list[str], **more: Any) -> Case:
    return Case(name, argv, prepare=lambda folder: os.mkfifo(folder / file), refused=True, **more)


@dataclass(frozen=True)
class Kind:
    """A way of going wrong: so many cases, each made from its number alone."""

    name: str
    count: int
    make: Callable[[int], Case]
    warm: Sequence[str] = ()
    """Modules that are loaded before the clock starts."""


@dataclass
class Tally:
    """What was tried of a kind, what failed, and why."""

    kind: str
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""

    def expect(self, name: str, holds: object, why: str = "") -> None:
        self.tried += 1
        if os.environ.get("CAMPAIGN_LOUD"):
            print(time.strftime("%X"), "" if holds else "FAILED", name[:150], "" if holds else why[:700], flush=True)
        if not holds:
            told = f"{name}: {why}" if why else name
            # where this environment lies is nobody's business, and differs from one machine to the next
            self.failures.append(told.replace(sys.prefix, Path(sys.prefix).name))


def run(kind: Kind, folder: Path, numbers: Sequence[int] | None = None, until: float = float("inf")) -> Tally:
    """Runs the cases of a kind, or those with these numbers, until a time of the monotonic clock."""
    tally = Tally(kind.name)
    left = list(range(kind.count) if numbers is None else numbers)
    began = time.monotonic()
    while left and time.monotonic() < until:
        batch = left[:BATCH]
        done = _forked(kind, folder, batch, tally, until)
        left = left[done:]
    tally.seconds = time.monotonic() - began
    return tally


def _forked(kind: Kind, folder: Path, batch: Sequence[int], tally: Tally, until: float) -> int:
    """How many of the batch were tried; the last of them may have ended its process."""
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(read)
        status = 1
        try:
            _serve(kind, folder, batch, write)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    lines = b""
    done = 0
    begun = before = _spent(child)
    still = 0
    try:
        while True:
            ready, _, _ = select.select([read], [], [], PATIENCE)
            if not ready:
                spent = _spent(child)
                still = still + 1 if spent == before else 0
                before = spent
                if spent - begun < PATIENCE and still < STILL:
                    continue
                os.kill(child, signal.SIGKILL)
                why = f"did not come back: {spent - begun:.1f} s of processor time, {still * PATIENCE:g} s without any"
                tally.expect(f"{kind.name} {batch[done]}", False, why)
                return done + 1
            piece = os.read(read, 1 << 16)
            if not piece:
                break
            lines += piece
            *whole, lines = lines.split(b"\n")
            for line in whole:
                name, why = json.loads(line)
                tally.expect(f"{kind.name} {batch[done]} ({name})", not why, why)
                done += 1
                begun = before = _spent(child)
                still = 0
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                return len(batch)
    finally:
        os.close(read)
        _, status = os.waitpid(child, 0)
    if done < len(batch):
        tally.expect(f"{kind.name} {batch[done]}", False, f"ended its process (wait status {status})")
        return done + 1
    return done


def _spent(child: int) -> float:
    """Seconds of processor time that a process and all that it started have taken."""
    found = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(child)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                found += sum(one.cpu_times()[:4])
    return found


def _serve(kind: Kind, folder: Path, batch: Sequence[int], write: int) -> None:
    warnings.resetwarnings()  # as for a user, not as the tests have them; libraries ask whether there are any filters
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    for module in kind.warm:
        __import__(module)
    home = os.environ.copy()
    for number in batch:
        place = folder / f"{kind.name.replace(' ', '-')}-{number}"
        try:
            case = kind.make(number)
            why = judged(case, place)
            name = case.name
        except BaseException:
            name, why = "the campaign itself", traceback.format_exc()[-1500:]
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(home)
        shutil.rmtree(place, ignore_errors=True)
        os.write(write, json.dumps([name, why]).encode() + b"\n")


def judged(case: Case, place: Path) -> str:
    """Runs a case in a new folder; why it failed, or nothing."""
    place.mkdir(parents=True)
    for name, content in case.files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content() if callable(content) else content)
    case.prepare(place)
    os.chdir(place)
    before = _tree(place)
    memory = _Memory()
    began = time.process_time()
    status, out, err = _performed(case.argv)
    seconds = time.process_time() - began
    taken = memory.taken()
    found = []
    if "Traceback" in err or "Traceback" in out:
        found.append(f"a traceback: {err[-1200:]}")
    elif status == 2:
        # argparse has its usage before its line
        lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
        if len(lines) != 1 or not lines[0].startswith("bench"):
            found.append(f"not one line: {err[:600]!r}")
        if len(err.splitlines()[-1] if err else "") > LONGEST_LINE:
            found.append(f"a line of {len(err)} characters")
        if changed := sorted(set(_tree(place) ^ before)):
            names = {name for name, *_ in changed}
            if names - set(case.writes):
                found.append(f"refused, and written: {sorted(names)[:5]}")
    elif status not in (0, 1, 3, 4):
        found.append(f"exit status {status}: {err[-300:]!r}")
    elif case.refused:
        found.append(f"taken, with exit status {status}: {(out + err)[-300:]!r}")
    if bad := _CONTROL.search(out + err):
        found.append(f"a control character {bad[0]!r} reached the terminal")
    if seconds > (MOST_SECONDS if status == 2 else case.seconds):
        found.append(f"{seconds:.1f} s of processor time")
    if taken > MOST_MEMORY:
        found.append(f"{taken >> 20} MB more memory")
    if not case.needs(out, err):
        found.append(f"does not say what it should: {(out + err)[-300:]!r}")
    return "; ".join(found)


def _performed(argv: Sequence[str]) -> tuple[Any, str, str]:
    from bench import cli

    out, err = _Captured(), _Captured()
    status: Any
    with redirect_stdout(out.text), redirect_stderr(err.text):
        try:
            status = _load(argv[1:]) if argv[0] == "load" else cli.main(argv)
        except SystemExit as stopped:
            status = stopped.code
        except BaseException:
            traceback.print_exc()
            status = -1
        out.text.flush()
        err.text.flush()
    return status, out.said(), err.said()


def _load(argv: Sequence[str]) -> int:
    """Reads a data set as every command does, and answers as the command line would."""
    import datasets
    from bench.messages import one_line

    try:
        datasets.load(argv[0], data_dir=Path(argv[1]) if len(argv) > 1 else Path("data"))
    except (datasets.DatasetError, MemoryError) as error:
        print(f"bench: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


class _Captured:
    """A text stream that also takes bytes, as the standard streams do."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        self.text = io.TextIOWrapper(self.bytes, "utf-8", errors="backslashreplace", write_through=True)

    def said(self) -> str:
        return self.bytes.getvalue().decode(errors="replace")


class _Memory:
    """The most memory that this process holds from now on, beside what it holds now."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self.before = self._read("VmRSS")

    def taken(self) -> int:
        return self._read("VmHWM") - self.before

    @staticmethod
    def _read(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def _tree(place: Path) -> set[tuple[str, int, int]]:
    return set(_entries(place))


def _entries(place: Path) -> Iterator[tuple[str, int, int]]:
    for path in place.rglob("*"):
        facts = path.lstat()
        if not path.is_dir() and path.suffix != ".pyc":  # Python's own, of a plug-in's code
            yield str(path.relative_to(place)), facts.st_size, facts.st_mtime_ns
