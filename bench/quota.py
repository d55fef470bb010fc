"""A container's quota: what control groups let this process have of the processor, and how often it ran out.

Of version 2 the files are ``cpu.max`` and ``cpu.stat``, of version 1 ``cpu.cfs_quota_us``, ``cpu.cfs_period_us`` and
``cpu.stat`` (kernel documentation, admin-guide/cgroup-v2 and scheduler/sched-bwc). A group is held to its own quota and
to those of all groups above it, as far as they are seen from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")


@dataclass(frozen=True)
class Throttling:
    """How often a quota was spent before its period was over, and the processor time that was waited for then.

    Both only ever rise; only differences mean anything.
    """

    periods: int = 0
    seconds: float = 0.0


UNTHROTTLED = Throttling()


def groups(proc: Path = PROC) -> tuple[Path, ...]:
    """The folders of this process's groups that may limit its processor time, innermost first; none elsewhere than on
    Linux."""
    try:
        memberships = (proc / "self" / "cgroup").read_text().splitlines()
        mounts = (proc / "self" / "mountinfo").read_text().splitlines()
    except OSError:
        return ()
    paths = {}
    for line in memberships:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" or "cpu" in controllers.split(","):
            paths[number == "0"] = path
    found: dict[Path, None] = {}
    for root, mounted, unified in filter(None, map(_mount, mounts)):
        if unified in paths:
            found |= dict.fromkeys(_upwards(PurePosixPath(paths[unified]), root, mounted))
    return tuple(found)


def quota(folders: Sequence[Path]) -> float | None:
    """How many cores the tightest of the groups allows the time of, for example 1.5; None without any limit."""
    limits = [limit for folder in folders if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def throttling(folders: Sequence[Path]) -> Throttling:
    """The counters of all the groups together; those of nested groups that both ran out add up."""
    total = UNTHROTTLED
    for folder in folders:
        counters = dict(line.split()[:2] for line in _lines(folder / "cpu.stat") if len(line.split()) > 1)
        micros = _number(counters.get("throttled_usec"))
        seconds = micros / 1e6 if micros is not None else (_number(counters.get("throttled_time")) or 0.0) / 1e9
        periods = int(_number(counters.get("nr_throttled")) or 0)
        total = Throttling(total.periods + periods, total.seconds + seconds)
    return total


def _mount(line: str) -> tuple[PurePosixPath, Path, bool] | None:
    """Of a line of ``mountinfo``: the group at its root, the folder it is mounted at, and whether it is of version 2;
    None for what is no control group of the processor's (proc_pid_mountinfo(5))."""
    fields, _, tail = line.partition(" - ")
    parts, kinds = fields.split(), tail.split()
    if len(parts) < 5 or not kinds:
        return None
    unified = kinds[0] == "cgroup2"
    if not unified and not (kinds[0] == "cgroup" and "cpu" in kinds[-1].split(",")):
        return None
    root, mounted = (part.replace("\\040", " ") for part in parts[3:5])
    return PurePosixPath(root), Path(mounted), unified


def _upwards(path: PurePosixPath, root: PurePosixPath, mounted: Path) -> Iterator[Path]:
    """The folders from a group up to where its hierarchy is mounted. A group that lies outside of what is mounted, as
    that of the host does in a container, has but the mount itself."""
    inside = path.relative_to(root) if path.is_relative_to(root) and ".." not in path.parts else PurePosixPath()
    folder = mounted / inside
    while folder != mounted:
        yield folder
        folder = folder.parent
    yield mounted


def _limit(folder: Path) -> float | None:
    """Quota ÷ period of one group; None where it has none, which version 2 writes as ``max`` and version 1 as −1."""
    words = [word for line in _lines(folder / "cpu.max") for word in line.split()]
    if not words:
        words = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
    if len(words) != 2:
        return None
    limit, period = map(_number, words)
    return limit / period if limit and period and limit > 0 and period > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):  # the file is not there, or the group is gone
        return []


def _number(word: str | None) -> float | None:
    try:
        return float(word) if word is not None else None
    except ValueError:
        return None
