"""Text for spreadsheets: formulas become text whatever stands before their sign, and numbers stay numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.spreadsheets import inert

BLANKS = " \t\r\n\0\u00a0\u2003\ufeff\u200b"


@given(st.text(BLANKS, max_size=3), st.sampled_from("=+@-\uff1d\uff0b\uff20\uff0d"), st.text("A1()!", min_size=1))
def test_a_formula_is_text_whatever_blanks_stand_before_its_sign(before, sign, after):
    text = before + sign + "cmd" + after
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("lead", ["\t", "\r", "\n"])
def test_a_tab_or_a_line_end_begins_a_cell_anew(lead):
    assert inert(f"{lead}words") == f"'{lead}words"


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_stays_one(number):
    assert inert(str(number)) == str(number)


@given(st.text(st.characters(categories=("L", "Nd")), min_size=1))
def test_words_stay_as_they_are(text):
    assert inert(text) == text
