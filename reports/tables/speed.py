"""What a table of rates does not tell by itself: limits, when a mode has paid, curves over batch and rows, peers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from reports.surveys import mapping, number
from reports.tables.equality import as_text
from reports.tables.frames import ROW, Row, rows
from reports.tables.ratios import Pairs, Ratio

Records = Sequence[Mapping[str, Any]]

PLAIN = "idiomatic"
"""The mode that the others are held against."""


def timed(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[(trials["status"] == "ok") & trials["timed"]]


# ------------------------------------------------------------------------------------------------------------- limits


def limits(trials: pd.DataFrame, records: Records) -> pd.DataFrame:
    """One row for each network, batch, precision, device and number of threads that has a limit, medians over rounds.

    ``samples`` is the rate of products and convolutions, ``sources`` the libraries and the threads that reached it.
    """
    once = timed(trials[trials["limit"].notna()]).drop_duplicates([*ROW, "round"])
    found = []
    for row in rows(once):
        limit, settings = (mapping(records[row["position"]].get(key)) for key in ("limits", "settings"))
        if (samples := number(limit.get("products_samples_per_second"))) > 0:
            found.append(
                {
                    **{key: row[key] for key in _LIMIT},
                    "network": "-".join(map(as_text, [*_listed(settings.get("hidden")), settings.get("latent", "")])),
                    "samples": samples,
                    "source": _sources(limit),
                    "flops": number(limit.get("flops_per_sample")),
                    "matmul": number(limit.get("matmul_flops_per_second")),
                    "copy": number(limit.get("copy_bytes_per_second")),
                }
            )
    if not found:
        return pd.DataFrame()
    grouped = pd.DataFrame(found).groupby([*_LIMIT, "network"], sort=True)
    table = grouped[["samples", "flops", "matmul", "copy"]].median()
    table["sources"] = grouped["source"].agg(lambda found: sorted(set(chain.from_iterable(found))))
    return table.reset_index()


_LIMIT = ["environment", "dataset", "detector", "batch", "arithmetic", "device", "threads"]


def _sources(limit: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The libraries that were best at a part of the step, with their threads; of older records the one at the whole."""
    parts: list[Mapping[str, Any]] = [mapping(part) for part in mapping(limit.get("parts")).values()]
    parts = parts or [limit]
    threads = [part.get("threads") for part in parts]
    return [(as_text(p.get("library")), t if type(t) is int else 0) for p, t in zip(parts, threads, strict=True)]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


# ----------------------------------------------------------------------------------------------- when a mode has paid


@dataclass(frozen=True)
class Payback:
    """A mode against ``idiomatic``: the same work by the same backend on the same device with as many threads."""

    row: Row
    """The mode's row of ``throughput``."""
    lead: Ratio
    startup_seconds: float
    """What its compilation takes longer."""
    epochs: float
    """After how many its total time is the lower one: 0 at once, infinity never, NaN where nothing tells."""
    warm_startup_seconds: float
    warm_epochs: float
    """Both where a process finds the programs that an earlier one has compiled; NaN where that was not timed."""


def paybacks(trials: pd.DataFrame, throughput: pd.DataFrame) -> list[Payback]:
    """One for each row in a mode other than ``idiomatic`` that was timed in that mode too."""
    pairs, found = Pairs(timed(trials)), []
    for row, base in _beside_plain(throughput):
        gain = base["fit_seconds"] - row["fit_seconds"]
        cold = row["compile_seconds"] - base["compile_seconds"]
        # of a mode that leaves nothing to be found every process is the first
        kept = base["compile_warm_seconds"]
        warm = row["compile_warm_seconds"] - (base["compile_seconds"] if math.isnan(kept) else kept)
        found.append(Payback(row, _lead(pairs, row, base), cold, _epochs(cold, gain), warm, _epochs(warm, gain)))
    return found


def _beside_plain(throughput: pd.DataFrame) -> list[tuple[Row, Row]]:
    """The rows in a mode other than ``idiomatic``, each with the row in that mode that does the same work."""
    known = throughput[(throughput["backend"] != "") & throughput["train"].notna()]
    same = [key for key in ROW[:-1] if key != "mode"]
    plain = {tuple(row[k] for k in same): row for row in rows(known[known["mode"] == PLAIN])}
    others = [(row, plain.get(tuple(row[k] for k in same))) for row in rows(known[known["mode"] != PLAIN])]
    return [(row, base) for row, base in others if base is not None]


def _lead(pairs: Pairs, row: Row, base: Row) -> Ratio:
    return pairs.ratio(*(tuple(one[k] for k in ROW) for one in (row, base)))


def _epochs(startup: float, gain: float) -> float:
    """Epochs after which so much more start-up is made good, an epoch gaining so many seconds."""
    if math.isnan(startup) or math.isnan(gain):
        return math.nan
    if gain <= 0:
        return math.inf
    return max(0.0, math.ceil(startup / gain))


# ---------------------------------------------------------------------------------------------- modes that do not pay


SLOWER = 0.95
"""Below this part of the rate of ``idiomatic`` a mode that promises more speed is called slower."""


@dataclass(frozen=True)
class Slower:
    """A mode that promises speed and has less of it than ``idiomatic``: the same work, backend, device and threads."""

    row: Row
    """The mode's row of ``throughput``."""
    work: str
    """``training`` or ``scoring``."""
    rate: Ratio
    """The mode's rate to that of ``idiomatic``."""
    marks: frozenset[str]
    """Of both."""


def slower(trials: pd.DataFrame, throughput: pd.DataFrame) -> list[Slower]:
    """Those whose rate is below ``SLOWER``, and whose interval, where there is one, excludes a tie; the worst first."""
    beside = _beside_plain(throughput)
    found = []
    for work, rate in (("training", "train"), ("scoring", "scoring")) if beside else ():
        pairs = Pairs(timed(trials), rate)
        for row, base in beside:
            ratio = _lead(pairs, row, base)
            if ratio.value < SLOWER and not ratio.high >= 1:
                found.append(Slower(row, work, ratio, frozenset(row["marks"]) | frozenset(base["marks"])))
    return sorted(found, key=lambda one: one.rate.value)


# -------------------------------------------------------------------------------------------------------------- peers


@dataclass(frozen=True)
class Peer:
    """One of our rows beside a peer's on the same data with as many threads."""

    ours: Row
    peer: Row
    train: Ratio
    scoring: Ratio


@dataclass(frozen=True)
class Peers:
    """All comparisons of one environment with one peer."""

    environment: str
    detector: str
    package: str
    version: str
    differences: list[str]
    comparisons: list[Peer]


def peers(trials: pd.DataFrame, throughput: pd.DataFrame, records: Records) -> list[Peers]:
    """One for each peer: a detector ``LIBRARY_OURS`` of another library that does what our detector ``OURS`` does."""
    classical = trials[(trials["backend"] == "") & (trials["status"] == "ok")]
    described: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows(classical.drop_duplicates(["environment", "detector"], keep="last")):
        if peer := mapping(records[row["position"]].get("peer")):
            described[row["environment"], row["detector"]] = peer
    if not described:
        return []
    run = timed(trials)
    pairs, scored = Pairs(run), Pairs(run, "scoring")
    table = rows(throughput)
    found = []
    for (environment, detector), peer in described.items():
        library = as_text(peer.get("library"))
        theirs = [row for row in table if (row["environment"], row["detector"]) == (environment, detector)]
        comparisons = []
        for ours in table:
            if ours["backend"] and f"{library}_{ours['detector']}" == detector:
                for other in theirs:
                    if _alike(ours, other):
                        one, two = (tuple(row[k] for k in ROW) for row in (ours, other))
                        comparisons.append(Peer(ours, other, pairs.ratio(one, two), scored.ratio(one, two)))
        differences = [as_text(sentence) for sentence in _listed(peer.get("differences"))]
        found.append(Peers(environment, detector, library, as_text(peer.get("version")), differences, comparisons))
    return found


def _alike(ours: Row, peer: Row) -> bool:
    """The same data and threads, and the same batch where the peer's is known."""
    same = all(ours[key] == peer[key] for key in ("environment", "dataset", "threads"))
    return same and peer["batch"] in (0, ours["batch"])


# -------------------------------------------------------------------------------------------------------- disturbance


@dataclass(frozen=True)
class Disturbance:
    """The worst of the trials that are marked ``disturbed``."""

    trials: int
    switches: float
    stolen_seconds: float
    other_cpu_seconds: float
    seconds: float
    """What the worst trial's timed epochs took."""


def disturbance(trials: pd.DataFrame, records: Records) -> Disturbance | None:
    """The marked trial in which others took most of the time; None where no marked trial tells."""
    found = []
    marked = [position for position, marks in zip(trials["position"], trials["marks"], strict=True) if marks]
    for position in marked:
        if "disturbed" in (records[position].get("marks") or ()):
            told = mapping(records[position].get("disturbance"))
            numbers = (number(told.get(key)) for key in _DISTURBANCE)
            found.append(tuple(0.0 if math.isnan(value) else value for value in numbers))
    known = [one for one in found if one[-1] > 0]
    if not known:
        return None
    return Disturbance(len(found), *max(known, key=lambda one: ((one[1] + one[2]) / one[3], one)))


_DISTURBANCE = ("involuntary_switches", "stolen_seconds", "other_cpu_seconds", "seconds")


def nearest(throughput: pd.DataFrame) -> Row | None:
    """The row that comes nearest to its limit."""
    known = throughput[(throughput["backend"] != "") & throughput["fraction"].notna()]
    return None if known.empty else rows(known.sort_values("fraction", kind="stable"))[-1]
