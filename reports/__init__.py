"""Records in, Markdown and figures out; knows nothing of how the records came to be.

Importing this package is light: pandas and matplotlib are loaded when a report is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DISTRIBUTION = "vaebench"


def write_report(
    records: Sequence[Mapping[str, Any]],
    out_dir: Path,
    warnings: Sequence[str] = (),
    *,
    homes: Mapping[str, Path] | None = None,
    png: bool = False,
    processes: int = 1,
) -> Path:
    """Writes ``report.md`` and ``figures/*.svg`` into a directory and returns the path of ``report.md``.

    The same records and warnings give the same bytes. Every file is replaced as a whole, the report after the figures
    it shows; figures of an earlier report that no longer apply are removed.

    Parameters
    ----------
    records : sequence of mappings
        Decoded JSON records, one a trial, in the order they were written. Keys may be missing, null or unknown; of
        two records of one trial the later one counts. A large value may be JSON still, as a ``msgspec.Raw``: few
        records are asked for theirs.
    out_dir : Path
        Made where it does not exist.
    warnings : sequence of str
        One line each, about records that could not be read; shown at the top of the report.
    homes : mapping of str to Path, optional
        Where the arrays of several runs lie, by the name that a record's ``run`` has; else beside the report.
    png : bool
        Whether each figure is written as PNG as well, 300 dots an inch.
    processes : int
        How many draw figures; the files are the same.

    Raises
    ------
    OSError
        Where the directory cannot be written.
    """
    from reports import tables
    from reports.arrays import Shelf
    from reports.figures import sheets as figures
    from reports.writers import markdown

    trials, shelf = tables.trials(records), Shelf(out_dir, homes)
    quality, throughput = tables.quality(tables.scored(trials, records)), tables.throughput(trials)
    sheets = figures.sheets(trials, quality[quality["primary"].astype(bool)], throughput, records, shelf)
    text = ""

    def write() -> None:
        nonlocal text
        text = markdown.render(trials, quality, throughput, records, sheets, warnings, shelf)

    drawn = figures.draw(sheets, png, processes, write)
    text = figures.placed(text, drawn)

    folder = out_dir / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for figure in drawn:
        replace(folder / figure.name, figure.svg)
        if figure.png is not None:
            replace((folder / figure.name).with_suffix(".png"), figure.png)
    path = out_dir / "report.md"
    replace(path, text.encode())
    current = {figure.name for figure in drawn}
    current |= {figure.name.removesuffix("svg") + "png" for figure in drawn if figure.png is not None}
    for kind in figures.KINDS:
        for old in (*folder.glob(f"*{kind}.svg"), *folder.glob(f"*{kind}.png")):
            if old.name not in current:
                old.unlink()
    return path


def replace(path: Path, content: bytes) -> None:
    """Writes a file as a whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
