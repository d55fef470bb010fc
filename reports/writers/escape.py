"""Text made harmless for each language: Markdown, HTML and LaTeX; and the width that it takes in a terminal."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from html import escape as html_escape

from reports import numbers
from reports.blocks import clean, marked, spans

_SPECIAL = re.compile(r"([\\`*_\[\]~$])")
_OPENING = re.compile(r"^(?:\d{1,9}(?=[.)](?: |$))|(?=[#+=-]+(?: |$)))")
"""Where a line begins that Markdown would take for a heading, a rule or a list: up to the sign that makes it one."""


def markdown_words(text: object) -> str:
    """Text from outside as plain words in a sentence: no markup, no HTML, no mathematics."""
    words = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _OPENING.sub(r"\g<0>\\", _SPECIAL.sub(r"\\\1", words))


def markdown_code(name: object) -> str:
    """A name from outside as a code span; its fence is longer than any run of backticks inside."""
    text = clean(name) or "(empty)"
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(len(run) for run in re.findall("`+", text)))
    pad = " " if "`" in (text[0], text[-1]) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def markdown(text: str) -> str:
    """A block's text; ours is Markdown as it is."""
    return marked(text, markdown_code, markdown_words)


def fenced(lines: list[str]) -> str:
    """Lines from outside in a code block that none of them can close."""
    text = [clean(line) for line in lines]
    runs = [len(run) for line in text for run in re.findall("`+", line)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    return "\n".join([f"{fence}sh", *text, fence])


def html(text: str) -> str:
    """A block's text; a link leads to a place in the page."""
    parts = []
    for span in spans(text):
        part = html_escape(span.text)
        if span.kind == "code":
            part = f"<code>{part}</code>"
        elif span.kind == "words":
            part = f"<bdi>{part}</bdi>"
        for tag, wanted in (("strong", span.strong), ("em", span.stressed)):
            part = f"<{tag}>{part}</{tag}>" if wanted else part
        parts.append(f'<a href="#{span.key}">{part}</a>' if span.key else part)
    return "".join(parts)


_SPECIAL_LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "]": "{]}", "`": r"\textasciigrave{}"}
    | {'"': r"\textquotedbl{}", "|": r"\textbar{}", "-": "{-}", "'": r"\textquotesingle{}"}
)
"""Brackets after a line's end would be its optional argument; dashes and quotes join into other signs."""
_SIGNS = str.maketrans(
    {numbers.GLUE: "~", "±": r"$\pm$", "≈": r"$\approx$", "×": r"$\times$", "−": "$-$", "—": "---", "%": r"\%"}
    | {"<": r"\textless{}", "÷": r"$\div$"}
)
"""Those that our own words and numbers have."""


def latex(text: str) -> str:
    """A block's text."""
    parts = []
    for span in spans(text):
        part = span.text.translate(_SIGNS if span.kind == "plain" else _SPECIAL_LATEX)
        part = rf"\texttt{{{part}}}" if span.kind == "code" else part
        parts.append(rf"\textbf{{{part}}}" if span.strong else part)
    return "".join(parts)


def width(text: str) -> int:
    """Columns the text takes in a monospaced font: wide East Asian characters count two, combining marks none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@cache
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def padded(text: str, columns: int, right: bool = False) -> str:
    """The text with as many blanks as fill the columns."""
    gap = " " * (columns - width(text))
    return gap + text if right else text + gap
