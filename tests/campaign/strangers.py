"""Strangers at the server, and names that would be more than words."""

from __future__ import annotations

import contextlib
import csv
import io
import random
import re
import socket
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from bench.serve.server import Board
from campaign import changed, corpus
from campaign.cases import Tally, _performed

SLOW = 50
ESCAPES = (
    "\x1b[2J\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "](javascript:alert(1))", "![x](http://x.invalid/y.png)", "| a | b |", "`x`", "# heading", "=1+1", "@SUM(A1)",
    "+cmd|' /C calc'!A0", "-2+3", "\\input{/etc/passwd}", "\\write18{id}", "$x$", "100%", "a&b", "{x}", "]]>", '"><b>',
    "'; DROP TABLE records; --", "../../x", "a\nb", "a\tb", "\ufeff", "&lt;b&gt;", "~^_#",
)  # fmt: skip
_OBEYED = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069]")


# ------------------------------------------------------------------------------------------------------------- server


def requests(seed: int, count: int, slow: int = SLOW) -> Tally:
    """Requests by hand and made by the seed, while so many clients say nothing, or one byte now and then."""
    tally = Tally("strangers at the server")
    draw = random.Random(f"requests/{seed}")
    page = b"<html><body>the report</body></html>"
    with Board() as board:
        board.show(page)
        port = int(board.address.rsplit(":", 1)[1].strip("/"))
        host = f"127.0.0.1:{port}".encode()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(slow)]
            for number, client in enumerate(clients):
                client.sendall((b"", b"GET", b"GET / HTTP/1.1\r\nX: ", b"\0")[number % 4])
            good = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
            for name, request, expected in _by_hand(host):
                answer = asked(port, request)
                status = _status(answer)
                tally.expect(
                    f"request {name}", status in expected or (not answer and b"" in expected), repr(answer[:200])
                )
                if status != b"200":
                    tally.expect(f"request {name}: shows no page", page not in answer)
            for number in range(count):
                request = changed.bytes_of(good, draw)
                answer = asked(port, request)
                whole = not answer or _status(answer).isdigit() or answer == page
                tally.expect(
                    f"request {number}", whole and b"Traceback" not in answer, f"{request!r}: {answer[:200]!r}"
                )
            for number in range(20):
                began = time.monotonic()
                answer = asked(port, good)
                seconds = time.monotonic() - began
                tally.expect(
                    f"{slow} slow clients: answer {number}", b"200" in answer[:15] and seconds < 2, f"{seconds:.1f} s"
                )
                with contextlib.suppress(OSError):
                    clients[number % len(clients)].sendall(b"x")
    return tally


def _status(answer: bytes) -> bytes:
    """What it says; who is answered as HTTP/0.9 is told of errors in the page alone."""
    found = re.search(rb"\AHTTP/1\.[01] (\d{3})|Error code: (\d{3})", answer)
    return (found[1] or found[2]) if found else b""


def _by_hand(host: bytes) -> Iterator[tuple[str, bytes, tuple[bytes, ...]]]:
    def request(line: bytes, *headers: bytes) -> bytes:
        return b"\r\n".join([line, *headers, b"Connection: close", b"", b""])

    ours = b"Host: " + host
    yield "of the page", request(b"GET / HTTP/1.1", ours), (b"200",)
    yield "of its head", request(b"HEAD / HTTP/1.1", ours), (b"200",)
    yield "of a foreign host", request(b"GET / HTTP/1.1", b"Host: evil.invalid"), (b"403",)
    yield "of two hosts", request(b"GET / HTTP/1.1", ours, b"Host: evil.invalid"), (b"403", b"400")
    yield "of no host", request(b"GET / HTTP/1.1"), (b"403", b"400")
    yield "of an absolute address", request(b"GET http://evil.invalid/ HTTP/1.1", ours), (b"400", b"403")
    yield "of half an address", request(b"GET http://[::1 HTTP/1.1", ours), (b"400", b"403")
    for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH", b"get"):
        yield f"by {method.decode()}", request(method + b" / HTTP/1.1", ours), (b"501", b"405", b"400")
    for path in (b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"//etc/passwd", b"/records.jsonl", b"/\\..\\x",
                 b"/events/../x", b"/./report.html", b"/%00"):  # fmt: skip
        yield f"of {path.decode()}", request(b"GET " + path + b" HTTP/1.1", ours), (b"404", b"400", b"403")
    yield "of 200 headers", request(b"GET / HTTP/1.1", ours, *[b"X-%d: 1" % n for n in range(200)]), (b"431", b"400")
    yield "of a header of 1 MB", request(b"GET / HTTP/1.1", ours, b"X: " + b"a" * 2**20), (b"431", b"400", b"")
    yield "of a path of 1 MB", request(b"GET /" + b"a" * 2**20 + b" HTTP/1.1", ours), (b"414", b"400", b"")
    yield "of HTTP/0.9", b"GET /\r\n\r\n", (b"", b"400", b"403", b"505")
    yield "of HTTP/9", request(b"GET / HTTP/9.0", ours), (b"505", b"400")
    yield "of bytes", b"\x16\x03\x01" + b"\xff" * 500 + b"\r\n\r\n", (b"400", b"", b"501")


def asked(port: int, request: bytes) -> bytes:
    """All that the server answers, or what came of it within 5 s."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        with contextlib.suppress(OSError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while len(answer) < 2**20 and (piece := client.recv(1 << 16)):
                answer += piece
    return answer


# -------------------------------------------------------------------------------------------------------------- names


def names(folder: Path, *, short: bool = False) -> Tally:
    """Names in records that mean something to Markdown, HTML, LaTeX, spreadsheets, terminals and JUnit."""
    tally = Tally("names that stay words")
    for number, name in enumerate(ESCAPES):
        place = folder / f"name-{number}"
        one = {"dataset": name, "detector": name + "x", "protocol": name, "reason": name, "notes": [name]}
        records = [dict(record, **one) for record in corpus.records()]
        corpus.copied({"r/records.jsonl": corpus.lines(records)}, place)
        with contextlib.chdir(place):
            for argv in (
                ("report", "r", "--table", "quality"),
                ("report", "r", "--table", "quality", "--format", "latex"),
                ("report", "r", "--table", "quality", "--format", "csv"),
                ("report", "r", "--sql", "SELECT dataset, detector, protocol FROM records", "--format", "csv"),
                ("export", "r", "--format", "csv"),
                ("compare", "r", "r"),
                ("compare", "r", "r", "--format", "markdown"),
                ("compare", "r", "r", "--format", "junit"),
            ):
                if short and "--sql" in argv:
                    continue  # asks a process of its own
                status, out, err = _performed(argv)
                why = _more_than_words(name, argv, out)
                if _OBEYED.search(out + err):
                    why = "a control character reached the terminal"
                if "Traceback" in err:
                    why = err[-500:]
                tally.expect(
                    f"{name!r} in {' '.join(argv)}", status in (0, 1, 3, 4) and not why, f"{status} {why or err}"
                )
            if not short or number % 8 == 3:
                status, _, err = _performed(("report", "r", "--format", "html"))
                text = (place / "r" / "report.html").read_text() if status == 0 else ""
                harmless = "<script>alert" not in text and "<img src=x" not in text and '"><b>' not in text
                tally.expect(f"{name!r} in the page", status == 0 and harmless, err[-300:])
    return tally


def _more_than_words(name: str, argv: tuple[str, ...], out: str) -> str:
    """Where a name is more than the word it should be."""
    if "junit" in argv:
        try:
            ET.fromstring(out)
        except ET.ParseError as error:
            return f"no XML: {error}"
    elif "csv" in argv:
        formulas = [c for line in csv.reader(io.StringIO(out)) for c in line if c[:1] in "=+@-\t\r" and not _number(c)]
        return f"a formula {formulas[0]!r}" if formulas else ""
    elif "latex" in argv:
        return "a command" if re.search(r"(?<!\\)\\(input|write18)\b", out) else ""
    elif argv[0] == "report" or "markdown" in argv:
        out = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "code", out)  # what stands between them is words
        if re.search(r"(?<!\\)<(script|img|b)\b", out) or re.search(r"(?<!\\)\]\((javascript|http://x)", out):
            return "markup"
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in out.splitlines() if line.startswith("|")}
        return f"columns {widths}" if argv[0] == "report" and len(widths) > 1 else ""
    return ""


def _number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(float(text)) or True
    return not text
