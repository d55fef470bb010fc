"""What the history keeps of one run: the run itself, and one point a scenario and metric.

All of it comes from files that anybody may have written, so that types, lengths and finiteness are declared here and
checked by whoever reads.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bench.records.metrics import COMPARED, Metric

SCHEMA: Literal[1] = 1

Text = Annotated[str, Meta(max_length=500)]
Name = Annotated[str, Meta(min_length=1, max_length=500)]
Fact = str | int | float | bool | None


METRICS = COMPARED | {"seconds": Metric("seconds", "time of one call", "s", "lower", "speed")}
"""What a history follows. ``seconds`` is the time of one call, as pytest-benchmark measures it."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What all points of a run share. ``machine`` makes a series; ``versions`` (Python's among them) do not: they are
    what one looks for behind a change."""

    schema: Literal[1] = SCHEMA
    source: Literal["records", "pytest-benchmark"]
    date: datetime
    suite: Text = ""
    revision: Text | None = None
    machine: dict[Text, Fact] = {}
    versions: dict[Text, Text] = {}

    def __post_init__(self) -> None:
        if self.date.tzinfo is None:
            raise ValueError("the date lacks a time zone")

    @property
    def machine_hash(self) -> str:
        """8 hex digits; memory counts in whole GiB, since what a kernel keeps for itself varies from boot to boot."""
        facts = dict(self.machine)
        if isinstance(memory := facts.get("memory_bytes"), int):
            facts["memory_bytes"] = memory >> 30
        return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()[:8]


class Point(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The median of a metric over a run's trials (or rounds), its 95 % interval where there is one, and their number.

    ``scenario`` tells scenarios apart, ``data`` the rows they ran on; ``label`` is for people. ``marked`` counts the
    trials whose measurement the record calls disturbed, noisy or short.
    """

    scenario: Name
    label: Name
    metric: Name
    median: float
    n: Annotated[int, Meta(ge=1)]
    low: float | None = None
    high: float | None = None
    backend: Text = ""
    data: Text = ""
    marked: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"no metric {self.metric!r}")
        if METRICS[self.metric].relative and self.median <= 0:
            raise ValueError(f"{self.metric} is {self.median:g}, and only what is above 0 can be followed")


@dataclass(frozen=True)
class Entry:
    """One run of the history."""

    run: Run
    points: tuple[Point, ...]


def machine_of(machine: dict[str, Fact]) -> tuple[dict[str, Fact], dict[str, str]]:
    """A record's machine without the version of Python, and that version."""
    facts = {key: value for key, value in machine.items() if key != "python"}
    return facts, {"python": str(machine["python"])} if "python" in machine else {}


def moment(text: str) -> datetime:
    """An ISO 8601 time; one without a zone is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
