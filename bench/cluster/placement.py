"""Which trial goes to which worker, and how often one is tried: rules over plain data, without a process or a clock.

A quality trial goes to any worker with enough threads and memory left, and one more lies ready there, so that no worker
waits for the client; one whose worker was lost has the next to itself, so that it takes no other with it. A worker gets
trials that can share its processes as long as there are some. A timed trial has its machine to itself, and all that is
compared with each other (one data set, seed and round) goes to the same machine.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import chain, count

from bench.cluster.workers import Memory, Worker, odd, wanted
from bench.run.lines import company, lines
from bench.suites.scenario import Scenario, Trial

Group = tuple[str, int, int]
"""Data set, seed and round: what is compared with each other."""
Kind = tuple[object, ...]
"""A group of timed trials, or quality trials between which no worker makes a difference."""
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
        In the order of the plan; those that share processes go in the order of their lines.
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
        self.most = 0  # bytes of the largest
        self.running: dict[int, Assignment] = {}
        self.here: dict[str, dict[int, Assignment]] = {}  # what runs, by worker
        self.busy: Counter[str] = Counter()  # how many trials a machine runs
        self.timing: set[str] = set()  # machines that run a timed one
        self.attempts: dict[int, int] = {}
        self.number = 0
        self.ahead: set[int] = set()  # sent, and begun when another one of its worker ends
        self.waiting: dict[Kind, deque[Waiting]] = {}
        self.left = len(trials)
        self.last: dict[str, object] = {}  # what a worker's processes are of, since the latest trial that it got
        self.takers: Counter[object] = Counter()  # how many workers have processes of that
        self.open: list[tuple[int, int, str]] = []  # a heap of workers that may take one, most threads left first
        self.entry: dict[str, int] = {}  # the number of a worker's latest entry there; what ends brings it back
        self.entries = count()
        self._kinds: dict[str, Kind] = {}
        self._reasons: dict[tuple[str, str, bool], str | None] = {}
        for place, trial in enumerate(chain.from_iterable(lines(trials, "none"))):
            self._queue(trial).append((place, trial))

    def _queue(self, trial: Trial) -> deque[Waiting]:
        return self.waiting.setdefault(group(trial) if trial.timed else self._kind(trial.scenario), deque())

    def _kind(self, scenario: Scenario) -> Kind:
        """What quality trials wait for together: they share processes, run on the same workers and take as much."""
        if scenario.hash not in self._kinds:
            self._kinds[scenario.hash] = company(scenario), scenario.dataset, wanted(scenario)
        return self._kinds[scenario.hash]

    # ------------------------------------------------------------------------------------------ who is there

    def join(self, *workers: Worker) -> None:
        self.workers |= {worker.address: worker for worker in workers}
        self._changed()

    def leave(self, address: str) -> list[tuple[Assignment, bool]]:
        """Forgets a worker; what it ran, each with whether it is tried again."""
        self.workers.pop(address, None)
        self.entry.pop(address, None)
        self._changed()
        self._takes(address, None)
        lost = sorted(self._here(address), key=lambda one: one.place)
        # the last one first: each goes to the front of its queue
        return [(one, self.lost(one)) for one in reversed(lost)][::-1]

    def _changed(self) -> None:
        self.odd = odd(self.workers.values())
        self.most = max((worker.memory for worker in self.workers.values()), default=0)
        self._reasons.clear()
        self._reopen(*self.workers)

    def learn(self, scenario: Scenario, peak: float) -> None:
        """What a trial took, in bytes."""
        if self.memory.learn(scenario, peak):
            self._reopen(*self.workers)

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
        self.here.setdefault(worker.address, {})[started.number] = started
        self.busy[worker.machine] += 1
        if trial.timed:
            self.timing.add(worker.machine)
        self._takes(worker.address, None if trial.timed else company(trial.scenario))
        if ahead:
            self.ahead.add(started.number)
        self._reopen(worker.address)
        return started

    def _takes(self, address: str, shared: object) -> None:
        """Notes what a worker's processes are of from now on; None where it has none."""
        if (before := self.last.pop(address, None)) is not None:
            self.takers[before] -= 1
        if shared is not None:
            self.last[address] = shared
            self.takers[shared] += 1

    def _remove(self, assignment: Assignment) -> bool:
        """Takes out what runs no more; False where that was known."""
        if self.running.pop(assignment.number, None) is None:
            return False
        worker = assignment.worker
        del self.here[worker.address][assignment.number]
        self.busy[worker.machine] -= 1
        if assignment.trial.timed:
            self.timing.discard(worker.machine)
            self._reopen(*(other.address for other in self.workers.values() if other.machine == worker.machine))
        else:
            self._reopen(worker.address)
        return True

    def ended(self, assignment: Assignment) -> bool:
        """Whether this end is the first one that is told of this assignment, so that its record counts."""
        if not self._remove(assignment):
            return False
        self.ahead.discard(assignment.number)
        self.ahead -= self.here[assignment.worker.address].keys()  # it begins now
        self._reopen(assignment.worker.address)
        self.left -= 1
        return True

    def lost(self, assignment: Assignment, *, counted: bool = True) -> bool:
        """A trial whose worker is gone waits again, at its place; False where that was once too often.

        One that was lost with the connection alone is not ``counted``, nor is one that had not begun.
        """
        if not self._remove(assignment):
            return True
        if not counted or assignment.number in self.ahead:
            self.ahead.discard(assignment.number)
            self.attempts[assignment.place] -= 1
        if self.attempts[assignment.place] > self.retries:
            self.left -= 1
            return False
        self._queue(assignment.trial).appendleft((assignment.place, assignment.trial))
        self._reopen(*self.workers)
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
        queues = [(key[0], queue) for key, queue in self.waiting.items() if not queue[0][1].timed]
        if not queues:
            return None
        left: Counter[object] = Counter()
        for shared, queue in queues:
            left[shared] += len(queue)
        while self.open:
            _, entry, address = self.open[0]
            if self.entry.get(address) == entry:
                worker, last = self.workers[address], self.last.get(address)

                def rank(found: tuple[object, deque[Waiting]], last: object = last) -> tuple[int, int, int]:
                    """What shares this worker's processes, then what no other has begun, then what most is left of."""
                    shared, queue = found
                    if shared == last or not self.takers[shared]:
                        return int(shared != last), 0, queue[0][0]
                    return 2, -left[shared], queue[0][0]

                for _, queue in sorted(queues, key=rank):
                    head = queue[0]
                    if self._may(worker, *head) and (
                        self._has_room(worker, head[1].scenario) or self._may_wait(worker)
                    ):
                        return head, worker
            heappop(self.open)
        return None

    def _reopen(self, *addresses: str) -> None:
        """Puts workers that are there among those that may take a quality trial, by the threads they have left now."""
        for address in addresses:
            if worker := self.workers.get(address):
                self.entry[address] = next(self.entries)
                heappush(self.open, (-self._left(worker)[0], self.entry[address], address))

    def _here(self, address: str) -> Collection[Assignment]:
        return self.here.get(address, {}).values()

    def _may(self, worker: Worker, place: int, trial: Trial) -> bool:
        """Whether a worker may have a trial beside what it has, threads and memory aside."""
        if self.cannot(worker, trial) or worker.machine in self.timing:
            return False
        here = self._here(worker.address)
        if here and (self.attempts.get(place) or any(one.attempt > 1 for one in here)):
            return False
        return not (trial.scenario.device == "gpu" and any(one.trial.scenario.device == "gpu" for one in here))

    def _may_wait(self, worker: Worker) -> bool:
        """Whether one more can lie ready on a worker that is busy."""
        here = self.here.get(worker.address, {})
        return bool(here) and self.ahead.isdisjoint(here)

    def _has_room(self, worker: Worker, scenario: Scenario) -> bool:
        threads, memory = self._left(worker)
        return threads >= scenario.threads and memory >= self._need(worker, scenario)

    def _left(self, worker: Worker) -> tuple[int, int]:
        """Threads and bytes that nothing takes now."""
        here = [one for one in self._here(worker.address) if one.number not in self.ahead]
        threads = worker.threads - sum(one.trial.scenario.threads for one in here)
        return threads, worker.memory - sum(one.memory for one in here)

    def _need(self, worker: Worker, scenario: Scenario) -> int:
        """What is held for a trial; an estimate is no proof, so one that is more than any worker has takes a whole one.

        Which one: the largest; smaller ones are left out of it.
        """
        estimate = self.memory.of(scenario)
        return min(estimate, self.most)

    # ---------------------------------------------------------------------------------------- timed trials

    def _next_timed(self) -> tuple[Waiting, Worker] | None:
        queues = [queue for queue in self.waiting.values() if queue[0][1].timed]
        if not queues:
            return None
        machines: dict[str, list[Worker]] = {}
        for worker in self.workers.values():
            machines.setdefault(worker.machine, []).append(worker)
        free = [machine for machine in machines if not self.busy[machine]]
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
