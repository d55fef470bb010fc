"""How a run shows itself: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import defaultdict
from statistics import fmean
from typing import TextIO

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn

from bench.messages import plain
from bench.records.record import Record
from bench.suites.scenario import Trial

MOST_WORKERS = 16
"""Lines of workers, the first ones."""


class PlainDisplay:
    """One line a trial, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def begin(self, trials: int, kept: int) -> None:
        self.trials, self.done = trials, kept
        note = f", {kept} kept from before" if kept else ""
        self._print(f"{trials} trials{note}")

    def doing(self, trial: Trial, what: str, done: int, of: int) -> None:
        """Nothing: a line an epoch would drown the lines that matter."""

    def measuring(self) -> None:
        self._print("measuring the limits of the hardware")

    def working(self, worker: str, what: str) -> None:
        """Nothing: each line says which worker it is of."""

    def close(self) -> None:
        """Nothing to take down."""

    def ended(self, trial: Trial, record: Record) -> None:
        self.done += 1
        width = len(str(self.trials))
        self._print(f"[{self.done:>{width}}/{self.trials}] {line(trial, record)}")

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class LiveDisplay:
    """A bar with what runs, how many are done and the time left, drawn only while the workers are idle.

    Nothing redraws by itself: a refresh in the middle of an epoch would compete with what is being timed.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}"),
            _OfAll(BarColumn(bar_width=24)),
            _OfAll(MofNCompleteColumn()),
            TextColumn("{task.fields[left]}"),
            console=console,
            auto_refresh=False,
        )

    def begin(self, trials: int, kept: int) -> None:
        if kept:
            self.console.print(f"{kept} of {trials} trials kept from before")
        self.task = self.bar.add_task("starting", total=trials, completed=kept, left="")
        self.clock = _TimeLeft(trials - kept)
        self.workers: dict[str, TaskID] = {}
        self.bar.start()

    def doing(self, trial: Trial, what: str, done: int, of: int) -> None:
        step = f" {done}/{of}" if of > 1 else ""
        text = escape(f"{trial.scenario.label} seed {trial.seed}: {what}{step}")
        self.bar.update(self.task, description=text, left=self.clock.text(), refresh=True)

    def measuring(self) -> None:
        self.bar.update(self.task, description="measuring the limits of the hardware", refresh=True)

    def working(self, worker: str, what: str) -> None:
        text = escape(plain(f"  {worker}: {what}"))
        if not what:
            if (gone := self.workers.pop(worker, None)) is not None:
                self.bar.remove_task(gone)
        elif worker in self.workers:
            self.bar.update(self.workers[worker], description=text)
        elif len(self.workers) < MOST_WORKERS:
            self.workers[worker] = self.bar.add_task(text, total=None, left="")
        self.bar.update(self.task, description=f"{len(self.workers)} workers", left=self.clock.text(), refresh=True)

    def ended(self, trial: Trial, record: Record) -> None:
        self.clock.add(trial, record)
        style = {"ok": "", "skipped": "[yellow]"}.get(record["status"], "[red]")
        self.bar.console.print(style + escape(line(trial, record)), highlight=False)
        self.bar.update(self.task, advance=1, left=self.clock.text(), refresh=True)

    def close(self) -> None:
        self.bar.stop()


class _OfAll(ProgressColumn):
    """A column that only the line of all trials has, and not those of workers."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self.column = column

    def render(self, task: Task) -> RenderableType:
        return self.column.render(task) if task.total is not None else ""


class _TimeLeft:
    """Trials left times the mean duration so far; kinds of trial differ, so the mean is over kinds, then trials."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.seconds: defaultdict[tuple[str, str | None], list[float]] = defaultdict(list)

    def add(self, trial: Trial, record: Record) -> None:
        self.left -= 1
        self.seconds[trial.scenario.detector, trial.scenario.backend].append(record.get("wall_seconds", 0.0))

    def text(self) -> str:
        if not self.seconds:
            return ""
        minutes, seconds = divmod(round(self.left * fmean(map(fmean, self.seconds.values()))), 60)
        return f"about {minutes}:{seconds:02d} left"


def line(trial: Trial, record: Record) -> str:
    """One trial's end in one line."""
    text = f"{record['status']:<8} {trial.scenario.label} seed {trial.seed}"
    if trial.round:
        text += f" round {trial.round}"
    if record["status"] == "ok":
        text += f"  AUC {record['metrics']['roc_auc']:.3f}  F1 {record['metrics']['f1']:.3f}"
    if lanes := record.get("made", {}).get("lanes"):
        text += f"  lane {record['made']['lane'] + 1} of {lanes}"
    if "cluster" in record:
        text += f"  on {record['cluster']['worker']}"
    if "wall_seconds" in record:
        text += f"  {record['wall_seconds']:.1f} s"
    return plain(text + (f"  {record['reason']}" if record["reason"] else ""))


def display() -> PlainDisplay | LiveDisplay:
    """The display that fits the standard error."""
    console = Console(stderr=True)
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(sys.stderr)
