"""What records say of the equality that their trials ran under: verified when, on what, with which largest errors.

Each record of a backend's trial carries what ``bench verify`` had found by then, one entry per precision; records
mostly carry the same, so each distinct one is read once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports.surveys import Surveyed, mapping, number

REFERENCE = "reference"
LOSSES, WEIGHTS = "training: losses", "training: weights"


def mappings(value: object) -> list[dict[str, Any]]:
    """The objects in a list, whatever else is in it."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str:
    return "" if value is None else str(value)


def limit(value: object) -> float | None:
    """A rung's bound: None where it is not judged, NaN where the bound is damaged."""
    return None if value is None else number(value)


@dataclass(frozen=True)
class Entry:
    """What a record says of one verified precision."""

    verified: str
    quick: bool
    precision: str
    device: str
    mode: str
    passed: bool
    """Whether the whole verification did, in all its precisions."""
    backends: dict[str, Any]
    steps: float
    errors: dict[str, tuple[float, float | None]]
    """Largest error (NaN: not finite, or nothing was compared) and bound (None: not judged) by rung."""
    failure: str
    """Where this precision failed, in a line; empty where it did not, or where nothing tells."""

    def covers(self, backend: str, mode: str, device: str, precision: str) -> bool:
        """Whether a trial that ran so is what was verified."""
        return backend in self.backends and (mode, device, precision) == (self.mode, self.device, self.precision)

    def error(self, rung: str) -> float:
        return self.errors.get(rung, (math.nan, None))[0]


def _entry(value: Mapping[str, Any]) -> Entry | None:
    """None for what proves nothing: no verdict, or a good one of no backend."""
    passed, backends = value.get("passed"), mapping(value.get("backends"))
    if not isinstance(passed, bool) or (passed and not backends):
        return None
    errors = {
        rung: (number(found[0]), limit(found[1]))
        for rung, found in mapping(value.get("errors")).items()
        if isinstance(found, list) and len(found) == 2
    }
    words = {key: as_text(value.get(key)) for key in ("verified", "precision", "device", "mode", "failure")}
    steps, quick = number(value.get("steps")), value.get("quick") is True
    return Entry(**words, quick=quick, passed=passed, backends=backends, steps=steps, errors=errors)


@dataclass
class Equality:
    """What the trials of one environment were run under."""

    environment: str
    entries: list[Entry] = field(default_factory=list)
    """Each once, in the order in which the records bring them."""
    trials: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Trials by backend, mode, device and precision."""
    unverified: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Those among them that no entry of their record covers."""

    @property
    def failed(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.passed]


def equalities(trials: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> list[Equality]:
    """One for each environment in which a backend ran, whether it was verified or not."""
    ran = trials[(trials["backend"] != "") & (trials["status"] != "skipped")]
    distinct, places = _claims(records, ran["position"])
    as_run = ["environment", "backend", "mode", "device", "arithmetic", "place"]
    counts = ran.assign(place=places).groupby(as_run, sort=False).size()
    claims = [[entry for item in mappings(claimed) if (entry := _entry(item))] for claimed in distinct]
    found: dict[str, Equality] = {}
    seen: dict[str, set[str]] = {}
    for (environment, *run, place), count in zip(counts.index, counts.tolist(), strict=True):
        trial = tuple(run)
        here = found.setdefault(environment, Equality(environment))
        for entry in claims[place]:
            if (key := repr(entry)) not in seen.setdefault(environment, set()):
                seen[environment].add(key)
                here.entries.append(entry)
        here.trials[trial] += count
        if not any(entry.covers(*trial) for entry in claims[place]):
            here.unverified[trial] += count
    return list(found.values())


def _claims(records: Sequence[Mapping[str, Any]], positions: pd.Series[int]) -> tuple[list[object], list[int]]:
    """What the records at these positions say of equality, each once, and which of it each says."""
    distinct: list[object] = []
    places: dict[str, int] = {}
    found: list[int] = []
    known: dict[bytes, int] = {}
    told = records.columns["equality"] if isinstance(records, Surveyed) else None
    for position in positions:
        source = None if told is None else told[position]
        if source in known:
            found.append(known[source])
            continue
        claimed = records[position].get("equality")
        # neighbours mostly claim the same, and comparing takes a twentieth of the time that repr does
        if not found or claimed != distinct[found[-1]]:
            place = places.setdefault(repr(claimed), len(distinct))
            if place == len(distinct):
                distinct.append(claimed)
            found.append(place)
        else:
            found.append(found[-1])
        if source is not None:
            known[source] = found[-1]
    return distinct, found
