"""How a comparison is shown: on a terminal, as a comment on a pull request, and as JUnit XML for a build's own pages.

The verdicts come first, the worst ones before the others; what is unchanged takes least room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from reports import numbers
from reports.markup import clean, code, escape, listing, table, width

Result = Mapping[str, Any]
Row = Mapping[str, Any]

ORDER = ("regressed", "incomparable", "inconclusive", "improved", "unchanged")
SIGNS = {"regressed": "❌", "improved": "✅", "unchanged": "➖", "inconclusive": "❔", "incomparable": "⚠️"}
_HEADER = ("verdict", "metric", "baseline", "candidate", "change", "pairs")


def text(result: Result) -> str:
    """For a terminal."""
    lines = [_headline(result), _setting(result, clean)]
    for scenario, rows in _by_scenario(result).items():
        lines += ["", clean(scenario)]
        apart = [row for row in rows if row["verdict"] == "incomparable"]
        lines += [f"  incomparable: {clean(row['reason'])}" for row in apart]
        if compared := [row for row in rows if row["verdict"] != "incomparable"]:
            lines += _columns([_cells(row) for row in compared])
    return "\n".join([*lines, "", *_notes(result, clean)]) + "\n"


def markdown(result: Result) -> str:
    """For a pull request's comment: what is unchanged is folded."""
    common, short = _short(result)
    parts = [f"**{_headline(result)}**", _setting(result, code)]
    if common:
        parts.append(f"All scenarios: {code(common)}")
    open_rows = [row for row in _sorted(result) if row["verdict"] != "unchanged"]
    folded = [row for row in _sorted(result) if row["verdict"] == "unchanged"]
    if compared := [row for row in open_rows if row["verdict"] != "incomparable"]:
        parts.append(_table(compared, short))
    if apart := [row for row in open_rows if row["verdict"] == "incomparable"]:
        lines = [f"- {SIGNS['incomparable']} {code(short[row['scenario']])}: {escape(row['reason'])}" for row in apart]
        parts.append("\n".join(lines))
    if folded:
        summary = f"<details><summary>{len(folded)} unchanged</summary>"
        parts.append(f"{summary}\n\n{_table(folded, short)}\n\n</details>")
    return "\n\n".join([*parts, *_notes(result, escape)]) + "\n"


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


def _headline(result: Result) -> str:
    """``1 regressed, 7 unchanged``, the worst first."""
    counts = result["counts"]
    said = [f"{counts[word]} {word}" for word in ORDER if counts[word]]
    return ", ".join(said) if said else "nothing was compared"


def _setting(result: Result, name: Callable[[object], str]) -> str:
    sides = " → ".join(name(result[side]["text"]) for side in ("baseline", "candidate"))
    parts = [sides, f"threshold {_percent(result['threshold'])}, quality {result['quality_threshold']:g}"]
    if result.get("live"):
        parts.append(f"live, {result['seconds']:.0f} s of process pairs")
    return "; ".join(parts)


def _notes(result: Result, words: Callable[[object], str]) -> list[str]:
    judged = sum(row["verdict"] != "incomparable" for row in result["verdicts"])
    notes = []
    if judged:
        notes.append(
            "Change: candidate against baseline with its 95 % interval over process pairs. Verdicts on "
            f"{judged} comparison{'s' if judged > 1 else ''} together: at most 5 % of the changes reported are "
            "expected to be none (Benjamini–Hochberg)."
        )
    if differ := result.get("differ"):
        notes.append(f"The sides differ in {words(listing(list(differ)))}.")
    notes += [words(note) for note in result.get("notes", ())]
    if not result.get("live"):
        return notes
    calibration = result.get("calibration")
    notes.append(
        f"Calibrated on this machine: {words(calibration)}"
        if calibration
        else "How often this errs on this machine has not been measured: 'bench calibrate' does so."
    )
    return notes


def _by_scenario(result: Result) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in _sorted(result):
        found.setdefault(row["scenario"], []).append(row)
    return found


def _sorted(result: Result) -> list[Row]:
    """The worst verdicts first, otherwise as they came."""
    return sorted(result["verdicts"], key=lambda row: ORDER.index(row["verdict"]))


def _cells(row: Row) -> list[str]:
    values = [_value(row["metric"], row[side]) for side in ("baseline", "candidate")]
    return [row["verdict"], row["title"], *values, _change(row), f"{row['pairs']}{_more(row)}"]


def _more(row: Row) -> str:
    """How many more pairs would do."""
    if row["verdict"] != "inconclusive":
        return ""
    if row.get("reason"):
        return " (cannot be told here)"
    return f" (about {row['more_pairs']} more)" if row["more_pairs"] else " (more than can be named)"


def _change(row: Row) -> str:
    write = _points if row["quality"] else _percent
    known = row["low"] is not None and math.isfinite(row["low"]) and math.isfinite(row["high"])
    bounds = f" [{write(row['low'], True)},{numbers.GLUE}{write(row['high'], True)}]" if known else ""
    return f"{write(row['change'], True)}{bounds}"


def _percent(share: float, signed: bool = False) -> str:
    value = round(100 * share, 1)
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):g}{numbers.GLUE}%"


def _points(difference: float, signed: bool = False) -> str:
    value = round(difference, 4)
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):.4f}" if value else "0"


def _value(metric: str, value: float) -> str:
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


def _table(rows: Sequence[Row], short: Mapping[str, str]) -> str:
    several = len(short) > 1
    cells = []
    for row in rows:
        verdict, *others = _cells(row)
        cells.append([f"{SIGNS[verdict]} {verdict}", *([code(short[row["scenario"]])] if several else []), *others])
    header = [_HEADER[0], *(["scenario"] if several else []), *_HEADER[1:]]
    lead = "" if several else f"{code(rows[0]['scenario'])}\n\n"
    return lead + table(header, cells, "ll" + ("l" if several else "") + "rrrr")


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [list(_HEADER), *map(list, rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return [
        "  "
        + "  ".join(
            cell + " " * (w - width(cell)) if place < 2 else " " * (w - width(cell)) + cell
            for place, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
