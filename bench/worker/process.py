"""The parent's end of a worker: a process that is sent commands and waited for."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from bench.environment import HERE, Home, worker_environment


class TrialFailed(Exception):
    """The worker could not go on; holds the record's status and one-line reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class WorkerProcess:
    """A worker process. Use it as a context manager: leaving ends the process, whatever it does.

    Parameters
    ----------
    threads : int
    device : ``cpu`` or ``gpu``
        Both are set in the process's environment, before any import.
    timeout : float
        Seconds from now until a request is given up.
    home : Home
        Whose code it runs, by which interpreter; this process's own where nothing is said.
    variables : mapping of str to str
        More of its environment.
    """

    def __init__(
        self, threads: int, device: str, timeout: float, home: Home = HERE, variables: Mapping[str, str] | None = None
    ) -> None:
        self.deadline = time.monotonic() + timeout
        self.timeout = timeout
        self.oom_kills = _oom_kills()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        # -P keeps the current folder off the import path: a user's own `datasets` must not shadow ours
        self.process = subprocess.Popen(
            [str(home.python), "-P", "-m", "bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=worker_environment(threads, device, home.root) | dict(variables or {}),
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.stdout, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for stream in (self.stdin, self.stdout, self.log):
            try:
                stream.close()
            except BrokenPipeError:  # an unread command to a dead worker
                continue
        self.selector.close()

    def extend(self, timeout: float) -> None:
        """Seconds from now until a request is given up, anew."""
        self.deadline, self.timeout = time.monotonic() + timeout, timeout

    def request(self, command: str, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Sends a command and sleeps until its reply, the deadline, or the worker's end.

        Raises
        ------
        TrialFailed
            The worker reported an error, ended, or is over time.
        """
        message = {"command": command, "arguments": arguments} | more
        try:
            self.stdin.write(msgspec.json.encode(message) + b"\n")
            self.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        chunks: list[bytes] = []
        while not chunks or not chunks[-1].endswith(b"\n"):
            left = self.deadline - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise TrialFailed("timeout", f"not done after {self.timeout:g} s")
            chunk = os.read(self.stdout.fileno(), 1 << 20)
            if not chunk:
                raise self._ended()
            chunks.append(chunk)
        reply: dict[str, Any] = msgspec.json.decode(b"".join(chunks))
        if "error" in reply:
            raise TrialFailed(**reply["error"])
        return reply

    def stop(self) -> None:
        """Lets the worker end by itself, once it has nothing left to do."""
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and all it had to say was said
            self.stdin.write(b'{"command":"stop"}\n')
            self.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)

    def kill(self) -> None:
        """Ends the worker and whatever it started."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.process.kill()
            self.process.wait()

    def said(self) -> str:
        """All that the worker and its framework have printed so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def _ended(self) -> TrialFailed:
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            if -code == signal.SIGKILL and _oom_kills() > self.oom_kills:
                return TrialFailed("out_of_memory", "the system killed the worker for want of memory")
            return TrialFailed("failed", f"the worker was killed by {name}")
        lines = self.said().split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
        return TrialFailed("failed", f"the worker ended with status {code}: {last[:300]}")


def _oom_kills() -> int:
    """How often the kernel has killed for want of memory since boot; 0 where it does not tell."""
    try:
        counters = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except OSError:
        return 0
    return int(counters.get("oom_kill", 0))
