"""Files as people have them: the same numbers whichever way they are written, or one line; each decision is noted."""

from __future__ import annotations

import csv as csv_module
from collections.abc import Callable
from pathlib import Path

import file_makers as makers
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from file_makers import csv, features, load, plain, put, refused, written

import datasets
from datasets import DatasetError, readings
from datasets.readings import Reading

BASE = plain()
Cell = Callable[[float], str]


@pytest.fixture
def checksum(tmp_path: Path) -> str:
    return load(tmp_path, csv(BASE)).checksum


def comma(value: float) -> str:
    return f"{value:.4f}".replace(".", ",")


def grouped(thousands: str, decimal: str = ".") -> Cell:
    table = str.maketrans({",": thousands, ".": decimal})
    return lambda value: f"{value:,.4f}".translate(table)


def money(value: float) -> str:
    return f"-${-value:,.4f}" if value < 0 else f"${value:,.4f}"


@pytest.mark.parametrize(
    ("cell", "reading"),
    [
        (comma, "decimal commas"),
        (grouped(","), "commas between thousands"),
        (grouped(".", ","), "decimal commas and points between thousands"),
        (grouped(" ", ","), "decimal commas and spaces between thousands"),
        (grouped("\u00a0", ","), "decimal commas and spaces between thousands"),
        (grouped("\u202f"), "spaces between thousands"),
        (grouped("'"), "apostrophes between thousands"),
        (grouped("\u2019"), "apostrophes between thousands"),
        (grouped("_"), "underscores between thousands"),
        (money, "commas between thousands and amounts in $"),
        (lambda value: f"({-value:.4f} EUR)" if value < 0 else f"{value:.4f} EUR", "amounts in EUR"),
        (lambda value: f"{comma(value)} €", "decimal commas and amounts in €"),
        (lambda value: f"CHF {grouped(chr(39))(value)}", "apostrophes between thousands and amounts in CHF"),
        (
            lambda value: f"R$ {grouped('.', ',')(value)}",
            "decimal commas and points between thousands and amounts in R$",
        ),
        (lambda value: f"{value * 100:.2f}%", "per cent signs"),
        (lambda value: f"{comma(value * 100)} %", "decimal commas and per cent signs"),
        (lambda value: f"{value * 1000:.1f} ‰", "per mille signs"),
        (lambda value: f"{value:.8E}".replace(".", ","), "decimal commas"),
        (lambda value: f"{value:.4f}".replace("-", "\u2212"), None),
        (lambda value: f"({-value:.4f})" if value < 0 else f"{value:.4f}", None),
        (lambda value: f"{-value:.4f}-" if value < 0 else f"{value:.4f}", None),
        (lambda value: f" {value:+.4f}\u00a0", None),
    ],
)
def test_numbers_that_are_written_otherwise_are_the_same_numbers(
    tmp_path: Path, cell: Cell, reading: str | None
) -> None:
    content = csv(written(BASE, cell), ";")
    np.testing.assert_allclose(features(tmp_path, content).frame, BASE[list(makers.NUMBERS)], rtol=1e-12)
    notes = load(tmp_path, content).provenance.notes
    noted = [note.rpartition(": ")[0] for note in notes if note.startswith("Read with")]
    assert set(noted) == (set() if reading is None else {f"Read with {reading}"}) or (
        # where no value of a column reaches 1,000, its thousands are not seen
        reading is not None and {note.removeprefix("Read with ") for note in noted} <= _simpler(reading)
    )


def _simpler(reading: str) -> set[str]:
    """What remains of a reading for a column of small numbers, and the reading itself."""
    parts = reading.split(" and ")
    return {reading, " and ".join(part for part in parts if "thousands" not in part)}


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,23,456", "12,34,567.5"], [123_456, 1_234_567.5]),
        (["1.234", "1.234.567"], [1234, 1_234_567]),
        (["1,234", "12.5"], [1234, 12.5]),
        (["1,234", "0,123"], [1.234, 0.123]),
        (["-$1", "$-2", "($3)", "0"], [-1, -2, -3, 0]),
        (["$.27", "-$.5", "$1.5", "$ .25"], [0.27, -0.5, 1.5, 0.25]),
        (["€,27", ",5 €", "€1,25"], [0.27, 0.5, 1.25]),
        (["5-$", "5 $-", "0"], [-5, -5, 0]),
        (["fr. 7", "fr.8"], [7, 8]),
        (["yes", "No", "YES"], [1, 0, 1]),
        (["Ja", "nein", ""], [1, 0, np.nan]),
        (["true", "FALSE", "1"], [1, 0, 1]),
        (["1,5", "-", "n.a.", "#DIV/0!", "NULL"], [1.5, np.nan, np.nan, np.nan, np.nan]),
        (["1.5E+03", "inf", "-2"], [1500, np.inf, -2]),
    ],
)
def test_a_column_is_read_by_the_one_reading_that_fits(cells: list[str], values: list[float]) -> None:
    found = readings.discover(pa.chunked_array([cells]))
    assert found is not None
    assert found.rival is None
    assert not found.bad.any()
    np.testing.assert_array_equal(found.numbers, values)


@pytest.mark.parametrize("cell", ["+$-82", "-$-5", "5-$-", "nan(123)"])
def test_a_sign_twice_or_a_word_that_only_c_reads_is_no_number(cell: str) -> None:
    column = pa.chunked_array([["$1" if "$" in cell else "1", cell] * 3])
    found = readings.discover(column)
    assert found is None or found.bad.tolist() == [False, True] * 3
    assert readings.simple(column) is None


@pytest.mark.parametrize(
    "cells", [["2023-01-02"], ["12.05.2023"], ["10.0.0.1"], ["1-2"], ["12:30"], ["a1"], ["T", "x"], ["maybe", "no"]]
)
def test_what_is_no_number_is_not_taken_for_one(cells: list[str]) -> None:
    found = readings.discover(pa.chunked_array([cells * 3]))
    assert found is None or found.bad.all()


def test_where_two_readings_fit_the_line_says_which_option_decides(tmp_path: Path) -> None:
    frame = BASE.assign(f0=[f"{int(value) % 9 + 1},{abs(int(value)) % 900 + 100}" for value in BASE["f1"]])
    content = csv(frame, ";")
    line = refused(tmp_path, content)
    assert "column 'f0' holds '" in line
    assert "?decimal=point or ?decimal=comma decides" in line
    point, decimal = (features(tmp_path, content, decimal=asked).frame["f0"] for asked in ("point", "comma"))
    np.testing.assert_allclose(point, decimal * 1000)
    assert point.min() >= 1000
    assert "Read with commas between thousands: f0." in load(tmp_path, content, "?decimal=point").provenance.notes
    assert "Read with decimal commas: f0." in load(tmp_path, content, "?decimal=comma").provenance.notes


POINTS = ["7", "1.000", "250", "3.275", "NA", "12"]


def test_points_that_can_stand_between_thousands_are_asked_about(tmp_path: Path) -> None:
    content = csv(BASE[["label"]].assign(dose=[POINTS[row % 6] for row in range(makers.ROWS)]), ";")
    line = refused(tmp_path, content)
    assert "column 'dose' holds '1.000', which can be read with decimal points or with" in line
    point, comma = (features(tmp_path, content, decimal=asked).frame["dose"] for asked in ("point", "comma"))
    assert (point.max(), comma.max()) == (250, 3275)


@pytest.mark.parametrize("other", ["0.5", "1234", "1.2345"])
def test_points_that_cannot_all_stand_between_thousands_are_decimal(tmp_path: Path, other: str) -> None:
    cells = [*POINTS, other]
    content = csv(BASE[["label"]].assign(dose=[cells[row % 7] for row in range(makers.ROWS)]), ";")
    assert features(tmp_path, content).frame["dose"].iloc[1] == 1.0


def test_a_column_with_decimal_points_decides_for_the_others(tmp_path: Path) -> None:
    content = csv(BASE[["f0", "label"]].assign(dose=[POINTS[row % 6] for row in range(makers.ROWS)]))
    assert features(tmp_path, content).frame["dose"].iloc[1] == 1.0


def test_other_columns_decide_where_commas_cannot_be_both(tmp_path: Path) -> None:
    frame = written(BASE, comma).assign(f2=[f"{row % 9 + 1}.{row + 100}" for row in range(makers.ROWS)])
    found = load(tmp_path, csv(frame, ";"), "?scale=none")
    assert found.X_train[:, 2].min() >= 1000
    assert "Read with decimal commas and points between thousands: f2." in found.provenance.notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encodings_line_ends_and_separators_are_found_out(
    tmp_path: Path, checksum: str, encoding: str, end: str, separator: str
) -> None:
    frame = BASE.rename(columns={"f0": "größe, m²"})
    text = frame.to_csv(index=False, sep=separator, lineterminator=end)
    found = load(tmp_path, text.encode(encoding), "?encoding=cp1252" if encoding == "cp1252" else "")
    assert found.checksum == checksum
    assert found.feature_names[0] == "größe, m²"


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\n" + csv(BASE, ";"),
        BASE.to_csv(index=False, quoting=csv_module.QUOTE_ALL),
        BASE.to_csv(index=False, quoting=csv_module.QUOTE_ALL, quotechar="'"),
        BASE.rename(columns={"f0": "a;b;c;d;e;f"}).to_csv(index=False, quoting=csv_module.QUOTE_NONNUMERIC),
        BASE.rename(columns={"f0": "two\nlines"}).to_csv(index=False),
        csv(BASE).replace("\n", "\n\n") + " \n",
        "\n".join(f"{line}," for line in csv(BASE).splitlines()),
    ],
)
def test_quotes_blank_lines_and_a_last_separator_change_no_number(tmp_path: Path, checksum: str, content: str) -> None:
    assert load(tmp_path, content).checksum == checksum


SHUFFLED = BASE.sample(frac=1, random_state=0)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (BASE.to_csv(), "Unnamed: 0"),
        (BASE.set_index(pd.RangeIndex(1, makers.ROWS + 1)).to_csv(), "Unnamed: 0"),
        (BASE.reset_index(names="Unnamed: 0").to_csv(index=False), "Unnamed: 0"),
        (BASE.assign(id=range(makers.ROWS)).to_csv(index=False), "id"),
        (BASE.assign(number=np.arange(1.0, makers.ROWS + 1)).to_csv(index=False), "number"),
        (BASE.assign(row=range(1000, 1000 + makers.ROWS)).to_csv(index=False), "row"),
        (pd.concat([BASE[:50], BASE[50:].reset_index(drop=True)]).to_csv(), "Unnamed: 0"),
        ("\n".join([",".join(BASE.columns), *BASE.to_csv(header=False).splitlines()]), "Unnamed: 0"),
    ],
)
def test_row_numbers_are_no_feature(tmp_path: Path, checksum: str, content: str, name: str) -> None:
    found = load(tmp_path, content)
    assert found.checksum == checksum
    assert f"Dropped as row numbers (?keep=COLUMN takes them in): {name}." in found.provenance.notes
    assert name in load(tmp_path, content, f"?keep={name}").feature_names


def test_row_numbers_in_any_order_are_no_feature_where_the_column_has_no_name(tmp_path: Path) -> None:
    assert load(tmp_path, SHUFFLED.to_csv()).checksum == load(tmp_path, SHUFFLED.to_csv(index=False)).checksum
    named = load(tmp_path, SHUFFLED.reset_index(names="age").to_csv(index=False))
    assert "age" in named.feature_names


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (BASE.set_index(pd.RangeIndex(5, 5 + makers.ROWS)), None),
        (SHUFFLED.sort_values("f0"), "__index_level_0__"),
        (BASE.assign(when=pd.date_range("2020", periods=makers.ROWS)).set_index("when"), "when"),
        (BASE.assign(customer=SHUFFLED.index).set_index("customer"), "customer"),
    ],
)
def test_the_index_of_a_data_frame_in_parquet_is_no_feature(
    tmp_path: Path, frame: pd.DataFrame, name: str | None
) -> None:
    frame.to_parquet(tmp_path / "rows.parquet")
    found = datasets.load(f"file:{tmp_path / 'rows.parquet'}")
    assert found.feature_names == makers.NUMBERS
    told = f"Dropped as the index of a data frame (?keep=COLUMN takes it in): {name}."
    assert (told in found.provenance.notes) == (name is not None)
    if name == "customer":
        assert name in datasets.load(f"file:{tmp_path / 'rows.parquet'}?keep={name}").feature_names


def changed(line: int, text: Callable[[str], str]) -> str:
    lines = csv(BASE).splitlines()
    lines[line - 1] = text(lines[line - 1])
    return "\n".join(lines) + "\n"


TOTAL = [f"{BASE[name].sum():.4f}" for name in makers.NUMBERS]
MEAN = [f"{BASE[name].mean():.4f}" for name in makers.NUMBERS]
BAD = [
    (csv(BASE)[:-1] + "\n" + csv(BASE), f"line {makers.ROWS + 2} holds the header again"),
    (changed(51, lambda line: "oops" + line[line.index(",") :]), "line 51, column 'f0' holds 'oops'"),
    (changed(7, lambda line: line.replace(",", ",x", 1)), "line 7, column 'f1' holds 'x"),
    (csv(BASE) + "Summe,,,\n", f"line {makers.ROWS + 2}, column 'f0' holds 'Summe'"),
    (csv(BASE) + f"{','.join(TOTAL)},\n", f"line {makers.ROWS + 2} holds the sums of the rows above"),
    (csv(BASE) + f"{','.join(TOTAL)},12\n", f"line {makers.ROWS + 2} holds the sums of the rows above"),
    (csv(BASE) + f"{','.join(MEAN)},0\n", f"line {makers.ROWS + 2} holds the means of the rows above"),
    (changed(9, lambda line: "\0" + line), "line 9, column 'f0' holds a NUL byte"),
    (changed(12, lambda line: line + ",1"), "line 12 has 5 fields, the header 4"),
    (changed(12, lambda line: line[2:].replace(",", " ", 1)), "line 12 has 3 fields, the header 4"),
]


@pytest.mark.parametrize(("content", "told"), BAD)
def test_a_bad_line_is_named_and_can_be_left_out(tmp_path: Path, content: str, told: str) -> None:
    line = refused(tmp_path, content)
    assert told in line
    assert "bad_lines=skip" in line
    (note,) = (note for note in load(tmp_path, content, "?bad_lines=skip").provenance.notes if "left out" in note)
    number = told.split("line ")[1].split(",")[0].split(" ")[0]
    assert note.startswith(f"1 line was left out as bad: line {number} (")


def test_a_line_that_is_left_out_leaves_all_others(tmp_path: Path, checksum: str) -> None:
    for content, _ in BAD[3:7]:
        assert load(tmp_path, content, "?bad_lines=skip").checksum == checksum


def test_the_line_is_counted_in_the_file_and_not_in_rows(tmp_path: Path) -> None:
    frame = BASE.assign(text=["two\nlines" if row % 2 else "one" for row in range(makers.ROWS)])
    content = "\n" + csv(frame.astype({"f0": str}).assign(f0=lambda f: f["f0"].mask(f.index == 80, "?x")))
    line = refused(tmp_path, content)
    number = next(n for n, text in enumerate(content.splitlines(), start=1) if "?x" in text)
    assert f"line {number}, column 'f0' holds '?x'" in line


def test_a_word_can_be_missing_or_its_column_of_words_or_left_out(tmp_path: Path) -> None:
    content = csv(BASE.astype(object).assign(f2=["unknown" if row % 4 == 1 else row % 7 for row in range(makers.ROWS)]))
    assert "f2=unknown" in load(tmp_path, content).feature_names  # too many for faults, and few enough for categories
    crowded = csv(BASE.assign(f2=BASE["f2"].astype(str).mask(BASE.index % 4 == 1, "unknown")))
    assert "?missing=unknown takes it as missing" in refused(tmp_path, crowded)
    found = load(tmp_path, crowded, "?missing=unknown")
    assert found.feature_names == makers.NUMBERS
    assert "Taken as missing: 'unknown' in f2." in found.provenance.notes
    assert load(tmp_path, crowded, "?drop=f2").feature_names == ("f0", "f1")
    notes = load(tmp_path, crowded, "?text=f2").provenance.notes
    assert any("too many values" in note and "f2" in note for note in notes)
    zip_codes = csv(BASE.assign(zip=[f"0{row % 5}123" for row in range(makers.ROWS)]))
    assert "zip=00123" in load(tmp_path, zip_codes, "?text=zip").feature_names


def test_a_file_of_which_a_tenth_is_bad_is_refused_though_bad_lines_are_skipped(tmp_path: Path) -> None:
    content = csv(BASE) + "1,2\n" * 20
    assert "20 lines would be left out as bad, over 10% of all: line 122 (2 fields)" in refused(
        tmp_path, content, "?bad_lines=skip"
    )


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (("None", "attack"), "?normal=None"),
        (("nan", "attack"), "?normal=nan"),
        (("NA", "attack"), "?normal=NA"),
        (("", "attack"), '?normal=""'),
        (("a, b", "attack"), '?normal="a, b"'),
        (("a,b", "c"), "?normal=%22a%2Cb%22"),
        ((" normal. ", " smurf."), ""),
        (("0.0", "1"), "?normal=0"),
        (("0", "1"), "?normal=0.0"),
    ],
)
def test_any_label_can_be_named(tmp_path: Path, checksum: str, labels: tuple[str, str], options: str) -> None:
    frame = BASE.assign(label=np.where(BASE["label"] == 0, *labels))
    assert load(tmp_path, csv(frame), options).checksum == checksum


def test_labels_that_are_long_whole_numbers_are_told_apart_to_the_last_digit(tmp_path: Path, checksum: str) -> None:
    frame = BASE.assign(label=np.where(BASE["label"] == 0, 2**53, 2**53 + 1))
    assert load(tmp_path, csv(frame), f"?normal={2**53}").checksum == checksum


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "punycode", "utf-7", "unicode_escape", "idna"])
def test_an_encoding_that_the_file_is_not_in_or_that_is_none_gets_one_line(tmp_path: Path, encoding: str) -> None:
    assert any(told in refused(tmp_path, csv(BASE), f"?encoding={encoding}") for told in ("no encoding", "is not utf-"))


@pytest.mark.parametrize("separator", ["é", "\u202e", "\x1b"])
def test_a_separator_that_is_no_plain_character_gets_one_line(tmp_path: Path, separator: str) -> None:
    content = f"sep={separator}\n{csv(BASE, separator)}"
    assert "line 1 names the separator" in refused(tmp_path, content)


@pytest.mark.parametrize("option", ["keep", "text"])
def test_a_column_that_is_asked_for_and_dropped_is_a_contradiction(tmp_path: Path, option: str) -> None:
    assert f"?{option} and ?drop both name f1" in refused(tmp_path, csv(BASE), f"?{option}=f0,f1&drop=f1")


def test_rows_whose_label_is_a_word_for_missing_are_counted_and_the_line_says_how_to_name_it(tmp_path: Path) -> None:
    frame = BASE.assign(label=np.where(BASE["label"] == 0, "None", "attack"))
    assert "108 rows labelled None were dropped as without a label; ?normal=None takes" in refused(tmp_path, csv(frame))
    mixed = frame.assign(label=frame["label"].mask(frame.index % 3 == 1, "normal"))
    (note,) = load(tmp_path, csv(mixed)).provenance.notes
    assert note == "72 rows labelled None were dropped as without a label; ?normal=None takes such rows as normal."


def test_a_name_with_blanks_around_is_found_and_quoted_where_it_is_shown(tmp_path: Path, checksum: str) -> None:
    content = csv(BASE).replace("label", " Label", 1)
    assert load(tmp_path, content).checksum == checksum
    assert load(tmp_path, content, "?label=Label").checksum == checksum
    assert "no column 'labels'; there are: f0, f1, f2, ' Label'" in refused(tmp_path, content, "?label=labels")


def test_dates_are_left_out_with_a_note(tmp_path: Path, checksum: str) -> None:
    days = pd.date_range("2020-01-01", periods=makers.ROWS)
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%S"):
        found = load(tmp_path, csv(BASE.assign(when=days.strftime(form))))
        assert found.checksum == checksum
        assert "Dropped as dates or times: when." in found.provenance.notes


def test_a_table_of_very_many_columns_is_refused_before_its_rows_are_read(tmp_path: Path) -> None:
    names = [f"c{place}" for place in range(100_000)]
    reference = put(tmp_path, ",".join(names) + "\n" + "no table" + "\n")
    with pytest.raises(DatasetError, match="line 1 has 100,000 fields; 16,384 are read"):
        datasets.load(reference)


def test_a_reading_tells_what_it_is() -> None:
    assert str(Reading()) == "decimal points"
    assert str(Reading(",", ".", "€")) == "decimal commas and points between thousands and amounts in €"
    assert str(Reading(truth=("yes", "no"))) == "yes as 1, no as 0"
