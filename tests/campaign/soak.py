"""Runs and comparisons over and over: memory of the parent, open files and temporary files stay what they were."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import time
from pathlib import Path
from unittest import mock

from campaign.cases import Tally

FLAT = 1.05
"""How much more memory the last tenth of the loops may hold than the second tenth."""
BACKENDS = ("torch", "jax", "keras")
"""One a loop, so that more loops are done in the time."""
COMPARED = ("--suite", "fewer.toml", "--budget", "1s", "--metric", "train_samples_per_second")
COMMANDS = (["run", "smoke.toml", "--out", "run"], ["compare", "here", "set:epochs=4", *COMPARED, "--out", "compare"])


def campaign(folder: Path, seconds: float) -> Tally:
    """Loops of ``run`` and ``compare`` in this very process, the parent of their workers, for so long."""
    from bench import cli
    from bench.suites import suite

    tally = Tally("soak")
    place = folder / "soak"
    (place / "tmp").mkdir(parents=True)
    # as shipped, with patience for a machine that has much else to do; comparisons leave most of the detectors out
    smoke = (suite.SHIPPED / "smoke.toml").read_text().replace("timeout = 60", "timeout = 3600")
    (place / "smoke.toml").write_text(smoke)
    (place / "fewer.toml").write_text(smoke.replace(', "isolation_forest", "one_class_svm", "knn"]', "]"))
    held: list[tuple[int, int, int]] = []
    began = time.monotonic()
    ours = {"XDG_STATE_HOME": str(place / "state"), "TMPDIR": str(place / "tmp")}
    with (
        contextlib.chdir(place),
        mock.patch.dict(os.environ, ours),
        mock.patch.object(tempfile, "tempdir", str(place / "tmp")),
    ):
        home = os.environ.copy()
        while time.monotonic() < began + seconds or len(held) < 3:
            for command in COMMANDS:
                argv = [*command, "--backends", BACKENDS[len(held) % len(BACKENDS)]]
                with (place / "said").open("w+") as log:
                    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                        status = cli.main(argv)
                    log.seek(0)
                    said = log.read()
                    good = status in (0, 1, 3) and "Traceback" not in said
                    tally.expect(
                        f"{' '.join(argv)} of loop {len(held)}",
                        good,
                        "" if good else f"exit status {status}: {said[-900:]}",
                    )
                os.environ.clear()
                os.environ.update(home)
            for name in ("run", "compare"):
                shutil.rmtree(place / name)
            gc.collect()
            held.append(_held(place / "tmp"))
            memory, files, temporary = held[-1]
            # the first loop imports what the second finds
            flat = files <= held[min(1, len(held) - 1)][1] and temporary <= held[0][2]
            told = f"{memory / 2**20:.1f} MB, {files} open files, {temporary} temporary ones"
            tally.expect(f"loop {len(held)}: {told}", flat, f"{held[0]} and {held[min(1, len(held) - 1)]} before")
    memories = [memory for memory, _, _ in held]
    tenth = max(1, len(held) // 10)
    early, late = max(memories[tenth : 2 * tenth]), max(memories[-tenth:])
    tally.expect("memory of the parent is flat", late <= early * FLAT, f"{early >> 20} MB, then {late >> 20} MB")
    (first, files, temporary), (last, files_last, temporary_last) = held[0], held[-1]
    tally.note = (
        f"{len(held)} loops of `run` and `compare` on `smoke` in {time.monotonic() - began:,.0f} s: memory of the "
        f"parent {first / 2**20:.1f} MB after the first, at most {early / 2**20:.1f} MB in the second tenth and "
        f"{late / 2**20:.1f} MB in the last, {last / 2**20:.1f} MB at the end; open files {files} and {files_last}; "
        f"temporary files {temporary} and {temporary_last}"
    )
    return tally


def _held(temporary: Path) -> tuple[int, int, int]:
    """Bytes of memory, open files, and temporary files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    left = sum(1 for _ in temporary.rglob("*"))
    return pages * os.sysconf("SC_PAGESIZE"), len(os.listdir("/proc/self/fd")), left
