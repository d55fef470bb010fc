"""Suites and settings beyond all bounds: one line, soon, and nothing written."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.cli import main
from bench.suites import suite, toml
from bench.suites.checks import SuiteError

HEAD = '[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["knn"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 50_000, "nested"),
        ("a = " + "[" * 40 + "]" * 40, "nested more than 32"),
        ("a = " + "{b = " * 5_000, "nested"),
        ("a = " + "9" * 10_000, "too long"),
        ("a = 0x" + "f" * 10_000, "64 bits"),
        (".".join(["a"] * 50_000) + " = 1", "parts"),
        ("[" + ".".join(["a"] * 40) + "]", "32"),
        ("timeout = inf", "finite"),
        ("beta = nan", "finite"),
        ("a = 1\n" * 2, "Cannot overwrite"),
        ("a" * (2**20 + 1), "longer"),
    ],
)
def test_what_goes_beyond_the_bounds_is_refused_at_once(text, said):
    began = time.perf_counter()
    with pytest.raises(toml.TOMLError, match=said):
        toml.loads(text)
    assert time.perf_counter() - began < 10


def test_what_a_suite_holds_is_read_as_it_is():
    text = 'a = [[1, 2.5], ["x"]]\nb.c.d = { e = true }\n"f.g=h" = -9223372036854775807\n'
    assert toml.loads(text) == {"a": [[1, 2.5], ["x"]], "b": {"c": {"d": {"e": True}}}, "f.g=h": -(2**63 - 1)}


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("[1, 2]", [1, 2]), ("tuned", "tuned"), ("true", True)])
def test_a_setting_is_a_toml_value_or_a_bare_word(text, value):
    assert toml.value(text) == value


@pytest.mark.parametrize("text", ["[" * 5_000, "9" * 5_000, "[1, 2"])
def test_a_setting_that_begins_as_a_value_and_is_none_is_refused(text):
    with pytest.raises(toml.TOMLError):
        toml.value(text)


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("rounds = 10_000_000", "rounds"),
        ("rounds = 999_999", "trials; at most"),
        (f"seeds = {list(range(300_000))}", "longer|trials"),
        ("seeds = [0, 0, 0]", "0 is named twice"),
        ("timeout = 1e300", "timeout"),
        ("training = { epochs = 1_000_000_000_000 }", "epochs"),
        ("training = { learning_rate = 1e300 }", "learning_rate"),
        (f"batch_sizes = {list(range(1, 3_000))}\nthreads = {list(range(1, 3_000))}", "trials; at most"),
        ('name = "../../x"', "no plain file name"),
        ('name = "/tmp/x"', "no plain file name"),
        ('name = ".."', "no plain file name"),
        ('name = "a\\u0000b"', "no plain file name"),
        ('name = "\\u001b[31m"', "no plain file name"),
        (f'name = "{"x" * 300}"', "no plain file name"),
    ],
)
def test_a_suite_that_plans_too_much_or_writes_elsewhere_is_one_line(tmp_path: Path, top: str, said: str):
    path = tmp_path / "mine.toml"
    path.write_text(f"{top}\n{HEAD}")
    with pytest.raises(SuiteError, match=said) as caught:
        suite.load(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_ten_thousand_blocks_are_counted_before_they_are_checked(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD * 10_000)
    with pytest.raises(SuiteError, match=r"10,000 .* blocks"):
        suite.load(str(path))


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "quick", "--threads", "9" * 30],
        ["run", "quick", "--seeds", "9" * 5_000],
        ["run", "quick", "--epochs", "9" * 12],
        ["run", "quick", "--rounds", "9999999"],
        ["run", "\x1b[31mred"],
        ["run", "quick", "--detectors", "\u202egnisrever"],
        ["compare", "here", "set:threads=-1"],
        ["compare", "here", "set:hidden=" + "[" * 5_000],
        ["compare", "here", "set:epochs=" + "9" * 5_000],
        ["compare", "here", "pip: -e ."],
        ["compare", "here", "pip:torch --index-url=x"],
        ["compare", "here", "git:--output=x"],
    ],
)
def test_an_argument_beyond_all_bounds_is_one_line_without_what_a_terminal_obeys(
    arguments, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("bench")
    assert all(character.isprintable() for character in said.replace("\n", ""))
    assert max(map(len, said.splitlines())) < 800
    assert not list(tmp_path.iterdir())
