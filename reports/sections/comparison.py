"""A comparison: the verdicts first, the worst ones before the others; and as JUnit XML for a build's own pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from xml.etree import ElementTree

from reports import numbers
from reports.blocks import Block, Cell, Column, Fold, List, Prose, Table, clean, code, listing, several, table, words

Result = Mapping[str, Any]
Row = Mapping[str, Any]

ORDER = ("regressed", "incomparable", "inconclusive", "improved", "unchanged")
SIGNS = {"regressed": "❌", "improved": "✅", "unchanged": "➖", "inconclusive": "❔", "incomparable": "⚠️"}


def blocks(result: Result) -> list[Block]:
    """For a pull request's comment: what is unchanged is folded."""
    common, short = _short(result)
    parts: list[Block] = [Prose(f"**{headline(result)}**"), Prose(setting(result))]
    if common:
        parts.append(Prose(f"All scenarios: {code(common)}"))
    changed = [row for row in _sorted(result) if row["verdict"] != "unchanged"]
    unchanged = [row for row in _sorted(result) if row["verdict"] == "unchanged"]
    if compared := [row for row in changed if row["verdict"] != "incomparable"]:
        parts += _compared(compared, short)
    if apart := [row for row in changed if row["verdict"] == "incomparable"]:
        parts.append(
            List([f"{SIGNS['incomparable']} {code(short[row['scenario']])}: {words(row['reason'])}" for row in apart])
        )
    if unchanged:
        parts.append(Fold(f"{len(unchanged)} unchanged", _compared(unchanged, short)))
    return [*parts, *map(Prose, notes(result))]


def _compared(rows: Sequence[Row], short: Mapping[str, str]) -> list[Block]:
    if len(short) == 1:
        return [Prose(code(rows[0]["scenario"])), verdicts(rows, signs=True)]
    return [verdicts(rows, short, signs=True)]


def verdicts(rows: Sequence[Row], short: Mapping[str, str] | None = None, signs: bool = False) -> Table:
    """One line per metric; with a column for the scenario where they are ``short``, and signs before the verdicts."""
    columns = [
        Column("verdict", lambda row: f"{SIGNS[row['verdict']]} {row['verdict']}" if signs else row["verdict"], "text"),
        *([Column("scenario", lambda row: code(short[row["scenario"]]), "name")] if short else []),
        Column("metric", lambda row: row["title"], "text"),
        *(Column(side, partial(_value, side=side)) for side in ("baseline", "candidate")),
        Column("change", lambda row: Cell(_change(row), row["change"])),
        Column("pairs", lambda row: Cell(f"{row['pairs']}{_more(row)}", row["pairs"])),
    ]
    return table("Verdicts", columns, rows)


def junit(result: Result, *, strict: bool = False) -> str:
    """One test case a verdict: ``regressed`` is a failure, ``incomparable`` an error, ``inconclusive`` skipped, or
    a failure where ``strict``."""
    rows = list(result["verdicts"])
    failing = ("regressed", "inconclusive") if strict else ("regressed",)
    counts = result["counts"]
    skipped = 0 if strict else counts["inconclusive"]
    totals = {
        "tests": len(rows),
        "failures": sum(counts[word] for word in failing),
        "errors": counts["incomparable"],
        "skipped": skipped,
    }
    suite = ElementTree.Element("testsuite", {"name": "bench compare"} | {k: str(v) for k, v in totals.items()})
    for row in rows:
        case = ElementTree.SubElement(
            suite, "testcase", classname=clean(row["scenario"]), name=row["metric"] or "all metrics"
        )
        if row["verdict"] == "incomparable":
            ElementTree.SubElement(case, "error", message=clean(row["reason"]))
            continue
        said = f"{row['title']}: {_change(row)}, {row['pairs']} pairs{_more(row)}"
        if row["verdict"] in failing:
            ElementTree.SubElement(case, "failure", message=said, type=row["verdict"])
        elif row["verdict"] == "inconclusive":
            ElementTree.SubElement(case, "skipped", message=said)
        else:
            ElementTree.SubElement(case, "system-out").text = said
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def headline(result: Result) -> str:
    """``1 regressed, 7 unchanged``, the worst first."""
    counts = result["counts"]
    said = [f"{counts[word]} {word}" for word in ORDER if counts[word]]
    return ", ".join(said) if said else "nothing was compared"


def setting(result: Result) -> str:
    """The sides and the thresholds."""
    sides = " → ".join(code(result[side]["text"]) for side in ("baseline", "candidate"))
    thresholds = f"threshold {numbers.percent(result['threshold'])}, quality {result['quality_threshold']:g}"
    live = [f"live, {result['seconds']:.0f} s of process pairs"] if result.get("live") else []
    return "; ".join([sides, thresholds, *live])


def notes(result: Result) -> list[str]:
    """How the figures are to be read."""
    judged = sum(row["verdict"] != "incomparable" for row in result["verdicts"])
    said = []
    if judged:
        said.append(
            "Change: candidate against baseline with its 95 % interval over process pairs. Verdicts on "
            f"{several(judged, 'comparison')} together: at most 5 % of the changes reported are "
            "expected to be none (Benjamini–Hochberg)."
        )
    if differ := result.get("differ"):
        said.append(f"The sides differ in {words(listing(list(differ)))}.")
    said += [words(note) for note in result.get("notes", ())]
    if result.get("live"):
        known = result.get("calibration")
        said.append(
            f"Calibrated on this machine: {words(known)}"
            if known
            else "How often this errs on this machine has not been measured: 'bench calibrate' does so."
        )
    return said


def by_scenario(result: Result) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in _sorted(result):
        found.setdefault(clean(row["scenario"]), []).append(row)
    return found


def _sorted(result: Result) -> list[Row]:
    """The worst verdicts first, otherwise as they came."""
    return sorted(result["verdicts"], key=lambda row: ORDER.index(row["verdict"]))


def _more(row: Row) -> str:
    """How many more pairs would do."""
    if row["verdict"] != "inconclusive":
        return ""
    if row.get("reason"):
        return " (cannot be told here)"
    return f" (about {row['more_pairs']} more)" if row["more_pairs"] else " (more than can be named)"


def _change(row: Row) -> str:
    write = _points if row["quality"] else numbers.percent
    known = row["low"] is not None and math.isfinite(row["low"]) and math.isfinite(row["high"])
    bounds = f" [{write(row['low'], True)},{numbers.GLUE}{write(row['high'], True)}]" if known else ""
    return f"{write(row['change'], True)}{bounds}"


def _points(difference: float, signed: bool = False) -> str:
    value = round(difference, 4)
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):.4f}" if value else "0"


def _value(row: Row, side: str) -> Cell:
    return Cell(_written(row["metric"], row[side]), row[side])


def _written(metric: str, value: float) -> str:
    if metric.endswith("_per_second"):
        return f"{numbers.si(value)}/s"
    if metric.endswith("_bytes"):
        return f"{numbers.mebibytes(value)} MiB"
    if metric == "compile_seconds":
        return f"{numbers.seconds(value)} s"
    if metric.endswith("_seconds"):
        return f"{numbers.milliseconds(value)} ms"
    return numbers.fixed(value, 4)


def _short(result: Result) -> tuple[str, dict[str, str]]:
    """What all scenarios have in common, and of each one what tells it from the others; nothing in common where there
    is but one, or their names are not built alike."""
    names = list(dict.fromkeys(row["scenario"] for row in result["verdicts"]))
    words = [name.split() for name in names]
    if len(names) < 2 or len({len(parts) for parts in words}) > 1:
        return "", dict(zip(names, names, strict=True))
    varies = [len(set(column)) > 1 for column in zip(*words, strict=True)]
    common = [word for word, apart in zip(words[0], varies, strict=True) if not apart]
    return " ".join(common), {
        name: " ".join(word for word, apart in zip(parts, varies, strict=True) if apart)
        for name, parts in zip(names, words, strict=True)
    }
