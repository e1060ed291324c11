"""Owns the arrival of a request on a connection: how long it may take, how much may come before its body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from device.web.door import BEGAN

MOST_CONNECTIONS = 4096
MOST_HEAD = 65_536
"""Bytes before the body."""
_BODY_GRACE_S = 2.0
"""The door says 408 for a slow body; a connection that is still there after this is cut."""


class Whole:
    """Holds back the head of an answer until its body comes: one packet, and half the calls into the system."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._head = data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Timed(HttpToolsProtocol):
    """uvicorn waits for ever for the end of a head or a body. Here a request has so long from its first byte."""

    slow_s = 10.0
    _timer: asyncio.TimerHandle | None = None
    """One for the connection, that looks again when it finds a later deadline: most requests set none anew."""
    _deadline: float | None = None
    _late: Callable[[], None]
    """What is done then."""
    _began = 0.0
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._arm()
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD and not self.transport.is_closing():
            self._end(431, "too-large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._arm()
        self.scope["state"][BEGAN] = self._began

    def on_headers_complete(self) -> None:
        self._head = -(1 << 62)
        super().on_headers_complete()
        if self.cycle is not None and self.scope["method"] != "HEAD":
            self.cycle.transport = cast(asyncio.Transport, Whole(self.transport))
        self._wait(self._began + self.slow_s + _BODY_GRACE_S, self._cut)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._disarm()
        self._head = 0

    def send_400_response(self, msg: str) -> None:
        self._end(400, "bad-request")

    def _unsupported_upgrade_warning(self) -> None:
        """It is answered as the request it is; what comes after it is not HTTP any more."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _arm(self) -> None:
        self._began = self.loop.time()
        self._wait(self._began + self.slow_s, self._too_slow)

    def _wait(self, deadline: float, late: Callable[[], None]) -> None:
        self._deadline, self._late = deadline, late
        if self._timer is None:
            self._timer = self.loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        else:
            self._late()

    def _disarm(self) -> None:
        self._deadline = None

    def _too_slow(self) -> None:
        self._end(408, "too-slow")

    def _end(self, status: int, code: str) -> None:
        self._disarm()
        if self.cycle is None or self.cycle.response_complete:  # Never into the midst of another answer.
            body = json.dumps({"error": code}).encode()
            head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\nconnection: close\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _cut(self) -> None:
        self._disarm()
        self.transport.abort()


def timed(slow_s: float) -> type[Timed]:
    """The protocol for uvicorn with this patience."""
    return type("Timed", (Timed,), {"slow_s": slow_s})
