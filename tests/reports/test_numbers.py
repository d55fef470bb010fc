"""Numbers are rounded to what they are worth and never print as NaN."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reports import numbers

anything = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (845.2, "845"),
        (61_234, "61.2k"),
        (1.2e6, "1.20M"),
        (999.6, "1.00k"),
        (0, "0"),
        (0.01234, "0.0123"),
        (3e12, "3.00T"),
    ],
)
def test_rates_have_three_significant_digits_and_the_suffix_that_fits(value: float, text: str) -> None:
    assert numbers.si(value) == text


@given(st.floats(min_value=1e-3, max_value=1e14))
@settings(deadline=None, max_examples=50)
def test_a_rate_read_back_is_the_rate(value: float) -> None:
    text = numbers.si(value)
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1.0)
    assert float(text.rstrip("kMGT").replace(",", "")) * scale == pytest.approx(value, rel=0.0051)


@given(anything, anything, anything)
@example(math.nan, math.inf, 1e308)
@settings(deadline=None, max_examples=50)
def test_what_is_not_a_number_is_never_printed_as_one(a: float, b: float, c: float) -> None:
    texts = [
        numbers.fixed(a, 3),
        numbers.interval(a, b, 3),
        numbers.si(abs(a)),
        numbers.si_interval(abs(a), abs(b)),
        numbers.ratio(a, b, c),
        numbers.seconds(a),
        numbers.mebibytes(a),
        numbers.ranges([a, b]),
        numbers.span([a, b, c]),
    ]
    assert not any(word in text.lower() for text in texts for word in ("nan", "inf"))


def test_a_wider_interval_earns_fewer_decimals() -> None:
    assert [numbers.decimals([w]) for w in (0.2, 0.02, 0.002, 0.00002)] == [2, 3, 4, 4]
    assert numbers.decimals([math.nan, 0.0]) == 3


def test_seeds_are_named_in_few_words() -> None:
    assert numbers.ranges([3, 0, 1, 2, 5, 7, 8]) == "0–3, 5, 7, 8"
    assert numbers.ranges([math.nan]) == numbers.MISSING


def test_row_counts_that_differ_between_seeds_are_shown_as_a_span() -> None:
    assert numbers.span([1000.0, 1000.0]) == "1,000"
    assert numbers.span([103.0, 98.0, math.nan]) == "98–103"


def test_seconds_claim_no_more_than_milliseconds() -> None:
    assert [numbers.seconds(v) for v in (0.0002, 0.0031, 0.82, 4.713, 61.25, 0.0)] == [
        "<0.001",
        "0.003",
        "0.820",
        "4.71",
        "61.2",
        "0.000",
    ]
