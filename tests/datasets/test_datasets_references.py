"""References: how they are read, what a wrong one is told, and that asking costs no imports."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import datasets
from datasets import DatasetError, parse


def test_argument_and_options_reach_the_loader_with_their_types() -> None:
    assert parse("digits:7").arguments == {"digit": 7}
    parsed = parse("blobs?rows=200&contamination=0.1&clusters=3")
    assert parsed.family == "blobs"
    assert parsed.arguments == {"rows": 200, "contamination": 0.1, "clusters": 3}


def test_an_option_that_is_set_makes_another_reference_and_at_its_default_the_same() -> None:
    varied = datasets.varied
    assert varied("digits:4", {"train_rows": 100, "scale": "minmax"}) == "digits:4?train_rows=100&scale=minmax"
    assert varied("digits:4?scale=minmax", {"train_rows": 0, "train_contamination": 0}) == "digits:4?scale=minmax"
    assert varied("file:a.csv", {"indicate": True, "missing": "a&b"}) == "file:a.csv?indicate=true&missing=a%26b"
    with pytest.raises(DatasetError, match="option 'scale' wants exactly one value"):
        varied("digits:4?scale=minmax", {"scale": "none"})
    with pytest.raises(DatasetError, match="no option 'rows' of digits"):
        varied("digits:4", {"rows": 100})


def test_paths_keep_their_colons_and_option_values_are_unquoted() -> None:
    parsed = parse("file:C:/my data/a%20b.csv?label=is%26bad&normal=a,b")
    assert parsed.arguments == {"path": "C:/my data/a%20b.csv", "label": "is&bad", "normal": "a,b"}


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("blob", "no family 'blob'; did you mean 'blobs'?"),
        ("zzz", "there are: blobs, "),
        ("", "no family ''"),
        ("blobs?row=5", "no option 'row' of blobs; did you mean 'rows'?"),
        ("kdd99?rows=5", "no option 'rows' of kdd99; there are: scale, duplicates, train_contamination, train_rows"),
        ("blobs?scale=standart", "no scale 'standart'; did you mean 'standard'?"),
        ("blobs?protocol=none", "no protocol 'none'; there are: held-out, same-rows, mixed-split, all-rows"),
        ("blobs?rows=many", "rows is 'many'; it wants a whole number"),
        ("blobs?contamination=nan", "contamination is 'nan'; it wants a number"),
        ("blobs?rows", "option 'rows' wants exactly one value"),
        ("blobs?rows=20&rows=30", "option 'rows' wants exactly one value"),
        ("blobs:4", "blobs takes no argument; write 'blobs'"),
        ("digits:", "needs a digit, as in digits:DIGIT"),
        ("digits:four", "digit is 'four'; it wants a whole number"),
        ("file", "needs a path, as in file:PATH"),
    ],
)
def test_a_wrong_reference_is_told_what_would_be_right(reference: str, told: str) -> None:
    with pytest.raises(DatasetError) as failure:
        parse(reference)
    assert told in str(failure.value)
    assert "\n" not in str(failure.value)
    assert told in str(datasets.missing(reference))


def test_negative_seeds_are_refused() -> None:
    with pytest.raises(DatasetError, match="seed -1 is negative"):
        datasets.load("blobs", seed=-1)


def test_an_error_stays_on_one_line_whatever_it_quotes() -> None:
    assert str(DatasetError("column 'a\nb\x1b[31m' is not there")) == "column 'a b [31m' is not there"


def test_another_distribution_adds_a_family_by_an_entry_point(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    points = EntryPoints(
        EntryPoint(name, value, datasets.ENTRY_POINTS)
        for name, value in {
            "rings": "datasets.blobs:load_blobs_2d",
            "broken": "no_such_module:load",
            "blobs": "no_such_module:steals_our_name",
        }.items()
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: points.select(group=group))
    datasets._targets.cache_clear()
    request.addfinalizer(datasets._targets.cache_clear)
    assert datasets.load("rings?rows=100").features == 2
    assert datasets.load("blobs?rows=100").features == 20
    assert "cannot import no_such_module:load" in datasets.families()["broken"]
    with pytest.raises(DatasetError, match="family 'broken': cannot import"):
        parse("broken")


def test_importing_the_package_loads_the_standard_library_only(process: None) -> None:
    code = "import sys, datasets; print(*{'numpy', 'pandas', 'sklearn', 'scipy', 'platformdirs'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == ""


def test_listing_families_loads_neither_pandas_nor_scikit_learn(process: None) -> None:
    code = "import sys, datasets; datasets.families(); print(*{'pandas', 'sklearn', 'scipy'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == ""
