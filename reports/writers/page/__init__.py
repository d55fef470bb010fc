"""Records in, one HTML file out: it opens from disk without a network, and asks for nothing.

``page`` puts it together; ``contents`` collects what is shown as plain data, with ``grids`` for tables, ``pictures``
for what belongs to one data set and ``rates`` for speed; ``counts`` keeps scores small and their counts exact. The
scripts and the style under ``assets`` draw it in the reader's browser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.arrays import Shelf

FILE = "report.html"


def render(
    records: Sequence[Mapping[str, Any]], shelf: Shelf, warnings: Sequence[str] = (), *, live: bool = False
) -> bytes:
    """The report as one HTML document; the same records, arrays and warnings give the same bytes.

    Parameters
    ----------
    records : sequence of mappings
        As for ``reports.write_report``.
    shelf : Shelf
        Where the arrays of the records lie. What is missing there, or no safetensors file, is left out of the report.
    warnings : sequence of str
        One line each, about records that could not be read.
    live : bool
        Whether the page listens to the server that it came from and loads itself again when records arrive. The file
        on disk never does.
    """
    from reports.writers.page import contents, page

    return page.written(contents.collect(records, shelf, warnings), live=live)
