"""How a calibration is shown: how often a comparison errs on this machine, and what it can promise to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports import numbers
from reports.writers.escape import clean, code, table, width

Result = Mapping[str, Any]

_TITLES = {
    "train_samples_per_second": "training",
    "score_samples_per_second": "scoring",
    "score_latency_p50_seconds": "latency",
}
_POWER = ("scenario", "metric", "planted", "read as", "seen, live", "seen, resampled")
_ALIGN = "llrrrr"


def text(result: Result) -> str:
    """For a terminal."""
    lines = [*_alarms(result), "", *_columns([_POWER, *_power(result, clean)]), "", *_promises(result, clean)]
    return "\n".join([*lines, "", *_noise(result, clean)]) + "\n"


def markdown(result: Result) -> str:
    """For a page."""
    promises = "\n".join(f"- {line}" for line in _promises(result, code))
    noise = "\n".join(f"- {line}" for line in _noise(result, code))
    alarms = "\n".join(_alarms(result))
    return "\n\n".join([alarms, table(_POWER, _power(result, code), _ALIGN), promises, noise]) + "\n"


def sentence(result: Result) -> str:
    """The calibration in one sentence, for a comparison to quote."""
    alarms = result["false_alarms"]["all"]
    live = result["false_alarms"]["live"]["of"]
    seen = [one for one in result["smallest"] if one["metric"] == "train_samples_per_second"]
    worst = max((one["slowdown"] for one in seen if one["slowdown"] is not None), default=None)
    if not seen:
        promise = "training was not looked at"
    elif worst is None or any(one["slowdown"] is None for one in seen):
        promise = "no slowdown of training can be promised to be seen"
    else:
        promise = f"a slowdown of training by {_percent(worst)} is seen in at least 95 %"
    return (
        f"{alarms['count']} of {alarms['of']} comparisons of equal sides ({live} live, {alarms['of'] - live} resampled)"
        f" reported a change, at most {_percent(alarms['high'])}; {promise} "
        f"(budget {result['budget']:g} s, {_several(result['scenarios'], 'scenario')}, "
        f"{_several(result['metrics'], 'metric')}, {result['made'][:10]})."
    )


def _alarms(result: Result) -> list[str]:
    lines = [
        f"Threshold {_percent(result['threshold'])}, budget {result['budget']:g} s a comparison of "
        f"{_several(result['scenarios'], 'scenario')} and {_several(result['metrics'], 'metric')}.",
        "False alarms, comparisons of equal sides in which any metric regressed or improved:",
    ]
    for kind in ("live", "resampled", "all"):
        lines.append(f"{kind}: {_rate(result['false_alarms'][kind])}")
    return lines


def _power(result: Result, name: Any) -> list[list[str]]:
    rows = []
    for one in result["power"]:
        measured = one["measured"]
        read = numbers.MISSING
        if measured:
            mean, low, high = map(_percent, measured)
            read = f"{mean} [{low},{numbers.GLUE}{high}]"
        rows.append(
            [
                name(one["scenario"]),
                _TITLES[one["metric"]],
                _percent(one["slowdown"]),
                read,
                _rate(one["live"]),
                _rate(one["resampled"]),
            ]
        )
    return rows


def _promises(result: Result, name: Any) -> list[str]:
    lines = []
    for one in result["smallest"]:
        what = f"{name(one['scenario'])}, {_TITLES[one['metric']]}"
        if one["slowdown"] is None:
            lines.append(f"{what}: no slowdown up to 50 % can be promised to be seen")
        else:
            lines.append(f"{what}: a slowdown by {_percent(one['slowdown'])} or more is seen in at least 95 %")
    return lines


def _noise(result: Result, name: Any) -> list[str]:
    return [
        f"{name(one['scenario'])}, {_TITLES[one['metric']]}: standard deviation {_percent(one['within'])} between "
        f"neighbours, {_percent(one['between'])} between process pairs"
        for one in result["noise"]
        if one["within"] is not None and one["between"] is not None
    ]


def _several(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _rate(rate: Mapping[str, Any]) -> str:
    if not rate["of"]:
        return numbers.MISSING
    bounds = f"[{_percent(rate['low'])},{numbers.GLUE}{_percent(rate['high'])}]"
    return f"{rate['count']} of {rate['of']} {bounds}"


def _percent(share: float) -> str:
    value = round(100 * share, 1)
    return f"{'−' if value < 0 else ''}{abs(value):g}{numbers.GLUE}%"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (w - width(cell)) if side == "l" else " " * (w - width(cell)) + cell
            for cell, w, side in zip(row, widths, _ALIGN, strict=True)
        ).rstrip()
        for row in rows
    ]
