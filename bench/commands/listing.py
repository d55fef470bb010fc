"""What ``bench list`` tells, without importing a framework: a name, what it is, and whether it works here."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

import backends
import datasets
from bench.detect import guests, registry
from bench.detect.detector import DetectorError
from bench.messages import one_line
from bench.suites import suite

Row = tuple[str, str, str]
"""Name, description, ``yes`` or the reason why not."""


def backend_rows() -> Iterable[Row]:
    for name in backends.names():
        reason = backends.unavailable(name)
        versions = ", ".join(f"{package} {version}" for package, version in backends.versions(name).items())
        yield name, versions, reason or "yes"


def dataset_rows(data_dir: Path | None) -> Iterable[Row]:
    for name, description in datasets.families().items():
        try:
            datasets.parse(name)
        except datasets.DatasetError:
            yield name, description, "yes"  # it takes an argument, which its description names
        else:
            yield name, description, datasets.missing(name, data_dir) or "yes"


def detector_rows() -> Iterable[Row]:
    usable = [name for name in backends.names() if backends.unavailable(name) is None]
    for name in registry.names():
        try:
            description = " ".join((inspect.getdoc(registry.load(name)) or "").split("\n\n")[0].split())
            reason = registry.unavailable(name)
        except DetectorError as error:
            yield name, "", one_line(error)
            continue
        if registry.needs_backend(name) and not usable:
            reason = "no backend is installed: see 'bench list backends'"
        yield name, description, reason or "yes"
    guest = f"{guests.GUEST}ECOD"
    yield (
        f"{guests.GUEST}NAME",
        f"Any detector of PyOD by its class name, as in {guest}.",
        (registry.unavailable(guest) or "yes"),
    )


def suite_rows() -> Iterable[Row]:
    for name, description in suite.shipped().items():
        yield name, description, "yes"


def table(title: str, rows: Iterable[Row]) -> str:
    """The rows under a title, one a line, and below each that does not work here the reason why."""
    lines, rows = [title], list(rows)
    width = max((len(name) for name, *_ in rows), default=0) + 2
    for name, description, works in rows:
        lines.append(f"  {name:<{width}} {description}".rstrip())
        if works != "yes":
            lines.append(f"  {'':<{width}} not here: {works}")
    return "\n".join(lines)
