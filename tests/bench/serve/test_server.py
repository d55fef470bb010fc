"""The page that is served: to this machine alone, a new one when there is one, and rebuilt between trials alone."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.cli import main
from bench.commands import report
from bench.messages import UsageError
from bench.serve.server import WAITING, Board
from bench.serve.watching import Pace, Watched

RECORD = {
    "schema": 1,
    "dataset": "blobs",
    "detector": "knn",
    "scenario_hash": "a",
    "environment_hash": "b",
    "seed": 0,
    "round": 0,
    "status": "ok",
    "metrics": {"roc_auc": 0.9},
}


def ask(board: Board, path: str = "/", host: str | None = None) -> tuple[int, bytes]:
    port = int(board.address.rstrip("/").rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_what_was_shown_last_is_served_under_a_number_of_its_own() -> None:
    with Board() as board:
        assert ask(board) == (200, WAITING)
        for number in ("1", "2"):
            board.show(f"<body>page {number}".encode())
            assert ask(board) == (200, f'<body data-version="{number}">page {number}'.encode())
        assert ask(board, "/records.jsonl")[0] == 404


def test_a_page_that_points_another_name_at_this_address_gets_nothing() -> None:
    with Board() as board:
        port = board.address.rstrip("/").rsplit(":", 1)[1]
        assert ask(board, host=f"evil.example:{port}")[0] == 403
        assert ask(board, "/events?seen=1", host="evil.example")[0] == 403
        assert ask(board, host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET http://[::1 HTTP/1.1", "Host: {host}"], 400),
        (["GET http://other/ HTTP/1.1", "Host: {host}"], 400),
        (["GET /", "Host: {host}"], 400),
        (["GET //other/ HTTP/1.1", "Host: {host}"], 404),
        (["GET / HTTP/1.1", "Host: {host}", "Host: other"], 403),
        (["GET / HTTP/1.1", "Host: other", "Host: {host}"], 403),
        (["GET / HTTP/1.1"], 403),
        (["GET /../../etc/passwd HTTP/1.1", "Host: {host}"], 404),
        (["POST / HTTP/1.1", "Host: {host}"], 501),
        (["GET / HTTP/1.1", "Host: {host}", *(f"X-{n}: y" for n in range(200))], 431),
        (["GET / HTTP/1.1", "Host: {host}", "X: " + "y" * 70_000], 431),
        (["HEAD / HTTP/1.1", "Host: {host}"], 200),
    ],
)
def test_a_request_that_a_browser_would_not_send_is_refused(lines: list[str], status: int) -> None:
    with Board() as board:
        host = board.address.removeprefix("http://").rstrip("/")
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port)), timeout=30) as client:
            client.sendall("\r\n".join([*lines, "", ""]).format(host=host).encode())
            answer = client.makefile("rb").read()
        assert answer.split()[1] == str(status).encode()
        if lines[0].startswith("HEAD"):
            assert answer.endswith(b"\r\n\r\n")
        assert ask(board)[0] == 200


def test_clients_that_never_finish_their_request_stop_nobody() -> None:
    with Board() as board, contextlib.ExitStack() as stack:
        name, _, port = board.address.removeprefix("http://").rstrip("/").partition(":")
        for _ in range(50):
            stack.enter_context(socket.create_connection((name, int(port)), timeout=30)).sendall(b"GET / HT")
        assert ask(board)[0] == 200


def test_who_looks_at_an_old_page_is_told_of_a_new_one_and_who_sees_the_new_one_waits() -> None:
    with Board() as board:
        board.show(b"<body>one")
        told: list[tuple[int, bytes]] = []
        waits = threading.Thread(target=lambda: told.append(ask(board, "/events?seen=1")))
        waits.start()
        waits.join(0.2)
        assert waits.is_alive()
        board.show(b"<body>two")
        waits.join(30)
        assert told == [(200, b"event: changed\ndata:\n\n")]
        assert ask(board, "/events?seen=1") == told[0]


def test_the_end_of_the_server_ends_who_waits() -> None:
    told: list[bool] = []
    with Board() as board:
        board.show(b"<body>one")
        waits = threading.Thread(target=lambda: told.append(board.newer("1")))
        waits.start()
    waits.join(30)
    assert told == [False]


def test_who_was_told_of_the_last_page_still_gets_it_though_the_run_has_ended() -> None:
    told: list[bytes] = []

    def browser(board: Board) -> None:
        ask(board, "/events?seen=1")
        told.append(ask(board)[1])

    with Board() as board:
        board.show(b"<body>one")
        waits = threading.Thread(target=browser, args=(board,))
        waits.start()
        while not board._looking:
            time.sleep(0.01)
        board.show(b"<body>two")
    waits.join(30)
    assert told == [b'<body data-version="2">two']


def test_a_port_that_is_taken_is_one_line() -> None:
    with Board() as board, pytest.raises(UsageError, match=r"^port \d+ of 127\.0\.0\.1 cannot be used"):
        Board(int(board.address.rstrip("/").rsplit(":", 1)[1]))


class Silent:
    """A display that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.told.append(name)


def test_a_watched_run_is_rebuilt_after_a_trial_and_only_when_somebody_looks() -> None:
    made: list[int] = []
    now = [0.0]

    def render() -> bytes:
        made.append(len(made))
        now[0] += 2.0
        return b"<body>"

    with Board() as board:
        shown = Silent()
        watched = Watched(shown, Pace(board, render, clock=lambda: now[0]))  # type: ignore[arg-type]
        trial: Any = None
        watched.begin(3, 0)
        watched.ended(trial, {})
        assert made == []
        ask(board)
        watched.doing(trial, "training", 1, 2)
        watched.measuring()
        assert made == []
        watched.ended(trial, {})
        assert made == [0]
        watched.ended(trial, {})  # it took 2 s, so for 20 s the trials go first
        assert made == [0]
        now[0] += 20
        watched.ended(trial, {})
        assert made == [0, 1]
        watched.close()
    assert shown.told == ["begin", "ended", "doing", "measuring", "ended", "ended", "ended", "close"]


def test_report_serve_shows_new_records_until_it_is_stopped(tmp_path: Path, environ: dict[str, str]) -> None:
    records = tmp_path / "records.jsonl"
    records.write_bytes(msgspec.json.encode(RECORD) + b"\n")
    command = [environ["BENCH_COMMAND"], "report", str(tmp_path), "--serve"]
    served = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        address = served.stdout.readline().split()[4]
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/")
        first = connection.getresponse().read()
        assert b"blobs" in first
        assert b"moons" not in first
        with records.open("ab") as file:
            file.write(msgspec.json.encode(RECORD | {"dataset": "moons", "scenario_hash": "c"}) + b"\n")
        connection.request("GET", "/events?seen=1")
        assert connection.getresponse().read().startswith(b"event: changed")
        connection.request("GET", "/")
        assert b"moons" in connection.getresponse().read()
        connection.close()
        served.send_signal(signal.SIGINT)
        assert served.wait(60) == 0
    finally:
        served.kill()
        served.communicate()
    assert not (tmp_path / "report.html").exists()


def test_a_record_that_comes_while_the_first_page_is_made_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tmp_path / "records.jsonl"
    records.write_text("1\n")
    made: list[str] = []
    seconds = iter([None, None])

    def render(*_: Path, live: bool) -> bytes:
        made.append(records.read_text())
        if len(made) == 1:
            records.write_text("1\n2\n")
        return b"<body>"

    def sleep(_: float) -> None:
        if next(seconds, KeyboardInterrupt):
            raise KeyboardInterrupt

    monkeypatch.setattr(report, "render_html", render)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.delattr(os, "nice", raising=False)
    monkeypatch.setattr(Pace, "due", lambda pace: True)
    assert main(["report", str(tmp_path), "--serve"]) == 0
    assert made == ["1\n", "1\n2\n"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--serve", "--format", "html"], "--serve shows the whole report and takes no --format"),
        (["--port", "80"], "--port is for --serve"),
        (["--format", "html", "--pivot", "roc_auc"], "--format html is the whole report"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    bench: Any, tmp_path: Path, options: list[str], line: str
) -> None:
    done = bench("report", str(tmp_path), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bench: {line}")
    assert done.stderr.count("\n") == 1


def test_a_watched_run_prints_its_address_and_leaves_the_page_on_the_disk(
    bench: Any, suite_file: Any, tmp_path: Path
) -> None:
    suite = """
        name = "tiny"
        seeds = [0]
        detectors = ["norm"]
        [[scenarios]]
        datasets = ["blobs?rows=300"]
    """
    done = bench("run", suite_file(suite), "--out", "out", "--watch")
    assert done.returncode == 0, done.stderr
    assert re.match(r"watch it at http://127\.0\.0\.1:\d+/\n", done.stdout)
    assert "and to look at: out/report.html" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "blobs?rows=300" in page
    assert "EventSource" not in page


def test_the_html_report_goes_beside_its_records_or_where_it_is_asked_to(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "records.jsonl").write_bytes(msgspec.json.encode(RECORD) + b"\n")
    assert bench("report", "out", "--format", "html").stdout == "report: out/report.html\n"
    assert bench("report", "out", "--format", "html", "--out", "mine.html").returncode == 0
    assert (tmp_path / "mine.html").read_bytes() == (tmp_path / "out" / "report.html").read_bytes()
