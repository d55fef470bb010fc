"""Files have short names in tables, and whole ones where those would be shared."""

from __future__ import annotations

import pytest

from reports.tables import short, trials
from reports.tables.material import Material
from reports.writers import markdown


@pytest.mark.parametrize(
    ("references", "named"),
    [
        (["file:/far/away/one.csv?label=y", "file:two.npz"], ["file:one.csv", "file:two.npz"]),
        (["file:a/x.csv", "file:b/x.csv"], ["file:a/x.csv", "file:b/x.csv"]),
        (["file:a/x.csv?seed=1", "file:a/x.csv"], ["file:a/x.csv?seed=1", "file:a/x.csv"]),
        (["digits:4", "blobs?rows=20"], ["digits:4", "blobs?rows=20"]),
        (["file:a/"], ["file:a/"]),
    ],
)
def test_a_file_is_named_without_its_folder_where_that_tells_it_apart(record, references, named):
    table = short(trials([record(dataset=reference) for reference in references]))
    assert list(table["dataset"]) == named
    assert list(table["reference"]) == references


def test_the_whole_path_stands_once_below(record):
    from reports.document import document

    shown = markdown.written(document(Material([record(dataset="file:/far/away/one.csv?label=y")])))
    assert shown.count("/far/away/one.csv") == 1
    assert "file:one.csv" in shown
