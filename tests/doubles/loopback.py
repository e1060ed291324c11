"""An HTTP server on a loopback socket for doubles: starts on a free port, can stall and can break the connection."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class Scenario(StrEnum):
    """What becomes of a request to place a call."""

    ANSWER = "answer"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REFUSE = "refuse"
    """Answered with the double's `refuse_status`; no call exists."""
    STALL = "stall"
    """Taken and never answered; no call exists."""
    DIE = "die"
    """The call exists, and the connection is reset before the answer."""
    SLOW_DIE = "slow-die"
    """As `DIE`, and the call appears in the list only at the third look."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Stall(Exception):
    """Never answer this request."""


class Die(Exception):
    """Reset the connection instead of answering."""


class Loopback:
    """Base of a double: `answer` decides each request. Used as a context manager; `url` is where it listens."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.reached = threading.Event()
        """Set when the first request to place a call has arrived."""
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.double = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def handle(self, request: Request) -> Reply | None:
        """None: the connection is to be reset."""
        with self.lock:
            self.requests.append(request)
            if request.method == "POST":
                self.reached.set()
            try:
                return self.answer(request)
            except Die:
                return None
            except Stall:
                pass
        self._released.wait()
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    double: Loopback

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, query, headers, self.rfile.read(length))
        reply = self.server.double.handle(request)
        if reply is None:
            self._reset()
            return
        payload = json.dumps(reply.value).encode()
        self.send_response_only(reply.status)  # the double sets its own Date
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def _reset(self) -> None:
        # Linger 0 makes the close a reset, as when the far side dies.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""
