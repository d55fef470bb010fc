"""Points of the history for other programs: CSV, and the JSON of github-action-benchmark."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import msgspec

from bench.history.entry import METRICS, Entry
from bench.history.store import HistoryError
from reports.spreadsheets import inert

_COLUMNS = (
    *("date", "revision", "suite", "machine", "scenario", "label", "backend", "metric", "unit", "better"),
    *("median", "low", "high", "n", "marked"),
)


def as_csv(entries: Iterable[Entry]) -> bytes:
    """One line a point, oldest run first. Raises HistoryError where there is none."""
    entries = list(entries)
    if not any(entry.points for entry in entries):
        raise HistoryError("there is nothing to export: no trial has a metric that the history follows")
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for entry in entries:
        run = entry.run
        for point in entry.points:
            metric = METRICS[point.metric]
            lines.writerow(
                [
                    *(run.date.isoformat(), inert(run.revision or ""), inert(run.suite), run.machine_hash),
                    *map(inert, (point.scenario, point.label, point.backend)),
                    *(point.metric, metric.unit, metric.better, point.median, point.low, point.high),
                    *(point.n, point.marked),
                ]
            )
    return text.getvalue().encode()


def for_github_action_benchmark(entry: Entry, better: str) -> bytes:
    """The list that its tools ``customSmallerIsBetter`` and ``customBiggerIsBetter`` read, one of the two at a time.

    Parameters
    ----------
    entry : Entry
        One run.
    better : str
        ``lower`` or ``higher``: the metrics that the list holds.

    Raises
    ------
    HistoryError
        The run has none of that direction.
    """
    found = []
    for point in entry.points:
        metric = METRICS[point.metric]
        if metric.better != better:
            continue
        line: dict[str, object] = {
            "name": f"{point.label} · {point.metric}",
            "unit": metric.unit or point.metric,
            "value": point.median,
            "extra": f"n = {point.n}",
        }
        if point.low is not None and point.high is not None:
            line["range"] = f"± {(point.high - point.low) / 2:.3g}"
            line["extra"] = f"n = {point.n}\n95 % interval [{point.low:.6g}, {point.high:.6g}]"
        found.append(line)
    if not found:
        what = "times or memory" if better == "lower" else "rates or quality"
        raise HistoryError(f"there is nothing to export: no trial has {what} for --better {better}")
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
