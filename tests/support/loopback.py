"""A real server on loopback that can misbehave as servers do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dnntrain.data import download


@dataclass
class Server:
    """Its files by path, how it misbehaves, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    resumes: bool = True
    stops_after: int | None = None
    """Bytes of a body after which the connection is closed."""
    gate: threading.Event | None = None
    """Where there is one, a body that stops stays open until it is set, and then goes on."""
    vanishes: bool = False
    """Whether nobody listens any more after the first body."""
    answers: list[int] = field(default_factory=list)
    """Status codes that the first requests get instead of a file."""
    damages: int = 0
    """Of how many of the next answers the last byte is wrong."""
    says_more: int = 0
    """Bytes that Content-Length is too many."""
    sends_more: bytes = b""
    """What follows the file's bytes."""
    says_length: bool = True
    range_start: int | None = None
    """Where what follows a Range begins, whatever was asked for."""
    content_type: str = "application/octet-stream"
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""

    def body(self, path: str) -> bytes:
        """The file, or a damaged one."""
        body = self.files[path]
        if self.damages:
            self.damages -= 1
            return body[:-1] + bytes([body[-1] ^ 1])
        return body


class Handler(BaseHTTPRequestHandler):
    """Answers as `state` says."""

    state: Server

    def do_GET(self) -> None:
        state, wanted = self.state, self.headers["Range"]
        state.asked.append((self.path, wanted))
        if state.answers:
            return self.send_error(state.answers.pop(0))
        if self.path not in state.files:
            return self.send_error(404)
        body = state.body(self.path)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.resumes else 0
        if start and start >= len(body):
            return self.send_error(416)
        if start and state.range_start is not None:
            start = state.range_start
        self.head(start, len(body))
        return self.send_body(body[start:])

    def head(self, start: int, total: int) -> None:
        partial = self.headers["Range"] is not None and self.state.resumes
        self.send_response(206 if partial else 200)
        self.send_header("Content-Type", self.state.content_type)
        if self.state.says_length:
            self.send_header("Content-Length", str(total - start + self.state.says_more))
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()

    def send_body(self, body: bytes) -> None:
        state = self.state
        try:
            self.wfile.write(body[: state.stops_after])
            if state.gate and state.stops_after is not None:
                state.gate.wait(10)
                self.wfile.write(body[state.stops_after :])
            self.wfile.write(state.sends_more)
            if state.vanishes:
                self.server.shutdown()
                self.server.server_close()
        except OSError:
            pass  # who asked is gone

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies, which the environment may name, do not know loopback."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(download, "DELAYS", (0.01, 0.02))


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stall is one after 0.3 s; only for tests of stalls, as a busy machine is slow too."""
    monkeypatch.setattr(download, "TIMEOUT", 0.3)


@pytest.fixture
def server(impatient: None) -> Iterator[Server]:
    """A server without a file."""
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state})) as http:
        http.daemon_threads = True
        state.address = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        if state.gate:
            state.gate.set()
        http.shutdown()
