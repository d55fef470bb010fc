"""One table of a report by itself: for a README, a paper (LaTeX with booktabs) or another program.

As Markdown and LaTeX a table is written to be read, as in the report; as CSV, JSON and Parquet it holds every column
in full precision, with an empty cell, null or a missing value where a number is unknown.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import pandas as pd

from reports import numbers, tables
from reports.sections.columns import SETTINGS, heading, side, varying
from reports.sections.equality import equalities
from reports.sections.verification import written_bound, written_error
from reports.surveys import QUALITY
from reports.tables.frames import Row, rows
from reports.writers import escape as markup

Records = Sequence[Mapping[str, Any]]

HEADS = dict(zip(QUALITY, ("ROC AUC", "AP", "F1", "precision", "recall", "accuracy"), strict=True))
"""Headings of the quality metrics."""

_IDENTITY = ("environment", "dataset", "detector", "backend", *SETTINGS, "scenario")
_COUNTED = ("tp", "fp", "fn", "tn")
_MEASURED = {
    "train": "train_samples_per_second",
    "train_low": "train_samples_per_second_low",
    "train_high": "train_samples_per_second_high",
    "scoring": "score_samples_per_second",
    "scoring_low": "score_samples_per_second_low",
    "scoring_high": "score_samples_per_second_high",
    "limit": "limit_samples_per_second",
    "fraction": "fraction_of_limit",
    "ratio_value": "times_slowest",
    "ratio_low": "times_slowest_low",
    "ratio_high": "times_slowest_high",
    "compile_seconds": "compile_seconds",
    "first_step_seconds": "first_step_seconds",
    "result_seconds": "result_seconds",
    "fit_seconds": "median_sample_seconds",
    "latency_p50": "score_latency_p50_seconds",
    "latency_p99": "score_latency_p99_seconds",
    "peak_memory_bytes": "peak_memory_bytes",
    "peak_device_memory_bytes": "peak_device_memory_bytes",
    "joules": "joules_per_million_samples",
    "trials": "trials",
    "samples": "samples",
    "marks": "marks",
}
"""Columns of the throughput table and what they are called outside, where names carry their units."""

PIVOTS = {
    "quality": QUALITY,
    "throughput": ("train_samples_per_second", "score_samples_per_second", "fraction_of_limit", "compile_seconds"),
}
"""What a table can be turned about: one cell a data set."""


class NoTableError(ValueError):
    """There is nothing to show, or not in this form; one line says why."""


def written(records: Records, table: str, form: str, pivot: str | None = None) -> bytes:
    """One table of the records' report; the same records give the same bytes in every text format.

    Parameters
    ----------
    records : sequence of mappings
        As for ``reports.write_report``.
    table : str
        ``quality`` and ``throughput`` have one row a scenario, ``equality`` one row for each rung of each verification
        that the trials ran under.
    form : str
        ``markdown``, ``latex``, ``csv``, ``json`` or ``parquet``.
    pivot : str, optional
        One of ``PIVOTS[table]``: one row a detector and backend, one column a data set, and this metric in the cells.

    Raises
    ------
    NoTableError
        Where no trial has anything to show in this table, or the table cannot be turned about the metric.
    """
    if pivot is not None and pivot not in PIVOTS.get(table, ()):
        known = ", ".join(PIVOTS.get(table, ())) or "no metric"
        raise NoTableError(f"the {table} table cannot be turned about {pivot!r} (it can about {known})")
    frame = _FRAMES[table](tables.trials(records), records)
    if frame.empty:
        raise NoTableError(f"no trial has anything to show in the {table} table")
    if form in ("csv", "json", "parquet"):
        return _data(_turned(frame, pivot) if pivot else frame, form)
    pen = {"markdown": MARKDOWN, "latex": _LATEX}[form]
    if pivot:
        frame = _telling(frame)
    columns = _pivot_columns(frame, pivot, pen) if pivot else _COLUMNS[table](frame, pen)
    body = rows(_turned(frame, pivot) if pivot else frame)
    cells = [(title, align, [write(row) for row in body]) for title, align, write in columns]
    kept = [column for column in cells if any(text != pen.number(numbers.MISSING) for text in column[2])]
    lines = list(zip(*(texts for *_, texts in kept), strict=True))
    return pen.table([title for title, *_ in kept], lines, "".join(align for _, align, _ in kept)).encode()


# ------------------------------------------------------------------------------------------------------------ frames


def _quality(trials: pd.DataFrame, records: Records) -> pd.DataFrame:
    found = tables.quality(tables.scored(trials, records))
    metrics = [f"{m}{part}" for m in QUALITY for part in ("", "_low", "_high", "_sd")]
    told = [f"{m}{part}" for m in tables.RANKED for part in ("_sole", "_top")]
    return found[
        [
            *_IDENTITY,
            "protocol",
            "score",
            "primary",
            "threshold_rule",
            "oracle",
            *metrics,
            *_COUNTED,
            "seeds",
            "asked",
            "trials",
            *told,
        ]
    ]


def _throughput(trials: pd.DataFrame, records: Records) -> pd.DataFrame:
    found = tables.throughput(trials)
    found["marks"] = [" ".join(f"{mark}:{count}" for mark, count in marks.items()) for marks in found["marks"]]
    return found[[*_IDENTITY, *_MEASURED]].rename(columns=_MEASURED)


def _equality(trials: pd.DataFrame, records: Records) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "environment": found.environment,
                "verified": entry.verified,
                "quick": entry.quick,
                "backends": " ".join(entry.backends),
                "mode": entry.mode,
                "device": entry.device,
                "arithmetic": entry.precision,
                "steps": entry.steps,
                "rung": rung,
                "error": error,
                "bound": math.nan if bound is None else bound,
                "passed": entry.passed,
            }
            for found in equalities(trials, records)
            for entry in found.entries
            for rung, (error, bound) in entry.errors.items()
        ]
    )


_FRAMES: dict[str, Callable[[pd.DataFrame, Records], pd.DataFrame]] = {
    "quality": _quality,
    "throughput": _throughput,
    "equality": _equality,
}


def _turned(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row for what differs in anything but the data set, in the order of appearance, and one column a data set."""
    keys = _turned_keys(frame)
    turned = frame.pivot(index=keys, columns="dataset", values=metric)
    order = frame.drop_duplicates(keys).set_index(keys).index
    return turned.reindex(index=order, columns=frame["dataset"].drop_duplicates()).reset_index()


def _telling(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the settings that tell no two rows of one data set apart: as a column they would tear rows in pieces."""
    for key, none in (("batch", 0), ("variant", "")):
        others = [other for other in _turned_keys(frame) if other != key]
        if not frame.duplicated(["dataset", *others]).any():
            frame = frame.assign(**{key: none})
    return frame


def _turned_keys(frame: pd.DataFrame) -> list[str]:
    return [key for key in (*_IDENTITY, "score") if key in frame and key not in ("dataset", "scenario")]


def _data(frame: pd.DataFrame, form: str) -> bytes:
    frame.columns.name = None
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n").encode()
    if form == "json":
        return (frame.to_json(orient="records", indent=2, double_precision=15, force_ascii=False) + "\n").encode()
    written = io.BytesIO()
    frame.to_parquet(written, index=False)
    return written.getvalue()


# ----------------------------------------------------------------------------------------------------- how it is read


@dataclass(frozen=True)
class Pen:
    """How a table's parts are written in one markup language."""

    name: Callable[[str], str]
    """A name from outside."""
    words: Callable[[str], str]
    """Plain words from outside."""
    number: Callable[[str], str]
    """What ``numbers`` wrote."""
    bold: Callable[[str], str]
    table: Callable[[Sequence[str], Sequence[Sequence[str]], str], str]


_SPECIAL = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "]": "{]}", "`": r"\textasciigrave{}"}
    | {'"': r"\textquotedbl{}", "|": r"\textbar{}", "-": "{-}", "'": r"\textquotesingle{}"}
)
"""Brackets after a line's end would be its optional argument; dashes and quotes join into other signs."""

_SIGNS = str.maketrans(
    {numbers.GLUE: "~", "±": r"$\pm$", "≈": r"$\approx$", "×": r"$\times$", "−": "$-$", "—": "---", "%": r"\%"}
)


def latex(text: object) -> str:
    """Text from outside as plain words: one line in which every character that LaTeX would read is escaped."""
    return markup.clean(text).translate(_SPECIAL)


def _booktabs(header: Sequence[str], body: Sequence[Sequence[str]], align: str) -> str:
    widths = [max(map(markup.width, column)) for column in zip(*chain([header], body), strict=True)]
    lines = [
        "  " + " & ".join(cell + " " * (w - markup.width(cell)) for cell, w in zip(line, widths, strict=True)) + r" \\"
        for line in chain([header], body)
    ]
    rules = [r"  \toprule", lines[0], r"  \midrule", *lines[1:], r"  \bottomrule"]
    return "\n".join([r"% needs \usepackage{booktabs}", rf"\begin{{tabular}}{{{align}}}", *rules, r"\end{tabular}", ""])


MARKDOWN = Pen(
    name=markup.name,
    words=markup.escape,
    number=str,
    bold=lambda text: f"**{text}**",
    table=lambda header, body, align: markup.table(header, body, align) + "\n",
)
_LATEX = Pen(
    name=lambda text: rf"\texttt{{{latex(text)}}}" if text else "---",
    words=latex,
    number=lambda text: text.translate(_SIGNS),
    bold=lambda text: rf"\textbf{{{text}}}",
    table=_booktabs,
)

_Column = tuple[str, str, Callable[[Row], str]]
"""Heading, side, and what its cell says of a row."""


def _named(frame: pd.DataFrame, pen: Pen) -> list[_Column]:
    """The columns that name a row: the environment and the data set only where they vary."""
    neural = [row for row in rows(frame) if row["backend"]]
    keys = [
        *varying(rows(frame), [key for key in ("environment", "dataset") if key in frame]),
        *("detector", "backend"),
        *varying(neural),
    ]
    return [_names(key, pen) for key in keys]


def _names(key: str, pen: Pen) -> _Column:
    return pen.words(heading(key)), side(key), lambda row: _name(row[key], pen)


def _name(value: object, pen: Pen) -> str:
    if isinstance(value, int):
        return f"{value:,}" if value else pen.number(numbers.MISSING)
    return pen.name(str(value))


def _number(title: str, key: str, write: Callable[[float], str], pen: Pen) -> _Column:
    return pen.number(title), "r", lambda row: pen.number(write(row[key]))


def _quality_columns(frame: pd.DataFrame, pen: Pen) -> list[_Column]:
    places = {m: numbers.decimals((frame[f"{m}_high"] - frame[f"{m}_low"]) / 2) for m in QUALITY}

    def metric(key: str) -> _Column:
        return HEADS[key], "r", lambda row: quality_cell(row, key, places[key], pen)

    seeds: _Column = ("seeds", "r", lambda row: _count(row["seeds"], row["asked"]))
    return [*_named(frame, pen), *_scores(frame, pen), *map(metric, QUALITY), seeds]


def _scores(frame: pd.DataFrame, pen: Pen) -> list[_Column]:
    """A column for the score where a network has several."""
    neural = [row for row in rows(frame) if row["backend"]]
    return [_names("score", pen)] if "score" in frame and varying(neural, ["score"]) else []


def _count(seeds: int, asked: int) -> str:
    return f"{seeds}" if seeds == asked else f"{seeds} of {asked}"


def quality_cell(row: Row, metric: str, places: int, pen: Pen) -> str:
    """``0.931 ± 0.004 [0.91, 0.95]``: bold for the best by itself, ≈ for what cannot be told apart from the best."""
    if not math.isfinite(row[metric]):
        return pen.number(numbers.MISSING)
    spread = row[f"{metric}_sd"]
    value = numbers.fixed(row[metric], places)
    if math.isfinite(spread):
        value += f"{numbers.GLUE}±{numbers.GLUE}{numbers.fixed(spread, places)}"
    value = pen.number(value)
    if row.get(f"{metric}_sole"):
        value = pen.bold(value)
    elif row.get(f"{metric}_top"):
        value = pen.number(f"≈{numbers.GLUE}") + value
    bounds = numbers.interval(row[f"{metric}_low"], row[f"{metric}_high"], places)
    return f"{value} {pen.number(bounds)}".rstrip()


def _throughput_columns(frame: pd.DataFrame, pen: Pen) -> list[_Column]:
    def rate(key: str) -> Callable[[Row], str]:
        return lambda row: pen.number(
            f"{numbers.si(row[key])} {numbers.si_interval(row[f'{key}_low'], row[f'{key}_high'])}".rstrip()
        )

    def slowest(row: Row) -> str:
        return pen.number(numbers.ratio(*(row[f"times_slowest{part}"] for part in ("", "_low", "_high"))))

    return [
        *_named(frame, pen),
        ("train samples/s", "r", rate("train_samples_per_second")),
        _number("of limit", "fraction_of_limit", lambda value: numbers.fixed(value, 2), pen),
        (pen.number("× slowest"), "r", slowest),
        ("score samples/s", "r", rate("score_samples_per_second")),
        _number("p50 ms", "score_latency_p50_seconds", numbers.milliseconds, pen),
        _number("compile s", "compile_seconds", numbers.seconds, pen),
        _number("peak MiB", "peak_memory_bytes", numbers.mebibytes, pen),
        ("trials", "r", lambda row: f"{row['trials']}"),
    ]


def _equality_columns(frame: pd.DataFrame, pen: Pen) -> list[_Column]:
    found = rows(frame)
    keys = varying(found, ("environment", "backends", "mode", "device"))
    return [
        *(_names(key, pen) for key in keys),
        ("precision", "l", lambda row: pen.name(row["arithmetic"])),
        ("rung", "l", lambda row: pen.words(row["rung"])),
        ("largest error", "r", lambda row: pen.words(written_error(row["error"]))),
        ("bound", "r", lambda row: pen.number(written_bound(row["bound"]))),
    ]


_COLUMNS: dict[str, Callable[[pd.DataFrame, Pen], list[_Column]]] = {
    "quality": _quality_columns,
    "throughput": _throughput_columns,
    "equality": _equality_columns,
}


def _pivot_columns(frame: pd.DataFrame, metric: str, pen: Pen) -> list[_Column]:
    """Where the metric has a standard deviation over seeds, the cell has it too."""
    keys = _turned_keys(frame)
    known = {(*(row[key] for key in keys), row["dataset"]): row for row in rows(frame)}
    write: Callable[[float], str]
    if metric in QUALITY:
        places = numbers.decimals((frame[f"{metric}_high"] - frame[f"{metric}_low"]) / 2)

        def cell(row: Row, dataset: str) -> str:
            source = known.get((*(row[key] for key in keys), dataset))
            if source is None:
                return pen.number(numbers.MISSING)
            return quality_cell(source | {f"{metric}_low": math.nan}, metric, places, pen)
    else:
        write = {"fraction_of_limit": lambda value: numbers.fixed(value, 2), "compile_seconds": numbers.seconds}.get(
            metric, numbers.si
        )

        def cell(row: Row, dataset: str) -> str:
            return pen.number(write(row[dataset]))

    named = [*_named(frame.drop(columns="dataset"), pen), *_scores(frame, pen)]
    datasets = frame["dataset"].drop_duplicates()
    return [*named, *((pen.name(d), "r", partial(cell, dataset=d)) for d in datasets)]
