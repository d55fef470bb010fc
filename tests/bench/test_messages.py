"""Lines that a terminal shows: nothing in them is obeyed, and none is longer than one can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.messages import LONGEST, is_file_name, one_line, plain


@given(st.text())
def test_a_plain_text_holds_only_what_can_be_seen(text):
    assert plain(text).isprintable()


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"])))
def test_words_in_any_script_stay_as_they_are(text):
    assert plain(text) == text


def test_escapes_and_marks_of_direction_are_written_out():
    assert plain("a\x1b[31mb\u202ec\x85\ud800") == r"a\x1b[31mb\u202ec\x85\ud800"


def test_a_long_message_keeps_its_beginning_and_its_end():
    said = one_line(ValueError("where: " + "x" * 10**6 + " would be right"))
    assert said.startswith("where: x")
    assert said.endswith("would be right")
    assert len(said) <= LONGEST + 3


def test_what_the_system_says_begins_with_the_file():
    assert one_line(OSError(17, "File exists", "a\x1bb")) == r"a\x1bb: File exists"
    assert one_line(OSError("no room")) == "no room"
    assert one_line(OSError(18, "Cross-device link", "a", None, "b")).endswith("Cross-device link: 'a' -> 'b'")


@pytest.mark.parametrize("name", ["quick", "my suite.v2", "µ-tests", "a" * 200])
def test_plain_file_names_are_taken(name):
    assert is_file_name(name)


@given(st.text())
def test_a_file_name_stays_in_its_folder(name):
    from pathlib import PurePosixPath, PureWindowsPath

    if is_file_name(name):
        assert PurePosixPath(name).parts == (name,)
        assert PureWindowsPath(name).parts == (name,)
        assert name not in (".", "..")
