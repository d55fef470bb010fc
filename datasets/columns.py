"""What a table's columns become: numbers, categories, or something that is left out, and the notes that say so."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import DatasetError, require
from datasets.gaps import filler, without
from datasets.readings import (
    MISSING,
    NEARLY,
    PLAIN,
    Decimal,
    Dialect,
    Found,
    Reading,
    discover,
    grouped,
    read,
    words,
)
from datasets.tables import LARGEST, Table

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 100
MOST_LEFT_OUT = 0.1
"""The share of a file's lines that may be left out as bad: beyond, it is not what it was taken for."""
LONGEST_NAME = 60
"""Characters of a name in a message."""
FEWEST_COUNTED = 3
"""Rows from which on a column can be seen to count them."""
SUM_TOLERANCE = 0.01
"""In standard deviations: how far a line of sums or means may be rounded."""

_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([ T]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")


@dataclass(frozen=True)
class Asked:
    """What the user says of the columns: names, and words that mean missing beside the usual ones."""

    keep: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    decimal: Decimal = "auto"
    skip: bool = False


@dataclass(frozen=True, eq=False)
class Features:
    """The columns that detectors get, of the rows that are left.

    Attributes
    ----------
    frame : columns of float64 and, for categories, of text
    rows : which of the table's rows these are
    dialect : how their text was read
    notes : what was done, a sentence each
    """

    frame: pd.DataFrame
    rows: NDArray[np.intp]
    dialect: Dialect
    notes: list[str]


def items(text: str) -> tuple[str, ...]:
    """The values of a list such as ``A,B``; one with a comma in it stands in double quotes, as does an empty one."""
    if not text:
        return ()
    return tuple(value.strip() for value in next(csv.reader([text], skipinitialspace=True)))


def shown(names: Iterable[str], most: int = 12) -> str:
    """Names with commas between them, quoted where blanks or commas would not be seen, cut where they are many."""
    short = (name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in names)
    known = [name if name == name.strip() and name and "," not in name else repr(name) for name in short]
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")


def counted(count: int, noun: str) -> str:
    """So many of something, in words."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def were(count: int) -> str:
    return "was" if count == 1 else "were"


def column(names: Sequence[str], asked: str, path: str) -> str:
    """The column that is meant by a name; blanks around it do not count where no name is just so."""
    blank = [name for name in names if name.strip() == asked.strip()]
    require(asked in names or len(blank) == 1, f"{path}: no column {asked!r}; there are: {shown(names)}")
    return asked if asked in names else blank[0]


def features(table: Table, label: str, asked: Asked, path: str) -> Features:
    """The columns of a table but its label; raises `DatasetError` for a cell that would cost a column."""
    reader = _Reader(table, asked, path)
    for name, values in table.columns.items():
        if name != label:
            reader.take(name, values)
    reader.settle()
    return reader.features()


@dataclass
class _Reader:
    """The columns as they are read, one after the other."""

    table: Table
    asked: Asked
    path: str
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    """Names by the sentence that says why they are left out."""
    marked: dict[str, list[str]] = field(default_factory=dict)
    """Names by the numbers that were asked to be taken as missing."""

    def __post_init__(self) -> None:
        names = list(self.table.columns)
        options = (self.asked.keep, self.asked.text, self.asked.drop)
        self.kept, self.words, self.dropped = ({column(names, one, self.path) for one in named} for named in options)
        self.leave("neither numbers nor text", *self.table.nested)

    def leave(self, why: str, *names: str) -> None:
        if names:
            self.left.setdefault(f"Dropped as {why}", []).extend(names)

    def take(self, name: str, values: Any) -> None:
        """Reads a column as far as it can be read without the others."""
        from datasets import columnar

        as_text = columnar.words if name in self.words else columnar.text
        if name in self.dropped:
            self.leave("asked", name)
        elif name in self.table.index and name not in self.kept:
            self.leave("the index of a data frame (?keep=COLUMN takes it in)", name)
        elif values.null_count == len(values):
            self.leave("empty", name)
        elif (cells := values if self.table.written else as_text(values)) is not None:
            self._take_text(name, cells)
        elif (numbers := columnar.numbers(values)) is not None:
            self.numbers[name] = numbers
        else:
            self.leave("neither numbers nor text", name)

    def _take_text(self, name: str, cells: Any) -> None:
        found = None if name in self.words else discover(cells, self.asked.missing, self.asked.decimal)
        self.text[name] = cells
        if found is None or (not self.table.written and self._are_codes(cells, found)):
            return
        if found.share >= NEARLY or (found.share >= 0.5 and self._is_crowded(cells)):
            self.found[name] = found

    def settle(self) -> None:
        """Decides between readings that both fit, by the other columns of the file, and refuses what is left."""
        certain = [found.reading for found in self.found.values() if found.rival is None]
        commas = any(reading.decimal == "," for reading in certain)
        thousands = any(reading.thousands == "," for reading in certain)
        for name, found in self.found.items():
            if found.rival is not None:
                pair = (found.reading, found.rival)
                if commas == thousands:
                    self._refuse_doubt(name, pair)
                chosen = next(one for one in pair if (one.decimal == ",") == commas)
                self.found[name] = read(chosen, self.text[name], self.asked.missing)
        if self.asked.decimal == "comma" or (commas and self.asked.decimal == "auto"):
            self._settle_points()
        elif self.asked.decimal == "auto":
            self._doubt_points()

    def _settle_points(self) -> None:
        """In a file with decimal commas, points can only stand between thousands."""
        pointed = self._pointed()
        for name, found in pointed.items():
            if found is not None:
                if None in pointed.values() and self.asked.decimal == "auto":
                    self._refuse_doubt(name, (PLAIN, found.reading))
                self.found[name] = found

    def _doubt_points(self) -> None:
        """Refuses whole numbers of at most three digits beside ``1.234``, where no column has a decimal point for sure.

        Who writes 1.234 for a decimal number seldom writes all others without a point.
        """
        pointed = self._pointed()
        for name, found in pointed.items() if None not in pointed.values() else ():
            cells = self.text[name]
            if found is not None and _holds(cells, "^[^.]*[0-9][^.]*$") and not _holds(cells, r"^[^.]*[0-9]{4}[^.]*$"):
                self._refuse_doubt(name, (PLAIN, found.reading))

    def _pointed(self) -> dict[str, Found | None]:
        """The plain columns that hold a point, as they are with points between thousands, where they can be so."""
        return {
            name: grouped(self.text[name], self.asked.missing)
            for name, found in self.found.items()
            if found.reading == PLAIN and _holds(self.text[name], r"\.")
        }

    def _refuse_doubt(self, name: str, pair: tuple[Reading, Reading]) -> None:
        sign = "," if any(one.thousands == "," for one in pair) else "."
        cell = next(one for one in self.text[name].to_pylist() if one and sign in one)
        point, comma = sorted(pair, key=lambda one: one.decimal == ",")
        raise DatasetError(
            f"{self.path}: column {name!r} holds {cell.strip()!r}, which can be read with {point} or with {comma}; "
            "?decimal=point or ?decimal=comma decides"
        )

    def features(self) -> Features:
        """All columns, of the rows that are left once bad ones are out."""
        import pandas as pd

        bad = np.zeros(len(self.table.rows), dtype=np.bool_)
        for found in self.found.values():
            bad |= found.bad
        if bad.any() and not self.asked.skip:
            self._refuse_cell()
        left_out = list(self.table.left_out) + self._told(np.flatnonzero(bad))
        for name, found in self.found.items():
            self.numbers[name] = found.numbers
        for name, values in self.numbers.items():
            self.numbers[name] = without(values, self.asked.missing)
            for value in np.unique(values[np.isnan(self.numbers[name]) & ~np.isnan(values)]):
                self.marked.setdefault(f"{value:.15g}", []).append(name)
        self._leave_counts(~bad)
        if (last := self._total(np.flatnonzero(~bad))) is not None:
            row, what = last
            if not self.asked.skip:
                place = self.table.places(np.array([row]))[0]
                raise DatasetError(
                    f"{self.path}: {place} holds the {what} of the rows above; ?bad_lines=skip leaves it out"
                )
            left_out += [(self.table.places(np.array([row]))[0], what)]
            bad[row] = True
        rows = np.flatnonzero(~bad)
        require(
            len(left_out) <= max(1, MOST_LEFT_OUT * len(self.table.rows)),
            f"{self.path}: {len(left_out):,} lines would be left out as bad, over {MOST_LEFT_OUT:.0%} of all: "
            f"{_listed(left_out)}",
        )
        infinite: list[str] = []
        fillers: dict[str, list[str]] = {}
        frame: dict[str, Any] = {}
        for name in self.table.columns:
            if name in self.numbers:
                values = self.numbers[name][rows]
                boundless = np.abs(values) > LARGEST
                values[boundless] = np.nan
                if np.isnan(values).all():
                    self.leave("empty", name)
                    continue
                if boundless.any():
                    infinite.append(name)
                if (number := filler(values)) is not None:
                    fillers.setdefault(f"{number:.15g}", []).append(name)
                frame[name] = pd.Series(values)
            elif name in self.text and (categories := self._categories(name, rows)) is not None:
                frame[name] = pd.Series(categories, dtype=object)
        notes = self._notes(infinite, left_out)
        for word, names in fillers.items():
            far = f"{word} in {shown(names)}, far from all other values"
            notes.append(f"Perhaps meant as missing: {far}; ?missing={word} takes it so.")
        require(bool(frame), f"{self.path}: no feature column is left besides the label. {' '.join(notes)}".rstrip())
        readings = {name: one.reading for name, one in self.found.items() if name in frame and not one.reading.plain}
        dialect = Dialect(readings, self.asked.missing, self.table.encoding)
        return Features(pd.DataFrame(frame), rows, dialect, notes)

    def _refuse_cell(self) -> None:
        """Names the first cell that is no number in a column of numbers."""
        first = {name: int(np.argmax(found.bad)) for name, found in self.found.items() if found.bad.any()}
        name = min(first, key=lambda one: first[one])
        found, place = self.found[name], self.table.places(np.array([first[name]]))[0]
        cell = str(self.text[name][first[name]].as_py()).strip()
        short = cell if len(cell) <= 40 else f"{cell[:40]}…"
        numbers = int((~np.isnan(found.numbers)).sum())
        how = "" if found.reading.plain else f" with {found.reading}"
        raise DatasetError(
            f"{self.path}: {place}, column {name!r} holds {short!r}, where {numbers:,} values are numbers{how}; "
            f"?bad_lines=skip leaves such lines out, ?missing={short} takes it as missing, ?text={name} takes the "
            "column as words"
        )

    def _told(self, rows: NDArray[np.intp]) -> list[tuple[Any, str]]:
        """Where rows that are left out stand, and what is wrong with them."""
        found = []
        for row, place in zip(rows, self.table.places(rows) if len(rows) else (), strict=True):
            name = next(name for name, one in self.found.items() if one.bad[row])
            found.append((place, f"{str(self.text[name][int(row)].as_py()).strip()[:40]!r} in {name}"))
        return found

    def _leave_counts(self, good: NDArray[np.bool_]) -> None:
        """Leaves out the columns that only count the rows."""
        counted = []
        for name, values in self.numbers.items():
            if name in self.kept:
                continue
            whole = values[good]
            nameless = re.fullmatch(r"Unnamed: 0(\.\d+)?", name) is not None
            if _counts(whole, np.arange(len(whole))) or _counts(whole, self.table.rows[good]):
                counted.append(name)
            elif nameless and bool((whole == np.floor(whole)).all()):
                counted.append(name)  # rows that were drawn, sorted or put together keep their numbers
        for name in counted:
            del self.numbers[name]
            self.text.pop(name, None)
        self.leave("row numbers (?keep=COLUMN takes them in)", *counted)

    def _total(self, rows: NDArray[np.intp]) -> tuple[int, str] | None:
        """Whether the last row holds the sums or the means of those above."""
        if len(rows) < 2 * FEWEST_COUNTED or not self.numbers:
            return None
        sums = means = usable = 0
        for values in self.numbers.values():
            above, last = values[rows[:-1]], values[rows[-1]]
            above = above[np.isfinite(above) & (np.abs(above) < LARGEST)]
            if not len(above) or not (deviation := float(above.std())):
                continue
            usable += 1
            if not np.isfinite(last):
                continue
            near = SUM_TOLERANCE * deviation + 1e-9 * float(np.abs(above).sum())
            sums += bool(abs(last - above.sum()) <= near and abs(last) > np.abs(above).max())
            means += bool(abs(last - above.mean()) <= near)
        if sums >= 2 and 2 * sums >= usable:
            return int(rows[-1]), "sums"
        return (int(rows[-1]), "means") if means >= 3 and 5 * means >= 4 * usable else None

    def _categories(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.object_] | None:
        """A column of text, or None where it has none or is of too many values."""
        missing = (*MISSING, *self.asked.missing) if self.table.written else self.asked.missing
        values = words(self.text[name], missing)[rows]
        known = {value for value in values if value is not None}
        if not known:
            self.leave("empty", name)
            return None
        present = sum(value is not None for value in values)
        if len(known) <= min(MOST_CATEGORIES, present / 2):
            return values
        if all(_DATE.fullmatch(value.strip()) for value in known):
            self.leave("dates or times", name)
        else:
            self.leave(f"text of too many values (over {MOST_CATEGORIES}, or over half of the rows)", name)
        return None

    def _is_crowded(self, cells: Any) -> bool:
        distinct = cells.unique()
        return bool(len(distinct) > min(MOST_CATEGORIES, (len(cells) - cells.null_count) / 2))

    def _are_codes(self, cells: Any, found: Found) -> bool:
        """Whether a column that was stored as text, though its cells are whole numbers, is of categories."""
        whole = found.numbers[~np.isnan(found.numbers)]
        return found.reading == PLAIN and bool((whole == np.floor(whole)).all()) and not self._is_crowded(cells)

    def _notes(self, infinite: list[str], left_out: Sequence[tuple[Any, str]]) -> list[str]:
        by_reading: dict[str, list[str]] = {}
        unusual = dict(self.marked)
        stored = []
        for name, found in self.found.items():
            if name in self.numbers:
                if not found.reading.plain:
                    by_reading.setdefault(str(found.reading), []).append(name)
                elif not self.table.written:
                    stored.append(name)
                for word in found.unusual:
                    unusual.setdefault(word, []).append(name)
        count = len(left_out)
        notes = [f"{counted(count, 'line')} {were(count)} left out as bad: {_listed(left_out)}."] if count else []
        notes += [f"Read with {reading}: {shown(names)}." for reading, names in by_reading.items()]
        notes += [f"Stored as text and read as numbers: {shown(stored)}."] if stored else []
        notes += [f"Taken as missing: {word!r} in {shown(names)}." for word, names in unusual.items()]
        notes += [f"{why}: {shown(names)}." for why, names in self.left.items()]
        notes += [f"Infinite values were taken as missing: {shown(infinite)}."] if infinite else []
        return notes


def _holds(cells: Any, pattern: str) -> bool:
    """Whether an expression of RE2 matches within any of the cells."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(cells, pattern)).as_py())


def _counts(values: NDArray[np.float64], places: NDArray[np.intp]) -> bool:
    """Whether the values are the places, counted from another start."""
    if len(values) < FEWEST_COUNTED or not np.isfinite(values).all():
        return False
    return bool(np.array_equal(values - values[0], places - places[0]))


def _listed(left_out: Sequence[tuple[Any, str]], most: int = 5) -> str:
    told = [f"{place if isinstance(place, str) else f'line {place}'} ({why})" for place, why in left_out[:most]]
    return ", ".join(told) + (f" and {len(left_out) - most} more" if len(left_out) > most else "")
