"""Which trial goes to which worker, and how often one is tried: rules over plain data, without a process or a clock.

A quality trial goes to any worker with enough threads and memory left, and one more lies ready there, so that no worker
waits for the client; one whose worker was lost has the next to itself, so that it takes no other with it. A timed trial
has its machine to itself, and all that is compared with each other (one data set, seed and round) goes to the same
machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.cluster.workers import Memory, Worker, odd
from bench.suites.scenario import Scenario, Trial

Group = tuple[str, int, int]
"""Data set, seed and round: what is compared with each other."""
Waiting = tuple[int, Trial]
"""A trial and its place in the plan."""


def group(trial: Trial) -> Group:
    return trial.scenario.dataset, trial.seed, trial.round


@dataclass(frozen=True)
class Assignment:
    """A trial that goes to a worker now, for the ``attempt``-th time, from 1; ``memory`` in bytes."""

    number: int
    place: int
    trial: Trial
    worker: Worker
    memory: int
    attempt: int


class Placement:
    """What waits, what runs where, and who is there.

    Parameters
    ----------
    trials : sequence of Trial
        In the order of the plan.
    retries : int
        How often a trial whose worker was lost is run again.
    memory : Memory
    mixed : bool
        Whether workers with other versions than most machines may run timed trials.
    homes : mapping
        The machine that has run some of a group before.
    """

    def __init__(
        self, trials: Sequence[Trial], *, retries: int, memory: Memory, mixed: bool, homes: Mapping[Group, str]
    ) -> None:
        self.retries, self.memory, self.mixed = retries, memory, mixed
        self.homes = dict(homes)
        self.workers: dict[str, Worker] = {}
        self.odd: dict[str, str] = {}
        self.running: dict[int, Assignment] = {}
        self.attempts: dict[int, int] = {}
        self.number = 0
        self.ahead: set[int] = set()  # sent, and begun when another one of its worker ends
        self.waiting: dict[str, deque[Waiting]] = {}  # quality trials by scenario, timed ones by group
        self.left = len(trials)
        self._reasons: dict[tuple[str, str, bool], str | None] = {}
        for place, trial in enumerate(trials):
            self._queue(trial).append((place, trial))

    def _queue(self, trial: Trial) -> deque[Waiting]:
        key = repr(group(trial)) if trial.timed else trial.scenario.hash
        return self.waiting.setdefault(key, deque())

    # ------------------------------------------------------------------------------------------ who is there

    def join(self, worker: Worker) -> None:
        self.workers[worker.address] = worker
        self._changed()

    def leave(self, address: str) -> list[tuple[Assignment, bool]]:
        """Forgets a worker; what it ran, each with whether it is tried again."""
        self.workers.pop(address, None)
        self._changed()
        lost = sorted(
            (one for one in self.running.values() if one.worker.address == address), key=lambda one: one.place
        )
        # the last one first: each goes to the front of its queue
        return [(one, self.lost(one)) for one in reversed(lost)][::-1]

    def _changed(self) -> None:
        self.odd = odd(self.workers.values())
        self._reasons.clear()

    def cannot(self, worker: Worker, trial: Trial) -> str | None:
        """Why a worker may not run a trial, now or later; None where it may."""
        key = worker.address, trial.scenario.hash, trial.timed
        if key not in self._reasons:
            reason = worker.cannot(trial)
            if reason is None and trial.timed and not self.mixed and worker.address in self.odd:
                reason = f"other versions ({self.odd[worker.address]}); --mixed takes it for timed trials all the same"
            self._reasons[key] = reason
        return self._reasons[key]

    # ------------------------------------------------------------------------------------------- what runs

    def next(self) -> Assignment | None:
        """The next trial that can start now, as started; None where nothing can."""
        for found in (self._next_timed(), self._next_quality()):
            if found is not None:
                (place, trial), worker = found
                queue = self._queue(trial)
                queue.remove((place, trial))
                if not queue:
                    self.waiting = {key: kept for key, kept in self.waiting.items() if kept}
                return self._start(place, trial, worker)
        return None

    def _start(self, place: int, trial: Trial, worker: Worker) -> Assignment:
        self.number += 1
        self.attempts[place] = self.attempts.get(place, 0) + 1
        need = 0 if trial.timed else self._need(worker, trial.scenario)
        ahead = not trial.timed and not self._has_room(worker, trial.scenario)
        started = Assignment(self.number, place, trial, worker, need, self.attempts[place])
        self.running[started.number] = started
        if ahead:
            self.ahead.add(started.number)
        return started

    def ended(self, assignment: Assignment) -> bool:
        """Whether this end is the first one that is told of this assignment, so that its record counts."""
        if self.running.pop(assignment.number, None) is None:
            return False
        self.ahead.discard(assignment.number)
        self.ahead -= {one.number for one in self._here(assignment.worker)}  # it begins now
        self.left -= 1
        return True

    def lost(self, assignment: Assignment, *, counted: bool = True) -> bool:
        """A trial whose worker is gone waits again, at its place; False where that was once too often.

        One that was lost with the connection alone is not ``counted``, nor is one that had not begun.
        """
        if self.running.pop(assignment.number, None) is None:
            return True
        if not counted or assignment.number in self.ahead:
            self.ahead.discard(assignment.number)
            self.attempts[assignment.place] -= 1
        if self.attempts[assignment.place] > self.retries:
            self.left -= 1
            return False
        self._queue(assignment.trial).appendleft((assignment.place, assignment.trial))
        return True

    def hopeless(self) -> list[tuple[Trial, str]]:
        """The trials that none of the workers can run, each with why; they wait no longer. None as long as any runs."""
        if self.running or not self.workers:
            return []
        found = []
        for key, queue in list(self.waiting.items()):
            kept: deque[Waiting] = deque()
            for place, trial in queue:
                reasons = [self.cannot(worker, trial) for worker in self.workers.values()]
                if None in reasons:
                    kept.append((place, trial))
                else:
                    found.append((trial, str(reasons[0])))
            self.waiting[key] = kept
        self.waiting = {key: queue for key, queue in self.waiting.items() if queue}
        self.left -= len(found)
        return found

    # -------------------------------------------------------------------------------------- quality trials

    def _next_quality(self) -> tuple[Waiting, Worker] | None:
        heads = sorted(queue[0] for queue in self.waiting.values() if not queue[0][1].timed) if self.waiting else []
        for head in heads:
            trial = head[1]
            open_to = [worker for worker in self.workers.values() if self._may(worker, *head)]
            if free := [worker for worker in open_to if self._has_room(worker, trial.scenario)]:
                return head, max(free, key=lambda worker: self._left(worker)[0])
            if ready := [worker for worker in open_to if self._may_wait(worker)]:
                return head, ready[0]
        return None

    def _here(self, worker: Worker) -> list[Assignment]:
        return [one for one in self.running.values() if one.worker.address == worker.address]

    def _may(self, worker: Worker, place: int, trial: Trial) -> bool:
        """Whether a worker may have a trial beside what it has, threads and memory aside."""
        if self.cannot(worker, trial) or any(one.trial.timed for one in self._on(worker.machine)):
            return False
        here = self._here(worker)
        if here and (self.attempts.get(place) or any(one.attempt > 1 for one in here)):
            return False
        return not (trial.scenario.device == "gpu" and any(one.trial.scenario.device == "gpu" for one in here))

    def _may_wait(self, worker: Worker) -> bool:
        """Whether one more can lie ready on a worker that is busy."""
        here = self._here(worker)
        return bool(here) and not any(one.number in self.ahead for one in here)

    def _has_room(self, worker: Worker, scenario: Scenario) -> bool:
        threads, memory = self._left(worker)
        return threads >= scenario.threads and memory >= self._need(worker, scenario)

    def _left(self, worker: Worker) -> tuple[int, int]:
        """Threads and bytes that nothing takes now."""
        here = [one for one in self._here(worker) if one.number not in self.ahead]
        threads = worker.threads - sum(one.trial.scenario.threads for one in here)
        return threads, worker.memory - sum(one.memory for one in here)

    def _need(self, worker: Worker, scenario: Scenario) -> int:
        """What is held for a trial; an estimate is no proof, so one that is more than any worker has takes a whole one.

        Which one: the largest; smaller ones are left out of it.
        """
        estimate = self.memory.of(scenario)
        most = max(other.memory for other in self.workers.values())
        return most if estimate > most else estimate

    # ---------------------------------------------------------------------------------------- timed trials

    def _on(self, machine: str) -> Iterable[Assignment]:
        return (one for one in self.running.values() if one.worker.machine == machine)

    def _next_timed(self) -> tuple[Waiting, Worker] | None:
        queues = [queue for queue in self.waiting.values() if queue[0][1].timed]
        if not queues:
            return None
        machines: dict[str, list[Worker]] = {}
        for worker in self.workers.values():
            machines.setdefault(worker.machine, []).append(worker)
        free = [machine for machine in machines if not any(True for _ in self._on(machine))]
        if not free:
            return None
        for queue in sorted(queues, key=lambda queue: queue[0][0]):
            trials = [trial for _, trial in queue]
            home = self._home(trials, machines, free)
            for one in queue:
                ables = {machine: self._able(workers, one[1]) for machine, workers in machines.items()}
                able = {machine: worker for machine, worker in ables.items() if worker is not None}
                # what cannot run at home runs where it can
                chosen = home if home in able or home is None else next((m for m in free if m in able), None)
                if chosen in free and chosen in able:
                    self.homes.setdefault(group(one[1]), str(chosen))
                    return one, able[chosen]
        return None

    def _home(self, trials: Sequence[Trial], machines: Mapping[str, list[Worker]], free: Sequence[str]) -> str | None:
        """The machine of a group: the one that began it, else a free one that can run most of it; None to wait for."""
        known = self.homes.get(group(trials[0]))
        if known in machines:
            return known
        self.homes.pop(group(trials[0]), None)
        count = {
            machine: sum(self._able(workers, trial) is not None for trial in trials)
            for machine, workers in machines.items()
        }
        best = max(free, key=lambda machine: count[machine])
        return best if count[best] == max(count.values()) and count[best] else None

    def _able(self, workers: Iterable[Worker], trial: Trial) -> Worker | None:
        return next((worker for worker in workers if self.cannot(worker, trial) is None), None)


def sent(assignment: Assignment) -> Trial:
    """The trial as its worker gets it: its arrays come back with the record, and a file that was sent lies there."""
    trial, folders = assignment.trial, assignment.worker.folders
    return replace(trial, results=None, data_dir=folders.get(trial.scenario.dataset, trial.data_dir))
