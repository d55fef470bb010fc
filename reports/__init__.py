"""Records in, Markdown, a page, figures and tables out; knows nothing of how the records came to be.

``write_report`` and ``page`` write a whole report, ``excerpt`` one table of it, ``printed`` what commands print.
Inside, ``tables`` makes frames and plain data of the records, ``sections`` makes blocks of these, ``document`` puts
the sections in order, and ``writers`` and ``figures`` write and draw the blocks.

Importing this package is light: pandas and matplotlib are loaded when a report is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DISTRIBUTION = "vaebench"
PAGE = "report.html"
"""What the page is called beside its records."""


def write_report(
    records: Sequence[Mapping[str, Any]],
    out_dir: Path,
    warnings: Sequence[str] = (),
    *,
    homes: Mapping[str, Path] | None = None,
    png: bool = False,
    html: bool = False,
    processes: int = 1,
) -> Path:
    """Writes ``report.md`` and ``figures/*.svg`` into a directory and returns the path of ``report.md``.

    The same records and warnings give the same bytes. Every file is replaced as a whole, the report after the figures
    it shows; figures of an earlier report that no longer apply are removed.

    Parameters
    ----------
    records : sequence of mappings
        Decoded JSON records, one per trial, in the order they were written. Keys may be missing, null or unknown; of
        two records of one trial the later one counts. Many bring their columns along, see ``reports.surveys``.
    out_dir : Path
        Made where it does not exist.
    warnings : sequence of str
        One line each, about records that could not be read; shown at the top of the report.
    homes : mapping of str to Path, optional
        Where the arrays of several runs lie, by the name that a record's ``run`` has; else beside the report.
    png : bool
        Whether each figure is written as PNG as well, 300 dots an inch.
    html : bool
        Whether the page is written beside it as ``report.html``: what ``page`` returns of the same records, for half
        the work.
    processes : int
        How many draw figures; the files are the same.

    Raises
    ------
    OSError
        Where the directory cannot be written.
    """
    from reports import figures
    from reports.arrays import Shelf
    from reports.document import document
    from reports.tables.material import Material
    from reports.writers import markdown

    report = document(Material(records, Shelf(out_dir, homes), warnings))
    drawn = figures.draw(report.drawings, png, processes)
    folder = out_dir / markdown.FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    current = set()
    for figure in drawn:
        for suffix, content in ((".svg", figure.svg), (".png", figure.png)):
            if content is not None:
                path = (folder / figure.file).with_suffix(suffix)
                replace(path, content)
                current.add(path.name)
    path = out_dir / "report.md"
    replace(path, markdown.written(report).encode())
    if html:
        from reports.writers.page import written

        replace(out_dir / PAGE, written(report))
    for kind in figures.DRAWERS:
        for old in (*folder.glob(f"*{kind}.svg"), *folder.glob(f"*{kind}.png")):
            if old.name not in current:
                old.unlink()
    return path


def page(
    records: Sequence[Mapping[str, Any]],
    warnings: Sequence[str] = (),
    *,
    directory: Path | None = None,
    homes: Mapping[str, Path] | None = None,
    live: bool = False,
) -> bytes:
    """The report as one HTML document; the same records, arrays and warnings give the same bytes.

    Parameters
    ----------
    records, warnings, homes
        As for ``write_report``.
    directory : Path, optional
        Where the arrays of a single run lie. What is missing there, or no safetensors file, is left out of the report.
    live : bool
        Whether the page listens to the server that it came from and loads itself again when records arrive. The file
        on disk never does.
    """
    from reports.arrays import Shelf
    from reports.document import document
    from reports.tables.material import Material
    from reports.writers.page import written

    return written(document(Material(records, Shelf(directory, homes), warnings)), live=live)


def replace(path: Path, content: bytes) -> None:
    """Writes a file as a whole or not at all; a report is made again at will, so nothing waits for the disk."""
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
