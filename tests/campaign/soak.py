"""Runs and comparisons over and over: memory of the parent, open files and temporary files stay what they were."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import time
from pathlib import Path

from campaign.cases import Tally
from campaign.kills import NETWORKS

FLAT = 1.05
"""How much more memory the last tenth of the loops may hold than the second tenth."""


def campaign(folder: Path, seconds: float) -> Tally:
    """Loops of ``run`` and ``compare`` in this very process, the parent of their workers, for so long."""
    from bench import cli

    tally = Tally("soak")
    place = folder / "soak"
    place.mkdir(parents=True)
    (place / "mine.toml").write_text(NETWORKS)
    os.environ["XDG_STATE_HOME"] = str(place / "state")
    terms = ["--suite", "mine.toml", "--budget", "1s", "--metric", "train_samples_per_second"]
    commands = (["run", "mine.toml", "--out", "run"], ["compare", "here", "set:epochs=4", *terms, "--out", "compare"])
    held: list[tuple[int, int, int]] = []
    end = time.monotonic() + seconds
    home = os.environ.copy()
    with contextlib.chdir(place), (place / "said").open("w+") as log:
        while time.monotonic() < end or len(held) < 3:
            for argv in commands:
                with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                    status = cli.main(argv)
                os.environ.clear()
                os.environ.update(home)
                tally.expect(f"{argv[0]} of loop {len(held)}", status in (0, 1, 3), f"exit status {status}")
            for name in ("run", "compare"):
                shutil.rmtree(place / name)
            gc.collect()
            held.append(_held())
    memory, files, temporary = zip(*held, strict=True)
    early, late = (max(part) for part in (memory[: max(2, len(memory) // 5)], memory[-max(1, len(memory) // 10) :]))
    tally.expect("memory of the parent is flat", late <= early * FLAT, f"{early >> 20} MB, then {late >> 20} MB")
    tally.expect("open files are flat", files[-1] <= files[1], f"{files[1]}, then {files[-1]}")
    tally.expect("temporary files are flat", temporary[-1] <= temporary[0], f"{temporary[0]}, then {temporary[-1]}")
    tally.note = (
        f"{len(held)} loops in {seconds:,.0f} s: memory {memory[0] >> 20} MB, later {early >> 20} MB, at the end "
        f"{late >> 20} MB; open files {files[0]} and {files[-1]}; temporary files {temporary[0]} and {temporary[-1]}"
    )
    return tally


def _held() -> tuple[int, int, int]:
    """Bytes of memory, open files, and our files among the temporary ones."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    ours = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith(("bench", "vaebench"))]
    return pages * os.sysconf("SC_PAGESIZE"), len(os.listdir("/proc/self/fd")), len(ours)
