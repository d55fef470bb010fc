"""How people write numbers: decimal commas, thousands separators, per cent, currencies and truth words.

A column of text is read by the one reading that fits (nearly) all of its cells; the same reading is kept with a trained
detector, so that later rows are read alike. Everything works on whole Arrow columns.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Decimal = Literal["auto", "point", "comma"]
"""What the user says of the decimal sign."""
SIGNS: dict[Decimal, str] = {"point": ".", "comma": ","}

MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null", "?",
)  # fmt: skip
"""Cells that are missing wherever they stand: those of pandas, and the question mark."""
NO_NUMBER = (
    "-", "--", "---", "–", "—", ".", "..", "...", "*", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!",
    "\\n", "(null)", "nil", "missing", "n.a.", "n. a.", "k.a.", "k. a.", "n/d", "n.d.", "s/d", "none", "na", "null",
)  # fmt: skip
"""Cells that are missing, in small letters, in a column of numbers alone."""

TRUTHS = (
    ("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n"), ("on", "off"), ("ja", "nein"), ("wahr", "falsch"),
    ("oui", "non"), ("vrai", "faux"), ("sí", "no"), ("si", "no"), ("verdadero", "falso"), ("sim", "não"),
)  # fmt: skip
"""Pairs of words, in small letters, that mean 1 and 0."""

CURRENCIES = frozenset(
    (
        *("usd", "eur", "gbp", "jpy", "chf", "cny", "inr", "aud", "cad", "sek", "nok", "dkk", "pln", "czk", "huf"),
        *("ron", "bgn", "rub", "uah", "brl", "mxn", "ars", "clp", "cop", "zar", "krw", "try", "sgd", "hkd", "nzd"),
        *("thb", "idr", "myr", "php", "vnd", "ils", "aed", "sar", "egp", "fr.", "sfr.", "kr", "kr.", "zł", "kč", "ft"),
        *("lei", "лв", "руб", "руб.", "rs", "rs.", "r$", "us$", "a$", "c$", "nz$", "hk$", "s$"),
    )
)
"""Words for money beside the signs of Unicode's category Sc, in small letters."""

SPACES = " \u00a0\u2007\u2009\u202f"
_GROUP = {" ": f"[{SPACES}]", "'": "['\u2019\u02bc]"}
_MINUS = "\\-\u2212"
Thousands = Literal["", ",", ".", " ", "'", "_"]
THOUSANDS: tuple[Thousands, ...] = get_args(Thousands)
_TOLD = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes", "_": "underscores"}

_PARTS = {"%": 100.0, "‰": 1000.0}

NEARLY = 0.9
"""The share of a column's cells that one reading has to fit for the others to be faults."""
SAMPLE = 300
"""Cells that tell which readings are worth trying on the whole column."""

Text: TypeAlias = "pa.ChunkedArray"
"""A column of strings."""


@dataclass(frozen=True)
class Reading:
    """One way to read the cells of a column.

    Attributes
    ----------
    decimal : the decimal sign, a point or a comma
    thousands : what stands between groups of digits, or nothing; a space means any of `SPACES`
    unit : what stands before or behind every number but 0: a per cent sign or a currency
    truth : the words for 1 and 0, in small letters, where the cells are no numbers
    """

    decimal: Literal[".", ","] = "."
    thousands: Thousands = ""
    unit: str = ""
    truth: tuple[str, str] | None = None

    @property
    def plain(self) -> bool:
        """Whether any program reads these numbers so."""
        return self == Reading() or self.truth == TRUTHS[0]

    def __str__(self) -> str:
        if self.truth:
            return f"{self.truth[0]} as 1, {self.truth[1]} as 0"
        words = ["decimal commas"] if self.decimal == "," else []
        words += [f"{_TOLD[self.thousands]} between thousands"] if self.thousands else []
        if self.unit:
            words.append({"%": "per cent signs", "‰": "per mille signs"}.get(self.unit, f"amounts in {self.unit}"))
        return " and ".join(words) or "decimal points"

    @cached_property
    def pattern(self) -> str:
        """The expression, of RE2 as of Python, that a whole cell without blanks around has to match."""
        point, group = re.escape(self.decimal), _GROUP.get(self.thousands, re.escape(self.thousands))
        whole = "[0-9]+"
        if self.thousands:
            # groups of two are Indian, and written with commas
            inner = "[0-9]{2,3}" if self.thousands == "," else "[0-9]{3}"
            whole = f"(?:[1-9][0-9]{{0,2}}(?:{group}{inner})*{group}[0-9]{{3}}|[0-9]+)"
        number = f"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        sign, gap = f"[+{_MINUS}]?", f"[{SPACES}]?"
        if not self.unit:
            words = "|[+-]?(?i:inf|infinity)" if self == Reading() else ""
            return f"^(?:{sign}{gap}{number}|{number}[{_MINUS}]|\\({number}\\){words})$"
        unit = re.escape(self.unit)
        return (
            f"^(?:(?:{sign}{gap}{unit}{gap}|{unit}{gap}{sign}){number}|{sign}{number}{gap}{unit}"
            f"|{number}(?:[{_MINUS}]{gap}{unit}|{gap}{unit}[{_MINUS}])"
            f"|\\({gap}{unit}{gap}{number}\\)|\\({number}{gap}{unit}\\)|0+(?:{point}0*)?)$"
        )

    def read(self, text: Text, missing: Iterable[str] = ()) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The column's numbers, NaN where there is none, and which cells hold something that this reading cannot read.

        `missing` are words that mean missing beside the usual ones.
        """
        cells = pc.utf8_trim_whitespace(text)
        gaps = pc.or_kleene(pc.is_null(cells), self.gaps(cells, missing))
        if self.truth:
            small = pc.utf8_lower(cells)
            # what training had as words may come as truth values later
            yes, no = zip(self.truth, TRUTHS[0], ("1", "0"), strict=True)
            numbers = pc.is_in(small, value_set=pa.array(yes))
            valid = pc.or_(numbers, pc.is_in(small, value_set=pa.array(no)))
            numbers = numbers.cast(pa.float64())
        else:
            valid = pc.match_substring_regex(cells, self.pattern)
            numbers = self._numbers(pc.if_else(valid, cells, None))
        usable = pc.fill_null(pc.and_(valid, pc.invert(gaps)), False)
        found = _array(pc.if_else(usable, numbers, None))
        bad = ~(_mask(usable) | _mask(gaps))
        return found, bad

    @staticmethod
    def gaps(cells: Text, missing: Iterable[str]) -> Any:
        """Which cells, without blanks around, mean that a number is missing."""
        words = {word.strip().lower() for word in (*MISSING, *NO_NUMBER, *missing)}
        return pc.is_in(pc.utf8_lower(cells), value_set=pa.array(sorted(words)))

    def _numbers(self, cells: Text) -> Any:
        """Valid cells as float64."""
        if self == Reading() and (simple := _cast(cells)) is not None:
            return simple
        if self.unit:
            cells = pc.utf8_trim_whitespace(pc.replace_substring(cells, self.unit, ""))
        negative = pc.match_substring_regex(cells, f"^\\(|^[{SPACES}]?[{_MINUS}]|[{_MINUS}]$")
        if self.thousands:
            cells = pc.replace_substring_regex(cells, _GROUP.get(self.thousands, re.escape(self.thousands)), "")
        cells = pc.replace_substring_regex(cells, f"^[+({_MINUS}{SPACES}]+|[){_MINUS}{SPACES}]+$", "")
        if self.decimal == ",":
            cells = pc.replace_substring(cells, ",", ".")
        numbers = pc.cast(cells, pa.float64())
        if self.unit in _PARTS:
            numbers = pc.divide(numbers, _PARTS[self.unit])
        return pc.if_else(negative, pc.negate(numbers), numbers)


PLAIN = Reading()
GROUPED = Reading(",", ".")
TRUTH = Reading(truth=TRUTHS[0])


@dataclass(frozen=True)
class Dialect:
    """How the text of a file was read: what has to be known to read other rows of its kind alike.

    Attributes
    ----------
    columns : the reading of each column of numbers that was text and is not plain
    missing : words that mean missing beside the usual ones
    encoding : of the file, where it is not UTF-8
    """

    columns: Mapping[str, Reading] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    encoding: str = ""


USUAL = Dialect()


@dataclass(frozen=True, eq=False)
class Found:
    """What a column of text turned out to be: numbers by a reading, and the cells that are none."""

    reading: Reading
    numbers: NDArray[np.float64]
    bad: NDArray[np.bool_]
    rival: Reading | None = None
    """Another reading that fits as many cells and reads other numbers."""
    unusual: tuple[str, ...] = ()
    """Words that were taken as missing here, and would not be in a column of text."""

    @property
    def share(self) -> float:
        """How many of the cells that are not missing are numbers."""
        good = int((~np.isnan(self.numbers)).sum())
        return good / max(1, good + int(self.bad.sum()))


def simple(text: Text, missing: Iterable[str] = ()) -> NDArray[np.float64] | None:
    """The column as plain numbers or true and false, as any program reads them, or None where a cell is neither."""
    numbers = _cast(text)
    if numbers is not None:
        return _array(numbers)
    for reading in (PLAIN, TRUTH):
        found, bad = reading.read(text, missing)
        if not bad.any():
            return found
    return None


def discover(text: Text, missing: Sequence[str] = (), decimal: Decimal = "auto") -> Found | None:
    """The reading that fits most cells of a column of text, or None where hardly any cell looks like a number.

    Where two fit as many and read other numbers, `decimal` decides; without it one is the ``rival`` of the other.
    """
    if (numbers := _cast(text)) is not None:
        return Found(PLAIN, _array(numbers), np.zeros(len(text), dtype=np.bool_))
    sample = _sample(text, missing)
    small = {cell.lower() for cell in sample}
    truths = [Reading(truth=truth) for truth in TRUTHS if small <= {*truth, "0", "1"} and small & set(truth)]
    for reading in truths:
        found = read(reading, text, missing)
        if not found.bad.any():
            return found
    if sum(_DIGIT.search(cell) is not None for cell in sample) < max(1, len(sample) / 2):
        return None
    known = [read(one, text, missing) for one in _candidates(sample) if _fits(one, sample)]
    if not known:
        return None
    best = min(known, key=lambda one: int(one.bad.sum()))
    equals = [
        one
        for one in known
        if one.bad.sum() == best.bad.sum() and not np.array_equal(one.numbers, best.numbers, equal_nan=True)
    ]
    if decimal in SIGNS:
        return next((one for one in (best, *equals) if one.reading.decimal == SIGNS[decimal]), best)
    # whether plain numbers have points between thousands is for the other columns of the file to say: `grouped`
    rivals = [one.reading for one in equals if (best.reading, one.reading) != (PLAIN, GROUPED)]
    return replace(best, rival=rivals[0]) if rivals else best


def read(reading: Reading, text: Text, missing: Sequence[str] = ()) -> Found:
    """A column of text by a reading that is known."""
    return Found(reading, *reading.read(text, missing), unusual=_unusual(text, missing))


def _unusual(text: Text, missing: Iterable[str]) -> tuple[str, ...]:
    cells = pc.utf8_trim_whitespace(text)
    odd = cells.filter(pc.fill_null(Reading.gaps(cells, missing), False)).unique().to_pylist()
    usual = {word.lower() for word in MISSING}
    return tuple(sorted({word for word in odd if word.lower() not in usual}))


def grouped(text: Text, missing: Sequence[str] = ()) -> Found | None:
    """The column read with points between thousands and decimal commas, where all cells can be: ``1.234`` is 1234."""
    sample = _sample(text, missing)
    if any("." in cell for cell in sample) and _fits(GROUPED, sample):
        found = read(GROUPED, text, missing)
        return None if found.bad.any() else found
    return None


_DIGIT = re.compile("[0-9]")


def _fits(reading: Reading, sample: Sequence[str]) -> bool:
    """Whether a reading fits half of the cells, so that it is worth trying on all."""
    pattern = re.compile(reading.pattern)
    return 2 * sum(pattern.search(cell) is not None for cell in sample) >= len(sample)


def _candidates(sample: Sequence[str]) -> Iterable[Reading]:
    """The readings whose signs occur in the cells, the plain one first."""
    unit = _unit(sample)
    signs: tuple[Literal[".", ","], ...] = (".", ",")
    for thousands, decimal in product(THOUSANDS, signs):
        group = re.compile(f"[0-9]{_GROUP.get(thousands, re.escape(thousands))}[0-9]{{3}}")
        if thousands == decimal or (thousands and not any(map(group.search, sample))):
            continue
        usual = "," if thousands == "." else "."
        if decimal == usual or any(decimal in cell for cell in sample):
            yield Reading(decimal, thousands, unit)


def _unit(sample: Sequence[str]) -> str:
    """The per cent sign or currency that stands at most numbers, or nothing."""
    found = Counter(unit for cell in sample if (unit := _affix(cell)))
    if not found:
        return ""
    unit, count = found.most_common(1)[0]
    return unit if 2 * count >= sum(cell.strip("0.,") != "" for cell in sample) else ""


def _affix(cell: str) -> str:
    """What stands before or behind a cell's digits, where it is a unit."""
    match = re.fullmatch(r"([^0-9]*)[0-9](?:.*[0-9])?([^0-9]*)", cell, re.DOTALL)
    for part in match.groups() if match else ():
        word = part.strip(f"+()'-\u2212{SPACES}")
        bare = word.strip(".,")  # what stands beside a sign of money is the number's: $.27 is 0.27
        for unit in (word, bare):
            if unit in ("%", "‰") or unit.lower() in CURRENCIES:
                return unit
        if any(map(_is_money, bare)):
            return bare
    return ""


def _is_money(character: str) -> bool:
    return unicodedata.category(character) == "Sc"


def _sample(text: Text, missing: Iterable[str]) -> list[str]:
    """Cells from all over the column that are not missing, without blanks around."""
    if len(text) > 20 * SAMPLE:
        found = _present(_spread(text, 10 * SAMPLE), missing)
        if len(found) >= SAMPLE:
            return list(_spread(found, SAMPLE).to_pylist())
    return list(_spread(_present(text, missing), SAMPLE).to_pylist())


def _present(text: Text, missing: Iterable[str]) -> Any:
    cells = pc.utf8_trim_whitespace(text)
    return cells.filter(pc.fill_null(pc.invert(Reading.gaps(cells, missing)), False))


def _spread(cells: Any, most: int) -> Any:
    """At most so many of the cells, evenly from first to last."""
    places = np.unique(np.linspace(0, max(0, len(cells) - 1), most).astype(np.int64))
    return cells.take(pa.array(places)) if len(cells) else cells


def _cast(text: Any) -> Any:
    """The column as float64 where every cell is a plain number, else None."""
    try:
        numbers = pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        return None
    # C, and Arrow with it, also takes nan(123)
    odd = pc.filter(text, pc.fill_null(pc.is_nan(numbers), False)).unique().to_pylist()
    return numbers if all(word.strip(" \t+-").lower() == "nan" for word in odd) else None


def _array(numbers: Any) -> NDArray[np.float64]:
    """Null becomes NaN."""
    found = numbers.to_numpy() if isinstance(numbers, pa.ChunkedArray) else numbers.to_numpy(zero_copy_only=False)
    return np.array(found, dtype=np.float64)


def _mask(flags: Any) -> NDArray[np.bool_]:
    filled = pc.fill_null(flags, False)
    found = filled.to_numpy() if isinstance(filled, pa.ChunkedArray) else filled.to_numpy(zero_copy_only=False)
    return np.array(found, dtype=np.bool_)


def words(text: Text, missing: Iterable[str] = ()) -> NDArray[np.object_]:
    """The cells as Python's strings, None where they are missing; equal ones are one string."""
    coded = pa.chunked_array(text.chunks, type=text.type).combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    gaps = set(missing)
    values = np.array([*(None if one in gaps else one for one in coded.dictionary.to_pylist()), None], dtype=object)
    codes = coded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
    found: NDArray[np.object_] = values[codes]
    return found
