"""The document: a template, prose, data and scripts put together under a policy that lets nothing in or out.

Every script is named in the policy by its hash, so that no other can run, whatever a name from outside says; names are
data to the scripts, which show them as text alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from markdown_it import MarkdownIt

from reports.writers.page.contents import Contents, DatasetPart

PLOTLY = "plotly-basic-4.1.1.min.js"
STYLE = "report.css"
SCRIPTS = ("elements.js", "theme.js", "grids.js", "charts.js", "scores.js", "datasets.js", "speed.js", "start.js")
"""In the order in which they build on each other."""
LIVE = "live.js"


@cache
def asset(name: str) -> str:
    return files("reports.writers.page").joinpath("assets", name).read_text(encoding="utf-8")


def written(contents: Contents, *, live: bool) -> bytes:
    """The whole document; ``live`` adds the script that listens to the server, and allows it that."""
    scripts = [asset(PLOTLY).strip(), "".join(map(asset, SCRIPTS)), *([asset(LIVE)] if live else [])]
    sections = _sections(contents)
    text = Template(asset("page.html")).substitute(
        policy=_policy(scripts, live),
        title=escape(contents.title),
        summary=escape(contents.summary),
        style=asset(STYLE),
        contents="".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in sections),
        answer=prose(contents.answer),
        alerts="".join(f'<div class="alert" role="note">{prose(line)}</div>' for line in contents.alerts),
        warnings=_warnings(contents.warnings),
        sections="".join(
            f'<section id="{key}" aria-labelledby="{key}-title">'
            f'<h2 id="{key}-title">{escape(title)}</h2>{body}</section>\n'
            for key, title, body in sections
        ),
        data=as_json(contents.data),
        scripts="".join(f"<script>{script}</script>\n" for script in scripts),
    )
    return text.encode()


def as_json(data: object) -> str:
    """JSON that no HTML parser finds the end of a script in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def prose(markdown: str) -> str:
    """Markdown of ours as HTML; HTML in it stays text, and a link leads to a place in the page or nowhere."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    renderer.validateLink = lambda url: url.startswith("#")  # type: ignore[method-assign]
    return (
        str(renderer.render(markdown))
        .replace("<table>", '<div class="scroll"><table class="plain">')
        .replace("</table>", "</table></div>")
    )


def _policy(scripts: list[str], live: bool) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    rules = {
        "default-src": "'none'",
        "script-src": hashes,
        "style-src": "'unsafe-inline'",  # plots place their parts by style attributes
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    } | ({"connect-src": "'self'"} if live else {})
    return "; ".join(f"{name} {value}" for name, value in rules.items())


# ---------------------------------------------------------------------------------------------------------- sections


def _sections(contents: Contents) -> list[tuple[str, str, str]]:
    """Key, title and HTML of each section that has something to show."""
    tables: dict[str, Any] = contents.data["tables"]
    speed: dict[str, Any] = contents.data["speed"]
    found = []
    if contents.datasets:
        body = [f"<p class=note>{QUALITY}</p>"]
        body += [_grid("overview", "ROC AUC on every data set")] if "overview" in tables else []
        body += [_grid("quality", "Quality on all data sets")] if "quality" in tables else []
        body += map(_dataset, contents.datasets)
        if contents.more_datasets:
            body.append(f"<p class=note>{contents.more_datasets:,} more data sets are in the table above alone.</p>")
        found.append(("quality", "Quality", "".join(body)))
    for key, title, text in (
        ("protocols", "As published and done right", contents.protocols),
        ("published", "Beside published figures", contents.published),
    ):
        if text:
            found.append((key, title, prose(text)))
    if "training" in tables:
        found.append(("throughput", "Speed", "".join([*_speed(tables, speed), prose(contents.beside)])))
    if contents.equality:
        ladder = '<div class="plot" data-plot="ladder"></div>' if contents.data["ladder"] else ""
        found.append(("equality", "Equality", ladder + prose(contents.equality)))
    if "failures" in tables:
        found.append(("failures", "Failed and skipped trials", _grid("failures", "Failed and skipped trials")))
    if "trials" in tables:
        left_out = tables["trials"]["left_out"]
        note = f" The latest ones; {left_out:,} earlier ones are left out." if left_out else ""
        body = [f'<p class=note>{TRIALS}{note}</p><div class="key" data-key="phases"></div>']
        found.append(("trials", "Every trial", "".join([*body, _grid("trials", "Every trial")])))
    if "environments" in tables:
        found.append(("environment", "Environment", _grid("environments", "Environment")))
    if contents.commands:
        lines = "\n".join(map(escape, contents.commands))
        found.append(("reproduce", "Run it again", f'<pre class="commands"><code>{lines}</code></pre>'))
    return found


QUALITY = (
    "Means over seeds with ± their standard deviation, and in brackets the 95 % interval over the test rows "
    "(bootstrap). <b>Bold</b>: the best detector, where the intervals and every seed allow saying so. <b>≈</b>: cannot "
    "be told apart from the best. Curves and scores are those of one trial, of the lowest seed; losses are those of "
    "all trials."
)
TRIALS = "One line a trial, with the seconds that each of its phases took; bars share one scale."
SPEED = (
    "A rate is the geometric mean over trials of rows a second in the median sample; in brackets its 95 % interval, "
    "where several trials allow one. <b>Of limit</b>: the limit is the rate of a step's matrix products alone on this "
    "machine. <b>× slowest</b> is against the slowest row that does the same work. Compilation is in no rate."
)
ROOFLINE = (
    "Each point is a scenario: the operations a second that its matrix products come to, over operations for each byte "
    "that a step cannot help but move (its rows once, each weight ten times: two passes, its gradient, Adam's "
    "moments). The roof is what this machine was measured to do: copying to the left, large matrix products to the "
    "right."
)


def _grid(key: str, label: str) -> str:
    return f'<div class="grid" data-grid="{key}" data-label="{escape(label)}"></div>'


def _dataset(part: DatasetPart) -> str:
    return (
        f'<article class="dataset" id="{part.key}"><h3><bdi>{escape(part.title)}</bdi></h3>'
        f"<p class=note>{escape(part.about)}</p>"
        f"{_grid(f'quality-{part.key}', f'Quality on {part.title}')}"
        f'<div class="pictures" data-dataset="{part.key}"></div></article>'
    )


def _speed(tables: dict[str, Any], speed: dict[str, Any]) -> list[str]:
    parts = [f"<p class=note>{SPEED}</p>", '<div class="plots" data-plots="bars"></div>']
    parts += ["<h3>Training</h3>", _grid("training", "Training speed")]
    parts += ["<h3>Scoring and memory</h3>", _grid("scoring", "Scoring speed and memory")]
    if speed["roofline"]:
        parts += [f"<h3>Roofline</h3><p class=note>{ROOFLINE}</p>", '<div class="plots" data-plots="roofline"></div>']
    if speed["batch"]:
        parts += ["<h3>Over the batch size</h3>", '<div class="plots" data-plots="batch"></div>']
    if speed["rows"]:
        parts += ["<h3>Over the number of rows</h3>", '<div class="plots" data-plots="rows"></div>']
    return parts


def _warnings(lines: list[str]) -> str:
    if not lines:
        return ""
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="alert" role="note"><ul>{shown}</ul></div>'
