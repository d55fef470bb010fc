"""The machine's counters around a timed stretch: what else ran, what energy went, and the peak of memory.

They are read off the clock. Where a machine has no such counter the figure is left out; none is ever estimated.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import psutil

from bench import quota

LOST_SHARE = 0.1
TICK = 0.01
"""Seconds by which systems count how long a core was busy (1 / USER_HZ)."""
ENERGY_SECONDS = 1.0
POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Disturbance:
    """What took computing time from this process over a stretch of time, or several together."""

    involuntary_switches: int = 0
    """How often one of its threads was taken off a core while it had more to do."""
    stolen_seconds: float = 0.0
    """Time its cores lost to other guests of the machine's host."""
    other_cpu_seconds: float = 0.0
    """Computing time of everything else on the cores this process may run on."""
    seconds: float = 0.0
    throttled_periods: int = 0
    """How often its container had spent its quota before the period was over, so that all of it stood still."""
    throttled_seconds: float = 0.0
    """Processor time that was waited for then, over all cores."""

    def __add__(self, other: Disturbance) -> Disturbance:
        return Disturbance(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Reading:
    """All counters at one moment; only differences mean anything."""

    seconds: float
    involuntary_switches: int
    stolen_seconds: float
    busy_seconds: float
    """Of the cores this process may run on, whoever ran there."""
    own_seconds: float
    """Computing time of all threads of this process."""
    joules: float
    throttling: quota.Throttling = quota.UNTHROTTLED
    """Of the control groups this process is in."""

    def until(self, later: Reading) -> Disturbance:
        """What happened from this reading to a later one. Cores are counted in ticks and the own time exactly, so over
        less than some ticks ``other_cpu_seconds`` is rough, and it may be negative: only a sum over stretches evens
        out."""
        return Disturbance(
            involuntary_switches=later.involuntary_switches - self.involuntary_switches,
            stolen_seconds=later.stolen_seconds - self.stolen_seconds,
            other_cpu_seconds=later.busy_seconds - self.busy_seconds - (later.own_seconds - self.own_seconds),
            seconds=later.seconds - self.seconds,
            throttled_periods=later.throttling.periods - self.throttling.periods,
            throttled_seconds=later.throttling.seconds - self.throttling.seconds,
        )


class EnergyCounter:
    """A counter of joules that may start anew at 0.

    Parameters
    ----------
    name : str
        What it counts the energy of.
    raw : callable
        The counter itself, in joules.
    wrap : float, default infinity
        Where it starts anew; it must be read at least once per such amount.
    """

    def __init__(self, name: str, raw: Callable[[], float], wrap: float = math.inf) -> None:
        self.name, self.raw, self.wrap = name, raw, wrap
        self.last, self.total = raw(), 0.0

    def joules(self) -> float:
        """Joules since this object was made."""
        now = self.raw()
        self.total += now - self.last if now >= self.last else now - self.last + self.wrap
        self.last = now
        return self.total


def package_energy(powercap: Path = POWERCAP) -> list[EnergyCounter]:
    """The processor packages and their memory, from RAPL through Linux's powercap files; none where they may not be
    read. A package's own zones (``core``, ``uncore``) are part of it; ``dram`` is not."""

    def reader(path: Path) -> Callable[[], float]:
        return lambda: int(path.read_text()) / 1e6

    found = []
    try:
        for zone in sorted(powercap.glob("intel-rapl:*")):  # AMD's too; intel-rapl-mmio counts the same again
            name = (zone / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                wrap = int((zone / "max_energy_range_uj").read_text()) / 1e6
                found.append(EnergyCounter(name, reader(zone / "energy_uj"), wrap))
    except (OSError, ValueError):
        return []
    return found


def gpu_energy() -> list[EnergyCounter]:
    """The GPU, from NVML; none without the extra ``energy``, without the counter, or with several GPUs, since which of
    these is the framework's first is not told."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        if pynvml.nvmlDeviceGetCount() != 1:
            return []
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        return [EnergyCounter("gpu", lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)]
    except pynvml.NVMLError:
        return []


class Watch:
    """Reads the counters on both sides of several stretches and keeps the differences, one a stretch.

    Parameters
    ----------
    counters : sequence of EnergyCounter
    """

    def __init__(self, counters: Sequence[EnergyCounter] = ()) -> None:
        self.counters = tuple(counters)
        self.groups = quota.groups()
        self.disturbances: list[Disturbance] = []
        self.joules: list[float] = []

    @contextmanager
    def stretch(self) -> Iterator[None]:
        """Watches the body. A body that raises leaves nothing."""
        before = self.read()
        yield
        after = self.read()
        self.disturbances.append(before.until(after))
        self.joules.append(after.joules - before.joules)

    def read(self) -> Reading:
        """All counters now."""
        cores = own_cores()
        return Reading(
            seconds=time.perf_counter(),
            involuntary_switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
            stolen_seconds=sum(getattr(core, "steal", 0.0) for core in cores),
            busy_seconds=sum(
                getattr(core, kind, 0.0) for core in cores for kind in ("user", "nice", "system", "irq", "softirq")
            ),
            own_seconds=time.process_time(),
            joules=sum(counter.joules() for counter in self.counters),
            throttling=quota.throttling(self.groups),
        )

    def disturbance(self, first: int = 0) -> Disturbance:
        """All stretches from this one on, together."""
        total = sum(self.disturbances[first:], Disturbance())
        return replace(total, other_cpu_seconds=max(total.other_cpu_seconds, 0.0))

    def energy(self, first: int = 0) -> float | None:
        """Joules of all stretches from this one on; None without a counter, and for less than a second in all, since
        counters are brought up to date only every 1 ms (RAPL) to 100 ms (NVML)."""
        if not self.counters or self.disturbance(first).seconds < ENERGY_SECONDS:
            return None
        return sum(self.joules[first:])


def disturbed(disturbance: Disturbance, stretches: int, cores: int) -> bool:
    """Whether so many stretches on so many cores lost too much computing time for their times to be trusted.

    The limit is 10 % of one core, however many cores there are: a step that is shared out waits for its slowest thread.
    What cannot be told from rounding comes on top: each stretch counts ticks of each core and is off by up to half a
    tick either way, at random, so that n sums are off by √n half ticks; four of these are allowed. Involuntary
    switches have no limit, since a framework with more threads than cores makes its own.

    A quota that was spent even once is enough: what was timed then is the container's limit, for up to a whole period
    (100 ms, where nobody has set another).
    """
    if disturbance.throttled_periods > 0:
        return True
    lost = disturbance.stolen_seconds + disturbance.other_cpu_seconds
    return lost > LOST_SHARE * disturbance.seconds + 2.0 * TICK * math.sqrt(stretches * cores)


def peak_memory() -> int:
    """Peak resident memory of this process, in bytes."""
    try:
        # VmHWM starts anew at exec; ru_maxrss would begin at the parent's size
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def own_cores() -> Sequence[object]:
    """The times of the cores this process may run on; of all, where the system numbers them otherwise."""
    cores = psutil.cpu_times(percpu=True)
    if not hasattr(os, "sched_getaffinity"):
        return cores
    own = os.sched_getaffinity(0)
    return [cores[number] for number in own] if max(own) < len(cores) else cores
