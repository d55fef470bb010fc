"""What a worker of a cluster is, and which trials it cannot run, in words. Plain data: no process, no connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.environment import differences, environment_hash
from bench.suites.scenario import Scenario, Trial

MIB = 1 << 20
START = {None: 250 * MIB, "torch": 600 * MIB, "keras": 1200 * MIB, "jax": 700 * MIB}
"""What a trial's process takes before it has any rows, by backend: rounded up from peaks of ``quick`` on a CPU."""
COPIES = 6
"""Copies of a data set in memory at once while it is read, split, scaled and scored."""


@dataclass(frozen=True)
class Worker:
    """A worker as it told of itself.

    ``machine`` is one kernel: workers that share it disturb each other. ``threads`` and ``memory`` (bytes) are what
    Dask was told to use, ``cores`` what the machine has for one trial that runs alone. ``backends``, ``detectors`` and
    ``data`` say why what the plan wants does not work there; a name that is missing works. ``folders`` holds where a
    file lies that was sent.
    """

    address: str
    name: str
    host: str
    machine: str
    threads: int
    cores: int
    memory: int
    environment: Mapping[str, Any]
    backends: Mapping[str, str] = field(default_factory=dict)
    detectors: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)

    @property
    def gpu(self) -> str | None:
        found: str | None = self.environment["machine"]["gpu"]
        return found

    @property
    def environment_hash(self) -> str:
        return environment_hash(self.environment)

    def cannot(self, trial: Trial) -> str | None:
        """Why it cannot run a trial, or None. What other trials take meanwhile does not count."""
        scenario = trial.scenario
        if reason := self.data.get(scenario.dataset):
            return reason
        if scenario.backend and (reason := self.backends.get(scenario.backend)):
            return f"{scenario.backend}: {reason}"
        if reason := self.detectors.get(wanted(scenario)):
            return reason
        if scenario.device == "gpu" and self.gpu is None:
            return "no GPU"
        available = self.cores if trial.timed else self.threads
        if scenario.threads > available:
            return f"{scenario.threads} threads are more than its {available}"
        return None


def wanted(scenario: Scenario) -> str:
    """The detector as a worker is asked for it; one that is made of others depends on its parameters."""
    return f"{scenario.detector} {sorted(scenario.parameters.items())}" if scenario.parameters else scenario.detector


def software(worker: Worker) -> dict[str, Any]:
    """The versions that have to agree before times are compared: Python, packages, this tool and its revision."""
    found = worker.environment
    return {
        "python": found["machine"]["python"],
        **found["packages"],
        "vaebench": found["vaebench"],
        "revision": found["revision"],
    }


def odd(workers: Iterable[Worker]) -> dict[str, str]:
    """Workers whose software is not that of most machines, by address, each with what differs.

    Of equally many machines those count that joined first.
    """
    known = list(workers)
    if not known:
        return {}
    machines = {(worker.machine, _text(worker)): worker for worker in known}
    votes = Counter(_text(worker) for worker in machines.values())
    usual = next(worker for worker in known if _text(worker) == votes.most_common(1)[0][0])
    return {worker.address: _odd(worker, usual) for worker in known if _text(worker) != _text(usual)}


def _text(worker: Worker) -> str:
    return repr(sorted(software(worker).items(), key=lambda item: item[0]))


def _odd(worker: Worker, usual: Worker) -> str:
    theirs, most = software(worker), software(usual)
    names = [name for name in sorted({*theirs, *most}) if theirs.get(name) != most.get(name)]
    return ", ".join(f"{name} {theirs.get(name) or 'none'}, most have {most.get(name) or 'none'}" for name in names)


def unlike(worker: Worker, other: Worker) -> str:
    """What makes their environments two, so that their rates are shown apart; empty where they are one."""
    return "; ".join(differences(worker.environment, other.environment))


class Memory:
    """What a trial will take: first estimated, then, once one of its kind has run, measured.

    Parameters
    ----------
    sizes : mapping
        Bytes of all rows, by data set.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.peaks: dict[tuple[str, str, str | None], int] = {}

    def of(self, scenario: Scenario) -> int:
        """Bytes."""
        measured = self.peaks.get((scenario.dataset, scenario.detector, scenario.backend))
        if measured is not None:
            return measured + measured // 8
        base = START.get((scenario.backend or "").partition("-")[0] or None, max(START.values()))
        return base + COPIES * self.sizes.get(scenario.dataset, 0)

    def learn(self, scenario: Scenario, peak: float) -> bool:
        """Notes what a trial took, in bytes; whether that changes what the next one will take."""
        kind = scenario.dataset, scenario.detector, scenario.backend
        if peak <= self.peaks.get(kind, 0):
            return False
        self.peaks[kind] = int(peak)
        return True
