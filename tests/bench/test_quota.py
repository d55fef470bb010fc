"""A container's quota counts as cores, in both versions of control groups, however they are nested or mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import environment, quota
from bench.quota import Throttling


def container(tmp_path: Path, memberships: str, mounts: list[tuple[str, str, str, str]], files: dict[str, str]) -> Path:
    """A ``/proc`` whose groups are mounted below ``tmp_path``: root, mount point, type and options of each mount."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(memberships)
    lines = [
        f"{number} 23 0:{number} {root} {tmp_path / point} rw,relatime - {kind} {kind} {options}"
        for number, (root, point, kind, options) in enumerate(mounts, start=30)
    ]
    (proc / "self" / "mountinfo").write_text("\n".join(["29 1 8:1 / / rw - ext4 /dev/sda rw", *lines]) + "\n")
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return proc


V2 = [("/", "cg", "cgroup2", "rw")]
V1 = [("/", "cg/cpu", "cgroup", "rw,cpu,cpuacct"), ("/", "cg/memory", "cgroup", "rw,memory")]
OF_V1 = "9:memory:/\n3:cpu,cpuacct:/docker/abc\n"


def of_v1(folder: str, limit: int, period: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{limit}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("memberships", "mounts", "files", "cores"),
    [
        ("0::/\n", V2, {"cg/cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", V2, {"cg/cpu.max": "max 100000\n"}, None),
        ("0::/\n", V2, {}, None),
        # the tightest of nested groups, wherever it stands
        ("0::/a/b\n", V2, {"cg/a/b/cpu.max": "400000 100000", "cg/a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", V2, {"cg/a/b/cpu.max": "50000 100000", "cg/a/cpu.max": "max 100000"}, 0.5),
        # a container that sees its own group as the root of what is mounted
        (
            "0::/kube/pod/x\n",
            [("/kube/pod/x", "cg", "cgroup2", "rw")],
            {"cg/cpu.max": "300000 100000"},
            3.0,
        ),
        # the group of the host, outside of what is mounted here
        ("0::/../../other\n", V2, {"cg/cpu.max": "100000 100000"}, 1.0),
        (
            OF_V1,
            V1,
            of_v1("cg/cpu/docker/abc", 250000, 100000),
            2.5,
        ),
        (
            OF_V1,
            V1,
            of_v1("cg/cpu/docker/abc", -1, 100000),
            None,
        ),
        (OF_V1, V1, of_v1("cg/cpu/docker", 80000, 40000), 2.0),
        # the usual bind mount of version 1: the path of the host, the folder of the container
        (
            OF_V1,
            [("/docker/abc", "cg/cpu", "cgroup", "rw,cpu")],
            of_v1("cg/cpu", 100000, 100000),
            1.0,
        ),
        # both versions at once, with the processor under version 1
        (
            "3:cpu:/x\n0::/x\n",
            [*V1, ("/", "cg/unified", "cgroup2", "rw")],
            of_v1("cg/cpu/x", 700000, 100000),
            7.0,
        ),
        ("0::/\n", V2, {"cg/cpu.max": "many few\n"}, None),
        ("no such line\n", V2, {"cg/cpu.max": "100000 100000\n"}, None),
    ],
)
def test_the_quota_is_that_of_the_tightest_group(tmp_path, memberships, mounts, files, cores):
    proc = container(tmp_path, memberships, mounts, files)
    assert quota.quota(quota.groups(proc)) == cores


@pytest.mark.parametrize(("limit", "cores"), [(None, 8), (16.0, 8), (3.0, 3), (2.5, 2), (0.5, 1)])
def test_whole_cores_of_a_quota_count_and_one_at_least(monkeypatch, limit, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(quota, "quota", lambda folders: limit)
    assert environment.available_cores() == cores


def test_throttling_is_read_in_both_units_and_over_all_groups(tmp_path):
    for name, text in {
        "two": "usage_usec 9\nnr_periods 9\nnr_throttled 2\nthrottled_usec 500000\n",
        "one": "nr_periods 9\nnr_throttled 3\nthrottled_time 250000000\n",
        "none": "nr_throttled\nthrottled_time many\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "cpu.stat").write_text(text)
    folders = [tmp_path / name for name in ("two", "one", "none", "gone")]
    assert quota.throttling(folders) == Throttling(5, 0.75)


def test_a_system_without_control_groups_sets_no_limit(tmp_path):
    assert quota.groups(tmp_path) == ()
    assert quota.quota(()) is None
