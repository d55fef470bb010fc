"""Counters around a stretch: whose computing time it was, what energy went, and nothing where there is no counter."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import psutil
import pytest

from bench.quota import Throttling
from bench.worker.counters import (
    Disturbance,
    EnergyCounter,
    Reading,
    Watch,
    disturbed,
    gpu_energy,
    package_energy,
    peak_memory,
)


def reading(seconds=0.0, switches=0, stolen=0.0, busy=0.0, own=0.0, joules=0.0):
    return Reading(seconds, switches, stolen, busy, own, joules)


def watch_over(monkeypatch, *pairs, counters=()):
    """A watch that has seen these stretches, each a reading before and one after."""
    watch = Watch(counters)
    readings = iter([reading for pair in pairs for reading in pair])
    monkeypatch.setattr(watch, "read", lambda: next(readings))
    for _ in pairs:
        with watch.stretch():
            pass
    return watch


def test_what_others_computed_is_what_the_cores_did_less_ones_own(monkeypatch):
    pair = (reading(100.0, 7, 1.0, 50.0, 20.0), reading(102.0, 10, 1.25, 53.5, 22.0))
    assert watch_over(monkeypatch, pair).disturbance() == Disturbance(3, 0.25, 1.5, 2.0)


def test_stretches_add_up_from_the_first_that_counts_and_rounding_evens_out(monkeypatch):
    stretches = [(reading(), reading(1.0, busy=9.0))]
    stretches += [(reading(), reading(1.0, 1, busy=busy, own=1.0)) for busy in (1.5, 0.75, 0.5)]
    watch = watch_over(monkeypatch, *stretches)
    assert watch.disturbance(1) == Disturbance(3, 0.0, 0.0, 3.0)
    assert watch.disturbance(0).other_cpu_seconds == 8.75


def test_a_stretch_that_fails_leaves_nothing():
    watch = Watch()
    with pytest.raises(KeyError), watch.stretch():
        raise KeyError
    assert watch.disturbances == []


@pytest.mark.parametrize(
    ("lost", "stretches", "cores", "expected"),
    [
        (Disturbance(seconds=10.0, other_cpu_seconds=0.9), 20, 2, False),
        (Disturbance(seconds=10.0, other_cpu_seconds=1.2), 20, 2, True),
        (Disturbance(seconds=10.0, stolen_seconds=1.2), 20, 2, True),
        (Disturbance(seconds=10.0, stolen_seconds=0.6, other_cpu_seconds=0.6), 20, 2, True),
        (Disturbance(seconds=10.0, other_cpu_seconds=1.2), 20, 64, False),  # within rounding on so many cores
        (Disturbance(seconds=0.02, other_cpu_seconds=0.02), 1, 1, False),  # two ticks of a stretch as short
        (Disturbance(seconds=0.4, other_cpu_seconds=0.06), 20, 2, False),
        (Disturbance(seconds=0.4, other_cpu_seconds=0.2), 20, 2, True),  # half a core in twenty short stretches
        (Disturbance(seconds=10.0, involuntary_switches=100_000), 20, 2, False),  # a framework's own threads
    ],
)
def test_lost_time_marks_a_measurement_only_above_the_limit_and_the_rounding(lost, stretches, cores, expected):
    assert disturbed(lost, stretches, cores) == expected


def core(**times):
    return SimpleNamespace(**{"user": 0.0, "nice": 0.0, "system": 0.0, "idle": 500.0} | times)


def test_only_the_cores_that_the_process_may_run_on_are_read(monkeypatch):
    cores = [core(user=3.0, system=1.0, steal=0.5), core(user=100.0, steal=9.0), core(nice=0.25, irq=0.25, softirq=0.5)]
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)
    found = Watch().read()
    assert (found.busy_seconds, found.stolen_seconds) == (5.0, 0.5)


def test_all_cores_are_read_where_a_container_numbers_them_otherwise(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [core(user=3.0), core(user=2.0)])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {6, 7}, raising=False)
    assert Watch().read().busy_seconds == 5.0


def test_ones_own_computing_is_counted_as_ones_own():
    watch = Watch()
    with watch.stretch():
        before = watch.read()
        sum(range(300_000))
        after = watch.read()
    assert after.own_seconds - before.own_seconds > 0.001
    assert after.seconds > before.seconds
    assert after.busy_seconds > 0


@pytest.fixture
def powercap(tmp_path):
    """One package with memory, the package's own zone, the whole machine's, and the package's second interface."""
    for zone, name in {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "psys",
        "intel-rapl-mmio:0": "package-0",
    }.items():
        folder = tmp_path / zone
        folder.mkdir()
        (folder / "name").write_text(name + "\n")
        (folder / "energy_uj").write_text("9000000\n")
        (folder / "max_energy_range_uj").write_text("10000000\n")
    return tmp_path


def set_energy(powercap, zone, joules):
    (powercap / zone / "energy_uj").write_text(f"{int(joules * 1e6)}\n")


def test_packages_and_their_memory_are_counted_once_and_through_a_wrap(powercap):
    counters = package_energy(powercap)
    assert [counter.name for counter in counters] == ["package-0", "dram"]
    set_energy(powercap, "intel-rapl:0", 9.5)
    assert counters[0].joules() == pytest.approx(0.5)
    set_energy(powercap, "intel-rapl:0", 2.0)  # from 10 it starts anew at 0
    assert counters[0].joules() == pytest.approx(3.0)
    assert counters[1].joules() == 0.0


def test_a_machine_without_readable_counters_has_none(powercap, tmp_path):
    assert package_energy(tmp_path / "nothing") == []
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    assert package_energy(powercap) == []


def test_energy_is_that_of_the_stretches_that_count_alone(monkeypatch):
    counter = EnergyCounter("package-0", lambda: 0.0)
    stretches = [(reading(joules=j), reading(seconds, joules=j + 2.0)) for seconds, j in ((5.0, 0), (0.6, 3), (0.6, 9))]
    watch = watch_over(monkeypatch, *stretches, counters=[counter])
    assert watch.energy(first=1) == 4.0
    assert watch.energy(first=2) is None  # too short for how often the counters move
    assert watch_over(monkeypatch, *stretches).energy(first=1) is None  # no counter


class NVMLError(Exception):
    pass


def nvml(count=1, error=None):
    millijoules = iter([5_000, 7_500])

    def energy(handle):
        if error:
            raise error
        return next(millijoules)

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )


def test_a_gpus_energy_is_read_in_joules_and_only_where_it_is_plain_whose(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    (counter,) = gpu_energy()
    assert counter.joules() == 2.5
    monkeypatch.setitem(sys.modules, "pynvml", nvml(count=2))
    assert gpu_energy() == []
    monkeypatch.setitem(sys.modules, "pynvml", nvml(error=NVMLError("not supported")))
    assert gpu_energy() == []
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert gpu_energy() == []


def test_the_peak_of_memory_outlives_the_memory():
    before = peak_memory()
    block = b"x" * (psutil.Process().memory_info().rss + (64 << 20))
    size = len(block)
    del block
    assert peak_memory() >= max(before, size)


def test_a_spent_quota_is_a_disturbance_of_its_own(monkeypatch):
    pair = (
        Reading(0.0, 0, 0.0, 0.0, 0.0, 0.0, Throttling(3, 0.5)),
        Reading(10.0, 0, 0.0, 0.0, 0.0, 0.0, Throttling(5, 0.75)),
    )
    found = watch_over(monkeypatch, pair).disturbance()
    assert (found.throttled_periods, found.throttled_seconds) == (2, 0.25)
    assert disturbed(found, 20, 2)
    assert not disturbed(Disturbance(seconds=10.0), 20, 2)


def test_a_watch_reads_the_throttling_of_its_own_groups(monkeypatch, tmp_path):
    (tmp_path / "cpu.stat").write_text("nr_throttled 4\nthrottled_usec 250000\n")
    monkeypatch.setattr("bench.worker.counters.quota.groups", lambda: (tmp_path,))
    watch = Watch()
    with watch.stretch():
        (tmp_path / "cpu.stat").write_text("nr_throttled 7\nthrottled_usec 500000\n")
    assert (watch.disturbance().throttled_periods, watch.disturbance().throttled_seconds) == (3, 0.25)
