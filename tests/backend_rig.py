"""An HTTP backend on a loopback socket that answers as it is told, also badly, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[BaseHTTPRequestHandler], None]


def says(value: Any = None, status: int = 200, **headers: str) -> Answer:
    """JSON, or the bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, each in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), each)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def half(handler: BaseHTTPRequestHandler) -> None:
    """The connection ends in the middle of the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"isAvai')
    handler.close_connection = True


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    """More than anybody should read; ends when the reader goes."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(4096):
        handler.wfile.write(b" " * 65536)
    handler.close_connection = True


@dataclass
class Backend:
    url: str
    asked: list[Asked] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    """Used up one by one; the last one stays."""
    released: threading.Event = field(default_factory=threading.Event)

    def slow(self, handler: BaseHTTPRequestHandler) -> None:
        """No answer until the test is over."""
        self.released.wait(20)
        handler.close_connection = True

    def will(self, *answers: Answer) -> None:
        self.answers = deque(answers)


@contextmanager
def backend() -> Iterator[Backend]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            double.asked.append(Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            chosen = double.answers[0] if len(double.answers) == 1 else double.answers.popleft()
            try:
                chosen(self)
            except OSError:  # the asker has gone
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double = Backend(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield double
    finally:
        double.released.set()
        server.shutdown()
        thread.join(5)
        server.server_close()
