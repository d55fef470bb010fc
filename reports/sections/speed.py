"""Speed: training, start-up, scoring and memory, held against the limits of the machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import pandas as pd

from reports import numbers
from reports.blocks import (
    Block,
    Cell,
    Column,
    Heading,
    List,
    Prose,
    Section,
    clean,
    code,
    listing,
    name,
    several,
    table,
    words,
)
from reports.sections import charts
from reports.sections.columns import (
    FITTING,
    MARKS,
    SCORING,
    STARTING,
    TRAINING,
    TRIALS,
    all_named,
    figure,
    number,
    ratio_cell,
)
from reports.tables import speed, sweeps
from reports.tables.frames import Row, rows, split
from reports.tables.material import Material, label
from reports.tables.settings import SETTINGS, phrases, threads, varying

MARKED = {
    "short": "timed for less than 0.1 s in all, or fewer than 3 samples: the clock and the first steps weigh heavily",
    "noisy": "the samples' interquartile range is over 20 % of their median",
    "disturbed": "something else used the machine meanwhile, or the container's processor quota was spent",
    "limit disturbed": "something else used the machine while its limit was measured, each of three times",
    "over limit": "training was faster than the limit: the machine changed speed, or the backend is faster than the "
    "libraries that the limit is measured with",
    "unsynchronised": "the device was still at work when the clock stopped, so the times are too short",
}
_FLAT, _LEAN = 1.2, 3.0
"""What the time per row may differ by, and the memory for a byte of data may be, to be called flat and lean."""


def section(material: Material) -> list[Section]:
    """Nothing where nothing was timed."""
    if material.throughput.empty:
        return []
    blocks: list[Block] = [Prose(_INTRO)]
    limits = speed.limits(material.trials, material.records)
    for (environment,), part in split(material.throughput, ["environment"]):
        blocks += _environment(material, environment, part, limits)
    return [Section("throughput", "Throughput", blocks)]


_INTRO = (
    "A trial's rate is that of its median sample (an epoch, a scoring pass). A table has the geometric mean over "
    "trials and in brackets the 95 % t interval of its logarithm, from the spread between trials, pooled over all "
    "rows of the same backend (or classical detector), mode and device; trials that shared a process count as one. "
    "**× slowest** is against the slowest row that does the same work, trial by trial with equal seed and round. "
    "Compilation is in no rate: **compile** is that of a process that finds nothing compiled, **warm** that of a "
    "second one that finds what the first has kept on the disk, and missing where a framework keeps nothing. "
    "**First step** is import, building and compiling: what one waits for the first trained step. **Result** is "
    "compiling and all training. Latency is that of scoring one row. Peak memory is that of the whole process, "
    "framework included."
)


def _environment(material: Material, environment: str, part: pd.DataFrame, limits: pd.DataFrame) -> list[Block]:
    trials, throughput, records = material.competing, material.throughput, material.records
    said = label(environment)
    own_limits = limits[limits["environment"] == environment] if not limits.empty else limits
    networks_, classical = part[part["backend"] != ""], part[part["backend"] == ""]
    batches, scales = (
        [c for c in found if c.environment == environment]
        for found in (sweeps.batch_curves(throughput), sweeps.scale_curves(throughput))
    )
    blocks: list[Block] = []
    if not networks_.empty:
        paid = [p for p in speed.paybacks(trials, throughput) if p.row["environment"] == environment]
        blocks += [Heading(3, f"Backends{said}"), *_limit_sentence(own_limits), *charts.rates(part, environment)]
        blocks += _backends(networks_)
        blocks += [*_paybacks(paid, said), *_batches(batches, said), *_limits(own_limits, said)]
        blocks += charts.roofline(material, environment)
    if not classical.empty:
        blocks += [Heading(3, f"Classical detectors{said}"), _classical(classical)]
    blocks += _scales(scales, said)
    for peer in speed.peers(trials, throughput, records):
        if peer.environment == environment:
            blocks += _peer(peer, said)
    return blocks + _marks_explained(trials[trials["environment"] == environment], part, material)


# ---------------------------------------------------------------------------------------------------------- backends


def _backends(part: pd.DataFrame) -> list[Block]:
    """Two tables per data set: how fast it trains, and what else it takes."""
    blocks: list[Block] = []
    for (dataset,), block in split(part, ["dataset"]):
        body = rows(block)
        telling = varying(body)
        names = all_named(("detector", "backend", *telling))
        on = f"on {clean(dataset)}"
        blocks += [
            Heading(4, code(dataset)),
            Prose(_shared(body[0], telling)),
            Prose("**Training**"),
            table(f"Training {on}", [*names, *TRAINING], body),
            Prose("**Start-up, scoring and memory**"),
            table(f"Start-up, scoring and memory {on}", [*names, *STARTING, *SCORING], body),
        ]
    return blocks


def _shared(row: Row, telling: Iterable[str]) -> str:
    """``All rows: `tuned`, `cpu`, 2 threads, `float32`, batch 128.``"""
    said = phrases(row, [key for key in SETTINGS if key not in telling], code)
    return f"All rows: {', '.join(said)}." if said else "The rows differ in all their settings."


def _classical(part: pd.DataFrame) -> Block:
    body = rows(part)
    names = all_named(("dataset", "detector", *varying(body, ("threads", "variant"))))
    return table("Classical detectors", [*names, *FITTING, *SCORING, TRIALS, MARKS], body)


# ------------------------------------------------------------------------------------------------------------ limits


def _limit_sentence(limits: pd.DataFrame) -> list[Block]:
    if limits.empty:
        return []
    sources = sorted(dict.fromkeys(chain.from_iterable(limits["sources"])))
    return [
        Prose(
            "**Of limit**: the limit is the rate at which this machine does nothing but the matrix products and "
            "convolutions of a training step (the best of the libraries and thread counts measured in the same run: "
            f"{listing([_source(*source) for source in sources])}); at 1.00 everything else would be free. "
            "[Limits](#limits) has them all."
        )
    ]


def _source(library: str, count: int) -> str:
    return f"{code(library)} on {threads(count)}"


def _limits(limits: pd.DataFrame, said: str) -> list[Block]:
    if limits.empty:
        return []
    intro = (
        "Products: the matrix products of one training step back to back, nothing else; each convolution as a product "
        "of its patches or as the library's own, whichever is faster. Beside them, as what no program here exceeds, "
        "the rate of large square products and the bandwidth of copying."
    )
    return [Heading(3, f"Limits{said}"), Prose(intro), table("Limits", _LIMITS, rows(limits))]


_LIMITS = [
    *all_named(("dataset", "detector")),
    Column("hidden and latent", lambda row: words(row["network"]), "text"),
    *all_named(("batch", "arithmetic", "device", "threads")),
    number("products samples/s", "samples", numbers.si),
    Column("best", lambda row: listing([_source(*source) for source in row["sources"]]), "text"),
    number("kFLOP/sample", "flops", lambda value: numbers.significant(value / 1e3)),
    number("large products GFLOP/s", "matmul", lambda value: numbers.significant(value / 1e9)),
    number("copy GB/s", "copy", lambda value: numbers.significant(value / 1e9)),
]


# ----------------------------------------------------------------------------------------------- when a mode has paid


def _paybacks(paybacks: Sequence[speed.Payback], said: str) -> list[Block]:
    if not paybacks:
        return []
    telling = varying((p.row for p in paybacks), ("device", "threads", "arithmetic", "batch", "variant"))
    modes = sorted({p.row["mode"] for p in paybacks})
    columns = [
        *all_named(("dataset", "detector", "backend", "mode", *telling), lambda p: p.row),
        Column("× as fast", lambda p: ratio_cell(p.lead.value, p.lead.low, p.lead.high)),
        Column("extra start-up s", lambda p: Cell(numbers.signed_seconds(p.startup_seconds), p.startup_seconds)),
        Column("ahead after epochs", lambda p: Cell(_epochs(p.epochs), p.epochs)),
        Column(
            "extra start-up s, warm",
            lambda p: Cell(numbers.signed_seconds(p.warm_startup_seconds), p.warm_startup_seconds),
        ),
        Column("ahead after epochs, warm", lambda p: Cell(_epochs(p.warm_epochs), p.warm_epochs)),
    ]
    have = "has" if len(modes) == 1 else "have"
    intro = (
        f"Against mode {code(speed.PLAIN)} of the same backend, device and threads: how many times as fast it trains, "
        "how much longer it compiles, and after how many epochs its total time is the lower one; **warm** where a "
        "process finds what an earlier one has compiled."
    )
    title = f"When {listing(list(map(code, modes)))} {have} paid for compilation{said}"
    return [Heading(3, title), Prose(intro), table("When a mode has paid", columns, paybacks)]


def _epochs(count: float) -> str:
    if math.isnan(count):
        return numbers.MISSING
    return "never" if math.isinf(count) else f"{count:,.0f}" if count else "at once"


# ------------------------------------------------------------------------------------------------------------- curves


def _batches(found: Sequence[sweeps.Curves], said: str) -> list[Block]:
    if not found:
        return []
    intro = "Training samples/s, and in parentheses the fraction of that batch size's limit where it was measured."
    blocks: list[Block] = [Heading(3, f"Batch size{said}"), Prose(intro)]
    for curves in found[: sweeps.MOST_CURVES]:
        telling = varying((c.shared for c in curves.curves), ("mode", "arithmetic"))
        sizes = sorted({value for curve in curves.curves for value in curve.values})
        columns = all_named(("backend", *telling), lambda c: c.shared)
        columns += [Column(f"{size:,.0f}", _at_batch(size)) for size in sizes]
        blocks += [
            Heading(4, _curve_title(curves.curves[0].shared, telling)),
            table("Training samples/s by batch size", columns, curves.curves),
            charts.sweep(curves, "batch", found),
        ]
    return [*blocks, *_more(found)]


def _at_batch(size: float) -> Callable[[sweeps.Curve], Cell]:
    def write(curve: sweeps.Curve) -> Cell:
        row = dict(zip(curve.values, curve.points, strict=True)).get(size)
        if row is None:
            return Cell(numbers.MISSING)
        part = f"({numbers.fixed(row['fraction'], 2)})" if math.isfinite(row["fraction"]) else ""
        return figure(row["train"], numbers.si(row["train"]), part)

    return write


def _curve_title(row: Row, telling: Iterable[str]) -> str:
    shared = phrases(row, [key for key in SETTINGS if key not in (*telling, "batch")], code)
    return ", ".join([f"{code(row['detector'])} on {code(row['dataset'])}", *shared])


def _scales(found: Sequence[sweeps.Curves], said: str) -> list[Block]:
    if not found:
        return []
    intro = (
        "The same data set with more and more rows. **Flatness** is the longest time per row to the shortest. "
        "**Memory** is what the process takes for a byte of data (all rows in float32) at the most rows, above what it "
        "held before it had any; where that was not recorded, above the peak with the fewest rows."
    )
    blocks: list[Block] = [Heading(3, f"Scale{said}"), Prose(intro)]
    for curves in found[: sweeps.MOST_CURVES]:
        telling = varying((c.shared for c in curves.curves), ("mode", "arithmetic", "batch", "variant"))
        columns = [*all_named(("detector", "backend", *telling), lambda c: c.shared), *_SCALED]
        blocks += [
            Heading(4, f"{code(curves.dataset)} on {name(curves.device)}, {threads(curves.threads)}"),
            table("Time per row and memory over training rows", columns, curves.curves),
            charts.sweep(curves, "rows", found),
        ]
    return [*blocks, *_more(found)]


def _per_row(curve: sweeps.Curve) -> str:
    first, last = (numbers.significant(1e6 / curve.points[place]["train"]) for place in (0, -1))
    return f"{first} → {last}"


def _judged(value: float, bound: float, good: str, bad: str) -> str:
    if not math.isfinite(value):
        return numbers.MISSING
    return f"{numbers.significant(value)}: {good if value <= bound else bad}"


def _flatness(curve: sweeps.Curve) -> str:
    return _judged(sweeps.scaling(curve).flatness, _FLAT, "flat within 20 %", "not flat within 20 %")


def _memory(curve: sweeps.Curve) -> str:
    return _judged(sweeps.scaling(curve).memory, _LEAN, "within 3 times the data", "over 3 times the data")


_SCALED = [
    Column("rows", lambda c: f"{c.values[0]:,.0f}–{c.values[-1]:,.0f}"),
    Column("µs per row", _per_row),
    Column("flatness", _flatness, "text"),
    Column("memory", _memory, "text"),
]


def _more(found: Sequence[sweeps.Curves]) -> list[Block]:
    hidden = len(found) - sweeps.MOST_CURVES
    return [Prose(f"{hidden} more such groups are in the tables above alone.")] if hidden > 0 else []


# -------------------------------------------------------------------------------------------------------------- peers


def _peer(peers: speed.Peers, said: str) -> list[Block]:
    peer = f"{code(peers.detector)} ({words(f'{peers.package} {peers.version}'.strip())})"
    blocks: list[Block] = [Heading(3, f"Beside {peer}{said}")]
    if peers.comparisons:
        telling = varying((c.ours for c in peers.comparisons), ("device", "threads", "arithmetic", "batch", "variant"))
        intro = (
            f"How many times as fast as {code(peers.detector)} on the same data with as many threads, trial by trial "
            "with equal seed and round."
        )
        keys = ("dataset", "detector", "backend", "mode", *telling)
        columns = [*all_named(keys, lambda c: c.ours), *_PEER]
        blocks += [Prose(intro), table(f"Beside {clean(peers.detector)}", columns, peers.comparisons)]
    else:
        blocks.append(Prose("No trial of ours had the same data and threads."))
    if peers.differences:
        blocks.append(Prose(f"What {code(peers.detector)} computes otherwise:"))
        blocks.append(List([words(sentence) for sentence in peers.differences]))
    return blocks


_PEER = [
    Column("training", lambda c: ratio_cell(c.train.value, c.train.low, c.train.high)),
    Column("peer's samples/s", lambda c: figure(c.peer["train"], numbers.si(c.peer["train"]))),
    Column("scoring", lambda c: ratio_cell(c.scoring.value, c.scoring.low, c.scoring.high)),
    Column("peer's samples/s", lambda c: figure(c.peer["scoring"], numbers.si(c.peer["scoring"]))),
]


# -------------------------------------------------------------------------------------------------------------- marks


def _marks_explained(trials: pd.DataFrame, part: pd.DataFrame, material: Material) -> list[Block]:
    marks = sorted({mark for found in part["marks"] for mark in found})
    lines = [f"{code(mark)}: {MARKED.get(mark, 'set by the harness')}" for mark in marks]
    worst = speed.disturbance(trials, material.records)
    if worst is not None and "disturbed" in marks:
        lines[marks.index("disturbed")] += (
            f" (in the worst of {several(worst.trials, 'such trial')}: "
            f"{numbers.significant(worst.other_cpu_seconds)} s of processor time for other processes, "
            f"{numbers.significant(worst.stolen_seconds)} s stolen by the host and {worst.switches:,.0f} involuntary "
            f"switches in {numbers.seconds(worst.seconds)} s of timed epochs)"
        )
    return [List([f"{line}." for line in lines])] if lines else []
