"""A report over HTTP on this machine alone, and a page that loads itself again when there is a new one.

Nothing here looks at records: who has a new page shows it. Waiting costs nothing: a browser's thread sleeps until then.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from bench.messages import UsageError

HOST = "127.0.0.1"
PATIENCE_SECONDS = 20.0
"""How long a client may take to say what it wants."""
FAREWELL_SECONDS = 5.0
"""How long the end of the server waits for who was told of the last page to load it."""
WAITING = (
    b"<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>"
    b"<title>Benchmark report</title><body><p>The report comes when the trial that runs now has ended."
)


class Board:
    """Serves what ``show`` was last given; a context manager, which ends the server.

    Parameters
    ----------
    port : int
        0 takes any that is free; ``address`` tells which.

    Raises
    ------
    UsageError
        The port cannot be had.
    """

    def __init__(self, port: int = 0) -> None:
        self.wanted = False
        """Whether anybody has asked for the page yet."""
        self._news = threading.Condition()
        self._page, self._version, self._closed = WAITING, 0, False
        self._looking = self._owed = 0  # who waits for a new page, and who was told of one and has yet to load it
        try:
            self._server = _Server((HOST, port), self)
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} of {HOST} cannot be used: {error}") from None
        self.address = f"http://{HOST}:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="report").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._news:
            self._news.wait_for(lambda: self._owed == 0, FAREWELL_SECONDS)
            self._closed = True
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def show(self, page: bytes) -> None:
        """Replaces the page, and tells those who look at an earlier one."""
        with self._news:
            self._version += 1
            self._page = page.replace(b"<body>", f'<body data-version="{self._version}">'.encode(), 1)
            self._owed = self._looking
            self._news.notify_all()

    def page(self) -> bytes:
        self.wanted = True
        with self._news:
            return self._page

    def delivered(self) -> None:
        """Somebody has the page that ``page`` returned."""
        with self._news:
            self._owed = max(0, self._owed - 1)
            self._news.notify_all()

    def newer(self, seen: str) -> bool:
        """Sleeps until the page is another one than was seen; False when the server ends first."""
        with self._news:
            self._looking += 1
            self._news.wait_for(lambda: self._closed or str(self._version) != seen)
            self._looking -= 1
            return not self._closed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], board: Board) -> None:
        self.board = board
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "bench", ""

    timeout = PATIENCE_SECONDS

    def do_GET(self) -> None:
        if self.request_version == "HTTP/0.9":  # whose answers have no status
            self.request_version = "HTTP/1.0"
            self.send_error(400, "Expected a version")
            return
        # a page of another site may point its own name at this address, but not say ours in its requests
        ours = [f"{name}:{self.server.server_port}" for name in (HOST, "localhost")]
        said = self.headers.get_all("Host", [])
        if len(said) != 1 or said[0] not in ours:
            self.send_error(403, "Wrong host")
            return
        if not self.path.startswith("/"):
            self.send_error(400, "Expected a path")
            return
        url = urlsplit(f"//{ours[0]}{self.path}")
        if url.path == "/":
            self._answer("text/html; charset=utf-8", self.server.board.page())
            self.server.board.delivered()
        elif url.path == "/events":
            self._answer("text/event-stream", b"")
            if self.command == "HEAD":
                return
            if self.server.board.newer(*parse_qs(url.query).get("seen", [""])[:1]):
                self.wfile.write(b"event: changed\ndata:\n\n")
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the browser went away
            return

    def log_message(self, format: str, *arguments: object) -> None:
        """Silence: the terminal is the run's."""
