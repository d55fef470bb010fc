"""A calibration: how often a comparison errs on this machine, and what it can promise to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import numbers
from reports.blocks import Block, Cell, Column, List, Prose, code, several, table

Result = Mapping[str, Any]

_TITLES = {
    "train_samples_per_second": "training",
    "score_samples_per_second": "scoring",
    "score_latency_p50_seconds": "latency",
}


def blocks(result: Result) -> list[Block]:
    """False alarms, power, promises and noise."""
    return [
        Prose("\n".join(_alarms(result))),
        table("Power", _POWER, result["power"]),
        List(_promises(result)),
        List(_noise(result)),
    ]


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
        promise = f"a slowdown of training by {numbers.percent(worst)} is seen in at least 95 %"
    return (
        f"{alarms['count']} of {alarms['of']} comparisons of equal sides ({live} live, {alarms['of'] - live} resampled)"
        f" reported a change, at most {numbers.percent(alarms['high'])}; {promise} "
        f"(budget {result['budget']:g} s, {several(len(result['scenarios']), 'scenario')}, "
        f"{several(len(result['metrics']), 'metric')}, {result['made'][:10]})."
    )


def _alarms(result: Result) -> list[str]:
    lines = [
        f"Threshold {numbers.percent(result['threshold'])}, budget {result['budget']:g} s per comparison of "
        f"{several(len(result['scenarios']), 'scenario')} and {several(len(result['metrics']), 'metric')}.",
        "False alarms, comparisons of equal sides in which any metric regressed or improved:",
    ]
    for kind in ("live", "resampled", "all"):
        lines.append(f"{kind}: {_rate(result['false_alarms'][kind])}")
    return lines


def _promises(result: Result) -> list[str]:
    lines = []
    for one in result["smallest"]:
        what = f"{code(one['scenario'])}, {_TITLES[one['metric']]}"
        if one["slowdown"] is None:
            lines.append(f"{what}: no slowdown up to 50 % can be promised to be seen")
        else:
            lines.append(f"{what}: a slowdown by {numbers.percent(one['slowdown'])} or more is seen in at least 95 %")
    return lines


def _noise(result: Result) -> list[str]:
    lines = []
    for one in result["noise"]:
        if one["within"] is not None and one["between"] is not None:
            within, between = numbers.percent(one["within"]), numbers.percent(one["between"])
            lines.append(
                f"{code(one['scenario'])}, {_TITLES[one['metric']]}: standard deviation {within} between "
                f"neighbours, {between} between process pairs"
            )
    return lines


def _rate(rate: Mapping[str, Any]) -> str:
    if not rate["of"]:
        return numbers.MISSING
    bounds = f"[{numbers.percent(rate['low'])},{numbers.GLUE}{numbers.percent(rate['high'])}]"
    return f"{rate['count']} of {rate['of']} {bounds}"


def _read(one: Mapping[str, Any]) -> str:
    if not one["measured"]:
        return numbers.MISSING
    mean, low, high = map(numbers.percent, one["measured"])
    return f"{mean} [{low},{numbers.GLUE}{high}]"


_POWER = [
    Column("scenario", lambda one: code(one["scenario"]), "name"),
    Column("metric", lambda one: _TITLES[one["metric"]], "text"),
    Column("planted", lambda one: Cell(numbers.percent(one["slowdown"]), one["slowdown"])),
    Column("read as", _read),
    Column("seen, live", lambda one: _rate(one["live"])),
    Column("seen, resampled", lambda one: _rate(one["resampled"])),
]
