"""The report's section on speed: training, start-up, scoring and memory, held against the limits of the machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports import numbers, speed
from reports.columns import SETTINGS, cell, heading, side, sides, spoken, threads, varying
from reports.figures import MOST_CURVES, Sheet
from reports.frames import Row, rows, split
from reports.markup import code, escape, listing, name, table

Records = Sequence[Mapping[str, Any]]
Column = tuple[str, str, Callable[[Row], str]]
"""Heading, side, and what its cell says of a row."""

MARKS = {
    "short": "timed for less than 0.1 s in all, or fewer than 3 samples: the clock and the first steps weigh heavily",
    "noisy": "the samples' interquartile range is over 20 % of their median",
    "disturbed": "something else used the machine meanwhile, or the container's processor quota was spent",
    "unsynchronised": "the device was still at work when the clock stopped, so the times are too short",
}
_FLAT, _LEAN = 1.2, 3.0
"""What the time a row may differ by, and the memory a byte of data may take, to be called flat and lean."""


def section(trials: pd.DataFrame, throughput: pd.DataFrame, records: Records, figures: Sequence[Sheet]) -> list[str]:
    """All paragraphs and tables; none where nothing was timed."""
    if throughput.empty:
        return []
    limits, paybacks = speed.limits(trials, records), speed.paybacks(trials, throughput)
    batches, scales = speed.batch_curves(throughput), speed.scale_curves(throughput)
    peers = speed.peers(trials, throughput, records)
    parts = ["## Throughput", _INTRO]
    for (environment,), part in split(throughput, ["environment"]):
        label = f" · environment {environment}" if environment else ""
        own = [figure for figure in figures if figure.dataset is None and figure.environment == environment]
        neural, classical = part[part["backend"] != ""], part[part["backend"] == ""]
        if not neural.empty:
            bound = limits[limits["environment"] == environment] if not limits.empty else limits
            parts += [f"### Backends{label}", *_limit_sentence(bound), *_backends(neural)]
            parts += [figure.image for figure in own if figure.name.endswith("throughput.svg")]
            parts += _paybacks([p for p in paybacks if p.row["environment"] == environment], label)
            parts += _batches([c for c in batches if c.environment == environment], own, label)
            parts += _limits(bound, label)
            parts += [figure.image for figure in own if figure.name.endswith("roofline.svg")]
        if not classical.empty:
            parts += [f"### Classical detectors{label}", _classical(classical)]
        parts += _scales([c for c in scales if c.environment == environment], own, label)
        for peer in peers:
            if peer.environment == environment:
                parts += _peer(peer, label)
        parts += _marks_explained(trials[trials["environment"] == environment], part, records)
    return parts


def beside(trials: pd.DataFrame, throughput: pd.DataFrame, records: Records) -> list[str]:
    """What no table of rates tells: when a mode has paid for compilation, the limits, and peers, as paragraphs."""
    if throughput.empty:
        return []
    limits, paybacks = speed.limits(trials, records), speed.paybacks(trials, throughput)
    peers = speed.peers(trials, throughput, records)
    parts: list[str] = []
    for environment in throughput["environment"].drop_duplicates():
        label = f" · environment {environment}" if environment else ""
        parts += _paybacks([p for p in paybacks if p.row["environment"] == environment], label)
        for peer in peers:
            if peer.environment == environment:
                parts += _peer(peer, label)
        parts += _limits(limits[limits["environment"] == environment] if not limits.empty else limits, label)
    return parts


_INTRO = (
    "A trial's rate is that of its median sample (an epoch, a scoring pass). A table has the geometric mean over "
    "trials and in brackets the 95 % t interval of its logarithm, from the spread between trials, pooled over all "
    "rows of the same backend (or classical detector), mode and device. **× slowest** is against the slowest row "
    "that does the same work, trial by trial with equal seed and round. Compilation is in no rate. **First step** is "
    "import, building and compiling: what one waits for the first trained step. **Result** is compiling and all "
    "training. Latency is that of scoring one row. Peak memory is that of the whole process, framework included."
)


# ----------------------------------------------------------------------------------------------------------- columns


def _written(columns: Sequence[Column], body: Sequence[Row]) -> str:
    """A table of the rows, without the columns that no row has a value for."""
    cells = [(title, align, [write(row) for row in body]) for title, align, write in columns]
    kept = [column for column in cells if any(text != numbers.MISSING for text in column[2])]
    lines = list(zip(*(texts for *_, texts in kept), strict=True))
    return table([title for title, *_ in kept], lines, "".join(align for _, align, _ in kept))


def _named(key: str) -> Column:
    return heading(key), side(key), lambda row: cell(row, key)


def _count(title: str, key: str) -> Column:
    return title, "r", lambda row: f"{row[key]:,}" if row[key] else numbers.MISSING


def _figure(title: str, key: str, write: Callable[[float], str]) -> Column:
    return title, "r", lambda row: write(row[key])


def _rate(title: str, key: str) -> Column:
    def written(row: Row) -> str:
        return f"{numbers.si(row[key])} {numbers.si_interval(row[f'{key}_low'], row[f'{key}_high'])}".rstrip()

    return title, "r", written


def _marked(row: Row) -> str:
    marks = [
        code(mark) if count == row["trials"] else f"{code(mark)} ({count} of {row['trials']})"
        for mark, count in row["marks"].items()
    ]
    return ", ".join(marks) or numbers.MISSING


_TRAINED: list[Column] = [
    _rate("train samples/s", "train"),
    _figure("of limit", "fraction", lambda value: numbers.fixed(value, 2)),
    ("× slowest", "r", lambda row: numbers.ratio(row["ratio_value"], row["ratio_low"], row["ratio_high"])),
    _count("trials", "trials"),
    _count("epochs", "samples"),
    ("marks", "l", _marked),
]
_SCORED: list[Column] = [
    _rate("score samples/s", "scoring"),
    _figure("p50 ms", "latency_p50", numbers.milliseconds),
    _figure("p99 ms", "latency_p99", numbers.milliseconds),
    _figure("peak MiB", "peak_memory_bytes", numbers.mebibytes),
    _figure("device MiB", "peak_device_memory_bytes", numbers.mebibytes),
    _figure("J per 1M samples", "joules", numbers.significant),
]
_STARTED: list[Column] = [
    _figure("compile s", "compile_seconds", numbers.seconds),
    _figure("first step s", "first_step_seconds", numbers.seconds),
    _figure("result s", "result_seconds", numbers.seconds),
]
_FITTED: list[Column] = [
    _figure("fit s", "fit_seconds", numbers.seconds),
    _rate("fit rows/s", "train"),
]


# ---------------------------------------------------------------------------------------------------------- backends


def _backends(part: pd.DataFrame) -> list[str]:
    """Two tables a data set: how fast it trains, and what else it takes."""
    parts = []
    for (dataset,), block in split(part, ["dataset"]):
        body = rows(block)
        telling = varying(body)
        named = [_named("detector"), _named("backend"), *map(_named, telling)]
        parts += [
            f"#### {code(dataset)}",
            _shared(body[0], telling),
            "**Training**",
            _written([*named, *_TRAINED], body),
            "**Start-up, scoring and memory**",
            _written([*named, *_STARTED, *_SCORED], body),
        ]
    return parts


def _shared(row: Row, telling: Iterable[str]) -> str:
    """``All rows: `tuned`, `cpu`, 2 threads, `float32`, batch 128.``"""
    said = spoken(row, [key for key in SETTINGS if key not in telling])
    return f"All rows: {', '.join(said)}." if said else "The rows differ in all their settings."


def _classical(part: pd.DataFrame) -> str:
    body = rows(part)
    named = [_named("dataset"), _named("detector"), *map(_named, varying(body, ("threads", "variant")))]
    return _written([*named, *_FITTED, *_SCORED, _count("trials", "trials"), ("marks", "l", _marked)], body)


# ------------------------------------------------------------------------------------------------------------ limits


def _limit_sentence(limits: pd.DataFrame) -> list[str]:
    if limits.empty:
        return []
    sources = sorted({source for found in limits["sources"] for source in found})
    return [
        "**Of limit**: the limit is the rate at which this machine does nothing but the matrix products of a training "
        "step (the best of the libraries and thread counts measured in the same run: "
        f"{listing([_source(*source) for source in sources])}); at 1.00 everything else would be free. "
        "[Limits](#limits) has them all."
    ]


def _source(library: str, count: int) -> str:
    return f"{code(library)} on {threads(count)}"


def _limits(limits: pd.DataFrame, label: str) -> list[str]:
    if limits.empty:
        return []
    columns: list[Column] = [
        _named("dataset"),
        _named("detector"),
        ("hidden and latent", "l", lambda row: escape(row["network"]) or numbers.MISSING),
        _named("batch"),
        _named("arithmetic"),
        _named("device"),
        _named("threads"),
        _figure("products samples/s", "samples", numbers.si),
        ("best", "l", lambda row: listing([_source(*source) for source in row["sources"]])),
        _figure("kFLOP/sample", "flops", lambda value: numbers.significant(value / 1e3)),
        _figure("large products GFLOP/s", "matmul", lambda value: numbers.significant(value / 1e9)),
        _figure("copy GB/s", "copy", lambda value: numbers.significant(value / 1e9)),
    ]
    return [
        f"### Limits{label}",
        "Products: the matrix products of one training step back to back, nothing else. Beside them, as what no "
        "program here exceeds, the rate of large square products and the bandwidth of copying.",
        _written(columns, rows(limits)),
    ]


# ----------------------------------------------------------------------------------------------- when a mode has paid


def _paybacks(found: Sequence[speed.Payback], label: str) -> list[str]:
    if not found:
        return []
    telling = varying((p.row for p in found), ("device", "threads", "arithmetic", "batch", "variant"))
    modes = sorted({p.row["mode"] for p in found})
    header = ["data set", "detector", "backend", "mode", *map(heading, telling)]
    body = [
        [
            *(name(p.row[key]) for key in ("dataset", "detector", "backend", "mode")),
            *(cell(p.row, key) for key in telling),
            numbers.ratio(p.lead.value, p.lead.low, p.lead.high),
            numbers.signed_seconds(p.startup_seconds),
            _epochs(p.epochs),
        ]
        for p in found
    ]
    align = "l" * 4 + sides(telling) + "rrr"
    return [
        f"### When {listing([code(mode) for mode in modes])} {'has' if len(modes) == 1 else 'have'} paid for "
        f"compilation{label}",
        f"Against mode {code(speed.PLAIN)} of the same backend, device and threads: how many times as fast it trains, "
        "how much longer it compiles, and after how many epochs its total time is the lower one.",
        table([*header, "× as fast", "extra start-up s", "ahead after epochs"], body, align),
    ]


def _epochs(count: float) -> str:
    if math.isnan(count):
        return numbers.MISSING
    return "never" if math.isinf(count) else f"{count:,.0f}" if count else "at once"


# ------------------------------------------------------------------------------------------------------------- curves


def _batches(found: Sequence[speed.Curves], figures: Sequence[Sheet], label: str) -> list[str]:
    if not found:
        return []
    parts = [
        f"### Batch size{label}",
        "Training samples/s, and in parentheses the fraction of that batch size's limit where it was measured.",
    ]
    for curves in found[:MOST_CURVES]:
        sizes = sorted({value for curve in curves.curves for value in curve.values})
        telling = varying((c.shared for c in curves.curves), ("mode", "arithmetic"))
        body = [
            [
                name(c.shared["backend"]),
                *(name(c.shared[key]) for key in telling),
                *(_at_batch(dict(zip(c.values, c.points, strict=True)).get(size)) for size in sizes),
            ]
            for c in curves.curves
        ]
        header = ["backend", *map(heading, telling), *(f"{size:,.0f}" for size in sizes)]
        parts += [
            f"#### {_curve_title(curves.curves[0].shared, telling)}",
            table(header, body, "l" * (1 + len(telling)) + "r" * len(sizes)),
            *(figure.image for figure in figures if figure.curves == curves),
        ]
    return [*parts, *_more(found)]


def _at_batch(row: Row | None) -> str:
    if row is None:
        return numbers.MISSING
    part = f"{numbers.GLUE}({numbers.fixed(row['fraction'], 2)})" if math.isfinite(row["fraction"]) else ""
    return numbers.si(row["train"]) + part


def _curve_title(row: Row, telling: Iterable[str]) -> str:
    shared = spoken(row, [key for key in SETTINGS if key not in (*telling, "batch")])
    return ", ".join([f"{code(row['detector'])} on {code(row['dataset'])}", *shared])


def _scales(found: Sequence[speed.Curves], figures: Sequence[Sheet], label: str) -> list[str]:
    if not found:
        return []
    parts = [
        f"### Scale{label}",
        "The same data set with more and more rows. **Flatness** is the longest time a row to the shortest. **Memory** "
        "is what the process takes for a byte of data (all rows in float32) at the most rows, above what it held "
        "before it had any; where that was not recorded, above the peak with the fewest rows.",
    ]
    for curves in found[:MOST_CURVES]:
        telling = varying((c.shared for c in curves.curves), ("mode", "arithmetic", "batch", "variant"))
        body = []
        for c in curves.curves:
            scaling = speed.scaling(c)
            body.append(
                [
                    name(c.shared["detector"]),
                    name(c.shared["backend"]),
                    *(cell(c.shared, key) for key in telling),
                    f"{c.values[0]:,.0f}–{c.values[-1]:,.0f}",
                    f"{numbers.significant(1e6 / c.points[0]['train'])} → "
                    f"{numbers.significant(1e6 / c.points[-1]['train'])}",
                    _judged(scaling.flatness, _FLAT, "flat within 20 %", "not flat within 20 %"),
                    _judged(scaling.memory, _LEAN, "within 3 times the data", "over 3 times the data"),
                ]
            )
        header = ["detector", "backend", *map(heading, telling), "rows"]
        align = "ll" + sides(telling) + "rrll"
        parts += [
            f"#### {code(curves.dataset)} on {name(curves.device)}, {threads(curves.threads)}",
            table([*header, "µs a row", "flatness", "memory"], body, align),
            *(figure.image for figure in figures if figure.curves == curves),
        ]
    return [*parts, *_more(found)]


def _judged(value: float, bound: float, good: str, bad: str) -> str:
    if not math.isfinite(value):
        return numbers.MISSING
    return f"{numbers.significant(value)}: {good if value <= bound else bad}"


def _more(found: Sequence[speed.Curves]) -> list[str]:
    hidden = len(found) - MOST_CURVES
    return [f"{hidden} more such groups are in the tables above alone."] if hidden > 0 else []


# -------------------------------------------------------------------------------------------------------------- peers


def _peer(peers: speed.Peers, label: str) -> list[str]:
    peer = f"{code(peers.detector)} ({escape(f'{peers.library} {peers.version}'.strip())})"
    parts = [f"### Beside {peer}{label}"]
    if peers.comparisons:
        telling = varying((c.ours for c in peers.comparisons), ("device", "threads", "arithmetic", "batch", "variant"))
        body = [
            [
                *(name(c.ours[key]) for key in ("dataset", "detector", "backend", "mode")),
                *(cell(c.ours, key) for key in telling),
                numbers.ratio(c.train.value, c.train.low, c.train.high),
                numbers.si(c.peer["train"]),
                numbers.ratio(c.scoring.value, c.scoring.low, c.scoring.high),
                numbers.si(c.peer["scoring"]),
            ]
            for c in peers.comparisons
        ]
        header = ["data set", "detector", "backend", "mode", *map(heading, telling)]
        align = "l" * 4 + sides(telling) + "r" * 4
        parts += [
            f"How many times as fast as {code(peers.detector)} on the same data with as many threads, trial by trial "
            "with equal seed and round.",
            table([*header, "training", "peer's samples/s", "scoring", "peer's samples/s"], body, align),
        ]
    else:
        parts.append("No trial of ours had the same data and threads.")
    if peers.differences:
        parts += [
            f"What {code(peers.detector)} computes otherwise:",
            "\n".join(f"- {escape(sentence)}" for sentence in peers.differences),
        ]
    return parts


# -------------------------------------------------------------------------------------------------------------- marks


def _marks_explained(trials: pd.DataFrame, part: pd.DataFrame, records: Records) -> list[str]:
    marks = sorted({mark for found in part["marks"] for mark in found})
    if not marks:
        return []
    lines = [f"- {code(mark)}: {MARKS.get(mark, 'set by the harness')}" for mark in marks]
    if (worst := speed.disturbance(trials, records)) and "disturbed" in marks:
        place = marks.index("disturbed")
        lines[place] += (
            f" (in the worst of {worst.trials} such trial{'s' if worst.trials > 1 else ''}: "
            f"{numbers.significant(worst.other_cpu_seconds)} s of processor time for other processes, "
            f"{numbers.significant(worst.stolen_seconds)} s stolen by the host and {worst.switches:,.0f} involuntary "
            f"switches in {numbers.seconds(worst.seconds)} s of timed epochs)"
        )
    return ["\n".join(f"{line}." for line in lines)]
