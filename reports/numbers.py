"""How numbers are written: no more digits than they are worth, and nothing that is not a number."""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "—"
GLUE = "\u00a0"
"""A no-break space: a value, its spread and its interval each stay on one line of a rendered table cell."""

_BEYOND_WORDS = 1e15
"""From here on numbers have an exponent: a bound this far away says that the interval is useless."""


def decimals(half_widths: Iterable[float]) -> int:
    """Decimals for a column of fractions: two significant digits of the median half-width, at least 2, at most 4."""
    known = sorted(width for width in half_widths if math.isfinite(width) and width > 0)
    return min(max(1 - math.floor(math.log10(known[len(known) // 2])), 2), 4) if known else 3


def fixed(value: float, places: int) -> str:
    return f"{value:.{places}f}" if math.isfinite(value) else MISSING


def signed(value: float, places: int) -> str:
    """A difference with its sign: ``+0.120``, ``−0.031``."""
    if not math.isfinite(value):
        return MISSING
    return f"{'−' if round(value, places) < 0 else '+'}{abs(value):.{places}f}"


def spread(value: float, deviation: float, places: int = 3) -> str:
    """``0.931 ± 0.004``, or the value alone where no deviation is known."""
    more = f"{GLUE}±{GLUE}{fixed(deviation, places)}" if math.isfinite(value) and math.isfinite(deviation) else ""
    return fixed(value, places) + more


def probability(p: float) -> str:
    """Three decimals, and nothing below the last of them."""
    return "<0.001" if p < 0.001 else fixed(p, 3)


def interval(low: float, high: float, places: int) -> str:
    """``[0.91, 0.95]``, or nothing where a bound is unknown."""
    return f"[{low:.{places}f},{GLUE}{high:.{places}f}]" if math.isfinite(low) and math.isfinite(high) else ""


def significant(value: float, digits: int = 3) -> str:
    """So many significant digits in plain notation, thousands separated: ``0.0123``, ``4.56``, ``12,300``."""
    if not math.isfinite(value):
        return MISSING
    if abs(value) >= _BEYOND_WORDS:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0:
        return "0"
    return f"{rounded:,.{min(max(digits - 1 - math.floor(math.log10(abs(rounded))), 0), 9)}f}"


def si(value: float) -> str:
    """Three significant digits and an SI suffix: ``845``, ``61.2k``, ``1.20M``."""
    if not abs(value) < _BEYOND_WORDS:
        return significant(value)
    rounded = abs(float(f"{value:.3g}"))
    power = min(max(math.floor(math.log10(rounded)) // 3, 0), 4) if rounded else 0
    return significant(value / 1000**power) + ("", "k", "M", "G", "T")[power]


def si_interval(low: float, high: float) -> str:
    return f"[{si(low)},{GLUE}{si(high)}]" if math.isfinite(low) and math.isfinite(high) else ""


def ratio(value: float, low: float, high: float) -> str:
    """``2.41 × [2.10, 2.77]``."""
    if not math.isfinite(value):
        return MISSING
    bounds = f" [{significant(low)},{GLUE}{significant(high)}]" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{significant(value)}{GLUE}×{bounds}"


def seconds(value: float) -> str:
    """Three significant digits, but nothing below a millisecond."""
    if 0 < value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if 0 <= value < 1 else significant(value)


def signed_seconds(value: float) -> str:
    """A difference of seconds with its sign: ``+1.20``, ``−0.031``."""
    if not math.isfinite(value):
        return MISSING
    return f"{'−' if value < 0 else '+'}{seconds(abs(value))}"


def milliseconds(value: float) -> str:
    return significant(value * 1e3)


def mebibytes(value: float) -> str:
    return significant(value / 2**20)


def ranges(numbers: Iterable[float]) -> str:
    """Whole numbers in few words: ``0–2, 5``."""
    runs: list[list[int]] = []
    for number in sorted({int(number) for number in numbers if math.isfinite(number)}):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}–{b}" for a, b in runs) or MISSING


def span(values: Iterable[float]) -> str:
    """One whole number where all agree, else the smallest and the largest: ``1,000`` or ``98–103``."""
    known = {round(value) for value in values if math.isfinite(value)}
    if not known:
        return MISSING
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def rows(value: float) -> str:
    """A number of rows, which as a mean over seeds may have a decimal."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"


def percent(share: float, signed: bool = False) -> str:
    """``4.2 %``, ``+4.2 %``, ``−4.2 %``."""
    value = round(100 * share, 1)
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):g}{GLUE}%"


def error(value: float) -> str:
    """Two significant digits: ``7.1e-11``, ``0``, ``not finite``."""
    if not math.isfinite(value):
        return "not finite"
    return "0" if value == 0 else f"{value:.1e}"


def bound(value: float | None) -> str:
    """``1e-11``, with a second digit where there is one."""
    if value is None or not math.isfinite(value):
        return MISSING
    short = f"{value:.0e}"
    return "0" if value == 0 else short if float(short) == value else f"{value:.1e}"
