"""Random tables in random dialects come back as the same numbers, or with one line; no column goes unsaid."""

from __future__ import annotations

import csv
import io
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import file_makers as makers
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datasets import DatasetError

GAPS = ("", "NA", "NaN", "null", "None", "?", "-", "n/a", "#N/A", "#DIV/0!", "<NA>")
DATES = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class Way:
    """One way to write a table."""

    separator: str
    decimal: str
    thousands: str
    unit: str
    quoting: int
    quote: str
    encoding: str
    end: str
    index: str
    gap: str
    date: str
    blank: bool

    def number(self, units: int, digits: int) -> str:
        """So many units of the last of so many decimals."""
        whole, rest = divmod(abs(units), 10**digits)
        text = f"{whole:,}".replace(",", self.thousands)
        text += f"{self.decimal}{rest:0{digits}}" if digits else ""
        return f"{'-' if units < 0 else ''}{text}{self.unit}"


Column = tuple[int, list[int | None]]
"""Decimals, and units of the last of them."""

ways = st.builds(
    Way,
    separator=st.sampled_from(",;\t|"),
    decimal=st.sampled_from(".,"),
    thousands=st.sampled_from(["", "", "", ",", ".", " ", "\u00a0", "'", "_"]),
    unit=st.sampled_from(["", "", "", "%", " €", " USD"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    quote=st.sampled_from('""\''),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    index=st.sampled_from(["none", "from 0", "from 1", "named"]),
    gap=st.sampled_from(GAPS),
    date=st.sampled_from(["none", *DATES]),
    blank=st.booleans(),
).filter(lambda way: way.decimal != way.thousands)


@st.composite
def tables(draw: st.DrawFn) -> list[Column]:
    rows = draw(st.integers(12, 40))
    most = draw(st.sampled_from([50, 2_000, 10**7]))
    cells = st.one_of(st.integers(-most, most), st.integers(-most, most), st.none())
    column = st.tuples(st.integers(0, 4), st.lists(cells, min_size=rows, max_size=rows))
    return draw(st.lists(column, min_size=1, max_size=4))


def content(way: Way, columns: list[Column]) -> bytes:
    rows = len(columns[0][1])
    header = [*(f"c {place}" for place in range(len(columns))), "label"]
    table = []
    for row in range(rows):
        cells = [(values[row], digits) for digits, values in columns]
        numbers = [way.gap if value is None else way.number(value, digits) for value, digits in cells]
        table.append([*numbers, str(row % 3 // 2)])
    if way.date != "none":
        days = [date(2021, 5, 3) + timedelta(row) for row in range(rows)]
        header = ["when", *header]
        table = [[day.strftime(way.date), *line] for day, line in zip(days, table, strict=True)]
    if way.index != "none":
        header = ["id" if way.index == "named" else "", *header]
        table = [[str(row + (way.index == "from 1")), *line] for row, line in enumerate(table)]
    text = io.StringIO()
    quoting: dict[str, object] = {"quoting": way.quoting, "quotechar": way.quote}
    writer = csv.writer(text, delimiter=way.separator, lineterminator=way.end, **quoting)  # type: ignore[arg-type]
    writer.writerows([header, *table])
    return (text.getvalue() + (way.end if way.blank else "")).encode(way.encoding)


FEW_APOSTROPHES = Way(",", ".", "'", "", csv.QUOTE_MINIMAL, "'", "utf-8", "\n", "none", "", "none", False)
"""Only the cell that holds the sign is enclosed by it, far below the header."""


@given(way=ways, columns=tables())
@example(way=FEW_APOSTROPHES, columns=[(0, [0, 0, 0, 0, None, None, 1000, *[None] * 5])])
@settings(deadline=None, max_examples=80)
def test_a_table_comes_back_as_the_same_numbers_or_with_one_line(way: Way, columns: list[Column]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = makers.features(Path(folder), content(way, columns))
        except DatasetError as error:
            line = str(error)
        else:
            line = ""
    if line:
        assert "\n" not in line
        return
    notes = " ".join(found.notes)
    share = 100 if way.unit == "%" else 1
    for place, (digits, values) in enumerate(columns):
        name = f"c {place}"
        if name in found.frame:
            expected = [np.nan if value is None else value / 10**digits / share for value in values]
            np.testing.assert_allclose(found.frame[name].to_numpy(float), expected, rtol=1e-12)
        else:
            assert name in notes
    assert not {"id", "Unnamed: 0", "when"} & set(found.frame)


def test_ways_are_read_and_not_refused() -> None:
    """A reader that refuses everything would pass the test above."""
    rng = np.random.default_rng(0)
    columns: list[Column] = [(4, [int(value) for value in rng.integers(-(10**7), 10**7, 30)]) for _ in range(3)]
    for separator, decimal, thousands, encoding in product(",;\t|", ".,", ("", " ", "'", "X"), ("utf-8", "utf-16")):
        between = thousands.replace("X", "." if decimal == "," else ",")
        way = Way(separator, decimal, between, "", 0, '"', encoding, "\r\n", "from 0", "-", DATES[0], True)
        with tempfile.TemporaryDirectory() as folder:
            found = makers.features(Path(folder), content(way, columns))
        assert list(found.frame) == ["c 0", "c 1", "c 2"], way
