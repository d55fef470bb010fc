"""The front page's tables and figure, from a results directory: ``make showcase`` runs this after the trials.

    python -m bench.serve.showcase RESULTS FOLDER README

writes ``README.md`` and ``throughput.svg`` into FOLDER, and puts the table and the figure into the README between the
lines ``<!-- showcase -->`` and ``<!-- /showcase -->``, where it has them. The same records give the same bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.records import view
from reports import excerpt, replace, surveys
from reports.blocks import listing, words
from reports.sections.headline import headline
from reports.tables.material import Material
from reports.writers import escape, markdown

Records = Sequence[Mapping[str, Any]]

START, END = "<!-- showcase -->", "<!-- /showcase -->"
FIGURE = "throughput.svg"


def main(arguments: Sequence[str]) -> int:
    results, folder, readme = map(Path, arguments)
    latest = view.read({"": results})[0]
    folder.mkdir(parents=True, exist_ok=True)
    figure = results / "figures" / FIGURE  # as the run's own report has it
    drawn = figure.is_file()
    if drawn:
        replace(folder / FIGURE, figure.read_bytes())
    replace(folder / "README.md", _page(latest, drawn).encode())
    print(f"showcase: {folder / 'README.md'}")
    where = Path(os.path.relpath(folder, readme.parent)).as_posix()
    text = readme.read_text()
    if (new := inserted(text, _block(latest, where, drawn))) != text:
        replace(readme, new.encode())
        print(f"showcase: {readme}")
    return 0


def inserted(text: str, block: str) -> str:
    """The text with the block between the marks; the text as it was where it has no such marks."""
    before, start, rest = text.partition(START + "\n")
    _, end, after = rest.partition(END)
    return f"{before}{START}\n\n{block}\n\n{END}{after}" if start and end else text


def _page(found: Records, drawn: bool) -> str:
    """All of it: the answer, quality and speed, and how to make it again."""
    answer = markdown.blocks(headline(Material(found))).strip()
    parts = [
        "# Showcase",
        _machine(found),
        answer,
        "## Quality",
        _table(found, "quality"),
        "## Speed",
        *([f"![Training throughput by backend]({FIGURE})"] if drawn else []),
        _table(found, "throughput"),
        "Made by `make showcase`; another run replaces it.",
    ]
    return "\n\n".join(parts) + "\n"


def _block(found: Records, folder: str, drawn: bool) -> str:
    """What the project's own README shows."""
    parts = [
        f"ROC AUC by data set, mean ± standard deviation over seeds (≈: cannot be told apart from the best). "
        f"{_machine(found)}",
        _table(found, "quality", "roc_auc"),
        *_rates(found),
        *([f"![Training throughput by backend]({folder}/{FIGURE})"] if drawn else []),
        f"[All of it, with intervals and rates]({folder}/README.md).",
    ]
    return "\n\n".join(parts)


def _rates(found: Records) -> list[str]:
    """How fast each framework trains, where one was timed."""
    networks = [record for record in found if record.get("backend")]
    try:
        rates = _table(networks, "throughput", "train_samples_per_second")
    except excerpt.NoTableError:
        return []
    return ["The same networks in each framework, training samples/s:", rates]


def _table(found: Records, table: str, pivot: str | None = None) -> str:
    return excerpt.written(found, table, "markdown", pivot).decode().strip()


def _machine(found: Records) -> str:
    """``Measured on AMD EPYC, 2 cores.``"""
    machines = []
    for record in found:
        machine = surveys.mapping(surveys.mapping(record.get("environment")).get("machine"))
        if machine.get("cpu"):
            machines.append(f"{words(machine['cpu'])}, {words(machine.get('cores'))} cores")
    return escape.markdown(f"Measured on {listing(list(dict.fromkeys(machines)))}.") if machines else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
