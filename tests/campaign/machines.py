"""Bad machines: no room, no rights, no home, few descriptors, little memory, clocks that jump, locks that fail.

Each is answered by one line that names the file or the limit, and what had finished is kept; or it does not matter.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from campaign import corpus
from campaign.cases import LONGEST_LINE, Tally
from campaign.kills import ENDED, SUITE, environment
from making.command import COMMAND

Limit = Callable[[], None]
REFERENCE = "file:rows.csv?label=label&normal=normal"
RUN = ("run", "mine.toml", "--out", "out", "--seeds", "0,1")
PATCH = """
import {module}
def failing(*arguments, **options):
    raise {error}
{module}.{name} = failing
"""


def campaign(folder: Path) -> Tally:
    tally = Tally("bad machines")
    full(folder, tally, (0, 1, 512, 4096, 10_000, 20_000, 40_000, 80_000))
    _read_only(folder, tally)
    _homeless(folder, tally)
    _narrow(folder, tally)
    _strange(folder, tally)
    return tally


def _place(folder: Path, name: str) -> Path:
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    files = {
        "mine.toml": SUITE.encode(),
        # without room for its threads a library may wait for ever in a worker
        "hasty.toml": b"timeout = 120\n" + SUITE.encode(),
        "rows.csv": corpus.csv(),
        "model": corpus.models()["norm"],
        "results/records.jsonl": corpus.lines(corpus.records()),
    }
    corpus.copied(files, place)
    return place


def run(
    place: Path, argv: Sequence[str], limit: Limit | None = None, variables: Mapping[str, str | None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command under a limit, with variables set, or taken away where they are None."""
    found: dict[str, str | None] = {**environment(place), **(variables or {})}
    try:
        return subprocess.run(
            [COMMAND, *argv],
            cwd=place,
            env={name: value for name, value in found.items() if value is not None},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ENDED,
            check=False,
            stdin=subprocess.DEVNULL,
            preexec_fn=limit,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, -1, "", f"it did not end within {ENDED:g} s")


def told(tally: Tally, name: str, done: subprocess.CompletedProcess[str], *words: str, used: bool = True) -> None:
    """Expects one line with one of the words, or, where it may be ``used``, that all went well."""
    said = done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("bench: ")]
    good = "Traceback" not in said and "Exception ignored" not in said
    if done.returncode == 2:
        good = good and len(lines) == 1 and len(lines[0]) < LONGEST_LINE and any(word in said for word in words)
    else:
        # trials that could not be run are records that say so
        good = good and used and done.returncode in (0, 1)
    tally.expect(name, good, f"exit status {done.returncode}: {said[-600:]!r}")


def whole(tally: Tally, name: str, place: Path) -> None:
    """Expects that every file that a reader would open is whole."""
    for path in place.rglob("records.jsonl"):
        lines = path.read_bytes().split(b"\n")[:-1]
        good = True
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                good = False
        tally.expect(f"{name}: whole lines in {path.relative_to(place)}", good)
    drafts = [str(path) for path in place.rglob("*.draft")]
    tally.expect(f"{name}: no draft is left", not drafts, str(drafts[:3]))


def _size(most: int) -> Limit:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def full(folder: Path, tally: Tally, sizes: Sequence[int], only: Sequence[str] = ()) -> None:
    """A disk that takes no more than so many bytes of a file; of all commands, or of some."""
    for most in sizes:
        for name, argv in (
            ("fit", ["fit", REFERENCE, "--detector", "knn", "--out", "new"]),
            ("score", ["score", "model", "rows.csv", "--out", "scores.csv"]),
            ("score to Parquet", ["score", "model", "rows.csv", "--out", "scores.parquet"]),
            ("report", ["report", "results"]),
            ("report --format html", ["report", "results", "--format", "html"]),
            ("history add", ["history", "add", "results"]),
            ("export", ["export", "results", "--format", "csv", "--out", "out.csv"]),
        ):
            if only and name not in only:
                continue
            place = _place(folder, "full")
            before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
            title = f"a disk with room for {most:,} bytes a file: {name}"
            told(tally, title, run(place, argv, _size(most)), "File too large", "cannot be written", "too large")
            tally.expect(f"{title}: what was there is as it was", all(p.read_bytes() == c for p, c in before.items()))
            whole(tally, title, place)
    for most in [] if only else sizes[:: 3 if len(sizes) > 3 else 2]:
        place = _place(folder, "full")
        title = f"a disk with room for {most:,} bytes a file: run"
        told(tally, title, run(place, RUN, _size(most)), "File too large", "too large", "temporary directory")
        done = run(place, RUN)
        tally.expect(f"{title}: goes on where there is room", done.returncode == 0, done.stderr[-400:])
        whole(tally, title, place)


def _read_only(folder: Path, tally: Tally) -> None:
    """Places that cannot be written to; below a file there is none for anybody, whatever rights he has."""
    for name, argv in (
        ("run", ["run", "mine.toml", "--out", "rows.csv/out"]),
        ("fit", ["fit", REFERENCE, "--detector", "knn", "--out", "rows.csv/new"]),
        ("score", ["score", "model", "rows.csv", "--out", "rows.csv/x.csv"]),
        ("history add", ["history", "add", "results", "--history", "rows.csv/history"]),
        ("export", ["export", "results", "--format", "csv", "--out", "rows.csv/x.csv"]),
        ("report", ["report", "results", "results", "--format", "html", "--out", "/proc/x.html"]),
        ("run in /proc", ["run", "mine.toml", "--out", "/proc/out"]),
        ("history add in /proc", ["history", "add", "results", "--history", "/proc/history"]),
    ):
        place = _place(folder, "read-only")
        words = (
            "Not a directory",
            "No such file",
            "cannot be",
            "not a directory",
            "Permission",
            "Read-only",
            "File exists",
        )
        told(tally, f"a place that cannot be written to: {name}", run(place, argv), *words, used=False)
        whole(tally, f"a place that cannot be written to: {name}", place)


def _homeless(folder: Path, tally: Tally) -> None:
    """No HOME, a HOME that is not there, no place for temporary files."""
    missing = {"HOME": "/nonexistent", "XDG_STATE_HOME": "/proc/state", "XDG_CACHE_HOME": "/proc/cache"}
    for title, variables in (
        ("no HOME", {"HOME": None, "XDG_STATE_HOME": None}),
        ("a HOME that is not there", missing),
        ("no place for temporary files", {"TMPDIR": "/nonexistent"}),
    ):
        for argv in ([*RUN], ["fit", REFERENCE, "--detector", "norm", "--out", "new"], ["report", "results"]):
            place = _place(folder, "homeless")
            told(tally, f"{title}: {argv[0]}", run(place, argv, None, variables), "temporary", "state")
            whole(tally, f"{title}: {argv[0]}", place)
    if shutil.which("unshare"):
        # a file system of its own without room, as /tmp and as the place of the results
        script = 'mount -t tmpfs -o size={size} tmpfs "$1" && shift && exec "$@"'
        for title, size, where in (
            ("a full /tmp", "4k", "/tmp"),
            ("a file system of 8 KB", "8k", "out"),
            ("a file system of 100 KB", "100k", "out"),
        ):
            place = _place(folder, "small")
            (place / "out").mkdir()
            target = where if where[0] == "/" else str(place / where)
            if where == "/tmp" and str(place).startswith("/tmp"):
                continue
            command = ["unshare", "-m", "sh", "-c", script.format(size=size), "sh", target, str(COMMAND), *RUN]
            done = subprocess.run(
                command, cwd=place, env=environment(place), capture_output=True, text=True, timeout=300, check=False
            )
            if "unshare" in done.stderr or "mount" in done.stderr:
                tally.note = "no file systems of its own could be made here"
                continue
            told(tally, title, done, "No space left", "temporary")


def _narrow(folder: Path, tally: Tally) -> None:
    """Few descriptors, little memory, one core, a path that is nearly too long."""

    def descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    def addresses() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))

    def core() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    for title, limit, words in (
        ("64 descriptors", descriptors, ("Too many open files",)),
        ("512 MB of addresses", addresses, ("memory", "allocate", "map segment", "thread")),
        ("one core", core, ()),
    ):
        running = ("run", "hasty.toml", *RUN[2:]) if limit is addresses else RUN
        for argv in (
            running,
            (*running, "--jobs", "8"),
            ("fit", REFERENCE, "--detector", "knn", "--out", "new"),
            ("score", "model", "rows.csv", "--out", "x.csv"),
            ("report", "results"),
            ("compare", "results", "results"),
        ):
            place = _place(folder, "narrow")
            told(tally, f"{title}: {' '.join(argv)}", run(place, argv, limit), *words)
            whole(tally, f"{title}: {' '.join(argv)}", place)
    for length in (200, 3900, 4090, 5000):
        place = _place(folder, "long")
        out = "/".join(["d" * 100] * (length // 101))
        done = run(place, ["run", "mine.toml", "--out", out])
        told(tally, f"a results directory on a path of {length:,} bytes", done, "File name too long", "too long")


def _strange(folder: Path, tally: Tally) -> None:
    """Locks that fail as on a network's file system, and clocks that jump."""
    faults = {
        "locks that are not supported": ("fcntl", "flock", "OSError(38, 'Function not implemented')"),
        "locks that there are none of": ("fcntl", "flock", "OSError(37, 'No locks available')"),
        "locks that fail at random": ("fcntl", "flock", "OSError(5, 'Input/output error')"),
        "a disk that does not sync": ("os", "fsync", "OSError(5, 'Input/output error')"),
        "a rename that fails": ("os", "replace", "OSError(116, 'Stale file handle')"),
    }
    for title, (module, name, error) in faults.items():
        place = _place(folder, "strange")
        (place / "patched").mkdir()
        (place / "patched" / "sitecustomize.py").write_text(PATCH.format(module=module, name=name, error=error))
        for argv in (RUN, ("history", "add", "results"), ("fit", REFERENCE, "--detector", "norm", "--out", "new")):
            done = run(place, argv, None, {"PYTHONPATH": str(place / "patched")})
            words = ("not implemented", "No locks", "error", "Stale", "not supported")
            told(tally, f"{title}: {argv[0]}", done, *words)
            whole(tally, f"{title}: {argv[0]}", place)
    jump = """
import random, time
real, draw = time.time, random.Random(0)
time.time = lambda: real() + draw.uniform(-1e9, 1e9)
"""
    place = _place(folder, "strange")
    (place / "patched").mkdir()
    (place / "patched" / "sitecustomize.py").write_text(jump)
    done = run(place, RUN, None, {"PYTHONPATH": str(place / "patched")})
    told(tally, "a clock that jumps by years", done)
    tally.expect("a clock that jumps by years: every trial ended well", done.returncode == 0, done.stdout[-300:])
    sys.stdout.flush()
