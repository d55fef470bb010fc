"""The file: a template, blocks, data and scripts put together under a policy that lets nothing in or out.

Every script is named in the policy by its hash, so that no other can run, whatever a name from outside says; names are
data to the scripts, which show them as text alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from reports.blocks import (
    Block,
    Cell,
    Column,
    Commands,
    Document,
    Figure,
    Fold,
    Heading,
    List,
    Prose,
    Section,
    Table,
    clean,
    plain,
    spans,
)
from reports.writers.escape import html

PLOTLY = "plotly-basic-4.1.1.min.js"
STYLE = "report.css"
SCRIPTS = (
    *("elements.js", "theme.js", "grids.js", "charts.js", "scores.js", "learned.js", "datasets.js", "speed.js"),
    *("answer.js", "studies.js", "series.js", "start.js"),
)
"""In the order in which they build on each other."""
LIVE = "live.js"


@cache
def asset(name: str) -> str:
    return files("reports.writers.page").joinpath("assets", name).read_text(encoding="utf-8")


def written(document: Document, *, live: bool = False) -> bytes:
    """The whole page; ``live`` adds the script that listens to the server, and allows it that."""
    scripts = [asset(PLOTLY).strip(), "".join(map(asset, SCRIPTS)), *([asset(LIVE)] if live else [])]
    body = _Body()
    answer = body.blocks(document.answer)
    sections = "".join(map(body.section, document.sections))
    links = "".join(f'<li><a href="#{s.key}">{html(s.short or s.title)}</a></li>' for s in document.sections)
    text = Template(asset("page.html")).substitute(
        policy=_policy(scripts, live),
        title=escape(plain(document.title) or "Report"),
        summary=escape(document.summary),
        style=asset(STYLE),
        contents=links,
        alerts="".join(f'<div class="alert" role="note"><p>{html(line)}</p></div>' for line in document.alerts),
        answer=answer,
        sections=sections,
        data=as_json({"tables": body.tables, "plots": body.plots}),
        scripts="".join(f"<script>{script}</script>\n" for script in scripts),
    )
    return text.encode()


def as_json(data: object) -> str:
    """JSON that no HTML parser finds the end of a script in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _policy(scripts: list[str], live: bool) -> str:
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    rules = {
        "default-src": "'none'",
        "script-src": hashes,
        "style-src": "'unsafe-inline'",  # plots place their parts by style attributes
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    } | ({"connect-src": "'self'"} if live else {})
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class _Body:
    """Blocks as HTML; what scripts draw is collected beside it, under keys."""

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}
        self.plots: dict[str, Any] = {}
        self.keys: set[str] = set()

    def section(self, section: Section) -> str:
        self.keys.add(section.key)
        head = f'<h2 id="{section.key}-title">{html(section.title)}</h2>'
        parts = [self.blocks(part) for part in _parts(section.blocks)]
        body = parts[0] + "".join(f'<article class="part">{part}</article>' for part in parts[1:])
        return f'<section id="{section.key}" aria-labelledby="{section.key}-title">{head}{body}</section>\n'

    def blocks(self, content: Iterable[Block]) -> str:
        return "".join(map(self._block, content))

    def _block(self, block: Block) -> str:
        match block:
            case Prose():
                return f"<p>{html(block.text)}</p>"
            case List():
                return f"<ul>{''.join(f'<li>{html(item)}</li>' for item in block.items)}</ul>"
            case Commands():
                lines = "\n".join(escape(clean(line)) for line in block.lines)
                return f'<pre class="commands"><code>{lines}</code></pre>'
            case Heading():
                level = min(block.level, 4)
                return f'<h{level} id="{self._key(plain(block.text))}">{html(block.text)}</h{level}>'
            case Table():
                key = self._key(block.label)
                self.tables[key] = _grid(block)
                return f'<div class="grid" data-grid="{key}" data-label="{escape(block.label)}"></div>'
            case Figure():
                key = self._key(f"plot {block.kind}")
                self.plots[key] = block.screen()
                note = f'<p class="note">{html(block.note)}</p>' if block.note else ""
                return f'<div class="plots {block.kind}" data-plot="{key}" data-kind="{block.kind}"></div>{note}'
            case Fold():
                inside = self.blocks(block.blocks)
                return f"<details><summary>{escape(block.summary)}</summary>{inside}</details>"

    def _key(self, label: str) -> str:
        """A name for a place in the page, plain letters, that no other place has."""
        key = stem = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:48] or "part"
        place = 1
        while key in self.keys:
            place += 1
            key = f"{stem}-{place}"
        self.keys.add(key)
        return key


def _parts(blocks: Iterable[Block]) -> list[list[Block]]:
    """What stands before the first heading of level 3, and each of these with what follows it."""
    parts: list[list[Block]] = [[]]
    for block in blocks:
        if isinstance(block, Heading) and block.level == 3:
            parts.append([])
        parts[-1].append(block)
    return parts


# ------------------------------------------------------------------------------------------------------------- tables


def _grid(table: Table) -> dict[str, Any]:
    columns = [{"title": plain(column.title), "kind": column.kind} for column in table.columns]
    rows = [[_cell(cell, column) for cell, column in zip(line, table.columns, strict=True)] for line in table.cells]
    return {"columns": columns, "rows": rows} | ({"parts": table.parts} if table.parts else {})


def _cell(cell: Cell, column: Column) -> Any:
    """Text, or ``t`` text, ``v`` what sorts it, ``s`` what follows in small print, ``p`` parts, ``h`` its pieces
    with their look: ``b`` strong, ``c`` code."""
    text = plain(cell.text)
    found: dict[str, Any] = {}
    if column.kind != "name":
        pieces = [[("b" if s.strong else "") + ("c" if s.kind == "code" else ""), s.text] for s in spans(cell.text)]
        if any(look for look, _ in pieces):
            found["h"] = pieces
    if math.isfinite(cell.value):
        found["v"] = float(f"{cell.value:.6g}")
    if cell.small:
        found["s"] = plain(cell.small)
    if cell.parts:
        found["p"] = list(cell.parts)
    return {"t": text} | found if found else text
