"""Labels of untrusted tables: which column holds them, which words mean normal, and which rows have none."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import columnar
from datasets.columns import column as named
from datasets.columns import counted, shown, were
from datasets.dataset import require
from datasets.readings import MISSING, NEARLY
from datasets.tables import Table

NAMES = ("label", "y", "class", "target", "anomaly", "outlier")
NORMAL_WORDS = ("0", "normal", "benign", "inlier", "false", "no", "ok", "good")


@dataclass(frozen=True, eq=False)
class Labels:
    """What a column of labels says of each row.

    Attributes
    ----------
    words : the labels that occur
    codes : which of them each row has, of shape (rows,)
    normal : those that mean normal
    gaps : those that are none
    """

    words: tuple[str, ...]
    codes: NDArray[np.intp]
    normal: tuple[str, ...]
    gaps: frozenset[str]

    @property
    def meaning(self) -> str:
        """The values that mean normal, for people."""
        return shown(self.normal)

    @property
    def anomalous(self) -> NDArray[np.bool_]:
        """Whether each row is anomalous."""
        return np.array([word not in self.normal for word in self.words], dtype=np.bool_)[self.codes]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each row has a label at all."""
        return np.array([word not in self.gaps for word in self.words], dtype=np.bool_)[self.codes]

    def notes(self, rows: NDArray[np.intp]) -> list[str]:
        """Which of the rows have no label, a sentence each."""
        return _unlabelled(self.words, self.codes[rows], self.gaps)


def column(names: Sequence[str], asked: str, path: str) -> str:
    """The column of the labels: the one asked for, or the one that is called so."""
    if asked:
        return named(names, asked, path)
    found = [name for name in names if name.strip().lower() in NAMES]
    require(
        len(found) == 1,
        f"{path}: {'several columns could be' if found else 'no column is plainly'} the label; name one with "
        f"?label=COLUMN: {shown(found or names)}",
    )
    return found[0]


def read(table: Table, name: str, normal: Sequence[str], path: str, *, skip: bool = False) -> Labels:
    """The labels of a table.

    A cell that is empty, or in a CSV file one of the words for missing, is no label, unless it is named among the
    values that mean `normal`. A stray word where labels are numbers is refused, or, to `skip` bad lines, no label.
    """
    with columnar.legible(table.columns[name], name, path):
        values, codes = _coded(table.columns[name])
    words = _words(values)
    asked = [_number(word) if word not in words and _number(word) in words else word for word in normal]
    gaps = frozenset(word for word in words if word == "" or (table.written and word in MISSING)) - set(asked)
    strays = _strays(words, codes, gaps | set(asked))
    if strays:
        row = int(np.argmax(np.isin(codes, [words.index(word) for word in strays])))
        place = table.places(np.array([row]))[0]
        require(
            skip,
            f"{path}: {place}, column {name!r} holds {words[codes[row]][:40]!r}, and the other labels are numbers; "
            "?bad_lines=skip leaves such lines out",
        )
        gaps |= strays
    known = sorted(set(words) - gaps)
    notes = "".join(f". {note}" for note in _unlabelled(words, codes, gaps)).removesuffix(".")
    told = f"the labels are: {shown(known)}{notes}"
    require(bool(known), f"{path}: column {name!r} holds no labels{notes}")
    if asked:
        unknown = [word for word in asked if word not in words]
        require(not unknown, f"{path}: no row is labelled {shown(unknown)}; {told}")
        wanted = asked
    else:
        wanted = [word for word in known if word.lower().rstrip(".") in NORMAL_WORDS]
        require(
            len(wanted) == 1,
            f"{path}: {'several labels mean' if wanted else 'no row has a label that plainly means'} normal; name "
            f"those that do with ?normal=VALUE,VALUE; {told}",
        )
    return Labels(tuple(words), codes, tuple(wanted), gaps)


def _strays(words: Sequence[str], codes: NDArray[np.intp], known: Collection[str]) -> frozenset[str]:
    """Words among labels that are numbers, two of them at least, in nearly all rows: a line of totals, or a remark."""
    counts = np.bincount(codes, minlength=len(words))
    numbers = {word for word in words if word not in known and _is_number(word)}
    others = {word for word in words if word not in known and word not in numbers}
    usual = sum(int(count) for word, count in zip(words, counts, strict=True) if word in numbers)
    rare = sum(int(count) for word, count in zip(words, counts, strict=True) if word in others)
    return frozenset(others) if len(numbers) > 1 and rare <= (1 - NEARLY) * usual else frozenset()


def _unlabelled(words: Sequence[str], codes: NDArray[np.intp], gaps: Collection[str]) -> list[str]:
    """How many rows have no label, a sentence for each word that counts as none."""
    counts = dict.fromkeys(sorted(gaps), 0)
    for word, count in zip(words, np.bincount(codes, minlength=len(words)), strict=True):
        if word in gaps:
            counts[word] += int(count)
    return [
        f"{counted(count, 'row')} without a label {were(count)} dropped."
        if word == ""
        else f"{counted(count, 'row')} labelled {word} {were(count)} dropped as without a label; ?normal={word} takes "
        "such rows as normal."
        for word, count in counts.items()
        if count
    ]


def _coded(cells: Any) -> tuple[list[object], NDArray[np.intp]]:
    """The values that occur, None for a cell that is empty, and which of them each row holds."""
    import pyarrow as pa

    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_null(cells.type):
        return [None], np.zeros(len(cells), dtype=np.intp)
    coded = cells.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    values = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return [*values, None], np.asarray(codes, dtype=np.intp)


def _words(values: Sequence[object]) -> list[str]:
    """Labels as people write them: where all are numbers, 0 and 0.0 are one label. 007 beside 7 is another one."""
    words = [_word(value) for value in values]
    present = [word for word in words if word not in MISSING]
    padded = {_number(word) for word in present if re.match("[+-]?0[0-9]", word)}
    if any(word in padded for word in present):
        return words
    if present and all(_number(word) != word or _is_number(word) for word in present):
        return [word if word in MISSING else _number(word) for word in words]
    return words


def _word(value: object) -> str:
    """A label as people write it: 0, 0.0 and False differ as types only where the text does."""
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _number(word: str) -> str:
    """A whole number without a point, anything else as it is."""
    if re.fullmatch("[+-]?[0-9]{1,4000}", word):  # by its digits: floats are too coarse for long ones
        return str(int(word))
    return str(int(float(word))) if _is_number(word) and float(word).is_integer() else word
